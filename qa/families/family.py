"""What a family of video-language models is to the rest: its tower alone, its words around frames, ready tokens in a prompt.

A group is one frame, or the pair of frames that a tower sees as one.
Letters: T frames, K tokens of a group, D width of the language model, P planes, n tokens of a prompt, V visual ones, A axes of a position.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from footage.arrays import AnyArray, Pixels
from footage.costs import LanguageShape


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """What the language model reads of one frame or pair."""

    tokens: AnyArray
    """(K, D * (1 + P)), array or tensor: planes stand behind their token in its row, so whoever drops or averages it does so to them."""
    time_s: float
    places: AnyArray | None = None
    """(K, 2) row and column of each in the tower's grid; None where nobody knows."""
    grid: tuple[int, int] = (0, 0)
    """Its rows and columns, whatever is left of them."""

    def __post_init__(self) -> None:
        if not len(self.tokens) or not math.isfinite(self.time_s):
            raise ValueError(f"a group needs a token and a time, got {len(self.tokens)} tokens at {self.time_s} s")

    def kept(self, which: AnyArray) -> "Group":
        """Some of its tokens, by a mask (K,) or by number, with their planes and at their places."""
        return replace(self, tokens=self.tokens[which], places=None if self.places is None else self.places[which])


@dataclass(slots=True)
class Prompt:
    """A prompt with ready tokens in it."""

    ids: Any
    """(1, n)"""
    visual: Any
    """(1, n) bool"""
    embeds: Any
    """(1, n, D)"""
    positions: Any
    """(1, n), or (3, 1, n) of time, row and column."""
    planes: tuple[Any, ...] = ()
    """P of (V, D): added to visual tokens after the first P layers (DeepStack)."""

    def after(self, count: int) -> "Prompt":
        """What is left of it after its first tokens, at the same positions."""
        gone = int(self.visual[:, :count].sum())
        planes = tuple(plane[gone:] for plane in self.planes)
        return Prompt(self.ids[:, count:], self.visual[:, count:], self.embeds[:, count:], self.positions[..., count:], planes)

    @property
    def inputs(self) -> dict[str, Any]:
        """For a forward pass of the checkpoint, or for generate(), which gives back the ids too where there are planes."""
        import torch

        placed = {"attention_mask": torch.ones_like(self.ids), "position_ids": self.positions}  # without a mask, gaps would part sequences
        if not self.planes:
            return placed | {"inputs_embeds": self.embeds}
        from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures

        seen = BaseModelOutputWithDeepstackFeatures(
            pooler_output=[self.embeds[self.visual]], deepstack_features=[[plane] for plane in self.planes]
        )
        return placed | {"input_ids": self.ids, "mm_encoder_outputs": {"video": seen}}


class Family(Protocol):
    """One kind of checkpoint. `look` needs no weights of the language model, see families.registry.load_tower."""

    @property
    def shape(self) -> LanguageShape:
        """The sizes of its decoder."""

    @property
    def decoder(self) -> Any:
        """Its text model."""

    @property
    def frames_together(self) -> int:
        """Frames that its tower sees as one."""

    def look(self, pixels: Pixels, times_s: Sequence[float]) -> list[Group]:
        """The tower and its projector on (T, H, W, 3) frames and their true times.

        Raises:
            ValueError: not one finite time a frame, in order.
        """

    def ready(self, tokens: Any) -> Any:
        """Tokens (M, W) of carriers, a tensor, as the language model reads them: the same where a tower of the family made them."""

    def written(self, groups: Sequence[Group]) -> str:
        """Groups of one stretch of video as its prompts say them: their times where it reads such, and a placeholder a token."""

    def bare(self, group: Group) -> str:
        """One group as a stretch by itself whose time stands in our own words, so that its prompts' words for times are left out."""

    def prompt(self, ids: Sequence[int], videos: Sequence[Sequence[Group]]) -> Prompt:
        """The same groups, stretch by stretch, where their placeholders stand.

        Raises:
            ValueError: placeholders and tokens differ in number, or tokens are of another width.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Visual tokens that stand together, and where."""

    tokens: tuple[Any, ...]
    """Of each group, arrays or tensors."""
    places: AnyArray
    """(A, V) relative to where it begins."""
    extent: int
    """How far after its beginning text goes on."""


