"""Right or wrong: an answer held against the truth of a world."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from footage.costs import NO_COST, Cost
from footage.questions import Answer
from footage.timespan import TimeSpan
from nano.questions import ABSENT
from nano.world import WorldQuestion
from qa.answerers.prompt import MARK

_CITED = re.compile(r"\[\d+\] \d+:\d\d(?::\d\d)?-\d+:\d\d(?::\d\d)?,?")


@dataclass(frozen=True, slots=True)
class Marked:
    """One question under one method."""

    question: WorldQuestion
    method: str
    reply: str
    right: bool
    """The answer is the true one; for "when" and "how many times", the times are."""
    cited: bool
    """Every citation overlaps a true interval, and there is one; without a true interval: nothing is cited."""
    iou: float
    """Temporal IoU of the first citation with the best true interval; 1 where rightly nothing is cited."""
    refused: bool
    """It said that this is not in the footage."""
    cost: Cost = NO_COST


def mark(question: WorldQuestion, method: str, answer: Answer) -> Marked:
    truth = [TimeSpan(a, b) for a, b in question.spans]
    spans = [moment.span for moment in answer.citations]
    hits = [any(span.overlap_s(t) > 0 for t in truth) for span in spans]
    cited = all(hits) and bool(hits) if truth else not spans
    iou = max((spans[0].iou(t) for t in truth), default=0.0) if spans else float(not truth)
    return Marked(question, method, answer.text, _is_right(question, answer, truth, spans), cited, iou, not answer.found, answer.cost)


def _is_right(question: WorldQuestion, answer: Answer, truth: Sequence[TimeSpan], spans: Sequence[TimeSpan]) -> bool:
    if question.answer == ABSENT:
        return not answer.found
    if question.kind == "when":
        return bool(spans) and any(spans[0].overlap_s(t) > 0 for t in truth)
    if question.kind == "times":
        found = {n for n, t in enumerate(truth) if any(span.overlap_s(t) > 0 for span in spans)}
        return len(found) == len(truth) == len(spans)
    if question.answer == "no" and not answer.found:  # "not in the footage" is a way to say no
        return True
    if question.kind == "order":  # "red star [1] 0:10-0:12; later blue ring [2] ..."
        return said(answer.text).split(";")[0].strip() == question.answer.lower()
    return f" {said(answer.text)}".endswith(f" {question.answer.lower()}")


def said(text: str) -> str:
    """The words of an answer without its citations, in lower case; it may name what was asked about before it answers ("star red")."""
    return MARK.sub("", _CITED.sub("", text)).strip(" .,:").lower()
