"""Re-ranking: the order is that of the model's own yes against no, and every pass is counted."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast
from views import make_view

from footage import Budget, Carrier, ConfigError, MemoryView, ModelError, TimeSpan
from footage.colours import NAMES
from footage.costs import Meter
from footage.questions import Evidence, Question
from footage.recordings import TextRow
from frame_select.registry import selector
from memory.encoders.color import ColorEncoder
from nano.decoder import make_vlm
from nano.tokenizer import make_tokenizer
from nano.tower import normal
from qa.answerers.moments import MomentsAnswerer
from qa.answerers.prompt import rows_of, written
from qa.answerers.vlm import HELPS, Reading, VlmAnswerer
from qa.ask import ask
from qa.rerank import judge_of, reranked

RED, BLUE = (np.eye(len(NAMES), dtype=np.float32)[NAMES.index(name)] for name in ("red", "blue"))
QUESTION = Question("When is it red?")
SEEN = 5


class Told(VlmAnswerer):
    """The real model behind one fixed reply, which points at all that it was shown, in the order in which it was shown."""

    def stream(
        self, question: Question, evidence: Sequence[Evidence], *, meter: Meter | None = None, overview: Sequence[Evidence] = ()
    ) -> Iterator[str]:
        yield " ".join(f"[{n}]" for n, _ in enumerate(evidence, 1))


@pytest.fixture(scope="module")
def answerer() -> Told:
    torch.manual_seed(4)
    tokenizer = make_tokenizer()
    model = make_vlm(len(tokenizer), tokenizer.convert_tokens_to_ids("<image>")).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(3.0 if weights.ndim > 1 else 1.0)  # so that probabilities lie apart
    return Told(model, tokenizer, id="tiny@1", reading=Reading())


@pytest.fixture(scope="module")
def images() -> Any:
    pixels = np.random.default_rng(0).integers(0, 256, (SEEN, 128, 128, 3), dtype=np.uint8)
    pixels[:, ::2] //= np.arange(1, SEEN + 1)[:, None, None, None].astype(np.uint8)
    return normal(pixels)


@pytest.fixture(scope="module")
def view(answerer: Told, images: Any) -> MemoryView:
    """Red at every odd second, blue between; each red second is a moment of its own, and all match the question alike."""
    with torch.inference_mode():
        tokens = answerer._model.model.vision_model(images).last_hidden_state.numpy().astype(np.float16)
    made = make_view([BLUE, RED] * SEEN)

    def load(rows: Sequence[int]) -> list[Carrier]:
        return [replace(carrier, tokens=tokens[row // 2]) for row, carrier in zip(rows, made.load(rows), strict=True)]

    return replace(made, load=load)


def evidence(view: MemoryView, row: int) -> Evidence:
    [carrier] = view.load([row])
    return Evidence("rec", view.span(row), 1.0, carrier, "", (carrier,))


def independent(answerer: Told, images: Any, view: MemoryView, row: int) -> float:
    """Yes against no from transformers' own pass over pixels."""
    model, tokenizer = answerer._model, answerer._tokenizer
    words = f"{written(rows_of([evidence(view, row)]), '<image>')} {HELPS} {QUESTION.text}"
    chat = [{"role": "user", "content": [{"type": "text", "text": words}]}]
    ids = tokenizer(tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False), add_special_tokens=False)["input_ids"]
    pixels = images[row // 2][None, None]
    with torch.inference_mode():
        logits = model(
            input_ids=torch.tensor([ids]), pixel_values=pixels, pixel_attention_mask=torch.ones(1, 1, 128, 128, dtype=torch.bool)
        ).logits[0, -1]
    chances = logits.softmax(-1)
    yes, no = (float(chances[tokenizer.convert_tokens_to_ids(word)]) for word in ("yes", "no"))
    return yes / (yes + no)


class Held:
    """A memory that holds one view and no text."""

    def __init__(self, view: MemoryView) -> None:
        self._view = view

    def view(self, recording_ids: Sequence[str] | None = None) -> MemoryView:
        return self._view

    def texts(self, recording_ids: Sequence[str] | None = None, *, match: str = "", limit: int = 0) -> list[TextRow]:
        return []


def asked(view: MemoryView, answerer: Any, **more: Any) -> Any:
    question, whole = more.pop("question", QUESTION), selector("uniform", tokens_per_carrier=64)
    return ask(question, memory=Held(view), encoder=ColorEncoder(), selector=whole, answerer=answerer, budget=Budget(1024), **more)


def test_the_order_is_that_of_transformers_own_yes_against_no(answerer: Told, images: Any, view: MemoryView) -> None:
    rows = range(1, 2 * SEEN, 2)
    theirs = np.array([independent(answerer, images, view, row) for row in rows])
    ours = np.array([answerer.likely(QUESTION, evidence(view, row)) for row in rows])
    np.testing.assert_allclose(ours, theirs, atol=5e-3)  # carriers are float16
    assert np.diff(np.sort(theirs)).min() > 1.1e-2  # so that the order is told
    order = [int(row) for row in np.argsort(-theirs) * 2 + 1]
    assert order != sorted(order)
    cited = [moment.span for moment in asked(view, answerer, rerank=SEEN, moments=3).citations]
    assert cited == [view.span(row) for row in order[:3]]
    assert [m.span for m in asked(view, answerer, moments=3).citations] == [view.span(row) for row in (1, 3, 5)]


def test_only_the_first_are_asked_about_and_every_pass_is_counted(answerer: Told, view: MemoryView) -> None:
    answer, meter = asked(view, answerer, rerank=2, moments=SEEN), Meter()
    chances = [answerer.likely(QUESTION, evidence(view, row), meter=meter) for row in (1, 3)]
    first = (1, 3) if chances[0] >= chances[1] else (3, 1)
    assert [m.span for m in answer.citations] == [view.span(row) for row in (*first, 5, 7, 9)]
    assert answer.cost == meter.cost
    assert (answer.cost.passes, answer.cost.visual_tokens, answer.cost.new_tokens) == (2, 2 * 64, 0)
    assert asked(view, answerer, moments=SEEN).cost.passes == 0
    assert "rerank" in answer.seconds


class Alike:
    """Says the same of everything."""

    def likely(self, question: Question, evidence: Evidence, *, meter: Meter | None = None) -> float:
        return evidence.score

    id = "alike"


@pytest.mark.parametrize(
    ("scores", "count", "order"),
    [([0.5] * 4, 4, [0, 1, 2, 3]), ([0.1, 0.9, 0.1, 0.9], 4, [1, 3, 0, 2]), ([0.1, 0.2, 0.9, 1.0], 2, [1, 0, 2, 3]), ([], 3, [])],
)
def test_equals_and_those_not_asked_about_stay_as_they_were(view: MemoryView, scores: list[float], count: int, order: list[int]) -> None:
    shown = [replace(evidence(view, 1), score=score) for score in scores]
    assert reranked(range(len(scores)), lambda n: shown[n], QUESTION, Alike(), count, Meter()) == order


def test_text_is_asked_about_too(answerer: Told) -> None:
    meter, row = Meter(), TextRow("rec", TimeSpan(0, 1), "ocr", "RED LIGHT")
    assert 0 < answerer.likely(QUESTION, Evidence("rec", row.span, 1.0, row), meter=meter) < 1
    assert (meter.cost.passes, meter.cost.visual_tokens) == (1, 0)


def test_a_time_that_the_question_names_is_not_moved(answerer: Told, view: MemoryView) -> None:
    answer = asked(view, answerer, question=Question("Is it red at 9.5 s?"), rerank=9)
    assert answer.citations[0].span == TimeSpan(9.0, 10.0)
    assert answer.cost.passes == 0


def test_who_cannot_judge_says_so(answerer: Told, view: MemoryView) -> None:
    with pytest.raises(ConfigError, match="'none' cannot say whether a moment helps"):
        asked(view, MomentsAnswerer(), rerank=3)
    assert judge_of(answerer) is answerer
    untaught = VlmAnswerer(answerer._model, answerer._tokenizer, id="tiny@1", reading=Reading(instructed=False))
    with pytest.raises(ConfigError, match="follows no instructions"):
        asked(view, untaught, rerank=3)
    few = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"<unk>": 0, "no": 1}, "<unk>")), unk_token="<unk>")
    few.add_tokens([f"w{n}" for n in range(answerer._model.config.image_token_id)])
    wordless = VlmAnswerer(answerer._model, few, id="tiny@1", reading=Reading())
    with pytest.raises(ModelError, match="no token that is 'yes' alone"):
        asked(view, wordless, rerank=3)
