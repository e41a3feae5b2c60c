"""A second look at what an answer points at: a citation that the evidence does not bear out is marked, and never taken away.

By score: a moment of pictures must be among the best matches of what was searched; what is said of a text must stand in it, or in the
question. By model: the answerer says of each moment whether it helps to answer, as in re-ranking (qa/rerank.py).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from footage.carriers import MemoryView
from footage.costs import Meter
from footage.errors import ConfigError
from footage.questions import Evidence, Moment, Query, Question
from qa.parse import Asked, parse
from qa.rank_text import squeezed
from qa.rerank import Judge

CHECKS = ("score", "model", "none")
SHARE = 0.8  # of the way from what is usual in a view to its best match: marks 72 % of wrong moments and 1 % of right ones
LIKELY = 0.5
NOT_BORNE_OUT = "a second look bears out none of the moments that this answer points at"
_QUOTED = re.compile(r"[\"“”«»]([^\"“”«»]{2,})[\"“”«»]")
_MARKS_AND_TIMES = re.compile(r"\[\d+\]|\d+(?::\d\d)+(?:\.\d+)?")

BearsOut = Callable[[Moment], bool]


@dataclass(frozen=True, slots=True, eq=False)
class ByScore:
    """Cheap: from what was embedded already. Deviations above the background were tried too: what is seen most of the time has none."""

    said: str
    question: Question
    asked: Asked
    queries: Sequence[Query]
    view: MemoryView
    floor: float

    def __call__(self, moment: Moment) -> bool:
        if moment.kind == "object":  # it was found by its label
            return True
        if moment.text:
            return stands(self.said, self.question.text, moment.text)
        by_time = not moment.score or self.asked.at_s is not None  # right whatever it shows
        return by_time or self._is_among_the_best(moment)

    def _is_among_the_best(self, moment: Moment) -> bool:
        """By the query that it matches best."""
        view, span = self.view, moment.span
        own = view.which == view.recording_ids.index(moment.recording_id)
        rows = np.flatnonzero(own & (view.starts_s < span.end_s) & (view.ends_s > span.start_s))
        scores = max((q.likeness(view.embeds) for q in self.queries), key=lambda each: float(each[rows].max(initial=-1.0)))
        usual, here = float(np.median(scores)), float(scores[rows].max(initial=-1.0))
        return here >= self.floor and round(here - usual - SHARE * (float(scores.max()) - usual), 5) >= 0


def by_model(judge: Judge, question: Question, evidence: Callable[[Moment], Evidence], meter: Meter) -> BearsOut:
    """A pass of the model each. Raises ConfigError, when called: it cannot say."""

    def bears_out(moment: Moment) -> bool:
        try:
            return judge.likely(question, evidence(moment), meter=meter) >= LIKELY
        except ConfigError as error:
            raise ConfigError(f"{error}; so it cannot check what it points at", hint='leave ask.check at "score"') from error

    return bears_out


def stands(said: str, asked: str, text: str) -> bool:
    """A quotation, or any content word, of an answer or of the question stands in a text; an answer without words claims nothing."""
    row, words = squeezed(text), _MARKS_AND_TIMES.sub(" ", said)
    claims = [*_QUOTED.findall(words), *parse(words).words]
    named = [squeezed(each) for each in (*claims, *parse(asked).words)]
    return not claims or any(each in row for each in named if len(each) > 1 or each.isdigit())
