"""A block as a decoder reads it: words, and the frames between them, each token with its position, its frame and its place in that.

Letters: m tokens of a block, n of a prompt, V visual ones, D width, A axes of a position, K tokens of a group, P planes.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from qa.families.family import Family, Group, Prompt

WORDS, COLUMNS = 1 << 30, 1 << 14
"""Slots of words begin here; columns of a frame, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Fed:
    """One block as a decoder reads it: words, and the frames between them."""

    embeds: Any
    """(1, m, D)"""
    visual: Any
    """(m,) bool"""
    planes: tuple[Any, ...]
    """P of (V, D): added to visual tokens after the first P layers."""
    ids: Any
    """(m, A) positions from the beginning of the block."""
    extent: int = 0
    """How far from its beginning the next block begins."""
    frames: Any = None
    """(m,) which frame of the block a token belongs to; words belong to the frame after them."""
    cells: Any = None
    """(m, 2) row and column; -1 where a token is a word or its place is not known."""
    is_word: Any = None
    """(m,) bool: no token of a frame."""

    @property
    def frame_count(self) -> int:
        return int(self.frames[-1]) + 1


def fed(family: Family, ids: Sequence[int], videos: Sequence[Sequence[Group]], *, beside: Container[int | None]) -> Fed:
    """Token ids with placeholders, and the groups that stand there, stretch by stretch. beside: ids that are placeholders."""
    import torch

    more = next(word for word in range(3) if word not in beside)  # one more word tells where the next block begins
    prompt = family.prompt([*ids, more], videos)
    visual, positions = prompt.visual[0, :-1], _positions(prompt)
    groups, line = [group for video in videos for group in video], torch.arange(len(ids), device=visual.device)
    owners = torch.full_like(line, -1)
    owners[visual] = torch.tensor(_owners(videos, int(visual.sum())), dtype=torch.long, device=visual.device)
    lasts = (owners[None] == line[: len(groups), None]).long().cumsum(1).argmax(1)
    frames = torch.searchsorted(lasts, line).clamp(max=max(0, len(groups) - 1))
    cells = torch.full((len(ids), 2), -1, device=visual.device)
    if groups:
        cells[owners >= 0] = torch.cat([_cells(group) for group in groups]).to(cells)
    return Fed(prompt.embeds[:, :-1], visual, prompt.planes, positions[:-1], int(positions[-1, 0]), frames, cells, owners < 0)


def asked(prompt: Prompt) -> Fed:
    """What a question reads: nobody keeps it, so nobody asks for places."""
    positions = _positions(prompt)
    return Fed(prompt.embeds, prompt.visual[0], prompt.planes, positions - positions[:1, :1])


def slots_of(fed: Fed) -> Any:
    """(m,) a number for each place in a frame, the same in all frames: a patch's row and column, or how many words stood before a word."""
    import torch

    words = fed.is_word.long()
    starts = torch.zeros(fed.frame_count + 1, dtype=torch.long, device=words.device).index_add(0, fed.frames + 1, words).cumsum(0)
    patches = torch.where(fed.cells[:, 0] < 0, -1, fed.cells[:, 0] * COLUMNS + fed.cells[:, 1])
    return torch.where(fed.is_word, WORDS + words.cumsum(0) - 1 - starts[fed.frames], patches)


def _positions(prompt: Prompt) -> Any:
    """(n, A)"""
    return prompt.positions[0][:, None] if prompt.positions.ndim == 2 else prompt.positions[:, 0].T


def _owners(videos: Sequence[Sequence[Group]], count: int) -> list[int]:
    """Of each of `count` visual tokens the group that it belongs to; -1 of those that a family puts behind a stretch of video."""
    known = sum(len(group.tokens) for video in videos for group in video)
    more, owners, number = (count - known) // max(1, sum(map(bool, videos))), [], 0
    for video in filter(None, videos):
        for group in video:
            owners += [number] * len(group.tokens)
            number += 1
        owners += [-1] * more
    return owners


def _cells(group: Group) -> Any:
    """(K, 2)"""
    import torch

    return torch.full((len(group.tokens), 2), -1) if group.places is None else torch.as_tensor(group.places)
