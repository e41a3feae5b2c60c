"""The baseline that says times itself: the same evidence and the same reading, but a citation is whatever time the model writes.

`python -m nano.train WORK --further --says-times` makes such a model of the shipped decoder: it learns to say a row's times where ours
points at the row. Everything else, what is compared in code included, is the same, so that only where times come from differs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from footage.costs import Meter
from footage.questions import Answer, Evidence, Moment, Question
from footage.timespan import TimeSpan, parse_clock
from qa.answerers.one_by_one import OneByOne
from qa.answerers.prompt import MARK, Row, rows_of
from qa.answerers.vlm import VlmAnswerer
from workers.eval_methods import Examined, Method, asked_without
from workers.models import load_answerer

CLOCK = r"(\d+(?: ?: ?\d\d){1,2})"
SAID = re.compile(rf"{CLOCK} {CLOCK}")
MORE_TOKENS = 24
"""Two times in letters take so many more than a mark."""


@dataclass(slots=True)
class SaysTimes:
    """An answerer whose citations are its own words."""

    model: VlmAnswerer
    claims: dict[int, TimeSpan] = field(default_factory=dict)
    """What it last said of each piece of evidence, by place."""

    @property
    def id(self) -> str:
        return f"{self.model.id}, saying times"

    @classmethod
    def load(cls, folder: Path, like: Examined) -> "SaysTimes":
        model = load_answerer(str(folder), like.library.settings)
        model.reading = replace(model.reading, max_new_tokens=model.reading.max_new_tokens + MORE_TOKENS)
        return cls(model)

    def stream(
        self, question: Question, evidence: Sequence[Evidence], *, meter: Meter | None = None, overview: Sequence[Evidence] = ()
    ) -> Iterator[str]:
        self.claims.clear()
        spent = meter or Meter()

        def read(question: Question, rows: Sequence[Row]) -> str:
            words = MARK.sub("", self.model.read(question, rows, meter=spent))
            if (said := SAID.search(words)) and (claim := claimed(said[1], said[2])):
                self.claims[rows[0].place] = claim
                return SAID.sub("[1]", words, count=1)
            return words

        yield OneByOne(read, aloud=self.model.reading.aloud).reply(question, rows_of(evidence))

    def claimed(self, answer: Answer) -> Answer:
        """The same answer, citing what was said."""
        places = dict.fromkeys(int(mark) for mark in MARK.findall(answer.text))
        spans = [self.claims[place] for place in places if place in self.claims]
        recording = answer.citations[0].recording_id if answer.citations else ""
        return replace(answer, citations=tuple(Moment(recording, span, 1.0, "image") for span in spans))


def claimed(start: str, end: str) -> TimeSpan | None:
    """None where the words are no stretch of time. Times are whole seconds, so the last second is part of it."""
    try:
        return TimeSpan(parse_clock(start.replace(" ", "")), parse_clock(end.replace(" ", "")) + 1.0)
    except ValueError:
        return None


def says_times(folder: Path, *, cut_out: bool = False) -> Method:
    """A method like those of eval_methods. cut_out: of a memory in which the true spans were never seen."""
    loaded: list[SaysTimes] = []

    def method(examined: Examined, question: Question, truth: Sequence[tuple[float, float]]) -> Answer:
        if not loaded:
            loaded.append(SaysTimes.load(folder, examined))
        [model] = loaded
        spans = [TimeSpan(a, b) for a, b in truth] if cut_out else []
        return model.claimed(asked_without(examined, question, spans, model))

    return method
