"""PerFrame: every frame keeps its own place in time and comes down to its share of the tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from footage import Carrier
from footage.arrays import AnyArray
from footage.carriers import detailed
from footage.nested import FRAMES_AT_ONCE
from memory.merge import MeanMerger

Shorter = Callable[[Carrier, int], Carrier]
"""(carrier, tokens at most) to the same carrier in no more tokens than that, where it can."""
Operator = Callable[[AnyArray, int], AnyArray]
"""(B, K, D) float32 tokens of B frames and how many to keep of each, to (B, k, D)."""


@dataclass(frozen=True, slots=True)
class PerFrame:
    """Each carrier by itself; where even one token a frame is too much, neighbours in time are fused."""

    name: str
    operator: Operator
    nests: bool = False
    """The operator leaves tokens in the order of footage.nested."""

    @property
    def id(self) -> str:
        return f"{self.name}@1"

    def merge(self, carriers: Sequence[Carrier], *, max_tokens: int) -> list[Carrier]:
        """Carriers of one recording in time order. What cannot be made short enough is fused in time instead."""
        each = max(1, max_tokens // max(1, len(carriers)))
        return MeanMerger().merge(self.shortened(carriers, each), max_tokens=max_tokens)

    def shorter(self, carrier: Carrier, at_most: int) -> Carrier:
        return self.shortened([carrier], at_most)[0]

    def shortened(self, carriers: Sequence[Carrier], at_most: int) -> list[Carrier]:
        """Every one in at most so many tokens, several of one shape at a time; nested ones have no places, and lose their end."""
        made, alike = [detailed(c, at_most) if c.is_nested else c for c in carriers], dict[tuple[int, ...], list[int]]()
        for row, carrier in enumerate(made):
            if len(carrier.tokens) > at_most:
                alike.setdefault(carrier.tokens.shape, []).append(row)
        blocks = [rows[at : at + FRAMES_AT_ONCE] for rows in alike.values() for at in range(0, len(rows), FRAMES_AT_ONCE)]
        for rows in blocks:
            tokens = self.operator(np.stack([made[row].tokens for row in rows]).astype(np.float32), at_most).astype(np.float16)
            for row, short in zip(rows, tokens, strict=True):
                made[row] = replace(made[row], tokens=short, is_nested=self.nests)
        return made
