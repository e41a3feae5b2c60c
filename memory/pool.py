"""PoolMerger: the tokens of a grid averaged into a coarser grid, 64 to 16 to 4 to 1.

"Matryoshka Multimodal Models" (Cai et al., 2024) nests levels this way; models trained on such levels read any of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from footage import Carrier
from footage.arrays import AnyArray
from memory.merge import MeanMerger


@dataclass(frozen=True, slots=True)
class PoolMerger:
    """Every frame keeps its place in time; where even one token a frame is too much, neighbours in time are fused."""

    @property
    def id(self) -> str:
        return "pool@1"

    def merge(self, carriers: Sequence[Carrier], *, max_tokens: int) -> list[Carrier]:
        """Carriers of one recording in time order. Tokens that are no square grid of 2 x 2 steps are fused in time instead."""
        each = max(1, max_tokens // max(1, len(carriers)))
        return MeanMerger().merge([pooled(carrier, each) for carrier in carriers], max_tokens=max_tokens)


def pooled(carrier: Carrier, at_most: int) -> Carrier:
    """The same carrier at the finest level of at most so many tokens."""
    tokens = carrier.tokens.astype(np.float32)
    while len(tokens) > at_most and (halved := _halved(tokens)) is not None:
        tokens = halved
    return replace(carrier, tokens=tokens.astype(np.float16))


def _halved(tokens: AnyArray) -> AnyArray | None:
    """(K, D) of a square grid to (K / 4, D); None where it is none or cannot be halved."""
    side = math.isqrt(len(tokens))
    if side * side != len(tokens) or side % 2:
        return None
    return tokens.reshape(side // 2, 2, side // 2, 2, -1).mean((1, 3)).reshape(len(tokens) // 4, -1)
