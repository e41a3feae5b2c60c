"""Training for a few steps, on little: what is packed is what is asked, it goes on where it was, and it exports."""

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from footage.nested import nested
from footage.questions import Question
from footage.timespan import TimeSpan, parse_clock
from memory.encoders.dual import DualEncoder
from nano.bank import DETAILS, Bank, pooled, visible
from nano.carry import carry_over
from nano.contexts import Context, Contexts, collate
from nano.decoder import DecoderConfig, logits_of, make_vlm, train_decoder, word_map, word_targets
from nano.export import export
from nano.labels import PATCH_SIZES, labels_of
from nano.phrases import Sight, lexicon
from nano.prompt import LEVELS, answer_words
from nano.questions import Asker
from nano.scene import Event, Sign, Thing, sample_event
from nano.tokenizer import make_tokenizer
from nano.tower import TowerConfig, make_siglip, train_tower
from nano.words import SHAPES
from qa.answerers.one_by_one import direction
from qa.answerers.prompt import Row, concluded, placed
from qa.answerers.vlm import Reading, VlmAnswerer


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="module")
def bank() -> Bank:
    rng = np.random.default_rng(0)
    events = [sample_event(rng, "train") for _ in range(40)]
    times = np.stack([(np.arange(4) + 0.5) / 4 * e.duration_s for e in events])
    fine = rng.normal(size=(40, 4, 64, 192)).astype(np.float32)
    tokens = {level: pooled(fine, level).astype(np.float16) for level in LEVELS}
    return Bank(events, times, tokens, nested(fine, DETAILS).astype(np.float16))


def only(context: Context, branch: int) -> Context:
    """The same evidence with one of its questions."""
    keep = [n for n, b in enumerate(context.branch) if b in (0, branch)]
    return Context(*([values[n] for n in keep] for values in (context.ids, context.branch, context.attach, context.place, context.labels)),
                   context.visual, [])  # fmt: skip


def test_questions_packed_together_do_not_see_each_other(bank: Bank, tokenizer: Any) -> None:
    import torch

    torch.manual_seed(0)
    model = make_vlm(len(tokenizer), tokenizer.convert_tokens_to_ids("<image>"))
    packed = Contexts(bank, "train", 1, tokenizer).one(2, 16, 6)
    assert max(packed.branch) >= 3
    with torch.inference_mode():
        together = logits_of(model, collate([packed]))
        apart = torch.cat([logits_of(model, collate([only(packed, b)])) for b in range(1, max(packed.branch) + 1)])
    assert float((together - apart).abs().max()) < 1e-4


