"""PoolMerger: the tokens of a grid averaged into a coarser grid, 64 to 16 to 4 to 1.

"Matryoshka Multimodal Models" (Cai et al., 2024) nests levels this way; models trained on such levels read any of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from footage import Carrier
from footage.carriers import pooled
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
