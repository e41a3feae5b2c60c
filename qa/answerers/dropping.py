"""Dropping visual tokens inside a language model: rank them by what the text looks at, keep the best, go on with those alone.

One engine for the named schedules. Tokens that are dropped are gone: later layers compute and keep nothing for them; those that stay
keep the positions they had. Scores are one more product of a few query rows with that layer's keys, never a whole attention map.
Letters: n tokens of a prompt, V visual ones, D width, H heads, L layers, P planes (DeepStack).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from footage.errors import ConfigError

SAMPLED_ROWS = 64
"""Of each kind, to see how text and pictures look at each other."""


@dataclass(frozen=True, slots=True)
class Dropping:
    """A schedule."""

    stages: tuple[tuple[float, float], ...]
    """(depth, share): before the layer at that share of all layers, this share of the first visual tokens is left."""
    raters: str = "last"
    """Whose attention counts: the "last" token, or "text": those text tokens that pictures have most to do with."""
    merges: bool = False
    """Tokens that go are averaged into the one that stays and is most like them."""
    apart: float = 0.0
    """Where set, the last stage drops only when text and pictures give each other less than this share of their attention."""
    min_visual: int = 4096
    """With fewer visual tokens nothing is dropped: memory is short already, and looking costs more than it saves."""

    def layers(self, count: int) -> dict[int, float]:
        """{layer: share left} in a model of so many layers."""
        return {min(count - 1, round(depth * count)): share for depth, share in self.stages}


PRESETS: dict[str, Dropping] = {
    # "An Image is Worth 1/2 Tokens After Layer 2" (2024). Ours scores with the layer that drops, not the one before it.
    "fastv": Dropping(((2 / 32, 0.5),)),
    # "PyramidDrop: Accelerating Your Large Vision-Language Models via Pyramid Visual Redundancy Reduction" (2024).
    "pyramiddrop": Dropping(((8 / 32, 0.5), (16 / 32, 0.25), (24 / 32, 0.125))),
    # "SparseVLM: Visual Token Sparsification for Efficient Vision-Language Model Inference" (2024). Ours recycles nothing.
    "sparsevlm": Dropping(((2 / 32, 300 / 576), (6 / 32, 200 / 576), (15 / 32, 110 / 576)), raters="text"),
    # "AIM: Adaptive Inference of Multi-Modal LLMs via Token Merging and Pruning" (2024). Ours ranks by attention, not by PageRank.
    "aim": Dropping(tuple(((14 + n) / 28, 0.875 - 0.125 * n) for n in range(8)), raters="text"),
    # "HoliTom: Holistic Token Merging for Fast Video Large Language Models" (2025). Ours averages by size, in no order.
    "holitom": Dropping(((18 / 28, 0.5),), merges=True),
    # "ToDRE: Visual Token Pruning via Diversity and Task Awareness" (2025): all or nothing, late.
    "todre": Dropping(((7 / 8, 0.0),), apart=0.1),
}


def preset(name: str) -> Dropping | None:
    """By name; "none" drops nothing. Raises ConfigError, which lists the names."""
    if name != "none" and name not in PRESETS:
        raise ConfigError(f"there is no schedule named {name!r}; known: none, {', '.join(sorted(PRESETS))}")
    return PRESETS.get(name)


@dataclass(slots=True)
class Prefilled:
    """A prompt that was read."""

    last: Any
    """(1, 1, D) of its last token, after the final norm."""
    cache: Any
    """Keys and values, fewer in the layers after a drop."""
    next_position: int
    tokens: list[int]
    """Read in each layer."""


def prefill(decoder: Any, embeds: Any, visual: Any, dropping: Dropping, *, positions: Any = None, planes: Sequence[Any] = ()) -> Prefilled:
    """Read a prompt with a schedule.

    Args:
        decoder: the text model of a transformers checkpoint whose attention is Llama's, Qwen2.5-VL's or Qwen3-VL's.
        embeds: (1, n, D). visual: (n,) bool, which of them are visual tokens.
        positions: (n,) or (3, n); in a line where none are given.
        planes: P of (V, D), added to the visual tokens that are left after each of the first P layers.
    """
    import torch
    from transformers import DynamicCache

    cache, hidden, first = DynamicCache(config=decoder.config), embeds, int(visual.sum())
    positions = torch.arange(embeds.shape[1], device=embeds.device) if positions is None else positions
    after = int(positions[..., -1].max()) + 1
    stages = dropping.layers(len(decoder.layers)) if first >= dropping.min_visual else {}
    raters = _raters(embeds[0], visual, dropping.raters)
    tokens = []
    for number, layer in enumerate(decoder.layers):
        keep = round(stages.get(number, 1.0) * first)
        if int(visual.sum()) > keep:
            angles = _angles(decoder, hidden, positions)
            late = dropping.apart if number == max(stages) else 0.0
            if not late or _are_apart(layer, hidden, angles, visual, late):
                scores = attention_of(layer, hidden, angles, raters.nonzero()[:, 0]).mean((0, 1))
                stay = _staying(scores, visual, keep)
                hidden = _merged(hidden, visual, stay) if dropping.merges and keep else hidden
                planes = [plane[torch.isin(visual.nonzero()[:, 0], stay)] for plane in planes]
                hidden, positions, visual, raters = hidden[:, stay], positions[..., stay], visual[stay], raters[stay]
        hidden = _through(decoder, layer, hidden, positions, cache)
        if number < len(planes):
            hidden = hidden.index_add(1, visual.nonzero()[:, 0], planes[number][None])
        tokens.append(hidden.shape[1])
    return Prefilled(decoder.norm(hidden[:, -1:]), cache, after, tokens)


def step(decoder: Any, embed: Any, read: Prefilled) -> Any:
    """(1, 1, D) of one more token, given as (1, 1, D), after what was read; `read` goes on with it."""
    import torch

    positions, hidden = torch.tensor([read.next_position], device=embed.device), embed
    for layer in decoder.layers:
        hidden = _through(decoder, layer, hidden, positions, read.cache)
    read.next_position += 1
    return decoder.norm(hidden)


def attention_of(layer: Any, hidden: Any, angles: tuple[Any, Any], rows: Any) -> Any:
    """(H, R, n) the attention that rows (R,) pay to every token before them in this layer: its softmax, without the rest of the map."""
    import torch
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    attention, normed = layer.self_attn, layer.input_layernorm(hidden)
    keys = _heads(attention, attention.k_proj(normed), "k_norm")
    queries = _heads(attention, attention.q_proj(normed[:, rows]), "q_norm")
    cos, sin = angles
    _, keys = apply_rotary_pos_emb(keys, keys, cos, sin)
    queries, _ = apply_rotary_pos_emb(queries, queries, cos[:, rows], sin[:, rows])
    keys = keys.repeat_interleave(queries.shape[1] // keys.shape[1], 1)
    logits = (queries @ keys.transpose(2, 3))[0] * attention.scaling
    later = torch.arange(hidden.shape[1], device=hidden.device) > rows[:, None]
    return logits.float().masked_fill(later, float("-inf")).softmax(-1)


def _heads(attention: Any, projected: Any, norm: str) -> Any:
    """(1, n, H * d) to (1, H, n, d), each head normal where the family makes it so (Qwen3)."""
    split = projected.unflatten(-1, (-1, attention.head_dim))
    return (getattr(attention, norm)(split) if hasattr(attention, norm) else split).transpose(1, 2)


def _through(decoder: Any, layer: Any, hidden: Any, positions: Any, cache: Any) -> Any:
    """One layer. Without a mask its attention is causal by order, whatever is left of the prompt."""
    import torch

    mask, count = None, hidden.shape[1]
    if decoder.config._attn_implementation == "eager" and count > 1:  # eager attention masks nothing by itself
        mask = torch.full((count, count), torch.finfo(hidden.dtype).min, device=hidden.device).triu(1)[None, None]
    angles, line = _angles(decoder, hidden, positions), positions[None] if positions.ndim == 1 else None
    return layer(hidden, attention_mask=mask, position_ids=line, past_key_values=cache, use_cache=True, position_embeddings=angles)


def _angles(decoder: Any, hidden: Any, positions: Any) -> tuple[Any, Any]:
    cos, sin = decoder.rotary_emb(hidden, positions[None] if positions.ndim == 1 else positions[:, None])
    return cos, sin


def _raters(embeds: Any, visual: Any, who: str) -> Any:
    """(n,) bool: the last token, or text tokens that pictures give more than the mean of a softmax over all text tokens."""
    import torch

    rows = torch.zeros_like(visual)
    text = (~visual).nonzero()[:, 0]
    if who == "last" or not bool(visual.any()):
        rows[-1] = True
        return rows
    given = (embeds[visual] @ embeds[text].T).float().softmax(-1).mean(0)
    rows[text[given >= given.mean()]] = True
    return rows


def _staying(scores: Any, visual: Any, keep: int) -> Any:
    """Places, ascending, of all text and of the `keep` visual tokens with the highest scores; of equals the earlier."""
    import torch

    seen = visual.nonzero()[:, 0]
    order = torch.argsort(scores[seen], descending=True, stable=True)[:keep]
    return torch.cat([(~visual).nonzero()[:, 0], seen[order]]).sort().values


def _merged(hidden: Any, visual: Any, stay: Any) -> Any:
    """The same tokens; each visual one that stays is the mean of itself and of those that go and are most like it."""
    import torch
    from torch.nn.functional import normalize

    left = torch.zeros_like(visual)
    left[stay] = True
    homes, going = (visual & left).nonzero()[:, 0], (visual & ~left).nonzero()[:, 0]
    vectors = normalize(hidden[0].float(), dim=-1)
    home = homes[(vectors[going] @ vectors[homes].T).argmax(-1)]
    sizes = torch.ones(hidden.shape[1], device=hidden.device).index_add(0, home, torch.ones(len(going), device=hidden.device))
    total = hidden[0].float().index_add(0, home, hidden[0, going].float())
    return (total / sizes[:, None]).to(hidden.dtype)[None]


def _are_apart(layer: Any, hidden: Any, angles: tuple[Any, Any], visual: Any, below: float) -> bool:
    """Text rows give pictures, and pictures text, less than this share of their attention."""
    sides = ((~visual, visual), (visual, ~visual))
    return all(
        float(attention_of(layer, hidden, angles, _sample(own.nonzero()[:, 0]))[..., other].sum(-1).mean()) < below for own, other in sides
    )


def _sample(rows: Sequence[int] | Any) -> Any:
    """At most SAMPLED_ROWS of them, evenly, the last included."""
    import torch

    return rows[torch.linspace(0, len(rows) - 1, min(SAMPLED_ROWS, len(rows))).round().long()]
