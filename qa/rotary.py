"""Cached keys moved from one place to another: rotary positions add up, so turning a key by the difference is enough.

R(after) k = R(after - before) R(before) k, "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021). Models with M-RoPE,
"Qwen2-VL" (2024), turn some pairs of channels by time and others by row and column: in runs, or in turn (Qwen3-VL).
Angles are float64: in float32 they err by 1e-7 of the position, which is 0.1 radian at a position of a million.
Letters: n keys, d channels of a head, A axes of a position: 1, or 3 for (time, row, column).
"""

from dataclasses import dataclass
from typing import Any, Self

ALTERING = ("dynamic", "longrope")
"""Kinds of rotary positions whose frequencies change with the length of the prompt: their keys cannot be moved."""


@dataclass(frozen=True, slots=True, eq=False)
class Rotary:
    """How a decoder turns its keys."""

    frequencies: Any
    """(d / 2,) float64: radians a step, of channels i and i + d / 2."""
    axes: Any
    """(d / 2,) int: which axis of a position turns this pair."""

    @classmethod
    def of(cls, module: Any) -> Self:
        """From the rotary_emb of a transformers decoder.

        Raises:
            ValueError: its frequencies change with the length of the prompt.
        """
        import torch

        if module.rope_type in ALTERING:
            raise ValueError(f"keys cannot be moved where frequencies change with length, as of type {module.rope_type!r}")
        pairs = torch.arange(len(module.inv_freq), device=module.inv_freq.device)
        return cls(module.inv_freq.double(), _axes(pairs, getattr(module, "mrope_section", None), _in_turn(module.config)))

    def turned(self, keys: Any, positions: Any) -> Any:
        """(..., n, d) turned by positions (n,) or (A, n), which may be negative; the same dtype."""
        import torch

        every = positions.expand(3, -1) if positions.ndim == 1 or len(positions) == 1 else positions
        angles = every.double()[self.axes].T * self.frequencies
        first, second = keys.double().chunk(2, -1)
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(keys.dtype)

    def moved(self, keys: Any, before: Any, after: Any) -> Any:
        """Keys (..., n, d) of a cache, turned at positions `before`, as if they had been turned at `after`."""
        return self.turned(keys, after - before)


def _in_turn(config: Any) -> bool:
    """Whether axes take turns, as in all Qwen3-VL decoders, whatever their configuration says."""
    return bool(config.model_type.startswith("qwen3_vl") or config.rope_parameters.get("mrope_interleaved"))


def _axes(pairs: Any, sections: list[int] | None, in_turn: bool) -> Any:
    """sections: pairs of channels for (time, row, column). In turn: t h w t h w ..., time where an axis has used up its own."""
    import torch

    if not sections:
        return torch.zeros_like(pairs)
    if not in_turn:
        return torch.repeat_interleave(torch.arange(3, device=pairs.device), torch.tensor(sections, device=pairs.device))
    axis = pairs % 3
    return torch.where(pairs < torch.tensor(sections, device=pairs.device)[axis] * 3, axis, 0)
