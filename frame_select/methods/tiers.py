"""More frames in fewer tokens each: Q-Frame's fixed tiers and QuoTA's quotas.

"Q-Frame: Query-aware Frame Selection and Multi-Resolution Adaptation for Video-LLMs" (2025).
"QuoTA: Query-oriented Token Assignment via CoT Query Decouple for Long Video Comprehension" (2025).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from footage.arrays import AnyArray
from frame_select.curve import Chosen, Curve, best_first


@dataclass(frozen=True, slots=True)
class QFrame:
    """The best rows in full, the next at a quarter of the tokens, many more at a sixteenth: 4, 8 and 32 rows for the price of 8.

    Ours: by rank of the score, where the paper ranks scores with Gumbel noise added.
    """

    tiers: tuple[tuple[float, float], ...] = ((0.5, 1.0), (0.25, 1 / 4), (0.25, 1 / 16))
    """(share of the budget, tokens of a row as a share of its full price)"""

    @property
    def name(self) -> str:
        return "q-frame"

    def choose(self, curve: Curve, count: int) -> Iterator[Chosen]:
        order, at = best_first(curve.scores).tolist(), 0
        for budget, price in self.tiers:
            rows = round(budget * count / price)
            yield from (Chosen(row, "match", price) for row in order[at : at + rows])
            at += rows


@dataclass(frozen=True, slots=True)
class Quota:
    """Tokens in proportion to a power of the score, shared out like water: at the cap of a full price the rest rises in others.

    Ours: a cap (the paper enlarges frames beyond what they hold) and a least share, below which a row is left out and its part goes to
    the others.
    """

    power: float = 2.0
    least: float = 1 / 16

    @property
    def name(self) -> str:
        return "quota"

    def choose(self, curve: Curve, count: int) -> Iterator[Chosen]:
        order = best_first(curve.scores)
        worth = curve.shares[order].astype(np.float64) ** self.power
        kept = int((worth > 0).sum())
        while kept > 1:
            shares = filled(worth[:kept], count)
            enough = int((shares >= self.least - 1e-12).sum())  # worth falls, so the rest of the order has too little
            if enough == kept:
                break
            kept = max(1, enough)
        for row, share in zip(order[:kept].tolist(), filled(worth[:kept], count).tolist(), strict=True):
            yield Chosen(row, "match", share)


def filled(worth: AnyArray, total: float) -> AnyArray:
    """(N,) shares from 0 to 1 in proportion to worth (N,), descending, capped at 1, that sum to `total` where there is room for it."""
    N = len(worth)
    if total >= N:
        return np.ones(N)
    rest = np.cumsum(worth[::-1])[::-1]
    for full in range(int(total) + 1):  # rows at the cap
        level = (total - full) / rest[full] if rest[full] > 0 else 0.0
        if level * worth[full] <= 1:
            return np.concatenate([np.ones(full), level * worth[full:]])
    return np.concatenate([np.ones(int(total)), np.zeros(N - int(total))])
