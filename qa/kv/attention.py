"""One layer of a decoder over keys that are kept as they were before their turn: turned when read, wherever they then stand.

All decoders of qa/families are alike here: norm, grouped-query attention with rotary positions, norm, MLP (Llama, Qwen2, Qwen3).
Letters: h heads of keys and values, G heads of queries for each, n tokens read, m of them new, d channels of a head, A axes of a position.
"""

from typing import Any

from qa.rotary import Rotary


def projected(layer: Any, hidden: Any) -> tuple[Any, Any, Any]:
    """Queries (h, G, m, d), keys (h, m, d) and values (h, m, d) of hidden (1, m, D), not turned."""
    attention, normed = layer.self_attn, layer.input_layernorm(hidden)
    queries, keys, values = (getattr(attention, f"{name}_proj")(normed)[0].unflatten(-1, (-1, attention.head_dim)) for name in "qkv")
    if hasattr(attention, "q_norm"):  # Qwen3
        queries, keys = attention.q_norm(queries), attention.k_norm(keys)
    return queries.transpose(0, 1).unflatten(0, (keys.shape[1], -1)), keys.transpose(0, 1), values.transpose(0, 1)


def turned(rotary: Rotary, heads: Any, positions: Any) -> Any:
    """Heads (h, n, d) or (h, G, n, d) at positions (h or 1, n, A): angles in float64, as far positions need, the rest in float32."""
    import torch

    angles = positions.double()[..., rotary.axes] * rotary.frequencies
    exact = torch.promote_types(heads.dtype, torch.float32)
    cos, sin = (part if heads.ndim == 3 else part[:, None] for part in (angles.cos().to(exact), angles.sin().to(exact)))
    first, second = heads.to(exact).chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(heads.dtype)


def closed(positions: Any) -> Any:
    """(h, n, A) integers in the same order, equal where they were equal, without gaps: 0, 1, 2 ... in each head."""
    import torch

    flat = positions.flatten(1)
    ordered, order = flat.sort(-1)
    ranks = torch.zeros_like(flat)
    ranks[:, 1:] = (ordered.diff(dim=-1) != 0).cumsum(-1)
    return torch.zeros_like(flat).scatter(1, order, ranks).view_as(positions)


def through(layer: Any, hidden: Any, queries: Any, keys: Any, values: Any, *, stretch: float) -> Any:
    """The layer on hidden (1, m, D) with turned queries and keys (h, n, d): the new, last m of them see each other in order.

    stretch: what the checkpoint's rotary positions multiply logits by (YaRN), 1 in most.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    groups, count, every = queries.shape[1], queries.shape[2], keys.shape[1]
    mask = None
    if count > 1:
        mask = torch.ones(count, every, dtype=torch.bool, device=keys.device).tril(every - count).repeat(groups, 1)
    seen = scaled_dot_product_attention(
        queries.flatten(1, 2)[None], keys[None], values[None], attn_mask=mask, scale=layer.self_attn.scaling * stretch
    )[0]
    mixed = seen.unflatten(1, (groups, count)).permute(2, 0, 1, 3).reshape(1, count, -1)
    hidden = hidden + layer.self_attn.o_proj(mixed)
    return hidden + layer.mlp(layer.post_attention_layernorm(hidden))
