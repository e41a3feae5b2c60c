"""Frames to what a tower reads, without torchvision: resized, normal values, and the patches of pairs of frames.

Letters: T frames, G pairs, h x w pixels as the tower sees them, p pixels of a patch's side, m patches of a merged token's side.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from footage.arrays import Pixels

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Square pictures of one size, or the frame's own shape in whole steps."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    side_px: int = 0
    step_px: int = 0
    max_tokens: int = 256
    """Steps in a picture at most; a live stream has no whole to share a budget over, so it is by the frame."""

    @classmethod
    def of(cls, folder: Path | None, mean: tuple[float, ...], std: tuple[float, ...], *, side_px: int = 0, step_px: int = 0) -> Self:
        """mean and std: what the family uses where the folder's preprocessor says nothing."""
        for name in ("video_preprocessor_config.json", "preprocessor_config.json"):
            if folder and (folder / name).exists():
                given = json.loads((folder / name).read_text())
                mean, std = tuple(given.get("image_mean") or mean), tuple(given.get("image_std") or std)
                break
        return cls(mean, std, side_px, step_px)

    def fitted_px(self, height: int, width: int) -> tuple[int, int]:
        """(h, w), multiples of the step nearest to the frame's own, or the largest of its shape within the budget."""
        if self.side_px:
            return self.side_px, self.side_px
        step, most_px = self.step_px, self.max_tokens * self.step_px**2
        rows, cols = max(1, round(height / step)), max(1, round(width / step))
        if rows * cols > self.max_tokens:
            beyond = math.sqrt(height * width / most_px)
            rows, cols = max(1, math.floor(height / beyond / step)), max(1, math.floor(width / beyond / step))
        return rows * step, cols * step

    def normal(self, pixels: Pixels) -> Any:
        """(T, H, W, 3) to float32 (T, 3, h, w)."""
        import torch

        frames, size = torch.tensor(pixels).permute(0, 3, 1, 2), self.fitted_px(*pixels.shape[1:3])
        if size != tuple(frames.shape[2:]):
            frames = torch.nn.functional.interpolate(frames, size, mode="bicubic", antialias=True)
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return (frames.float() / 255 - mean) / std


def patches(frames: Any, side: int, merge: int) -> tuple[Any, tuple[int, int, int]]:
    """(T, 3, h, w), T even, to (G * h / p * w / p, 3 * 2 * p * p), m * m patches of a token together, and the grid (G, h / p, w / p)."""
    count, _, height, width = frames.shape
    rows, cols = height // side, width // side
    cut = frames.reshape(count // 2, 2, 3, rows // merge, merge, side, cols // merge, merge, side)
    flat = cut.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(count // 2 * rows * cols, -1)
    return flat, (count // 2, rows, cols)
