"""SmolVLM2, and nano, which is a small one: every frame by itself, its time in words before it, positions in a line."""

from collections.abc import Sequence
from typing import Any

from footage.arrays import Pixels
from footage.costs import LanguageShape
from qa.families.family import Block, Group, Prompt, checked, in_line, put_in_place, shape_of, whole
from qa.families.pictures import HALF, Pictures

IMAGE, AROUND, GLOBAL = "<image>", "<fake_token_around_image>", "<global-img>"


class SmolVlm:
    """body: a SmolVLMModel. dressed: its tokenizer knows the marks that SmolVLM2 was taught to see around a frame."""

    def __init__(self, body: Any, pictures: Pictures, *, dressed: bool) -> None:
        self._body, self._pictures, self._dressed = body, pictures, dressed

    @classmethod
    def of(cls, body: Any, folder: Any, tokenizer: Any) -> "SmolVlm":
        dressed = tokenizer is not None and AROUND in tokenizer.get_vocab()
        return cls(body, Pictures.of(folder, HALF, HALF, side_px=body.config.vision_config.image_size), dressed=dressed)

    @property
    def shape(self) -> LanguageShape:
        return shape_of(self._body.config.text_config)

    @property
    def decoder(self) -> Any:
        return self._body.text_model

    @property
    def frames_together(self) -> int:
        return 1

    def look(self, pixels: Pixels, times_s: Sequence[float]) -> list[Group]:
        """(T, K, D). Frames are resized once; the library's processor does it twice, to the longer side and then to the square."""
        import torch

        checked(pixels, times_s)
        tower = self._body.vision_model
        with torch.inference_mode():
            seen = tower(self._pictures.normal(pixels).to(tower.device, tower.dtype)).last_hidden_state
            tokens = self._body.connector(seen).float().cpu().numpy()
        side = round(tokens.shape[1] ** 0.5)
        return whole(tokens, times_s, (side, side))

    def ready(self, tokens: Any) -> Any:
        """Through the connector where it mixes no tokens: such a checkpoint reads an encoder's carriers, not those of `look`."""
        return self._body.connector.modality_projection(tokens) if self._body.config.scale_factor == 1 else tokens

    def written(self, groups: Sequence[Group]) -> str:
        """As SmolVLM2's processor writes frames, without its sentence about the whole video; or as nano was taught."""
        if self._dressed:
            return "".join(f"\nFrame from {_clock(g.time_s)}:{AROUND}{GLOBAL}{IMAGE * len(g.tokens)}{AROUND}" for g in groups)
        return plain([len(g.tokens) for g in groups], IMAGE)

    def bare(self, group: Group) -> str:
        return IMAGE * len(group.tokens)

    def prompt(self, ids: Sequence[int], videos: Sequence[Sequence[Group]]) -> Prompt:
        blocks = [_block(group) for groups in videos for group in groups]
        return put_in_place(self._body, self._body.config.image_token_id, ids, blocks, axes=1)


def _block(group: Group) -> Block:
    places, extent = in_line([group])
    return Block((group.tokens,), places[None], extent)


def plain(counts: Sequence[int], image: str) -> str:
    """Frames of so many tokens as nano reads them."""
    return " ; ".join(" ".join([image] * count) for count in counts)


def _clock(time_s: float) -> str:
    return f"{int(time_s // 60):02d}:{int(time_s % 60):02d}"
