"""What Qwen2.5-VL and Qwen3-VL share: a tower that sees pairs of frames, tokens merged two by two, positions in three dimensions."""

from typing import Any

import numpy as np

from footage.arrays import AnyArray, Pixels
from footage.costs import LanguageShape
from qa.families.family import Group, shape_of
from qa.families.pictures import Pictures, patches

BEGIN, VIDEO, END = "<|vision_start|>", "<|video_pad|>", "<|vision_end|>"


class Qwen:
    """body: a Qwen2_5_VLModel or Qwen3VLModel."""

    def __init__(self, body: Any, pictures: Pictures) -> None:
        self._body, self._pictures = body, pictures

    @property
    def shape(self) -> LanguageShape:
        return shape_of(self._body.config.text_config)

    @property
    def decoder(self) -> Any:
        return self._body.language_model

    @property
    def frames_together(self) -> int:
        return int(self._body.config.vision_config.temporal_patch_size)

    def ready(self, tokens: Any) -> Any:
        return tokens

    def bare(self, group: Group) -> str:
        return f"{BEGIN}{VIDEO * len(group.tokens)}{END}"

    def _seen(self, pixels: Pixels) -> tuple[AnyArray, tuple[int, int]]:
        """(G, K, D * (1 + P)) and the grid of merged tokens; the last of an odd number of frames is seen twice."""
        import torch

        vision = self._body.config.vision_config
        even = pixels if len(pixels) % 2 == 0 else np.concatenate([pixels, pixels[-1:]])
        flat, (pairs, rows, cols) = patches(self._pictures.normal(even), vision.patch_size, vision.spatial_merge_size)
        with torch.inference_mode():
            grid_thw = torch.tensor([[pairs, rows, cols]], device=self._body.device)
            made = self._body.get_video_features(flat.to(self._body.device, self._body.dtype), grid_thw)
            parts = [made.pooler_output, *(getattr(made, "deepstack_features", None) or [])]
            tokens = torch.cat([torch.cat(list(part)) for part in parts], -1).float().cpu().numpy()
        grid = rows // vision.spatial_merge_size, cols // vision.spatial_merge_size
        return tokens.reshape(pairs, grid[0] * grid[1], -1), grid


def step_px(vision: Any) -> int:
    """Pixels of a merged token's side."""
    return int(vision.patch_size * vision.spatial_merge_size)
