"""Scores of questions: multiple choice, counts, and OVO-Bench's parts.

Every item of a set counts: what cannot be parsed is wrong and reported, refusals are told apart, and a set in which refusing can
be right is also scored without those items, so that always refusing never looks good.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from workers.datasets.item import LETTERS, Item
from workers.datasets.replies import chosen, is_refusal, number_in
from workers.datasets.streaming import OVO_PARTS

Outcome = Literal["right", "wrong", "refused", "unparsed", "unjudged"]


@dataclass(frozen=True, slots=True)
class Mark:
    """One reply, judged."""

    item: Item
    outcome: Outcome
    """refused: no answer, though there is one. unparsed: no choice or number to be found. unjudged: needs a judge, or has no truth."""
    letter: str | None = None
    """The choice that was named."""

    @property
    def is_right(self) -> bool:
        return self.outcome == "right"

    @property
    def is_unanswerable(self) -> bool:
        """The right choice is the one that says that there is no answer."""
        return is_refusal(self.item.right_choice)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over marks; every ratio is nan where there is nothing to divide by."""

    asked: int
    right: int
    refused: int
    """Refusals where there is an answer: wrong."""
    unparsed: int
    """Wrong, too."""
    unjudged: int
    """Left out of every ratio."""
    unanswerable: int
    abstained: int
    """Refusals where there is no answer: right."""

    @property
    def judged(self) -> int:
        return self.asked - self.unjudged

    @property
    def accuracy(self) -> float:
        return _ratio(self.right, self.judged)

    @property
    def accuracy_answerable(self) -> float:
        """Without the items on which refusing is right; report it next to `abstention`."""
        return _ratio(self.right - self.abstained, self.judged - self.unanswerable)

    @property
    def abstention(self) -> float:
        """Share of the unanswerable items that were refused."""
        return _ratio(self.abstained, self.unanswerable)

    @property
    def false_refusals(self) -> float:
        """Share of the answerable items that were refused."""
        return _ratio(self.refused, self.judged - self.unanswerable)


@dataclass(frozen=True, slots=True)
class OvoScore:
    """OVO-Bench (Li et al., CVPR 2025): a part is the mean of its tasks, the total the mean of the three parts.

    A part with a task missing is nan, and so is the total then: a mean over what happens to be there compares with nothing.
    We add `backward_answerable`: in HLD the right choice is always "Unable to answer", so a system that only refuses is
    perfect there.
    """

    tasks: Mapping[str, Tally]
    backward: float
    realtime: float
    forward: float
    total: float
    backward_answerable: float
    """EPM and ASI alone; what HLD measures is abstention, and stands in tasks["HLD"].abstention."""


def mark(item: Item, reply: str) -> Mark:
    """Judge one reply. An open answer that is a whole number is a count; any other needs a judge and stays unjudged."""
    if item.choices:
        return _mark_choice(item, reply)
    if not item.answer.isdecimal():
        return Mark(item, "unjudged")
    number = number_in(reply)
    if number is None:
        return Mark(item, "refused" if is_refusal(reply) else "unparsed")
    return Mark(item, "right" if number == int(item.answer) else "wrong")


def mark_all(items: Iterable[Item], replies: Mapping[str, str]) -> list[Mark]:
    """Replies by item id; an item without one counts as unparsed."""
    return [mark(item, replies.get(item.id, "")) for item in items]


def tally(marks: Iterable[Mark]) -> Tally:
    marks = list(marks)
    outcomes = [m.outcome for m in marks]
    judged_unanswerable = [m for m in marks if m.is_unanswerable]
    return Tally(
        asked=len(marks), right=outcomes.count("right"), refused=outcomes.count("refused"), unparsed=outcomes.count("unparsed"),
        unjudged=outcomes.count("unjudged"), unanswerable=len(judged_unanswerable),
        abstained=sum(m.is_right for m in judged_unanswerable),
    )  # fmt: skip


def by_group(marks: Sequence[Mark], key: str) -> dict[str, Tally]:
    """A tally for each value of one of `Item.groups`, sorted; an item that names several counts in each."""
    found: dict[str, list[Mark]] = {}
    for m in marks:
        for name in m.item.groups.get(key, "").split("; "):
            found.setdefault(name, []).append(m)
    return {name: tally(found[name]) for name in sorted(found)}


def macro(tallies: Iterable[Tally]) -> float:
    """Mean of the accuracies, each counting the same (MLVU's M-Avg over tasks); tallies with nothing judged are left out."""
    return _mean([t.accuracy for t in tallies if t.judged])


def score_ovo(marks: Sequence[Mark]) -> OvoScore:
    tasks = by_group(marks, "task")

    def part(names: Sequence[str]) -> float:
        return _mean([tasks[name].accuracy if name in tasks else math.nan for name in names])

    backward, realtime, forward = (part(OVO_PARTS[name]) for name in ("backward", "realtime", "forward"))
    return OvoScore(tasks, backward, realtime, forward, _mean((backward, realtime, forward)), part(("EPM", "ASI")))


def _mark_choice(item: Item, reply: str) -> Mark:
    letter = chosen(reply, item.choices)
    if not item.answer:
        return Mark(item, "unjudged", letter)
    if letter is None:
        return Mark(item, "refused" if is_refusal(reply) else "unparsed")
    words = item.choices[LETTERS.index(letter)]
    if letter == item.answer or (words.strip() and words.strip() == item.right_choice.strip()):
        return Mark(item, "right", letter)
    return Mark(item, "refused" if is_refusal(words) else "wrong", letter)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
