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
POOL = 4096  # rows of a long view that are compared with each one taken, as long as no other could be worth more


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
        kept = np.where(above >= self.clear, self.sure * worth, -np.inf)
        most = np.maximum(worth, kept)  # what a row loses it never gets back
        pool, taken = _Pool(self, curve, count, np.sort(np.argsort(-most, kind="stable")[:POOL])), list[int]()
        others = np.delete(most, pool.rows).max(initial=-np.inf)
        for _ in range(count):
            left = pool.left(worth, kept)
            if len(pool.rows) < len(curve) and left.max() <= others:  # one that was left aside may be worth more
                pool = _Pool(self, curve, count, np.arange(len(curve)))
                for row in taken:
                    pool.take(row)
                left = pool.left(worth, kept)
            row = int(pool.rows[left.argmax()])
            yield Chosen(row, "match")
            pool.take(row)
            taken.append(row)
            worth[row] = kept[row] = -np.inf


class _Pool:
    """Rows that may be taken next, of long views those worth most, and how like each is to what was taken, in looks and in time."""

    def __init__(self, peaks: Peaks, curve: Curve, count: int, rows: AnyArray) -> None:
        self.rows, self._peaks, self._curve = rows, peaks, curve
        self._embeds = curve.embeds if len(rows) == len(curve) else curve.embeds[rows]
        self._usual = usual_likeness(curve.embeds)
        self._at_s = np.cumsum(curve.weights_s) - curve.weights_s / 2
        self._reach_s = float(curve.weights_s.sum()) / (2 * count)
        self._alike, self._near = np.zeros(len(rows)), np.zeros(len(rows))

    def left(self, worth: AnyArray, kept: AnyArray) -> AnyArray:
        """(rows,) what each is worth now."""
        peaks = self._peaks
        return np.maximum(worth[self.rows] - peaks.looks * self._alike - peaks.time * self._near, kept[self.rows])

    def take(self, row: int) -> None:
        usual, at_s = self._usual, self._at_s
        self._alike = np.maximum(self._alike, (self._embeds @ self._curve.embeds[row] - usual) / max(1 - usual, 1e-6))
        self._near = np.maximum(self._near, 1 - np.abs(at_s[self.rows] - at_s[row]) / self._reach_s)


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
