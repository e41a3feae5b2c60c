"""Matches that are unlike each other: MMR and MDP3.

"The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing Summaries" (1998).
"mDP3: A Training-free Approach for List-wise Frame Selection in Video-LLMs" (2025).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from footage.arrays import AnyArray
from frame_select.curve import Chosen, Curve

WIDTHS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Mmr:
    """Again and again the row with the most of relevance * score - (1 - relevance) * likeness to the nearest row taken."""

    relevance: float = 0.7

    @property
    def name(self) -> str:
        return "mmr"

    def choose(self, curve: Curve, count: int) -> Iterator[Chosen]:
        worth, nearest = self.relevance * curve.shares, np.zeros(len(curve))
        for _ in range(count):
            row = int(np.argmax(worth - (1 - self.relevance) * nearest))
            yield Chosen(row, "match")
            nearest = np.maximum(nearest, curve.embeds @ curve.embeds[row])
            worth[row] = -np.inf


def kernel(cosines: AnyArray) -> AnyArray:
    """Sum of Gaussians of several widths, of unit vectors with these cosines: 5 for equal ones."""
    squared = np.maximum(2 - 2 * cosines, 0.0)
    return np.sum([np.exp(-squared / (2 * width)) for width in WIDTHS], axis=0)


@dataclass(frozen=True, slots=True)
class Mdp3:
    """A determinantal process: (2 / weight) * sum of log likeness to the query + log det of the likeness of what is taken.

    Greedy inside a segment, given the last row taken before it; dynamic programming over how many each segment gets. Ours: all the
    states of a segment are grown at once.
    """

    weight: float = 0.2
    segment: int = 32
    condition: bool = True
    """Each segment is chosen given the last row before it; without, the allocation over segments is exactly the best."""

    @property
    def name(self) -> str:
        return "mdp3"

    def choose(self, curve: Curve, count: int) -> Iterator[Chosen]:
        length = self.segment if count <= 32 else 4 * self.segment
        gains = self.gains(curve)
        states: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
        for begin in range(0, len(curve), length):
            rows = np.arange(begin, min(len(curve), begin + length))
            states = _extended(states, rows, curve.embeds, gains, count, self.condition)
        yield from (Chosen(row, "match") for row in states[max(states)][1])

    def gains(self, curve: Curve) -> AnyArray:
        """(N,) what each row adds by being like the query."""
        made: AnyArray = 2 / self.weight * np.log(np.maximum(kernel(curve.scores), 1e-12))
        return made


def _extended(
    states: dict[int, tuple[float, tuple[int, ...]]], rows: AnyArray, embeds: AnyArray, gains: AnyArray, count: int, condition: bool
) -> dict[int, tuple[float, tuple[int, ...]]]:
    """Best (value, rows) by how many are taken, with a segment more."""
    lasts = list(dict.fromkeys(taken[-1] if taken and condition else -1 for _, taken in states.values()))
    values, orders = grown(np.array(lasts), rows, embeds, gains, min(count, len(rows)))
    best: dict[int, tuple[float, tuple[int, ...]]] = {}
    for taken_count, (value, taken) in states.items():
        which = lasts.index(taken[-1] if taken and condition else -1)
        for more in range(min(len(rows), count - taken_count) + 1):
            total = value + float(values[which, more])
            if taken_count + more not in best or total > best[taken_count + more][0]:
                best[taken_count + more] = total, (*taken, *sorted(rows[orders[which, :more]].tolist()))
    return best


def grown(lasts: AnyArray, rows: AnyArray, embeds: AnyArray, gains: AnyArray, most: int) -> tuple[AnyArray, AnyArray]:
    """Greedy choice inside a segment for every row before it (-1: none): values (S, most + 1) and orders (S, most).

    Cholesky factors of all candidates grow by one column a step ("Fast Greedy MAP Inference for Determinantal Point Process", 2018).
    """
    S, R = len(lasts), len(rows)
    own = kernel(embeds[rows] @ embeds[rows].T) + 1e-6 * np.eye(R)
    factors, rest = np.zeros((S, most + 1, R)), np.tile(np.diag(own), (S, 1))
    has = lasts >= 0
    if np.any(has):  # what the row before already explains
        factors[has, 0] = kernel(embeds[lasts[has]] @ embeds[rows].T) / np.sqrt(kernel(np.ones(1)))
        rest = rest - factors[:, 0] ** 2
    values, orders = np.zeros((S, most + 1)), np.zeros((S, most), int)
    free, every = np.ones((S, R), bool), np.arange(S)
    for step in range(most):
        worth = np.where(free, gains[rows] + np.log(np.maximum(rest, 1e-9)), -np.inf)
        taken = worth.argmax(1)
        orders[:, step], values[:, step + 1] = taken, values[:, step] + worth[every, taken]
        free[every, taken] = False
        root = np.sqrt(np.maximum(rest[every, taken], 1e-9))
        explained = np.einsum("skr,sk->sr", factors[:, : step + 1], factors[every, : step + 1, taken])
        factors[:, step + 1] = (own[taken] - explained) / root[:, None]
        rest = rest - factors[:, step + 1] ** 2
    return values, orders
