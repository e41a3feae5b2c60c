"""The baseline that says times: it is taught them where ours is taught marks, and cites what it said, right or wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from footage import Carrier, TimeSpan
from footage.costs import Meter
from footage.questions import Answer, Evidence, Moment, Question
from nano.prompt import answer_words
from nano.questions import Asked
from qa.answerers.prompt import NOT_THERE, Row
from workers.eval_methods import NOTHING
from workers.eval_said import SaysTimes, claimed


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        ("12 : 05", "12 : 09", TimeSpan(725, 730)), ("1:02:05", "1:02:05", TimeSpan(3725, 3726)), ("0 : 00", "0 : 00", TimeSpan(0, 1)),
        ("12 : 09", "12 : 05", None), ("1 : 75", "1 : 80", None),
    ],
)  # fmt: skip
def test_two_clock_times_are_a_stretch_or_nothing(start: str, end: str, span: TimeSpan | None) -> None:
    assert claimed(start, end) == span


def test_it_is_taught_the_times_where_ours_is_taught_the_mark() -> None:
    asked = Asked("colour", "What colour is the star?", "red", (0,), about="star")
    assert "[1]" in answer_words(asked)
    assert answer_words(asked, "12:05 12:09") == answer_words(asked).replace("[1]", "12:05 12:09")


@dataclass
class Reader:
    """Says the same of every row; no such checkpoint is part of the package."""

    words: str
    reading: Any = field(default_factory=lambda: SimpleNamespace(aloud=True))

    def read(self, question: Question, rows: Sequence[Row], *, meter: Meter) -> str:
        return self.words


@pytest.mark.parametrize(
    ("words", "text", "cites"),
    [
        ("star red 3 : 05 3 : 07 yes", "yes [1] 1:05-1:07", [TimeSpan(185, 188)]),  # wrong, and cited as it was said
        ("star blue ; none", NOT_THERE, []),
        ("star red [1] yes", None, []),  # a mark is nothing that it may say
    ],
)
def test_it_cites_what_it_said(words: str, text: str | None, cites: list[TimeSpan]) -> None:
    carrier = Carrier("rec", (TimeSpan(65, 67),), 66.0, 2.0, np.ones((1, 4), np.float16), np.ones(1, np.float32))
    model = SaysTimes(Reader(words))  # type: ignore[arg-type]
    said = "".join(model.stream(Question("Is there a red star?"), [Evidence("rec", TimeSpan(65, 67), 1.0, carrier, "", (carrier,))]))
    assert text is None or said == text
    answer = model.claimed(Answer(said, "x", (Moment("rec", TimeSpan(65, 67), 1.0, "image"),), NOTHING))
    assert [moment.span for moment in answer.citations] == cites
