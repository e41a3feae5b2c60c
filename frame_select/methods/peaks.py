"""Peaks: what stands out from the noise of its own curve, at whatever length it has, no two alike before all are seen.

Ours. A matched filter: the curve is averaged over windows of several lengths, each is measured against its own noise (median and
median deviation), and a row is worth the most that any window gives it. Then rows are taken one by one, as in MMR, by worth less their
likeness to what is taken already: in looks (another look at one scene comes after a first look at others) and in time (of rows
worth the same, one far from all others is taken). A row that is beyond doubt keeps some of its worth whatever was taken, so that a clear
event is read from end to end before noise is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from footage.arrays import AnyArray
from frame_select.curve import Chosen, Curve

WINDOWS = (1, 3, 7, 15)
SAMPLE = 256


@dataclass(frozen=True, slots=True)
class Peaks:
    looks: float = 0.6
    """What a row loses that looks exactly like one that was taken; worth counts from 0 to 1."""
    clear: float = 5.0
    """Deviations above the median that are beyond doubt; a curve without such rows counts for less against the time term."""
    time: float = 0.3
    """What a row loses at the very time of one that was taken; a part of the timeline away it loses nothing."""
    sure: float = 0.25
    """Share of its worth that a row beyond doubt keeps."""

    @property
    def name(self) -> str:
        return "peaks"

    def choose(self, curve: Curve, count: int) -> Iterator[Chosen]:
        above = outstanding(curve)
        worth = np.maximum(above, 0) / max(float(above.max()), self.clear)
        usual = usual_likeness(curve.embeds)
        at_s = np.cumsum(curve.weights_s) - curve.weights_s / 2
        reach_s = float(curve.weights_s.sum()) / (2 * count)
        alike, near = np.zeros(len(curve)), np.zeros(len(curve))
        kept = np.where(above >= self.clear, self.sure * worth, -np.inf)
        for _ in range(count):
            row = int(np.maximum(worth - self.looks * alike - self.time * near, kept).argmax())
            yield Chosen(row, "match")
            alike = np.maximum(alike, (curve.embeds @ curve.embeds[row] - usual) / max(1 - usual, 1e-6))
            near = np.maximum(near, 1 - np.abs(at_s - at_s[row]) / reach_s)
            worth[row] = kept[row] = -np.inf


def outstanding(curve: Curve) -> AnyArray:
    """(N,) deviations above the median, the most of any window."""
    best = np.full(len(curve), -np.inf)
    for width in WINDOWS:
        if width == 1 or width <= len(curve) // 4:
            smooth = smoothed(curve.scores, width)
            middle = np.median(smooth)
            spread = 1.4826 * float(np.median(np.abs(smooth - middle))) + 1e-9
            best = np.maximum(best, (smooth - middle) / spread)
    return best


def usual_likeness(embeds: AnyArray) -> float:
    """Mean cosine of rows far apart."""
    some = embeds[:: max(1, len(embeds) // SAMPLE)]
    return float((some @ some.T).mean())


def smoothed(scores: AnyArray, width: int) -> AnyArray:
    """(N,) means of the rows around each, fewer at the ends."""
    total = np.concatenate([[0.0], np.cumsum(scores, dtype=np.float64)])
    at = np.arange(len(scores))
    begin, end = np.maximum(at - width // 2, 0), np.minimum(at + width // 2 + 1, len(scores))
    return (total[end] - total[begin]) / (end - begin)
