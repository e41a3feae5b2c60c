"""Right, wrong, refused and cited: every rule by which an answer is held against the truth."""

import pytest

from footage.questions import Answer, Moment, Plan
from footage.timespan import TimeSpan
from nano.world import WorldQuestion
from qa.answerers.prompt import NOT_THERE
from workers.eval_marks import mark, said

NOTHING = Plan("none", 0, ())


def asked(kind: str, answer: str, *spans: tuple[float, float]) -> WorldQuestion:
    return WorldQuestion(f"{kind}-1", kind, "?", answer, spans, False)


def answered(text: str, *spans: tuple[float, float]) -> Answer:
    moments = tuple(Moment("rec", TimeSpan(a, b), 1.0, "image") for a, b in spans)
    return Answer(text, "nano", moments, NOTHING, found=not text.startswith(NOT_THERE))


@pytest.mark.parametrize(
    ("question", "answer", "right", "cited"),
    [
        (asked("colour", "red", (10, 20)), answered("red [1] 0:11-0:15", (11, 15)), True, True),
        (asked("colour", "red", (10, 20)), answered("red [1] 0:31-0:35", (31, 35)), True, False),
        (asked("colour", "red", (10, 20)), answered("red"), True, False),
        (asked("colour", "red", (10, 20)), answered("star blue [1] 0:11-0:15", (11, 15)), False, True),
        (asked("colour", "red", (10, 20)), answered("star red [1] 0:11-0:15", (11, 15)), True, True),
        (asked("colour", "red", (10, 20)), answered(NOT_THERE), False, False),
        (asked("text", "LAMP", (10, 20)), answered("LAMP [2] 0:11-0:15", (11, 15)), True, True),
        (asked("when", "", (10, 20)), answered("[1] 0:15-0:25", (15, 25)), True, True),
        (asked("when", "", (10, 20)), answered("[1] 0:25-0:29", (25, 29)), False, False),
        (asked("when", "", (10, 20)), answered("[2] 0:25-0:29, [1] 0:11-0:12", (25, 29), (11, 12)), False, False),
        (asked("times", "2", (10, 20), (50, 60)), answered("2 times: ...", (11, 15), (50, 61)), True, True),
        (asked("times", "2", (10, 20), (50, 60)), answered("1 time: ...", (11, 15)), False, True),
        (asked("times", "2", (10, 20), (50, 60)), answered("2 times: ...", (11, 15), (12, 16)), False, True),
        (asked("times", "1", (10, 20)), answered("2 times: ...", (11, 15), (50, 61)), False, False),
        (asked("existence", "yes", (10, 20)), answered("yes [1] 0:11-0:15", (11, 15)), True, True),
        (asked("existence", "no"), answered("no"), True, True),
        (asked("existence", "no"), answered(NOT_THERE), True, True),
        (asked("existence", "no"), answered("yes [1] 0:11-0:15", (11, 15)), False, False),
        (asked("existence", "yes", (10, 20)), answered(NOT_THERE), False, False),
        (asked("absent", "none"), answered(NOT_THERE), True, True),
        (asked("absent", "none"), answered("left [1] 0:11-0:15", (11, 15)), False, False),
    ],
)
def test_an_answer_is_held_against_the_truth(question: WorldQuestion, answer: Answer, right: bool, cited: bool) -> None:
    marked = mark(question, "footage", answer)
    assert (marked.right, marked.cited) == (right, cited)


def test_iou_is_that_of_the_first_citation() -> None:
    assert mark(asked("when", "", (10, 20)), "m", answered("", (10, 15))).iou == pytest.approx(0.5)
    assert mark(asked("when", "", (10, 20)), "m", answered("", (30, 35), (10, 20))).iou == 0
    assert mark(asked("absent", "none"), "m", answered(NOT_THERE)).iou == 1


def test_words_without_their_citations() -> None:
    assert said("Red [1] 0:11-0:15, [3] 1:00:11-1:00:15") == "red"
    assert said("yellow arrow [2] 12:05-12:09") == "yellow arrow"
