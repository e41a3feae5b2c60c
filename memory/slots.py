"""Slots: a segment in at most so many summaries, each of a stretch of time.

"xGen-MM-Vid (BLIP-3-Video): You Only Need 32 Tokens to Represent a Video Even in VLMs" (2024) learns to pool a video into a few tokens.
Ours is trained on nothing: k-means with frames weighted by seconds and clusters that are stretches of time, solved exactly and therefore
without a start to choose ("On Grouping for Maximum Homogeneity", 1958).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from footage import Carrier
from footage.arrays import AnyArray
from memory.merge import check_budget, join, shrunk
from memory.over_time import APART, is_grid


@dataclass(frozen=True, slots=True)
class Slots:
    most: int = 16
    """Summaries a segment."""

    @property
    def id(self) -> str:
        return f"slots-{self.most}@1"

    def merge(self, carriers: Sequence[Carrier], *, max_tokens: int) -> list[Carrier]:
        """Carriers of one recording in time order. Tokens are averaged place by place, then merged by ToMe to an equal share."""
        check_budget(max_tokens)
        if not is_grid(carriers):
            return APART.merge(carriers, max_tokens=max_tokens)
        count = min(self.most, len(carriers), max_tokens)
        embeds, weights_s = np.stack([c.embed for c in carriers]), np.array([c.weight_s for c in carriers])
        return [shrunk(join(carriers[run]), max_tokens // count) for run in best_runs(embeds, weights_s, count)]


def best_runs(features: AnyArray, weights: AnyArray, count: int) -> list[slice]:
    """The `count` runs of rows (T, E) with the least weighted sum of squared distances to their means; of equals the earliest cuts.

    Takes O(T^2 (E + count)) time and O(T (T + count)) memory.
    """
    T = len(features)
    spread = _spread(features.astype(np.float64), weights.astype(np.float64))
    best, cuts = spread[0], np.zeros((count, T + 1), int)
    for run in range(1, count):
        values = np.round(best[:, None] + spread, 9)
        cuts[run] = values.argmin(0)
        best = values.min(0)
    edges = [T]
    for run in range(count - 1, 0, -1):
        edges.append(int(cuts[run, edges[-1]]))
    return [slice(a, b) for a, b in pairwise([0, *edges[::-1]])]


def _spread(features: AnyArray, weights: AnyArray) -> AnyArray:
    """(T + 1, T + 1) of rows a to b: the weighted sum of squared distances to their mean; infinite where there are none."""
    mass = np.concatenate([[0.0], np.cumsum(weights)])
    sums = np.concatenate([np.zeros((1, features.shape[1])), np.cumsum(features * weights[:, None], 0)])
    squares = np.concatenate([[0.0], np.cumsum(weights * (features**2).sum(1))])
    products = sums @ sums.T
    lengths = np.diag(products)
    of_sum = lengths[:, None] + lengths[None, :] - 2 * products
    between = mass[None, :] - mass[:, None]
    spread: AnyArray = squares[None, :] - squares[:, None] - of_sum / np.where(between > 0, between, 1)
    return np.where(np.tri(len(mass), dtype=bool), np.inf, np.maximum(spread, 0))
