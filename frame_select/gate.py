"""Which frames earn encoding: those that differ from the last one kept, and one now and then. Knows no question.

Letters: T frames, R x C cells of a picture.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from footage import Clip
from footage.arrays import AnyArray, Bools, Pixels

CELLS = 64  # along the longer side
CELL_PX = 4  # at the least: smaller cells see the noise of the camera
HABIT_SHARE = 0.4  # a cell that changed in more than this share of the pairs so far does so out of habit ...
HABIT_PAIRS = 6  # ... once so many pairs were seen ...
HABIT_CELLS = 0.01  # ... unless more than this share of the picture does: then the scene itself is lively
HABIT_REACH = 2  # cells around a habitual one that do not count either: the tens beside the seconds


@dataclass(frozen=True, slots=True)
class GateConfig:
    """How much must change."""

    min_change: float = 0.08
    """Mean absolute difference of the cell that changed most, 0 to 1, at which a frame is kept."""
    refresh_s: float = 30.0
    """A frame is kept at least this often."""

    def __post_init__(self) -> None:
        if not (0 < self.min_change < 1 and self.refresh_s > 0):
            raise ValueError(f"min_change must lie in (0, 1) and refresh_s above 0, got {self}")


def cell_means(pixels: Pixels) -> AnyArray:
    """(T, R, C, 3) float32 in 0..1: the mean colour of square cells, CELLS along the longer side."""
    _, H, W, _ = pixels.shape
    side = max(CELL_PX, -(-max(H, W) // CELLS))
    step = max(1, side // 8)  # 8 x 8 samples tell the mean of a cell well enough
    few = pixels[:, ::step, ::step]
    tops, lefts = (_edges(length, max(1, length * step // side)) for length in few.shape[1:3])
    # Slices for bands, reduceat for columns: 0.5 ms a frame of 448 x 252; reduceat or products for both take 3.5 ms.
    bands = np.stack([few[:, a:b].sum(axis=1, dtype=np.uint16) for a, b in pairwise(tops)], axis=1)
    sums = np.add.reduceat(bands, lefts[:-1], axis=2, dtype=np.uint32)
    means: AnyArray = sums / (255.0 * np.outer(np.diff(tops), np.diff(lefts))[..., None])
    return means.astype(np.float32)


def _edges(length: int, cells: int) -> list[int]:
    """cells + 1 borders of equal runs, up to one pixel."""
    return [length * i // cells for i in range(cells + 1)]


class ChangeGate:
    """Keeps a frame when any cell differs enough from the last KEPT frame, so that slow change adds up and is seen.

    The cell that changed most decides: a person far away changes few cells and hardly the mean. Cells that change all
    the time, such as the digits of a burnt-in clock, and their neighbours do not count, as long as they are few. One
    object for each segment: it remembers the last kept frame from clip to clip.

    `may_drop_first`: False keeps the first frame of every clip. True keeps that of the segment only; then the time of
    frames dropped at the start of a clip belongs to the frame kept last before it (memory.merge.prolong).
    """

    def __init__(self, config: GateConfig | None = None, *, may_drop_first: bool = False) -> None:
        self._config = config or GateConfig()
        self._may_drop_first = may_drop_first
        self.reset()

    def reset(self) -> None:
        """Forget everything: a new segment begins."""
        self._kept: AnyArray | None = None
        self._kept_s = 0.0
        self._last: AnyArray | None = None
        self._changes: AnyArray | None = None
        self._pairs = 0

    def keep(self, clip: Clip) -> Bools:
        cells = cell_means(clip.pixels)
        if self._kept is not None and self._kept.shape != cells.shape[1:]:
            self.reset()  # another picture size: nothing to compare with
        counts = ~self._habitual(cells)
        keep = np.zeros(len(clip), bool)
        for i, (cell, time_s) in enumerate(zip(cells, clip.anchors_s, strict=True)):
            keep[i] = (i == 0 and not self._may_drop_first) or self._is_new(cell, float(time_s), counts)
            if keep[i]:
                self._kept, self._kept_s = cell, float(time_s)
        return keep

    def _is_new(self, cell: AnyArray, time_s: float, counts: AnyArray) -> bool:
        if self._kept is None or time_s - self._kept_s >= self._config.refresh_s - 1e-6:
            return True
        change = np.abs(cell - self._kept).mean(axis=-1)
        return bool(np.any((change >= self._config.min_change) & counts))

    def _habitual(self, cells: AnyArray) -> AnyArray:
        """(R, C) bool: cells that change all the time, as far as this segment was seen, and their neighbours."""
        before = cells[:1] if self._last is None else self._last[None]
        steps = np.abs(np.diff(np.concatenate([before, cells]), axis=0)).mean(axis=-1)
        changed = steps >= self._config.min_change / 2  # one digit to the next is less than to the digit kept last
        self._changes = changed.sum(axis=0) + (0 if self._changes is None else self._changes)
        self._pairs += len(cells) - (self._last is None)
        self._last = cells[-1]
        habitual = self._changes > HABIT_SHARE * max(self._pairs, HABIT_PAIRS)
        if self._pairs < HABIT_PAIRS or habitual.mean() > HABIT_CELLS:
            return np.zeros_like(habitual)
        return _grown(habitual)


def _grown(mask: AnyArray) -> AnyArray:
    """The cells of a mask and those within HABIT_REACH of one."""
    padded, side = np.pad(mask, HABIT_REACH), range(2 * HABIT_REACH + 1)
    R, C = mask.shape
    return np.any([padded[y : y + R, x : x + C] for y in side for x in side], axis=0)


class KeepAllGate:
    """Keeps every frame."""

    def keep(self, clip: Clip) -> Bools:
        return np.ones(len(clip), bool)
