"""Language models of eight and four bits: nano, really quantised, against itself."""

from importlib.util import find_spec
from typing import Any

import pytest
import torch

import nano
from footage.errors import ConfigError
from qa.answerers import weights
from qa.answerers.vlm import VlmAnswerer
from workers.config import load_settings

CPU = torch.device("cpu")


def opened(bits: str) -> VlmAnswerer:
    return VlmAnswerer.load(nano.VLM, id=bits, device=CPU, dtype=torch.float32, weights=bits)


def logits(answerer: VlmAnswerer) -> Any:
    ids = torch.arange(5, 45)[None]
    with torch.inference_mode():
        return answerer._model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]


@pytest.mark.parametrize(("bits", "at_most", "alike"), [("8bit", 0.7, 0.999), ("4bit", 0.55, 0.97)])
def test_fewer_bits_take_less_memory_and_say_nearly_the_same(bits: str, at_most: float, alike: float) -> None:
    whole, fewer = opened("full"), opened(bits)
    layers, small = (a._model.model.text_model.layers for a in (whole, fewer))
    held, left = (sum(p.numel() * p.element_size() for p in each.parameters()) for each in (layers, small))
    assert left < at_most * held
    assert torch.equal(fewer._model.lm_head.weight, whole._model.lm_head.weight)  # as it was
    both = torch.stack([logits(whole).flatten(), logits(fewer).flatten()])
    assert alike < float(torch.corrcoef(both)[0, 1]) < 1


def test_attention_is_never_eager() -> None:
    assert opened("full")._model.config._attn_implementation == "sdpa"


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None if name == "bitsandbytes" else find_spec(name))
    with pytest.raises(ConfigError, match="takes bitsandbytes") as caught:
        opened("4bit")
    assert caught.value.hint == 'pip install "footage[quantized]"'
    with pytest.raises(ConfigError, match="full, 8bit, 4bit"):
        load_settings({"ask": {"weights": "2bit"}})
