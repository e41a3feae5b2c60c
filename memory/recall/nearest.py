"""The nearest rows of many parts: exact where a part is in RAM or few of its rows may be found, else by its lists and looked at again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from footage.arrays import AnyArray, Bools, Embeds
from memory.recall.one_bit import ListChooser, rotation
from memory.recall.part import Part, Where
from memory.recall.vectors import Vectors

SCORE_DIGITS = 6  # below this, scores of half-precision vectors are noise, and ties would be broken by it
FEW_ROWS = 4096  # 3 ms to read and compare one by one; above, the lists are quicker
LOOKED_AT, AT_MOST = 32, 128  # at width 768, rows scored exactly beside 4 k, or beside k for a large k: one bit a number orders roughly
BITS = 768  # fewer order less


@dataclass(frozen=True, slots=True)
class Found:
    """One row, and its inner product with the question."""

    part: Part
    row: int
    score: float

    @property
    def rank(self) -> tuple[Any, ...]:
        """Best first, ties by recording and time."""
        return -self.score, self.part.recording_of(self.row), float(self.part.rows["start_s"][self.row])


@dataclass(frozen=True, slots=True)
class Shelf:
    """All parts of one kind of key at one moment."""

    parts: tuple[Part, ...] = ()
    chooser: ListChooser | None = None
    """Over the lists of the sealed parts, in order."""

    @classmethod
    def of(cls, parts: Sequence[Part], before: "Shelf | None" = None) -> "Shelf":
        sealed = [part.lists for part in parts if part.lists is not None]
        if before is not None and sealed == [part.lists for part in before.parts if part.lists is not None]:
            return cls(tuple(parts), before.chooser)
        return cls(tuple(parts), ListChooser(sealed) if sealed else None)

    def __len__(self) -> int:
        return sum(part.live for part in self.parts)

    @property
    def width(self) -> int:
        return max((part.halves.shape[1] for part in self.parts if len(part)), default=0)


Scored: TypeAlias = tuple[Part, AnyArray, AnyArray]
"""Some rows of a part, and their exact scores."""


def nearest(shelf: Shelf, embed: Embeds, k: int, where: Where, probes: int) -> list[Found]:
    """The k nearest rows, best first.

    probes: how many lists of all sealed parts are looked into; more for a larger k, and where few of the rows may be found.
    """
    scored: list[Scored] = []
    many: dict[int, tuple[Part, Bools | None]] = {}
    sealed = -1
    for part in shelf.parts:
        sealed += part.lists is not None
        if not part.may_hold(where):
            continue
        allowed = part.allowed(where)
        reach = _reach(part, allowed)
        if part.vectors is not None:
            scored.append((part, *_flat(part.vectors, embed, min(k, reach), allowed, reach)))
        elif reach <= FEW_ROWS:
            rows = np.arange(len(part)) if allowed is None else np.flatnonzero(allowed)
            scored.append((part, rows, part.scores(embed, rows)))
        else:
            many[sealed] = part, allowed
    if many and shelf.chooser is not None:
        scored += _by_lists(shelf.chooser, many, embed, k, probes)
    return _best(scored, k)


def _reach(part: Part, allowed: Bools | None) -> int:
    return len(part) if allowed is None else int(allowed.sum())


def _flat(vectors: Vectors, embed: Embeds, k: int, allowed: Bools | None, reach: int) -> tuple[AnyArray, AnyArray]:
    """Takes in all that tie with the k-th, so that an index that grew otherwise gives the same hits."""
    take = min(k + 1, reach)
    while take:
        rows, scores = vectors.search(embed, take, allowed)
        if take == reach or round(float(scores[-1]), SCORE_DIGITS) < round(float(scores[k - 1]), SCORE_DIGITS):
            return rows, scores
        take = min(4 * take, reach)
    return np.empty(0, np.int64), np.empty(0, np.float32)


def _by_lists(chooser: ListChooser, many: dict[int, tuple[Part, Bools | None]], embed: Embeds, k: int, probes: int) -> list[Scored]:
    rows_in, reach = sum(len(part) for part, _ in many.values()), sum(_reach(*each) for each in many.values())
    turned = embed @ rotation(len(embed))
    more = min(3 * k + LOOKED_AT, AT_MOST) * max(1, BITS // len(embed))
    look, lists = k + more, int(max(probes, k) * rows_in / reach) + 1
    looked: list[Scored] = []
    for shard, own in chooser.choose(turned, lists, list(many)).items():
        part, allowed = many[shard]
        assert part.lists is not None
        looked.append((part, *part.lists.near(turned, own, look, allowed)))
    floor = _kth([estimates for _, _, estimates in looked], look)
    good = ((part, rows[estimates >= floor]) for part, rows, estimates in looked)
    chosen = [(part, np.unique(rows)) for part, rows in good if len(rows)]
    for part, rows in chosen:
        part.expect(rows)  # a disk serves many at once sooner than one by one
    return [(part, rows, part.scores(embed, rows)) for part, rows in chosen]


def _kth(scores: Sequence[AnyArray], k: int) -> float:
    """The k-th best of all; minus infinity where there are no more than k."""
    joined = np.concatenate([*scores, np.empty(0, np.float32)])
    return -np.inf if len(joined) <= k else float(np.partition(joined, len(joined) - k)[len(joined) - k])


def _best(scored: Sequence[Scored], k: int) -> list[Found]:
    finite = [np.round(np.where(np.isfinite(s), s, -np.inf), SCORE_DIGITS) for _, _, s in scored]  # a damaged half may be no number
    floor = _kth(finite, k)
    found = [
        Found(part, row, score)
        for (part, rows, _), scores in zip(scored, finite, strict=True)
        for row, score in zip(rows[scores >= floor].tolist(), scores[scores >= floor].tolist(), strict=True)
    ]
    return sorted(found, key=lambda each: each.rank)[:k]