def checked(pixels: Pixels, times_s: Sequence[float]) -> None:
    """One finite time a frame, in order: a guessed frame rate would make all times in the answers wrong."""
    times = np.asarray(times_s, float)
    if times.shape != (len(pixels),) or not len(pixels) or not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise ValueError(f"expected a time for each of {len(pixels)} frames, in order, got {times.tolist()}")


def whole(tokens: AnyArray, times_s: Iterable[float], grid: tuple[int, int]) -> list[Group]:
    """Groups (G, K, D) of which nothing was dropped, row by row."""
    places = np.stack(np.divmod(np.arange(grid[0] * grid[1]), grid[1]), 1)
    return [Group(each, float(time_s), places, grid) for each, time_s in zip(tokens, times_s, strict=True)]


def squared(group: Group) -> tuple[AnyArray, tuple[int, int]]:
    """(K, 2) places and a grid; tokens whose places nobody knows stand like a picture of so many, row by row."""
    if group.places is not None:
        return group.places, group.grid
    side, count = math.ceil(math.sqrt(len(group.tokens))), len(group.tokens)
    return np.stack(np.divmod(np.arange(count), side), 1), (-(-count // side), side)


def in_line(groups: Sequence[Group]) -> tuple[AnyArray, int]:
    """(V,) places of tokens one after the other, with gaps where some were dropped, and how many there were."""
    counts = [len(g.tokens) if g.places is None else g.grid[0] * g.grid[1] for g in groups]
    starts = np.cumsum([0, *counts])
    own = [np.arange(len(g.tokens)) if g.places is None else g.places @ (g.grid[1], 1) for g in groups]
    return np.concatenate([start + places for start, places in zip(starts, own, strict=False)]), int(starts[-1])


def positions(visual: AnyArray, blocks: Sequence[Block], axes: int) -> AnyArray:
    """(A, n) of a prompt: text counts up by one and goes on after each block by its extent."""
    step = (~visual).astype(int)
    if blocks:
        step[np.flatnonzero(visual)[np.cumsum([b.places.shape[1] for b in blocks]) - 1]] = [b.extent for b in blocks]
    made = np.repeat((np.cumsum(step) - step)[None], axes, 0)
    if blocks:
        made[:, visual] += np.concatenate([b.places for b in blocks], 1)
    return made


def put_in_place(body: Any, visual_id: int, ids: Sequence[int], blocks: Sequence[Block], *, axes: int, planes: int = 0) -> Prompt:
    """Tokens of the blocks where `visual_id` stands in the prompt; see Family.prompt."""
    import torch

    embed = body.get_input_embeddings()
    read, width = torch.tensor([list(ids)], device=embed.weight.device), embed.embedding_dim
    visual, tokens = read == visual_id, [part for block in blocks for part in block.tokens]
    if int(visual.sum()) != (count := sum(map(len, tokens))):
        raise ValueError(f"{int(visual.sum())} placeholders for {count} visual tokens")
    if wrong := {part.shape[1] for part in tokens} - {width * (1 + planes)}:
        raise ValueError(f"visual tokens are {wrong.pop()} wide; expected {width * (1 + planes)}")
    embeds, more = embed(read), []
    if tokens:
        own, *more = torch.cat([torch.as_tensor(part).to(embeds.device, embeds.dtype) for part in tokens]).split(width, -1)
        embeds = embeds.masked_scatter(visual[..., None], own)
    where = torch.from_numpy(positions(visual[0].cpu().numpy(), blocks, axes)).to(embeds.device)
    return Prompt(read, visual, embeds, where if axes == 1 else where[:, None], tuple(more))


def shape_of(text: Any) -> LanguageShape:
    """Sizes from the text part of a configuration."""
    heads = text.num_attention_heads
    head = getattr(text, "head_dim", None) or text.hidden_size // heads
    return LanguageShape(text.num_hidden_layers, text.hidden_size, text.intermediate_size, heads, text.num_key_value_heads or heads, head)
