"""DetailsMerger: of every frame its mean and the tokens that are least alike, in an order of which any beginning can be read."""

from collections.abc import Sequence
from dataclasses import dataclass

from footage import Carrier
from footage.carriers import detailed
from memory.merge import MeanMerger


@dataclass(frozen=True, slots=True)
class DetailsMerger:
    """Every frame keeps its place in time, as footage.nested orders its tokens; where one token a frame is too much, neighbours are fused.

    Whole tokens are kept instead of averages of squares, so that a letter stays a letter; a model reads any beginning of them.
    """

    @property
    def id(self) -> str:
        return "details@1"

    def merge(self, carriers: Sequence[Carrier], *, max_tokens: int) -> list[Carrier]:
        """Carriers of one recording in time order."""
        each = max(1, max_tokens // max(1, len(carriers)))
        return MeanMerger().merge([detailed(carrier, each) for carrier in carriers], max_tokens=max_tokens)
