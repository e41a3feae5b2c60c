"""A small random SmolVLM through the code that loads the large ones: the same logits as transformers' own path."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import save_checkpoint

from footage import Carrier, ModelError, TimeSpan
from footage.costs import Meter
from footage.questions import Evidence, Question, Turn
from nano.decoder import make_vlm
from nano.export import copy_tower
from nano.tokenizer import make_tokenizer
from nano.tower import make_siglip, normal
from qa.answerers.dropping import Dropping
from qa.answerers.prompt import NOT_THERE, rows_of
from qa.answerers.vlm import VlmAnswerer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    model = make_vlm(len(tokenizer), tokenizer.convert_tokens_to_ids("<image>"))
    model.config.footage = {"carriers": "some-encoder@1", "instructed": False, "max_visual_tokens": 300, "one_by_one": True, "unknown": 1}
    made = tmp_path_factory.mktemp("vlm")
    model.save_pretrained(made)
    tokenizer.save_pretrained(made)
    return made


@pytest.fixture(scope="module")
def answerer(folder: Path) -> VlmAnswerer:
    import torch

    return VlmAnswerer.load(folder, id="tiny@1", device=torch.device("cpu"), dtype=torch.float32)


def evidence(tokens: Any, start_s: float = 65.0) -> Evidence:
    shown = tuple(
        Carrier("rec", (TimeSpan(start_s + n, start_s + n + 1),), start_s + n + 0.5, 1.0, frame.astype(np.float16), np.ones(1, np.float32))
        for n, frame in enumerate(tokens)
    )
    return Evidence("rec", TimeSpan(start_s, start_s + len(shown)), 1.0, shown[0], "", shown)


def test_the_checkpoint_says_how_it_wants_to_be_read(answerer: VlmAnswerer) -> None:
    assert answerer.reading.carriers == "some-encoder@1"
    assert (answerer.reading.instructed, answerer.reading.one_by_one, answerer.reading.max_visual_tokens) == (False, True, 300)


def test_carriers_in_place_of_pixels_give_the_same_logits(answerer: VlmAnswerer) -> None:
    import torch

    model = answerer._model
    pixels = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
    with torch.inference_mode():
        images = normal(pixels)
        tokens = model.model.vision_model(images).last_hidden_state.numpy()
        rows = rows_of([evidence(tokens)])
        ids = torch.tensor([answerer.prompt(Question("Is there a red circle?"), rows)])
        theirs = model(input_ids=ids, pixel_values=images[None], pixel_attention_mask=torch.ones(1, 2, 128, 128, dtype=torch.bool)).logits
        embeds = model.get_input_embeddings()(ids)
        frames = torch.from_numpy(np.concatenate([f for r in rows for f in r.frames]))
        embeds = embeds.masked_scatter((ids == model.config.image_token_id)[..., None], model.model.connector.modality_projection(frames))
        ours = model(inputs_embeds=embeds).logits
    assert float((ours - theirs).abs().max()) < 5e-3  # carriers are float16
    assert int((ids == model.config.image_token_id).sum()) == 128


def test_the_tower_inside_is_the_siglip_itself() -> None:
    import torch

    torch.manual_seed(1)
    siglip, model = make_siglip(300), make_vlm(300, 4)
    copy_tower(siglip.vision_model, model.model.vision_model)
    images = normal(np.random.default_rng(1).integers(0, 256, (2, 128, 128, 3), dtype=np.uint8))
    with torch.inference_mode():
        difference = siglip.vision_model(images).last_hidden_state - model.model.vision_model(images).last_hidden_state
    assert float(difference.abs().max()) < 1e-4


def test_it_answers_something_and_nothing_without_evidence(answerer: VlmAnswerer) -> None:
    tokens = np.random.default_rng(2).normal(size=(2, 64, 192))
    meter = Meter()
    reply = "".join(answerer.stream(Question("What colour is the star?"), [evidence(tokens)], meter=meter))
    assert isinstance(reply, str)
    assert reply == "".join(answerer.stream(Question("What colour is the star?"), [evidence(tokens)]))
    assert list(answerer.stream(Question("What colour is the star?"), [])) == [NOT_THERE]
    read, prompt = meter.cost, answerer.prompt(Question("What colour is the star?"), rows_of([evidence(tokens)]))
    assert (read.passes, read.visual_tokens, read.visual_tokens + read.text_tokens) == (1, 128, len(prompt))
    assert read.prefill_macs == answerer.shape.prefill_macs(len(prompt))
    assert read.kv_bytes == (len(prompt) + read.new_tokens) * 2 * 5 * 192 * 2  # keys and values, layers, width, bytes


def test_dropping_nothing_writes_the_same_and_dropping_costs_less(answerer: VlmAnswerer) -> None:
    shown, question = [evidence(np.random.default_rng(2).normal(size=(4, 64, 192)))], Question("What colour is the star?")
    said, costs = {}, {}
    for name, dropping in {"none": None, "no stage": Dropping((), min_visual=0), "some": Dropping(((0.4, 0.25),), min_visual=0)}.items():
        meter = Meter()
        reader = VlmAnswerer(answerer._model, answerer._tokenizer, id="x", reading=answerer.reading, dropping=dropping)
        said[name] = "".join(reader.stream(question, shown, meter=meter))
        costs[name] = meter.cost
    assert said["none"] == said["no stage"]
    assert costs["none"] == costs["no stage"]
    text = costs["some"].text_tokens
    assert costs["some"].prefill_macs == answerer.shape.prefill_macs([256 + text] * 2 + [64 + text] * 3)
    assert costs["some"].kv_bytes < costs["none"].kv_bytes


def test_choices_stand_in_the_prompt(answerer: VlmAnswerer) -> None:
    ids = answerer.prompt(Question("What colour is it?", choices=("red", "blue")), [])
    assert "(A) red (B) blue" in answerer._tokenizer.decode(ids).replace("( ", "(").replace(" )", ")")


@pytest.mark.parametrize("instructed", [True, False])
def test_earlier_turns_are_told_to_models_that_follow_instructions_alone(answerer: VlmAnswerer, instructed: bool) -> None:
    ids = answerer._tokenizer("Asked before: red star", add_special_tokens=False)["input_ids"]
    question = Question("And the blue one?", earlier=(Turn("Is there a red star?", "yes [1] 1:05-1:07"),))
    kept = answerer.reading
    answerer.reading = replace(kept, instructed=instructed)
    try:
        prompt, alone = answerer.prompt(question, []), answerer.prompt(replace(question, earlier=()), [])
    finally:
        answerer.reading = kept
    assert (len(prompt) > len(alone)) is instructed
    assert (set(ids) <= set(prompt)) is instructed
    mark = answerer._tokenizer.convert_tokens_to_ids("[1]")
    assert prompt.count(mark) == alone.count(mark)  # it points at what was found for another question


def test_another_kind_of_model_is_refused(tmp_path: Path, folder: Path) -> None:
    import torch

    place = {"id": "x", "device": torch.device("cpu"), "dtype": torch.float32}
    with pytest.raises(ModelError, match="cannot be loaded"):
        VlmAnswerer.load(save_checkpoint(tmp_path / "siglip", "siglip"), **place)
    for name in folder.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"scale_factor": 2}))
    with pytest.raises(ModelError, match="cannot be loaded"):  # weights of another shape
        VlmAnswerer.load(tmp_path, **place)


class Scripted(VlmAnswerer):
    """Real rows and real wording around replies that the test writes: (words in the question, second the row starts at) -> reply."""

    replies: dict[tuple[str, float], str]

    def read(self, question: Question, rows: Any, *, meter: Any) -> str:
        said = (reply for (words, start_s), reply in self.replies.items() if words in question.text and rows[0].span.start_s == start_s)
        return next(said, "none")


EITHER = "Which comes first, the red star or the blue ring?"
BOTH = {("When does the red star", 50.0): "red star [1]", ("When does the blue", 9.0): "[1]"}


@pytest.mark.parametrize(
    ("text", "replies", "said"),
    [
        (EITHER, BOTH, "blue ring [2] 0:09-0:11; later red star [1] 0:50-0:52"),
        (EITHER.replace("first", "last"), BOTH, "red star [1] 0:50-0:52; before that blue ring [2] 0:09-0:11"),
        (EITHER, {("When does the red star", 9.0): "[1]"}, "red star [2] 0:09-0:11"),
        (EITHER,
         {("When", 9.0): "[1]", ("Which", 9.0): "red star blue ring [1] blue ring then red star ; blue ring"}, "blue ring [2] 0:09-0:11"),
        (EITHER, {}, NOT_THERE),
        ("How often does a red star appear?", {("red", 50.0): "red star [1]", ("", 9.0): "[1]"}, "2 times: [2] 0:09-0:11, [1] 0:50-0:52"),
        ("When does the word SUN appear?",
         {("", 9.0): "sign c e c S d U e N ; none", ("", 50.0): "sign b d b F c U d R [1]"}, "[2] 0:09-0:11"),
        ("When does the word ZEBRA appear?", {("", 9.0): "sign c e c S d U e N [1]"}, NOT_THERE),
        ("What does the sign say?", {("sign", 9.0): "sign [1] c e c S d U e N"}, "SUN [2] 0:09-0:11"),
    ],
)  # fmt: skip
def test_rows_are_read_one_by_one_and_their_times_compared(
    answerer: VlmAnswerer, text: str, replies: dict[tuple[str, float], str], said: str
) -> None:
    reader = Scripted(answerer._model, answerer._tokenizer, id="x", reading=replace(answerer.reading, aloud=True))
    reader.replies = replies
    frames = np.zeros((2, 64, 192))
    assert "".join(reader.stream(Question(text), [evidence(frames, 50.0), evidence(frames, 9.0)])) == said
