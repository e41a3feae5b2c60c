"""A prompt's overview: first, without a number, the same for every question, within the budget, read once."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from contracts_encode import carrier
from tiny_vlms import FAMILIES, TEXT, make_vlm, make_words
from views import make_view

from footage import Budget, Carrier, Evidence, MemoryView, Question, TimeSpan
from footage.costs import Meter
from footage.protocols import Answerer
from footage.recordings import TextRow
from frame_select.registry import selector
from memory.encoders.color import ColorEncoder
from qa.answerers.moments import MomentsAnswerer
from qa.answerers.prompt import overview_rows, rows_of, written
from qa.answerers.template import TemplateAnswerer
from qa.answerers.vlm import Reading, VlmAnswerer
from qa.ask import ask
from workers.overviews import Overviews

WHEN, WHICH = Question("When is it red?"), Question("Which one is the last to arrive?")
WIDTH = TEXT["hidden_size"]


def seen(family: str, start_s: float, frames: int, tokens: int, end_s: float | None = None) -> Evidence:
    """Random frames of a second each; rows of Qwen3-VL hold three planes too."""
    rng, planes = np.random.default_rng(int(start_s)), 4 if family == "qwen3_vl" else 1
    shown = tuple(carrier(start_s + n, start_s + n + 1, rng.normal(size=(tokens, WIDTH * planes)), [1.0]) for n in range(frames))
    return Evidence("rec", TimeSpan(start_s, end_s or start_s + frames), 1.0, shown[0], "", shown)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def answerer(family: str) -> VlmAnswerer:
    return VlmAnswerer(make_vlm(family), make_words(), id="tiny@1", reading=Reading(max_new_tokens=4))


def test_it_is_written_first_and_cannot_be_pointed_at() -> None:
    rows = [*overview_rows([seen("smolvlm", 0, 3, 1, 3605.0)]), *rows_of([seen("smolvlm", 64, 1, 2)])]
    assert written(rows, "*") == "overview: 0:00 * 0:01 * 0:02 * ; 1:00:05 long [1] 1:04 * * 1:05 [1]"


def test_every_family_reads_it_once(family: str, answerer: VlmAnswerer) -> None:
    whole, first, second = [seen(family, 0, 12, 1)], [seen(family, 20, 2, 4)], [seen(family, 40, 3, 4)]
    costs = []
    for question, evidence in ((WHEN, first), (WHICH, second)):
        meter = Meter()
        "".join(answerer.stream(question, evidence, meter=meter, overview=whole))
        costs.append(meter.cost)
    assert [cost.visual_tokens for cost in costs] == [12 + 8, 12 + 12]
    alone = len(answerer.prompt(WHEN, overview_rows(whole))) - len(answerer.prompt(WHEN, []))
    assert costs[0].reused_tokens == 0
    assert costs[1].reused_tokens >= alone - 1


@torch.inference_mode()
def test_its_tokens_stand_one_after_the_other_with_words_between(family: str, answerer: VlmAnswerer) -> None:
    rows = [*overview_rows([seen(family, 0, 5, 1)]), *rows_of([seen(family, 20, 2, 4)])]
    prompt = answerer._placed(answerer.prompt(WHEN, rows), answerer._seen(WHEN, rows))
    steps = np.diff(prompt.positions.reshape(-1, prompt.ids.shape[1])[0].numpy())
    whole = int(np.flatnonzero(prompt.visual[0].numpy())[4])
    assert set(steps[:whole].tolist()) == {1}
    plain = overview_rows([seen(family, 0, 5, 1)])[0]
    expected = torch.from_numpy(np.concatenate(plain.frames)[:, :WIDTH])
    stands = prompt.embeds[prompt.visual]
    newlines = 2 if family == "llava_onevision" else 1  # a newline token after each
    assert torch.allclose(stands[: 5 * newlines : newlines].float(), answerer._family.ready(expected).float(), atol=1e-5)


@pytest.mark.parametrize("other", [MomentsAnswerer(), TemplateAnswerer()])
def test_those_without_a_place_for_it_ignore_it(other: Answerer) -> None:
    row = TextRow("rec", TimeSpan(1.0, 2.0), "ocr", "Welcome")
    evidence = [Evidence("rec", row.span, 1.0, row)]
    assert "".join(other.stream(WHEN, evidence, overview=[seen("smolvlm", 0, 3, 1)])) == "".join(other.stream(WHEN, evidence))


class Shown:
    """An answerer that remembers what it was shown."""

    id = "shown"

    def __init__(self) -> None:
        self.overviews: list[Sequence[Evidence]] = []

    def stream(
        self, question: Question, evidence: Sequence[Evidence], *, meter: Meter | None = None, overview: Sequence[Evidence] = ()
    ) -> Iterator[str]:
        self.overviews.append(overview)
        yield " ".join(f"[{n}]" for n in range(6))


class Memory:
    def __init__(self, view: MemoryView) -> None:
        self._view = view

    def view(self, recording_ids: Any = None) -> MemoryView:
        return self._view

    def texts(self, recording_ids: Any = None, *, match: str = "", limit: int = 0) -> list[TextRow]:
        return []


@pytest.mark.parametrize("tokens", [0, 3, 40, 4096])
def test_it_costs_a_quarter_of_the_budget_at_most_and_is_the_same_for_every_question(tokens: int) -> None:
    encoder, answerer, overviews = ColorEncoder(), Shown(), Overviews()
    colours = encoder.embed_text(["red", "blue"])
    memory = Memory(make_view(colours[np.arange(60) % 20 // 15], recordings=["a"] * 40 + ["b"] * 20))
    given: dict[str, Any] = {
        "memory": memory,
        "encoder": encoder,
        "selector": selector("peaks", tokens_per_carrier=1),
        "answerer": answerer,
    }
    asked = [ask(Question(f"When is it {c}?"), **given, budget=Budget(tokens), overview=overviews) for c in ("red", "blue")]
    plain = ask(Question("When is it red?"), **given, budget=Budget(tokens))
    for answer in asked:
        spent = sum(pick.tokens for pick in (*answer.plan.picks, *answer.plan.overview))
        assert answer.plan.tokens == spent <= tokens
        assert len(answer.plan.overview) <= tokens // 4
        assert sum(pick.tokens for pick in answer.plan.picks) >= min(60, tokens - tokens // 4)
        assert "first" in answer.seconds
    assert plain.plan.overview == ()
    assert answerer.overviews[0] is answerer.overviews[1]
    assert [pick.row for pick in asked[0].plan.overview] == [pick.row for pick in asked[1].plan.overview]
    shown = [c for piece in answerer.overviews[0] for c in piece.shown]
    assert all(isinstance(c, Carrier) and len(c.tokens) == 1 for c in shown)
    assert len(shown) == len(asked[0].plan.overview)
