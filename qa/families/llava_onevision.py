"""LLaVA-OneVision: frames one after the other, one newline token after a stretch of video, positions in a line; time only in our words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from footage.arrays import Pixels
from footage.costs import LanguageShape
from qa.families.family import Block, Group, Prompt, checked, in_line, put_in_place, shape_of, whole
from qa.families.pictures import CLIP_MEAN, CLIP_STD, Pictures

VIDEO = "<video>"


class LlavaOneVision:
    """ "LLaVA-OneVision: Easy Visual Task Transfer" (2024). body: a LlavaOnevisionModel."""

    def __init__(self, body: Any, pictures: Pictures) -> None:
        self._body, self._pictures = body, pictures

    @classmethod
    def of(cls, body: Any, folder: Any, tokenizer: Any) -> "LlavaOneVision":
        return cls(body, Pictures.of(folder, CLIP_MEAN, CLIP_STD, side_px=body.config.vision_config.image_size))

    @property
    def shape(self) -> LanguageShape:
        return shape_of(self._body.config.text_config)

    @property
    def decoder(self) -> Any:
        return self._body.language_model

    @property
    def frames_together(self) -> int:
        return 1

    def look(self, pixels: Pixels, times_s: Sequence[float]) -> list[Group]:
        """(T, K, D), K a quarter of the tower's patches; without the newline."""
        import torch

        checked(pixels, times_s)
        frames = self._pictures.normal(pixels).to(self._body.device, self._body.dtype)
        with torch.inference_mode():
            made = self._body.get_video_features(frames[None]).pooler_output[0, :-1]
        tokens = made.unflatten(0, (len(frames), -1)).float().cpu().numpy()
        side = round(tokens.shape[1] ** 0.5)
        return whole(tokens, times_s, (side, side))

    def ready(self, tokens: Any) -> Any:
        return tokens

    def written(self, groups: Sequence[Group]) -> str:
        return VIDEO * (sum(len(g.tokens) for g in groups) + 1) if groups else ""

    def bare(self, group: Group) -> str:
        return self.written([group])

    def prompt(self, ids: Sequence[int], videos: Sequence[Sequence[Group]]) -> Prompt:
        blocks = [self._block(groups) for groups in videos if groups]
        return put_in_place(self._body, self._body.config.video_token_id, ids, blocks, axes=1)

    def _block(self, groups: Sequence[Group]) -> Block:
        places, count = in_line(groups)
        tokens = (*(group.tokens for group in groups), self._body.image_newline.detach()[None])
        return Block(tokens, np.append(places, count)[None], count + 1)
