"""OverTime: the frames of a segment share its tokens; what was there before need not be told again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from footage import Carrier
from footage.arrays import AnyArray
from memory.merge import check_budget, fused, join
from memory.per_frame import PerFrame
from memory.tokens.matching import halving
from memory.tokens.reduced import Chosen

Method = Callable[[AnyArray, int, AnyArray], Chosen]
"""(T, N, D) tokens of a segment, how many may stay in all, (T,) seconds of the frames, to those that stay, some in frame 0."""

APART = PerFrame("apart", lambda tokens, keep: halving(tokens, keep).tokens)
"""For frames that were merged before and have no places in common any more."""


@dataclass(frozen=True, slots=True)
class OverTime:
    """A frame of which nothing stays has shown nothing new: its time goes to the carrier before it."""

    name: str
    method: Method
    each: int = 1
    """Tokens a frame that the method needs; where there are fewer, neighbours in time are fused first."""

    @property
    def id(self) -> str:
        return f"{self.name}@1"

    def merge(self, carriers: Sequence[Carrier], *, max_tokens: int) -> list[Carrier]:
        """Carriers of one recording in time order; of unlike shapes, or nested, they are merged each by itself."""
        check_budget(max_tokens)
        if not is_grid(carriers):
            return APART.merge(carriers, max_tokens=max_tokens)
        if sum(len(carrier.tokens) for carrier in carriers) <= max_tokens:
            return list(carriers)
        frames = fused(carriers, max(1, max_tokens // self.each))
        chosen = self.method(np.stack([f.tokens for f in frames]), max_tokens, np.array([f.anchor_s for f in frames]))
        return told(frames, chosen)


def is_grid(carriers: Sequence[Carrier]) -> bool:
    """Whether the tokens of all frames, at least one, stand at the same places."""
    return len({carrier.tokens.shape for carrier in carriers}) == 1 and not any(carrier.is_nested for carrier in carriers)


def told(frames: Sequence[Carrier], chosen: Chosen) -> list[Carrier]:
    """Carriers of what was chosen, in the picture's order; one that stands for several frames has the first one's tokens and anchor."""
    order = np.lexsort((chosen.places, chosen.frames))
    counts = np.bincount(chosen.frames, minlength=len(frames))
    tokens = np.split(chosen.tokens[order].astype(np.float16), np.cumsum(counts)[:-1])
    starts = np.flatnonzero(counts).tolist()
    made = []
    for start, stop in zip(starts, [*starts[1:], len(frames)], strict=True):
        whole = join([replace(frame, tokens=tokens[start]) for frame in frames[start:stop]])
        made.append(replace(whole, tokens=tokens[start], anchor_s=frames[start].anchor_s))
    return made
