"""Dropping inside a language model: dropped is as good as masked, scores are the layer's own attention, costs fall as counted."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_vlms import make_vlm
from transformers import LlamaConfig, LlamaModel

from footage import ConfigError
from footage.costs import LanguageShape, Meter
from qa.answerers.dropping import PRESETS, Dropping, attention_of, prefill, preset, step

LAYERS, WIDTH, VISUAL = 8, 32, 24
ALWAYS = {"min_visual": 0}


@pytest.fixture(scope="module")
def decoder() -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaModel(LlamaConfig(vocab_size=50, max_position_embeddings=128, initializer_range=0.2, **sizes)).eval()


@pytest.fixture(scope="module")
def prompt() -> tuple[Any, Any]:
    torch.manual_seed(1)
    visual = torch.zeros(40, dtype=torch.bool)
    visual[4 : 4 + VISUAL] = True
    return torch.randn(1, 40, WIDTH), visual


def masked(decoder: Any, embeds: Any, gone_from: dict[int, Any], positions: Any = None) -> Any:
    """The last token with nothing dropped, tokens hidden from layers by a mask alone. gone_from: {layer: (n,) bool}"""
    n, hidden = embeds.shape[1], embeds
    positions = torch.arange(n) if positions is None else positions
    gone = torch.zeros(n, dtype=torch.bool)
    for number, layer in enumerate(decoder.layers):
        gone = gone | gone_from.get(number, torch.zeros(n, dtype=torch.bool))
        mask = torch.zeros(n, n).masked_fill(torch.ones(n, n).triu(1).bool() | gone[None], torch.finfo(torch.float32).min)
        hidden = layer(hidden, attention_mask=mask[None, None], position_embeddings=decoder.rotary_emb(hidden, positions[None]))
    return decoder.norm(hidden[:, -1:])


def dropped(decoder: Any, embeds: Any, visual: Any, layer_number: int, keep: int) -> Any:
    """(n,) bool: what a stage at that layer must drop, from the whole attention map of an eager model."""
    hidden, n = embeds, embeds.shape[1]
    angles = decoder.rotary_emb(hidden, torch.arange(n)[None])
    mask = torch.full((n, n), torch.finfo(torch.float32).min).triu(1)[None, None]
    for layer in decoder.layers[:layer_number]:
        hidden = layer(hidden, attention_mask=mask, position_embeddings=angles)
    layer = decoder.layers[layer_number]
    _, whole = _eager(decoder, lambda: layer.self_attn(layer.input_layernorm(hidden), position_embeddings=angles, attention_mask=mask))
    scores = whole[0, :, -1].mean(0).masked_fill(~visual, -1)
    gone = visual.clone()
    gone[scores.argsort(descending=True)[:keep]] = False
    return gone


def _eager(decoder: Any, call: Any) -> Any:
    before = decoder.config._attn_implementation
    decoder.config._attn_implementation = "eager"
    try:
        return call()
    finally:
        decoder.config._attn_implementation = before


@torch.inference_mode()
def test_no_stage_is_the_model_itself(decoder: Any, prompt: Any) -> None:
    embeds, visual = prompt
    whole = decoder(inputs_embeds=embeds).last_hidden_state[:, -1:]
    for dropping in (Dropping((), **ALWAYS), PRESETS["fastv"]):  # fewer than its least number of visual tokens
        read = prefill(decoder, embeds, visual, dropping)
        torch.testing.assert_close(read.last, whole, atol=1e-5, rtol=1e-5)
        assert read.tokens == [40] * LAYERS


@torch.inference_mode()
def test_dropped_is_as_good_as_masked_and_positions_matter(decoder: Any, prompt: Any) -> None:
    embeds, visual = prompt
    gone = dropped(decoder, embeds, visual, 2, VISUAL // 2)
    assert int(gone.sum()) == VISUAL // 2
    read = prefill(decoder, embeds, visual, Dropping(((2 / LAYERS, 0.5),), **ALWAYS))
    assert read.tokens == [40] * 2 + [40 - VISUAL // 2] * 6
    torch.testing.assert_close(read.last, masked(decoder, embeds, {2: gone}), atol=1e-4, rtol=1e-4)
    renumbered = torch.cumsum(~gone, 0) - 1
    assert float((read.last - masked(decoder, embeds, {2: gone}, renumbered)).abs().max()) > 1e-3
    assert float((read.last - masked(decoder, embeds, {})).abs().max()) > 1e-3


@torch.inference_mode()
def test_what_is_written_after_a_drop_does_not_see_what_was_dropped(decoder: Any, prompt: Any) -> None:
    embeds, visual = prompt
    gone = dropped(decoder, embeds, visual, 4, 0)
    read = prefill(decoder, embeds, visual, Dropping(((0.5, 0.0),), **ALWAYS))
    assert read.tokens == [40] * 4 + [16] * 4
    more = torch.randn(1, 2, WIDTH)
    longer = torch.cat([embeds, more], 1)
    hidden = torch.cat([gone, torch.zeros(2, dtype=torch.bool)])
    for n in range(2):
        said = step(decoder, more[:, n : n + 1], read)
        torch.testing.assert_close(said, masked(decoder, longer[:, : 41 + n], {4: hidden[: 41 + n]}), atol=1e-4, rtol=1e-4)
    assert [layer.keys.shape[2] for layer in read.cache.layers] == [42] * 4 + [18] * 4


@torch.inference_mode()
def test_scores_are_rows_of_the_layers_own_attention(decoder: Any, prompt: Any) -> None:
    embeds, _ = prompt
    angles = decoder.rotary_emb(embeds, torch.arange(40)[None])
    mask = torch.full((40, 40), torch.finfo(torch.float32).min).triu(1)[None, None]
    layer = decoder.layers[0]
    _, whole = _eager(decoder, lambda: layer.self_attn(layer.input_layernorm(embeds), position_embeddings=angles, attention_mask=mask))
    rows = torch.tensor([3, 17, 39])
    torch.testing.assert_close(attention_of(layer, embeds, angles, rows), whole[0][:, rows], atol=1e-5, rtol=1e-5)


def in_three_dimensions(family: str) -> tuple[Any, Any, Any, Any, list[Any]]:
    """(decoder, embeds, visual, positions (3, n), planes): two pictures of 3 x 4 tokens in a text, as M-RoPE sees them."""
    torch.manual_seed(2)
    decoder, visual = make_vlm(family).model.language_model, torch.zeros(40, dtype=torch.bool)
    visual[4 : 4 + VISUAL] = True
    place = torch.arange(12)
    picture = torch.stack([torch.zeros(12, dtype=torch.long), place // 4, place % 4])
    positions = torch.cat([torch.arange(4).expand(3, -1), 4 + picture, 9 + picture, 20 + torch.arange(12).expand(3, -1)], 1)
    planes = [torch.randn(VISUAL, WIDTH) for _ in range(3)] if family == "qwen3_vl" else []
    return decoder, torch.randn(1, 40, WIDTH), visual, positions, planes


QWENS = pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])


@torch.inference_mode()
@QWENS
def test_scores_are_rows_of_attention_in_three_dimensions_too(family: str) -> None:
    decoder, embeds, _, positions, _ = in_three_dimensions(family)
    angles = decoder.rotary_emb(embeds, positions[:, None])
    mask = torch.full((40, 40), torch.finfo(torch.float32).min).triu(1)[None, None]
    layer, rows = decoder.layers[1], torch.tensor([3, 17, 39])
    _, whole = _eager(decoder, lambda: layer.self_attn(layer.input_layernorm(embeds), position_embeddings=angles, attention_mask=mask))
    torch.testing.assert_close(attention_of(layer, embeds, angles, rows), whole[0][:, rows], atol=1e-5, rtol=0)
    line = decoder.rotary_emb(embeds, torch.arange(40)[None])
    assert float((attention_of(layer, embeds, line, rows) - whole[0][:, rows]).abs().max()) > 1e-3


@torch.inference_mode()
@QWENS
@pytest.mark.parametrize("stage", [1, 3])
def test_dropping_keeps_positions_in_three_dimensions_and_planes_with_their_tokens(family: str, stage: int) -> None:
    decoder, embeds, visual, positions, planes = in_three_dimensions(family)
    deep = {"visual_pos_masks": visual[None], "deepstack_visual_embeds": planes} if planes else {}
    kept = {"positions": positions, "planes": planes}
    whole = decoder(inputs_embeds=embeds, position_ids=positions[:, None], **deep).last_hidden_state[:, -1:]
    torch.testing.assert_close(prefill(decoder, embeds, visual, Dropping((), **ALWAYS), **kept).last, whole, atol=1e-4, rtol=0)
    read = prefill(decoder, embeds, visual, Dropping(((stage / 4, 0.5),), **ALWAYS), **kept)
    assert (read.tokens, read.next_position) == ([40] * stage + [28] * (4 - stage), 32)
    angles, hidden, gone = decoder.rotary_emb(embeds, positions[:, None]), embeds, torch.zeros(40, dtype=torch.bool)
    for number, layer in enumerate(decoder.layers):
        if number == stage:
            scores = attention_of(layer, hidden, angles, torch.tensor([39])).mean((0, 1)).masked_fill(~visual, -1)
            gone = visual & ~torch.isin(torch.arange(40), scores.argsort(descending=True)[: VISUAL // 2])
        mask = torch.zeros(40, 40).masked_fill(torch.ones(40, 40).triu(1).bool() | gone[None], torch.finfo(torch.float32).min)
        hidden = layer(hidden, attention_mask=mask[None, None], position_embeddings=angles)
        if number < len(planes):
            hidden = hidden.clone()
            hidden[0, visual] += planes[number]
    torch.testing.assert_close(read.last, decoder.norm(hidden[:, -1:]), atol=1e-4, rtol=0)
    assert float((read.last - whole).abs().max()) > 1e-3


@torch.inference_mode()
@QWENS
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_reads_in_three_dimensions(family: str, name: str) -> None:
    decoder, embeds, visual, positions, planes = in_three_dimensions(family)
    read = prefill(decoder, embeds, visual, replace(PRESETS[name], min_visual=0), positions=positions, planes=planes)
    assert read.last.isfinite().all()
    assert step(decoder, embeds[:, :1], read).isfinite().all()
    assert read.next_position == 33


@torch.inference_mode()
def test_tokens_that_go_are_averaged_into_those_that_stay(decoder: Any, prompt: Any) -> None:
    embeds, visual = prompt
    twins = embeds.clone()
    twins[:, 4 : 4 + VISUAL] = embeds[:, 4:5]  # all alike: their mean is what each of them is
    merged, plain = (prefill(decoder, twins, visual, Dropping(((0, 0.25),), merges=m, **ALWAYS)) for m in (True, False))
    torch.testing.assert_close(merged.last, plain.last, atol=1e-5, rtol=1e-5)
    merged, plain = (prefill(decoder, embeds, visual, Dropping(((0, 0.25),), merges=m, **ALWAYS)) for m in (True, False))
    assert float((merged.last - plain.last).abs().max()) > 1e-3


@torch.inference_mode()
def test_pictures_leave_only_where_text_and_they_have_done_with_each_other(decoder: Any, prompt: Any) -> None:
    embeds, visual = prompt
    stays, leaves = (prefill(decoder, embeds, visual, Dropping(((7 / 8, 0.0),), apart=below, **ALWAYS)) for below in (1e-6, 1.1))
    assert stays.tokens == [40] * 8
    assert leaves.tokens == [40] * 7 + [16]


@torch.inference_mode()
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_keeps_all_text_and_never_gets_tokens_back(decoder: Any, prompt: Any, name: str) -> None:
    embeds, visual = prompt
    made = PRESETS[name]
    read = prefill(decoder, embeds, visual, Dropping(made.stages, made.raters, made.merges, made.apart, min_visual=0))
    assert read.tokens == sorted(read.tokens, reverse=True)
    assert min(read.tokens) >= 16
    assert read.last.isfinite().all()
    again = prefill(decoder, embeds, visual, Dropping(made.stages, made.raters, made.merges, made.apart, min_visual=0))
    assert torch.equal(read.last, again.last)


def test_the_meter_counts_what_each_layer_read() -> None:
    shape, meter = LanguageShape(2, 32, 64, 4, 2), Meter()
    meter.read(shape, visual=24, text=16, new=3, layers=[40, 28])
    assert meter.cost.prefill_macs == shape.prefill_macs([40, 28]) < shape.prefill_macs(40)
    assert meter.cost.kv_bytes == (40 + 28 + 2 * 3) * 2 * 2 * 8 * 2  # keys and values, heads, their width, bytes


def test_a_wrong_name_lists_the_known_ones() -> None:
    assert preset("none") is None
    assert preset("fastv") is PRESETS["fastv"]
    with pytest.raises(ConfigError, match="known: none, aim, fastv, holitom, pyramiddrop, sparsevlm, todre"):
        preset("fastvv")