def test_a_context_is_the_prompt_that_the_answerer_writes(bank: Bank, tokenizer: Any) -> None:
    """Token by token: what nano is taught is what it is asked."""
    model = make_vlm(len(tokenizer), tokenizer.convert_tokens_to_ids("<image>"))
    answerer = VlmAnswerer(model, tokenizer, id="x", reading=Reading(instructed=False))
    context = Contexts(bank, "train", 5, tokenizer).one(2, 4, 1)
    branch = tokenizer.decode([i for i, b in zip(context.ids, context.branch, strict=True) if b == 1])
    start_s, end_s = (parse_clock(said.replace(" ", "")) for said in re.findall(r"\d+(?: ?: ?\d\d)+", tokenizer.decode(context.ids))[:2])
    frames = tuple(np.zeros((4, 192)) for _ in range(len(context.visual) // 4))
    asked = answerer.prompt(Question(branch.split(" <end_of_utterance>")[0]), [Row(1, TimeSpan(start_s, end_s), frames)])
    first_said = next(n for n, label in enumerate(context.labels) if label >= 0)
    assert asked == context.ids[: first_said + 1]


def test_labels_know_every_patch() -> None:
    things = (Thing("red", "square", "large", "plain", "still", 0.0, 9.0, 40.0, 40.0),)
    sign = Sign("AB", "DejaVuSans", (0, 0, 0), (255, 255, 255), 8.0, 104.0, 0.0, 9.0)
    made = labels_of(Event(9.0, things, sign), 1.0, (0.0, 0.0))
    colour, letter = made.patches["colour"].reshape(8, 8), made.patches["letter"].reshape(8, 8)
    assert colour[2, 2] == 1  # red
    assert colour[7, 7] == 0
    assert (letter[6, 0], letter[6, 1], letter[6, 2]) == (1, 2, 0)
    assert made.patches["centre"].sum() == 1
    assert made.sight == Sight({("red", "square"): 1}, "AB")
    assert set(made.patches) == set(PATCH_SIZES)


def test_what_one_frame_shows_has_no_motion(bank: Bank) -> None:
    moving = Thing("red", "circle", "small", "plain", "left", 0.0, 8.0, 100, 60, -8.0, 0.0)
    event = Event(8.0, (moving,))
    assert visible(event, [1.0, 5.0]) == event
    once = visible(event, [1.0])
    assert once is not None
    assert once.things[0].motion == "unknown"
    assert visible(Event(8.0, (Thing("red", "circle", "small", "plain", "still", 0.0, 2.0, 9, 9),)), [5.0]) is None


def test_answers_name_point_and_speak() -> None:
    red = Event(8.0, (Thing("red", "circle", "small", "plain", "still", 0.0, 8.0, 60, 60),))
    blue = Event(8.0, (Thing("blue", "star", "small", "plain", "left", 0.0, 8.0, 60, 60),))
    asker = Asker([red, None, blue], np.random.default_rng(0))
    said = {kind: answer_words(asked) for kind in ("when", "times", "colour", "absent") if (asked := asker.ask(kind))}
    assert said["colour"] in ("circle [1] circle red", "star [3] star blue")
    assert said["absent"].endswith(" ; none")
    assert said["when"] in ("circle red [1]", "star blue [3]")
    assert said["times"] in ("circle red [1]", "star blue [3]")


def test_what_takes_several_looks_is_worked_out_aloud_and_concluded() -> None:
    rng = np.random.default_rng(0)
    star = Thing("blue", "star", "small", "plain", "left", 0.0, 8.0, 120, 60, -10.0, 0.0)
    sign = Sign("SUN", "DejaVuSans", (0, 0, 0), (255, 255, 255), 24.0, 104.0, 0.0, 8.0)
    ring = Thing("red", "ring", "small", "plain", "still", 0.0, 3.5, 60, 60)
    moon = Thing("pink", "moon", "small", "plain", "still", 4.0, 8.0, 60, 60)
    moving, run = Asker([Event(8.0, (star,), sign)], rng), Asker([Event(8.0, (ring, moon), form="sequence")], rng)
    asked = [moving.ask("text"), *(run.ask("order") for _ in range(20))]
    said = {answer_words(a).split("] ")[1]: a.answer for a in asked if a}
    assert {"c e c S d U e N", "red ring then pink moon ; red ring"} <= set(said)
    assert all(concluded(words) == answer for words, answer in said.items())


def test_which_way_a_thing_moves_is_where_it_is_in_each_look() -> None:
    star = Thing("blue", "star", "small", "plain", "left", 0.0, 8.0, 120, 60, -10.0, 0.0)
    still = Thing("red", "ring", "small", "plain", "still", 0.0, 8.0, 20, 20)
    looks = [Asker([Event(8.0, (star,))], np.random.default_rng(0), times_s=[at]).ask("direction") for at in (1.0, 4.0, 7.0)]
    said = [answer_words(look) for look in looks if look]
    assert said == ["star blue [1] blue star h star v", "star blue [1] blue star g star v", "star blue [1] blue star e star v"]
    assert direction([place for words in said if (place := placed(words))]) == "left"
    assert Asker([Event(8.0, (star,))], np.random.default_rng(0), times_s=[1.0, 4.0]).ask("direction") is None
    assert Asker([Event(8.0, (still,))], np.random.default_rng(0)).ask("direction") is None


def test_what_is_not_there_is_asked_in_every_form() -> None:
    asker = Asker([Event(8.0, (Thing("red", "circle", "small", "plain", "still", 0.0, 8.0, 60, 60),))], np.random.default_rng(0))
    said = [asked for _ in range(300) if (asked := asker.ask("absent"))]
    assert {"sign", "square", "circle red"} & {asked.about for asked in said} == {"sign", "square", "circle red"}
    assert any(asked.text.startswith("What colo") and asked.about in SHAPES for asked in said)
    assert not any("red circle" in asked.text or asked.about in ("red", "circle") for asked in said)


def test_the_tokenizer_spells_what_it_does_not_know(tokenizer: Any) -> None:
    assert tokenizer.convert_ids_to_tokens(tokenizer("ZEBRA")["input_ids"]) == ["Z", "##E", "##B", "##R", "##A"]
    assert tokenizer.decode(tokenizer("4071")["input_ids"]) == "4071"
    assert tokenizer.convert_ids_to_tokens(tokenizer("[12] [1]")["input_ids"]) == ["[12]", "[1]"]
    assert tokenizer.unk_token_id not in tokenizer(" ".join(lexicon()))["input_ids"]


def test_training_goes_on_where_it_was_and_exports_checkpoints_that_load(tmp_path: Path) -> None:
    import torch

    said: list[str] = []
    small = TowerConfig(steps=3, batch=4, shots=3, texts_from=0.4, save_every=1)
    state = train_tower(tmp_path, small, until=0.0, say=said.append)
    assert torch.load(state, weights_only=True)["step"] == 1
    train_tower(tmp_path, small, say=said.append)
    assert torch.load(state, weights_only=True)["step"] == 3
    decoder = train_decoder(tmp_path, DecoderConfig(steps=2, tokens=400, questions=2, events=24, save_every=2))
    assert torch.load(decoder, weights_only=True)["step"] == 2
    assert "frames, level" in (tmp_path / "decoder.log").read_text()
    export(tmp_path, tmp_path / "nano-tower", tmp_path / "nano")
    encoder = DualEncoder.load(str(tmp_path / "nano-tower"))
    answerer = VlmAnswerer.load(tmp_path / "nano", id="nano", device=torch.device("cpu"), dtype=torch.float32)
    assert answerer.reading.carriers == encoder.id
    assert "only its own drawn world" in answerer.reading.warning


def test_a_decoder_is_carried_over_to_a_tower_that_sees_the_same_in_other_directions(tokenizer: Any) -> None:
    import torch

    torch.manual_seed(0)
    old, model = make_siglip(len(tokenizer)).vision_model.eval(), make_vlm(len(tokenizer), tokenizer.convert_tokens_to_ids("<image>"))
    new = copy.deepcopy(old)
    turn = torch.nn.init.orthogonal_(torch.empty(192, 192))
    new.post_layernorm = torch.nn.Sequential(old.post_layernorm, torch.nn.Linear(192, 192, bias=False))
    new.post_layernorm[1].weight.data.copy_(turn)
    before = model.model.connector.modality_projection.proj.weight.data.clone()
    blind = {"patch.weight": torch.zeros(sum(PATCH_SIZES.values()), 192), "patch.bias": torch.zeros(sum(PATCH_SIZES.values()))}
    with torch.no_grad():
        lost = carry_over(model, old, new, blind, tokenizer, frames=8)
    assert lost < 1e-4
    torch.testing.assert_close(model.model.connector.modality_projection.proj.weight.data @ turn, before, atol=2e-2, rtol=0)


def test_patches_become_the_words_for_what_they_show() -> None:
    import torch

    torch.manual_seed(0)
    heads = {"patch.weight": torch.randn(sum(PATCH_SIZES.values()), 192), "patch.bias": torch.zeros(sum(PATCH_SIZES.values()))}
    tokens, words = torch.randn(4000, 192), {"column": torch.nn.functional.normalize(torch.randn(8, 192), dim=-1)}
    read, weights = word_targets(heads, tokens, "column")
    for shown in range(1, 9):
        assert float(weights[read == shown].sum()) == pytest.approx(1 / 8, rel=1e-3)
    said = (tokens @ word_map(heads, tokens, words) @ words["column"].T).argmax(-1) + 1
    assert float((said == read)[read > 0].float().mean()) > 0.8
