"""Moving cached keys: turned at one place and moved is turned at the other, by the library's own rotary functions of three families."""

from functools import partial
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, Qwen2_5_VLTextConfig, Qwen3VLTextConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLRotaryEmbedding
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextRotaryEmbedding

from qa.rotary import Rotary

WIDTH, KEYS = 128, 64  # of a head of the published models
SIZES = {"hidden_size": 2 * WIDTH, "num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 1, "head_dim": WIDTH}


def plain(**more: Any) -> Any:
    return LlamaRotaryEmbedding(LlamaConfig(rope_parameters={"rope_type": "default", "rope_theta": 1e5} | more, **SIZES))


def sectioned(section: list[int]) -> Any:
    sizes = {name: size for name, size in SIZES.items() if name != "head_dim"}
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": section}
    return Qwen2_5_VLRotaryEmbedding(Qwen2_5_VLTextConfig(rope_parameters=rope, **sizes))


def interleaved(section: list[int]) -> Any:
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": section, "mrope_interleaved": True}
    return Qwen3VLTextRotaryEmbedding(Qwen3VLTextConfig(rope_parameters=rope, **SIZES))


FAMILIES = {
    "llama": plain, "qwen2.5-vl": partial(sectioned, [16, 24, 24]), "qwen3-vl": partial(interleaved, [24, 20, 20]),
    "qwen3-vl, other sections": partial(interleaved, [40, 16, 8]), "qwen2.5-vl, other sections": partial(sectioned, [40, 16, 8]),
}  # fmt: skip
every_family = pytest.mark.parametrize("family", FAMILIES)


def some(family: str, up_to: int, dtype: torch.dtype, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """(the library's module, keys (1, 2, n, d) from -1 to 1, and two lots of positions (A, n) from -up_to to up_to)"""
    torch.manual_seed(seed)
    module = FAMILIES[family]()
    axes = 1 if family == "llama" else 3
    before, after = torch.randint(-up_to, up_to + 1, (2, axes, KEYS))
    return module, torch.randn(1, 2, KEYS, WIDTH, dtype=dtype).clamp(-1, 1), before, after


def theirs(module: Any, keys: Any, positions: Any) -> Any:
    """Turned by the library, whose angles are float32."""
    cos, sin = module(keys, positions if len(positions) == 1 else positions[:, None])
    return apply_rotary_pos_emb(keys, keys, cos, sin)[1]


def theirs_in_float64(module: Any, keys: Any, positions: Any) -> Any:
    """The same with the library's own frequencies and layout of channels, but with angles in float64."""
    angles = positions[:, None, :, None].double() * module.inv_freq.double()
    lay = getattr(module, "recomposition_frequencies", lambda values: torch.cat([values[0]] * 2, -1))
    return apply_rotary_pos_emb(keys, keys, lay(angles.cos()), lay(angles.sin()))[1]


@every_family
@pytest.mark.parametrize("up_to", [1_000, 32_000, 1_000_000])
def test_moved_is_turned_elsewhere_to_a_millionth_at_any_distance(family: str, up_to: int) -> None:
    module, keys, before, after = some(family, up_to, torch.float64)
    moved = Rotary.of(module).moved(theirs_in_float64(module, keys, before), before, after)
    torch.testing.assert_close(moved, theirs_in_float64(module, keys, after), atol=1e-6, rtol=0)


@every_family
def test_keys_of_the_library_itself_are_moved_to_a_ten_thousandth(family: str) -> None:
    module, keys, before, after = some(family, 1_000, torch.float32)
    moved = Rotary.of(module).moved(theirs(module, keys, before), before, after)
    assert moved.dtype == torch.float32
    torch.testing.assert_close(moved, theirs(module, keys, after), atol=1e-4, rtol=0)


@every_family
def test_float32_angles_would_not_do_far_away(family: str) -> None:
    module, keys, _, after = some(family, 1_000_000, torch.float64)
    assert float((theirs(module, keys, after) - theirs_in_float64(module, keys, after)).abs().max()) > 1e-2


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "llama"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_axis_turns_channels_of_its_own(family: str, axis: int) -> None:
    module, keys, before, _ = some(family, 1_000, torch.float64)
    after = before.clone()
    after[axis] += 7
    rotary = Rotary.of(module)
    moved, whole = rotary.moved(keys, before, after), rotary.moved(keys, before, before + 7)
    changed = (moved - keys).abs().amax((0, 1, 2)) > 1e-9
    assert int(changed.sum()) == 2 * module.mrope_section[axis]
    torch.testing.assert_close(moved[..., changed], whole[..., changed])


def test_positions_of_text_stand_for_all_three_axes() -> None:
    module, keys, _, after = some("qwen3-vl", 1_000, torch.float64)
    rotary = Rotary.of(module)
    torch.testing.assert_close(rotary.turned(keys, after[0]), rotary.turned(keys, after[:1].expand(3, -1)))


def test_frequencies_that_change_with_length_are_refused() -> None:
    with pytest.raises(ValueError, match="'dynamic'"):
        Rotary.of(plain(rope_type="dynamic", factor=2.0))
