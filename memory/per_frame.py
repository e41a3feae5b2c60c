"""PerFrame: every frame keeps its own place in time and comes down to its share of the tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from footage import Carrier
from memory.merge import MeanMerger

Shorter = Callable[[Carrier, int], Carrier]
"""(carrier, tokens at most) to the same carrier in no more tokens than that, where it can."""


@dataclass(frozen=True, slots=True)
class PerFrame:
    """Each carrier by itself; where even one token a frame is too much, neighbours in time are fused."""

    name: str
    shorter: Shorter

    @property
    def id(self) -> str:
        return f"{self.name}@1"

    def merge(self, carriers: Sequence[Carrier], *, max_tokens: int) -> list[Carrier]:
        """Carriers of one recording in time order. What cannot be made short enough is fused in time instead."""
        each = max(1, max_tokens // max(1, len(carriers)))
        return MeanMerger().merge([self.shorter(carrier, each) for carrier in carriers], max_tokens=max_tokens)
