"""What reading costs: multiply-accumulates of a prefill and bytes of a key-value cache, counted from a model's sizes.

Letters as in the papers: L layers, D width, m width of the MLP, h heads, n tokens in a layer. A multiply-accumulate is two FLOPs.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LanguageShape:
    """The sizes of a decoder with grouped-query attention and a gated MLP."""

    layers: int
    width: int
    mlp: int
    heads: int
    kv_heads: int
    head: int = 0
    """Width of a head where it is not width / heads, as in Qwen3-VL-4B."""

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of all layers, in two bytes each."""
        return 2 * self.layers * self.kv_heads * (self.head or self.width // self.heads) * 2

    def prefill_macs(self, tokens: int | Sequence[int], *, reused: int = 0) -> float:
        """Multiply-accumulates of reading `tokens`, or of so many in each layer where some are dropped on the way.

        reused: the first of them, whose keys and values were there; the others still look at them.
        """
        D, m, inner = self.width, self.mlp, self.heads * self.head or self.width
        each = ((n - reused, n) for n in self._each(tokens))
        return sum(2 * new * D * inner * (1 + self.kv_heads / self.heads) + 2 * new * n * inner + 3 * new * D * m for new, n in each)

    def simple_macs(self, tokens: int | Sequence[int]) -> float:
        """The same as HoliTom, DivPrune and PyramidDrop count it: full attention projections, an MLP without its gate."""
        D, m = self.width, self.mlp
        return sum(4 * n * D**2 + 2 * n**2 * D + 2 * n * D * m for n in self._each(tokens))

    def _each(self, tokens: int | Sequence[int]) -> Sequence[int]:
        if isinstance(tokens, int):
            return [tokens] * self.layers
        if len(tokens) != self.layers:
            raise ValueError(f"expected a number of tokens for each of {self.layers} layers, got {len(tokens)}")
        return tokens


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model did for one answer; all zero where none was asked."""

    passes: int = 0
    """Prompts that were read."""
    visual_tokens: int = 0
    text_tokens: int = 0
    new_tokens: int = 0
    """Tokens written."""
    prefill_macs: float = 0.0
    """Multiply-accumulates of reading the prompts in the language model, without what was read before; the encoder's own are spent
    when footage is indexed."""
    kv_bytes: int = 0
    """The largest key-value cache that was held, at two bytes a number."""
    reused_tokens: int = 0
    """Of the visual and text tokens, those whose keys and values were kept from an earlier prompt."""


NO_COST = Cost()


@dataclass(slots=True)
class Meter:
    """Adds up what an answerer does."""

    cost: Cost = NO_COST

    def read(self, shape: LanguageShape, *, visual: int, text: int, new: int, layers: Sequence[int] = (), reused: int = 0) -> None:
        """One prompt of so many tokens, and so many written after it.

        layers: how many each layer read, where some were dropped. reused: how many, from the first on, an earlier prompt had read.
        """
        c, each = self.cost, list(layers) or [visual + text] * shape.layers
        held = (sum(each) + new * shape.layers) * shape.kv_bytes_per_token // shape.layers
        self.cost = Cost(
            c.passes + 1, c.visual_tokens + visual, c.text_tokens + text, c.new_tokens + new,
            c.prefill_macs + shape.prefill_macs(each, reused=reused), max(c.kv_bytes, held), c.reused_tokens + reused,
        )  # fmt: skip


def staged(visual: int, text: int, layers: int, stages: Sequence[tuple[int, float]]) -> list[int]:
    """Tokens in each layer: all visual ones until the first stage, from layer `stages[k][0]` on the share `stages[k][1]` of them."""
    counts = []
    for layer in range(layers):
        share = next((keep for begin, keep in reversed(stages) if layer >= begin), 1.0)
        counts.append(round(visual * share) + text)
    return counts
