"""F2C: clips around the peaks of relevance, longer ones at a coarser resolution.

"From Frames to Clips: Training-free Adaptive Key Clip Selection for Long-Form Video Understanding" (2025).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from footage.arrays import AnyArray
from frame_select.curve import Chosen, Curve, best_first


@dataclass(frozen=True, slots=True)
class F2C:
    """Anchors are the peaks between two valleys, at most one a cluster of times; a clip's length weighs match against redundancy.

    Ours: resolutions are the nested levels of carriers, so a clip of two to four rows is read at a quarter of the tokens each; what
    that rounding leaves over goes to further clips.
    """

    redundancy: float = 0.5
    length: float = 0.05
    longest: int = 4

    @property
    def name(self) -> str:
        return "f2c"

    def choose(self, curve: Curve, count: int) -> Iterator[Chosen]:
        anchors = thinned(peaks(curve.shares), curve, count)
        anchors = anchors[best_first(curve.shares[anchors])]
        lengths = self.lengths(curve, anchors)
        coarse = len(anchors) * lengths.mean() > count  # not everything fits at full resolution
        taken: dict[int, float] = {}
        spent = 0.0
        for anchor, length in zip(anchors.tolist(), lengths.tolist(), strict=True):
            share = 0.25 if coarse and length > 1 else 1.0
            rows = [row for row in window(anchor, length, len(curve)) if taken.get(row, 0.0) < share]
            cost = sum(share - taken.get(row, 0.0) for row in rows)
            if spent + cost <= count + 1e-9:
                taken |= dict.fromkeys(rows, share)
                spent += cost
        yield from (Chosen(row, "match" if row in anchors else "neighbour", share) for row, share in taken.items())

    def lengths(self, curve: Curve, anchors: AnyArray) -> AnyArray:
        """(A,) the best length of each clip, 1 to `longest`; on a tie the shorter."""
        worth = np.stack([[self.worth(curve, anchor, length) for length in range(1, self.longest + 1)] for anchor in anchors.tolist()])
        return 1 + np.round(worth, 12).argmax(1)

    def worth(self, curve: Curve, anchor: int, length: int) -> float:
        rows = window(anchor, length, len(curve))
        embeds, n = curve.embeds[rows], len(rows)
        alike = (float((embeds @ embeds.T).sum()) - float((embeds**2).sum())) / (n * (n - 1)) if n > 1 else 0.0
        return float(curve.shares[rows].mean()) - self.redundancy * alike + self.length * n / self.longest


def window(anchor: int, length: int, rows: int) -> list[int]:
    """So many rows around the anchor, inside the view."""
    begin = max(0, min(anchor - (length - 1) // 2, rows - length))
    return list(range(begin, min(rows, begin + length)))


def peaks(shares: AnyArray) -> AnyArray:
    """The greatest row of every stretch between two valleys of the curve, ascending; of a plateau the first."""
    steps = np.diff(shares)
    rises = np.flatnonzero(steps)  # plateaus are one point
    if len(rises) == 0:
        return np.zeros(1, np.intp)
    signs = np.sign(steps[rises])
    tops = [0] if signs[0] < 0 else []
    tops += (rises[:-1][(signs[:-1] > 0) & (signs[1:] < 0)] + 1).tolist()
    if signs[-1] > 0:
        tops.append(int(rises[-1]) + 1)
    return np.array(tops, np.intp)


def thinned(anchors: AnyArray, curve: Curve, count: int) -> AnyArray:
    """At most `count` of them: the best of each of `count` clusters of their times (k-means in one dimension)."""
    if len(anchors) <= count:
        return anchors
    times_s = (np.cumsum(curve.weights_s) - curve.weights_s / 2)[anchors]
    centres = np.quantile(times_s, (np.arange(count) + 0.5) / count)
    for _ in range(20):
        cluster = np.searchsorted((centres[1:] + centres[:-1]) / 2, times_s)
        sums, sizes = np.bincount(cluster, times_s, count), np.bincount(cluster, minlength=count)
        moved = np.where(sizes > 0, sums / np.maximum(sizes, 1), centres)
        if np.allclose(moved, centres):
            break
        centres = np.sort(moved)
    order = best_first(curve.shares[anchors])
    _, first = np.unique(cluster[order], return_index=True)
    return np.sort(anchors[order[first]])
