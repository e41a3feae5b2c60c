"""The second look: what is marked as not borne out, what is not, and that nothing is ever taken away."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from tiny_vlms import make_vlm, make_words
from views import make_view

from footage import Budget, Carrier, ConfigError, MemoryView, TimeSpan
from footage.colours import NAMES
from footage.costs import Meter
from footage.questions import Answer, Evidence, Moment, Query, Question
from footage.recordings import TextRow
from frame_select.registry import selector
from memory.encoders.color import ColorEncoder
from qa.answerers.moments import MomentsAnswerer
from qa.answerers.template import TemplateAnswerer
from qa.answerers.vlm import Reading, VlmAnswerer
from qa.ask import ask
from qa.parse import parse
from qa.support import NOT_BORNE_OUT, SHARE, ByScore, by_model, stands

RED = np.eye(len(NAMES), dtype=np.float32)[NAMES.index("red")]
QUESTION = Question("When is it red?")


def view_of(scores: Sequence[float]) -> MemoryView:
    """Rows of a second each, so alike to red."""
    rows = np.zeros((len(scores), len(NAMES)), np.float32)
    rows[:, NAMES.index("red")] = scores
    return make_view(rows)


def by_score(view: MemoryView, question: Question = QUESTION, *, floor: float = 0.1) -> ByScore:
    return ByScore("[1]", question, parse(question.text), [Query(question, "color@1", RED)], view, floor)


def image(row: int, score: float = 0.5) -> Moment:
    return Moment("rec", TimeSpan(row, row + 1), score, "image")


@pytest.mark.parametrize(
    ("scores", "borne_out"),
    [
        ([0.0] * 5 + [1.0, 0.79, 0.81], [False] * 5 + [True, False, True]),
        ([0.2] * 5 + [0.6, 0.51, 0.53], [False] * 5 + [True, False, True]),  # 0.2 is usual
        ([0.5] * 4, [True] * 4),  # seen all the time
        ([0.05, 0.05, 0.05, 0.09], [False] * 4),  # below the floor
    ],
)
def test_a_moment_must_be_among_the_best_matches(scores: list[float], borne_out: list[bool]) -> None:
    assert SHARE == 0.8
    assert [by_score(view_of(scores))(image(row)) for row in range(len(scores))] == borne_out


def test_the_best_of_several_things_counts_for_each() -> None:
    rows = np.zeros((6, len(NAMES)), np.float32)
    rows[1, 0], rows[4, 1] = 1.0, 0.4
    queries = [Query(QUESTION, "color@1", np.eye(len(NAMES), dtype=np.float32)[n]) for n in (0, 1)]
    look = replace(by_score(make_view(rows)), queries=queries)
    assert [look(image(row)) for row in range(6)] == [False, True, False, False, True, False]


def test_what_was_chosen_by_time_is_right_whatever_it_shows() -> None:
    view = view_of([0.0, 0.0, 1.0])
    assert by_score(view)(image(0, score=0.0))
    assert by_score(view, Question("Is it red at 0.5 s?"))(image(0, score=1.0))
    assert not by_score(view)(image(0))


@pytest.mark.parametrize(
    ("said", "asked", "text", "expected"),
    [
        ('The sign says "EXIT 12" [1].', "What does the sign say?", "EXIT 12 | push bar", True),
        ("EXIT12 [1] 0:10-0:12", "What does the sign say?", "EXIT 12", True),
        ("example.org [3] 0:10-0:12", "Which web address is shown?", "SUBMIT", False),
        ('It says "closed" [2]', "What is on the door?", "Opening hours", False),
        ("version 2.4.1 [1]", "Which version was installed?", "Done. Version 2.4.1 installed", True),
        ("[1] 0:10-0:12", "Which text is on the orange button?", "SUBMIT", True),  # nothing is claimed but the place
        ("yes [1]", "Is the bridge mentioned?", "We should cross the bridge", True),
        ("yes it is mentioned in Berlin [1]", "Is the tower mentioned?", "We should cross the bridge", False),
        ("橋を渡る [1]", "何と言っていますか", "今夜 橋を渡る べきだ", True),
    ],
)
def test_what_is_said_of_a_text_must_stand_there(said: str, asked: str, text: str, expected: bool) -> None:
    assert stands(said, asked, text) is expected
    moment = Moment("rec", TimeSpan(0, 1), 0.5, "ocr", text)
    assert replace(by_score(view_of([0.0])), said=said, question=Question(asked))(moment) is expected


class Held:
    """A memory of one view."""

    def __init__(self, view: MemoryView) -> None:
        self._view = view

    def view(self, recording_ids: Sequence[str] | None = None) -> MemoryView:
        return self._view

    def texts(self, recording_ids: Sequence[str] | None = None, *, match: str = "", limit: int = 0) -> list[TextRow]:
        return []


def asked(view: MemoryView, **more: object) -> Answer:
    given: dict[str, object] = {"answerer": MomentsAnswerer(), "selector": selector("uniform", tokens_per_carrier=1), **more}
    return ask(QUESTION, memory=Held(view), encoder=ColorEncoder(), budget=Budget(1024), **given)  # type: ignore[arg-type]


def test_every_citation_stays_and_is_marked() -> None:
    view = view_of([0.0, 1.0, 0.0, 0.7, 0.0])
    assert [(m.span.start_s, m.supported) for m in asked(view).citations] == [(1.0, True), (3.0, False)]
    assert asked(view).warnings == ()
    assert all(m.supported for m in asked(view, check="none").citations)
    assert "check" in asked(view).seconds


class Second(MomentsAnswerer):
    """Points at the second best alone."""

    def stream(self, question: Question, evidence: Sequence[Evidence], **more: object):  # type: ignore[no-untyped-def, override]
        yield "There [2]."


def test_an_answer_without_support_gets_a_warning_and_keeps_its_words() -> None:
    answer = asked(view_of([0.0, 1.0, 0.0, 0.7, 0.0]), answerer=Second())
    assert (answer.text, answer.found, answer.warnings) == ("There [2].", True, (NOT_BORNE_OUT,))
    nothing = asked(view_of([0.0, 0.0]), answerer=TemplateAnswerer())
    assert (nothing.found, nothing.warnings) == (False, ())


def test_a_model_is_asked_about_each_of_them() -> None:
    words = make_words()
    words.add_tokens(["yes", "no"])
    model = VlmAnswerer(make_vlm("smolvlm"), words, id="tiny@1", reading=Reading())

    def told(question: Question, evidence: Sequence[Evidence], **more: object) -> list[str]:
        return ["[1] and [2]"]

    made = view_of([0.0, 1.0, 0.0, 0.7, 0.0])

    def load(rows: Sequence[int]) -> list[Carrier]:
        rng = np.random.default_rng(3)
        return [replace(c, tokens=rng.normal(size=(4, 32)).astype(np.float16)) for c in made.load(rows)]

    view = replace(made, load=load)
    model.stream = told  # type: ignore[method-assign, assignment]
    answer, meter = asked(view, answerer=model, check="model"), Meter()
    shown = [Evidence("rec", m.span, m.score, c, "", (c,)) for m in answer.citations for c in view.load([int(m.span.start_s)])]
    chances = [model.likely(QUESTION, item, meter=meter) for item in shown]
    assert [m.supported for m in answer.citations] == [chance >= 0.5 for chance in chances]
    assert answer.cost.passes == meter.cost.passes == 2


class Judged:
    """Says a fixed chance."""

    def __init__(self, chance: float) -> None:
        self.chance = chance

    def likely(self, question: Question, evidence: Evidence, *, meter: Meter | None = None) -> float:
        if self.chance < 0:
            raise ConfigError("nano follows no instructions", hint="leave ask.rerank at 0")
        return self.chance


@pytest.mark.parametrize(("chance", "borne_out"), [(0.5, True), (0.49, False)])
def test_yes_must_be_as_likely_as_no(chance: float, borne_out: bool) -> None:
    evidence = Evidence("rec", TimeSpan(0, 1), 0.5, TextRow("rec", TimeSpan(0, 1), "ocr", "EXIT"))
    assert by_model(Judged(chance), QUESTION, lambda moment: evidence, Meter())(image(0)) is borne_out


def test_who_cannot_say_is_refused_with_the_way_out() -> None:
    view = view_of([0.0, 1.0])
    with pytest.raises(ConfigError, match="cannot check") as caught:
        asked(view, check="model")
    assert 'ask.check at "score"' in caught.value.hint
    evidence = Evidence("rec", TimeSpan(0, 1), 0.5, TextRow("rec", TimeSpan(0, 1), "ocr", "EXIT"))
    with pytest.raises(ConfigError, match="follows no instructions; so it cannot check") as caught:
        by_model(Judged(-1), QUESTION, lambda moment: evidence, Meter())(image(0))
    assert 'ask.check at "score"' in caught.value.hint
