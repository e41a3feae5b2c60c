"""Qwen3-VL: every pair of frames after its time in words, positions that carry no time, planes for the first layers (DeepStack)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from footage.arrays import Pixels
from qa.families.family import Block, Group, Prompt, checked, put_in_place, squared, whole
from qa.families.pictures import HALF, Pictures
from qa.families.qwen import BEGIN, END, VIDEO, Qwen, step_px


class Qwen3Vl(Qwen):
    """ "Qwen3-VL Technical Report" (2025), DeepStack after "DeepStack: Deeply Stacking Visual Tokens is Surprisingly Simple" (2024)."""

    @classmethod
    def of(cls, body: Any, folder: Any, tokenizer: Any) -> "Qwen3Vl":
        return cls(body, Pictures.of(folder, HALF, HALF, step_px=step_px(body.config.vision_config)))

    def look(self, pixels: Pixels, times_s: Sequence[float]) -> list[Group]:
        """(G, K, D * (1 + P)); a pair's time is the middle of its two frames' times, as its prompts say it."""
        checked(pixels, times_s)
        tokens, grid = self._seen(pixels)
        times = np.asarray(times_s, float)
        return whole(tokens, (times[::2] + times[np.minimum(np.arange(1, 2 * len(tokens), 2), len(times) - 1)]) / 2, grid)

    def written(self, groups: Sequence[Group]) -> str:
        return "".join(f"<{g.time_s:.1f} seconds>{BEGIN}{VIDEO * len(g.tokens)}{END}" for g in groups)

    def prompt(self, ids: Sequence[int], videos: Sequence[Sequence[Group]]) -> Prompt:
        config = self._body.config
        blocks = [_block(group) for groups in videos for group in groups]
        planes = len(config.vision_config.deepstack_visual_indexes)
        return put_in_place(self._body, config.video_token_id, ids, blocks, axes=3, planes=planes)


def _block(group: Group) -> Block:
    places, grid = squared(group)
    return Block((group.tokens,), np.stack([np.zeros(len(places), int), *places.T]), max(grid))
