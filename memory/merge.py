"""Fewer carriers and fewer tokens, with no time lost: fusing in time, then merging inside the picture.

The mass of a carrier is its weight in seconds times its tokens. Fusing in time conserves the sum of mass at every token
position, up to float16. ToMe inside a carrier conserves the sum of size x token; the sizes are not kept (a Carrier has
no field for them), so the plain mean of its tokens is no longer the mean of what it saw. Its embed still is.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from footage import Carrier, TimeSpan
from footage.arrays import AnyArray
from footage.carriers import detailed
from footage.nested import nested
from footage.timespan import union
from memory.tome import tome


def prolong(carrier: Carrier, span: TimeSpan) -> Carrier:
    """The same carrier, standing also for a span in which nothing new was seen."""
    spans = union([*carrier.spans, span])
    return replace(carrier, spans=spans, weight_s=carrier.weight_s + span.duration_s)


def fuse(a: Carrier, b: Carrier) -> Carrier:
    """Merge two carriers into one that stands for both, with the anchor of the heavier; see `join`."""
    return join([a, b])


def join(parts: Sequence[Carrier]) -> Carrier:
    """Merge carriers of one recording into one that stands for all of their time. Pure; the parts are unchanged.

    Tokens are the mean weighted by seconds, so that the order of merging does not matter (up to rounding) and a long
    scene is not washed out by a short one; the embed likewise, at unit length again. Of nested tokens only the first is such
    a mean; the others are those of all parts that are least alike. The anchor is that of the heaviest part, on a tie the earliest.

    Raises:
        ValueError: no parts, two recordings, token shapes differ, or two parts stand for the same time.
    Source: size-weighted averaging, ToMe (Bolya et al., ICLR 2023); we weight by seconds.
    """
    if not parts:
        raise ValueError("nothing to join")
    if len({(part.recording_id, part.tokens.shape, part.is_nested) for part in parts}) > 1:
        raise ValueError(f"only carriers of one recording and one token shape can be joined, got {list(parts)[:4]}")
    if len(parts) == 1:
        return parts[0]
    weights = np.array([part.weight_s for part in parts])
    shares = (weights / weights.sum()).astype(np.float32)
    tokens = np.asarray(sum(share * part.tokens.astype(np.float32) for share, part in zip(shares, parts, strict=True)))
    if parts[0].is_nested and len(tokens) > 1:
        details = np.concatenate([part.tokens[1:] for part in parts])
        tokens = np.concatenate([tokens[:1], nested(details, len(tokens))[1:]])
    embed = sum(share * part.embed for share, part in zip(shares, parts, strict=True))
    heaviest = min(parts, key=lambda part: (-part.weight_s, part.anchor_s))
    return Carrier(
        recording_id=heaviest.recording_id,
        spans=union(span for part in parts for span in part.spans),
        anchor_s=heaviest.anchor_s,
        weight_s=float(weights.sum()),
        tokens=np.asarray(tokens, np.float16),
        embed=_unit(np.asarray(embed, np.float32)),
        is_nested=heaviest.is_nested,
    )


def _unit(vector: AnyArray) -> AnyArray:
    """Unit length; zero stays zero."""
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length > 1e-12 else vector


def alike_runs(embeds: AnyArray, weights_s: AnyArray, count: int) -> list[slice]:
    """Cut rows into `count` runs by fusing, again and again, the two neighbouring runs with the most alike mean embeds.

    Seconds weigh the means and nothing else, so that a short unlike moment is fused last. Equal cosines (to 1e-6): the
    lighter pair first, then the earlier. (As in "MovieChat", Song et al., CVPR 2024, which weighs nothing.)
    """
    N = len(embeds)
    sums, weight = embeds.astype(np.float64) * weights_s[:, None], weights_s.astype(np.float64).copy()
    after, before, version = list(range(1, N + 1)), list(range(-1, N - 1)), [0] * N

    def candidate(left: int, right: int) -> tuple[float, float, int, int, int, int]:
        scale = float(np.linalg.norm(sums[left]) * np.linalg.norm(sums[right]))
        cosine = float(sums[left] @ sums[right]) / scale if scale > 0 else 0.0
        return -round(cosine, 6), weight[left] + weight[right], left, right, version[left], version[right]

    heap = [candidate(row, row + 1) for row in range(N - 1)]
    heapq.heapify(heap)
    for _ in range(N - count):
        while True:
            *_, left, right, left_version, right_version = heapq.heappop(heap)
            if version[left] == left_version and version[right] == right_version:
                break
        sums[left] += sums[right]
        weight[left] += weight[right]
        version[left], version[right] = version[left] + 1, -1
        after[left] = after[right]
        if after[left] < N:
            before[after[left]] = left
            heapq.heappush(heap, candidate(left, after[left]))
        if before[left] >= 0:
            heapq.heappush(heap, candidate(before[left], left))
    return [slice(row, after[row]) for row in range(N) if version[row] >= 0]


def _fit(carriers: Sequence[Carrier], tokens_each: int, max_tokens: int) -> list[Carrier]:
    """At most max_tokens in all, tokens_each in one: fused in time while tokens still share a grid, then inside."""
    check_budget(max_tokens)
    if not carriers:
        return []
    each = min(tokens_each, max_tokens, max(len(carrier.tokens) for carrier in carriers))
    return [shrunk(carrier, each) for carrier in fused(carriers, max_tokens // each)]


def check_budget(max_tokens: int) -> None:
    """Raises ValueError where not even one token may stay."""
    if max_tokens < 1:
        raise ValueError(f"max_tokens must be at least 1, got {max_tokens}")


def fused(carriers: Sequence[Carrier], at_most: int) -> list[Carrier]:
    """At most so many carriers: the most alike neighbours in time joined."""
    if len(carriers) <= at_most:
        return list(carriers)
    embeds, weights_s = np.stack([c.embed for c in carriers]), np.array([c.weight_s for c in carriers])
    return [join(carriers[run]) for run in alike_runs(embeds, weights_s, at_most)]


def shrunk(carrier: Carrier, keep: int) -> Carrier:
    """The same carrier in at most so many tokens: merged by ToMe, nested ones cut."""
    if len(carrier.tokens) <= keep or carrier.is_nested:
        return detailed(carrier, keep)
    tokens, _ = tome(carrier.tokens[None], keep)
    return replace(carrier, tokens=tokens[0].astype(np.float16))


@dataclass(frozen=True, slots=True)
class KeepAll:
    """Merges nothing, whatever the budget: the baseline that the others are measured against."""

    @property
    def id(self) -> str:
        return "keep@1"

    def merge(self, carriers: Sequence[Carrier], *, max_tokens: int) -> list[Carrier]:
        return list(carriers)


@dataclass(frozen=True, slots=True)
class MeanMerger:
    """Fuses the most alike neighbours in time until the budget holds; tokens stay on their grid."""

    @property
    def id(self) -> str:
        return "mean@1"

    def merge(self, carriers: Sequence[Carrier], *, max_tokens: int) -> list[Carrier]:
        """Carriers of one recording in time order; one carrier that still does not fit is cut down by ToMe."""
        return _fit(carriers, max_tokens, max_tokens)


@dataclass(frozen=True, slots=True)
class ToMeMerger:
    """Merges alike tokens inside each carrier; neighbours in time are fused only where that is not enough."""

    tokens_each: int | None = None
    """Tokens left to a carrier; None: an equal share of the budget."""

    def __post_init__(self) -> None:
        if self.tokens_each is not None and self.tokens_each < 1:
            raise ValueError(f"tokens_each must be at least 1, got {self.tokens_each}")

    @property
    def id(self) -> str:
        return "tome@1" if self.tokens_each is None else f"tome-{self.tokens_each}@1"

    def merge(self, carriers: Sequence[Carrier], *, max_tokens: int) -> list[Carrier]:
        """Carriers of one recording in time order."""
        return _fit(carriers, self.tokens_each or max(1, max_tokens // max(1, len(carriers))), max_tokens)
