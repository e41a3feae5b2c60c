"""Qwen2.5-VL: positions whose first axis is time, in steps of a checkpoint's own tokens_per_second."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from footage.arrays import Pixels
from qa.families.family import Block, Group, Prompt, checked, put_in_place, squared, whole
from qa.families.pictures import CLIP_MEAN, CLIP_STD, Pictures
from qa.families.qwen import BEGIN, END, VIDEO, Qwen, step_px

ALMOST = 1e-4
"""Of a step: what is a whole number of steps must not fall below it by rounding."""


class Qwen25Vl(Qwen):
    """ "Qwen2.5-VL Technical Report" (2025). Each stretch of video counts time from its own first pair, so its words must say when."""

    @classmethod
    def of(cls, body: Any, folder: Any, tokenizer: Any) -> "Qwen25Vl":
        return cls(body, Pictures.of(folder, CLIP_MEAN, CLIP_STD, step_px=step_px(body.config.vision_config)))

    def look(self, pixels: Pixels, times_s: Sequence[float]) -> list[Group]:
        """(G, K, D); a pair's time is that of its first frame."""
        checked(pixels, times_s)
        tokens, grid = self._seen(pixels)
        return whole(tokens, list(times_s)[::2], grid)

    def written(self, groups: Sequence[Group]) -> str:
        return f"{BEGIN}{VIDEO * sum(len(g.tokens) for g in groups)}{END}" if groups else ""

    def prompt(self, ids: Sequence[int], videos: Sequence[Sequence[Group]]) -> Prompt:
        """Unequal times are true here; the library's own path knows one step for a whole video."""
        blocks = [self._block(groups) for groups in videos if groups]
        return put_in_place(self._body, self._body.config.video_token_id, ids, blocks, axes=3)

    def _block(self, groups: Sequence[Group]) -> Block:
        """Text goes on after the picture's sides, as in transformers 5.23, not after the last time, as in its first code there."""
        per_second, stood = self._body.config.vision_config.tokens_per_second, [squared(group) for group in groups]
        times = np.array([group.time_s - groups[0].time_s for group in groups]) * per_second
        steps = np.repeat(np.floor(times + ALMOST).astype(int), [len(group.tokens) for group in groups])
        places = np.concatenate([places for places, _ in stood])
        extent = max(max(grid) for _, grid in stood)
        return Block(tuple(group.tokens for group in groups), np.stack([steps, *places.T]), extent)
