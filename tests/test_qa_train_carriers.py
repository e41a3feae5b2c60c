"""Training carriers: the first step is the untrained mean, a few steps learn, an adapter kept is the adapter, in every family."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_vlms import FAMILIES, make_vlm, make_words

from footage import Carrier, ModelError, TimeSpan
from footage.costs import Meter
from footage.questions import Evidence, Question
from footage.timespan import parse_clock
from nano.bank import Bank
from nano.contexts import Contexts
from nano.scene import sample_event
from nano.tokenizer import make_tokenizer
from qa.answerers.prompt import Row
from qa.answerers.vlm import Reading
from qa.carriers.adapter import Rank, adapted, load, save
from qa.carriers.answerer import CarrierAnswerer
from qa.carriers.bank import CarrierBank
from qa.carriers.carrier_input import INPUT, with_carrier
from qa.carriers.training import IGNORED, Lesson, Recipe, hidden_of, loss_of, train_carriers
from qa.families.family import Group
from qa.families.registry import family_of
from workers.eval_carriers import carriers
from workers.train_carriers import lesson_of, shipped

every_family = pytest.mark.parametrize("name", FAMILIES)
SIZE = {"smolvlm": (48, 48), "llava_onevision": (40, 40), "qwen2_5_vl": (48, 80), "qwen3_vl": (48, 80)}


def made(name: str) -> tuple[Any, Any]:
    """A fresh model: adapters change it in place."""
    model = make_vlm(name, seed=1)
    return model, family_of(model.model, tokenizer=words())


@cache
def words() -> Any:
    return make_words()


@cache
def groups_of(name: str, seed: int) -> list[Group]:
    _, family = made(name)
    count = 2 * family.frames_together
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *SIZE[name], 3), dtype=np.uint8)
    return family.look(pixels, [60.0 + 2 * n for n in range(count)])


def lesson(name: str, seed: int, answer: str) -> Lesson:
    model, family = made(name)
    groups = groups_of(name, seed)
    said = family.written([with_carrier(model, group) for group in groups])
    ids = words()(f"moments: {said} When does the red car arrive?", add_special_tokens=False)["input_ids"]
    return Lesson.asked(ids, [*words()(answer, add_special_tokens=False)["input_ids"], words().eos_token_id], [groups])


def batch(name: str) -> list[Lesson]:
    return [lesson(name, 0, "red"), lesson(name, 1, "video")]


@every_family
def test_before_the_first_step_it_is_the_untrained_model_that_reads_means(name: str) -> None:
    (model, family), own = made(name), lesson(name, 0, "red")
    with torch.inference_mode():
        plain = hidden_of(model, family, own)
        adapted(model, family, Rank(4, mlp=True))
        assert torch.equal(getattr(model, INPUT).weight, torch.eye(32))
        torch.testing.assert_close(hidden_of(model, family, own), plain, atol=1e-5, rtol=0)


@every_family
def test_a_few_steps_learn_and_what_is_kept_comes_back(name: str, tmp_path: Path) -> None:
    (model, family), fixed, losses = made(name), batch(name), list[float]()
    frozen = {key: weights.clone() for key, weights in model.named_parameters()}
    wrapped = train_carriers(
        model, family, (fixed for _ in range(99)), Recipe(Rank(4), steps=12, rate=2e-2), say=lambda _, loss: losses.append(loss)
    )
    assert len(losses) == 12
    assert losses[-1] < 0.8 * losses[0]
    kept = {key.replace(".base_layer", ""): weights for key, weights in model.named_parameters()}
    assert all(torch.equal(kept[key], weights) for key, weights in frozen.items())  # only what was added was trained
    assert not torch.equal(getattr(model, INPUT).weight, torch.eye(32))
    save(wrapped, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    again, its_family = made(name)
    load(again, tmp_path)
    with torch.inference_mode():
        untrained = hidden_of(*made(name), fixed[0])
        ours, theirs = hidden_of(model, family, fixed[0]), hidden_of(again, its_family, fixed[0])
    torch.testing.assert_close(theirs, ours, atol=1e-6, rtol=0)
    assert float((theirs - untrained).abs().max()) > 1e-2


@every_family
def test_adapters_sit_in_the_language_model_alone(name: str) -> None:
    model, family = made(name)
    adapted(model, family, Rank(2, mlp=True))
    trained = {key for key, weights in model.named_parameters() if weights.requires_grad}
    layers = [part for key, part in family.decoder.named_parameters() if "lora_" in key]
    assert len(layers) == 2 * 7 * 4  # two matrices, seven projections, four layers
    assert len(trained) == len(layers) + 1  # and the carriers' input


def test_only_answers_are_learned() -> None:
    own = Lesson.asked([1, 2, 3], [7, 8], [])
    assert own.ids == [1, 2, 3, 7, 8]
    assert own.labels == [IGNORED, IGNORED, 7, 8, IGNORED]


@every_family
def test_questions_packed_together_do_not_see_each_other(name: str) -> None:
    (model, family), groups = made(name), groups_of(name, 0)
    said = family.written([with_carrier(model, group) for group in groups])
    evidence, first, second = (words()(text, add_special_tokens=False)["input_ids"] for text in (f"moments: {said}", "When ? red", "Frame"))
    branch = [0] * len(evidence) + [1] * len(first) + [2] * len(second)
    with torch.inference_mode():
        both = hidden_of(model, family, Lesson([*evidence, *first, *second], [groups], [IGNORED] * len(branch), branch))
        alone = hidden_of(model, family, Lesson([*evidence, *second], [groups], [IGNORED] * (len(evidence) + len(second))))
    torch.testing.assert_close(both[0, -len(second) :], alone[0, -len(second) :], atol=1e-4, rtol=0)


def test_nano_is_taught_what_it_is_asked() -> None:
    """Token by token, and frame by frame."""
    tokenizer, rng = make_tokenizer(), np.random.default_rng(0)
    events = [sample_event(rng, "train") for _ in range(6)]
    tokens = {64: rng.normal(size=(6, 4, 64, 192)).astype(np.float16)}
    bank = Bank(events, np.stack([(np.arange(4) + 0.5) / 4 * e.duration_s for e in events]), tokens, tokens[64][:, :, :32])
    answerer, model = carriers(None), shipped()
    family = family_of(model.model, tokenizer=tokenizer)
    context = Contexts(bank, "train", 5, tokenizer).one(2, 64, 1, carriers=True)
    own = lesson_of(context, family)
    branch = tokenizer.decode([i for i, b in zip(context.ids, context.branch, strict=True) if b == 1])
    start_s, end_s = (parse_clock(said.replace(" ", "")) for said in re.findall(r"\d+(?: ?: ?\d\d)+", tokenizer.decode(context.ids))[:2])
    frames = tuple(context.visual.reshape(-1, 64, 192).astype(np.float32))
    with torch.inference_mode():
        prompt, layout = answerer.prompt(Question(branch.split(" <end_of_utterance>")[0]), [Row(1, TimeSpan(start_s, end_s), frames)])
    first_said = next(n for n, label in enumerate(context.labels) if label >= 0)
    assert prompt.ids[0].tolist() == list(own.ids[: first_said + 1])
    with torch.inference_mode():
        read = CarrierBank(family).read(prompt, layout)
        torch.testing.assert_close(hidden_of(model, family, own)[:, : first_said + 1], read, atol=1e-4, rtol=0)


def test_the_loss_is_that_of_the_answers_tokens() -> None:
    (model, family), own = made("smolvlm"), lesson("smolvlm", 0, "red")
    with torch.inference_mode():
        logits = model.lm_head(hidden_of(model, family, own))[0].log_softmax(-1)
        picked = [-float(logits[at, label]) for at, label in enumerate(own.labels) if label != IGNORED]
        assert float(loss_of(model, family, own)) == pytest.approx(np.mean(picked), abs=1e-5)


@pytest.mark.parametrize("steps", [20, 1000])
def test_the_rate_rises_and_falls(steps: int) -> None:
    rates = [Recipe(steps=steps, rate=1.0).rate_at(step) for step in range(steps)]
    top = int(np.argmax(rates))
    assert 0.9 < rates[top] <= 1.0
    assert top <= steps / 20
    assert rates[-1] < 0.05
    assert min(rates) > 0


def test_a_folder_without_an_adapter_or_with_another_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no adapter"):
        load(made("smolvlm")[0], tmp_path)
    save(adapted(*made("smolvlm"), Rank(2)), tmp_path)
    with pytest.raises(ModelError, match="does not fit"):
        load(made("qwen3_vl")[0], tmp_path)


@every_family
def test_the_answerer_reads_moments_through_carriers(name: str) -> None:
    model, _ = made(name)
    tokens = [group.tokens.astype(np.float16) for group in groups_of(name, 0)]
    spans = [TimeSpan(60.0 + 2 * n, 62.0 + 2 * n) for n in range(len(tokens))]
    shown = tuple(Carrier("r", (s,), s.start_s, 2.0, t, np.ones(1, np.float32)) for s, t in zip(spans, tokens, strict=True))
    seen = Evidence("r", TimeSpan(60.0, 64.0), 1.0, shown[0], "", shown)
    answerer, meter = CarrierAnswerer(model, words(), id="tiny", reading=Reading(max_new_tokens=4)), Meter()
    first = "".join(answerer.stream(Question("When does the red car arrive?"), [seen], meter=meter))
    assert meter.cost.visual_tokens == sum(map(len, tokens)) + len(tokens)
    assert meter.cost.new_tokens <= 4
    assert first == "".join(answerer.stream(Question("When does the red car arrive?"), [seen]))
    assert "".join(answerer.stream(Question("x"), [])) == "Not in the footage."
