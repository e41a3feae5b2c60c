"""Stretches of time in which what a question names was detected, as often as it says, or not at all; best first.

Rows of objects, and of speech whose words are not known, tell when what is there, and how often at once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from footage.questions import Moment
from footage.recordings import TextRow
from footage.timespan import TimeSpan, subtract, union
from qa.object_names import KIND_OF, class_of, of_kind
from qa.objects_asked import ROW, SPEECH, Sought, parsed
from qa.parse import IS_IT

MISSED_S = 1.01  # missed in one sample at 1 fps: it was there
LEAST_GONE_S = 2.0  # an absence shorter than this is none
WHOLE = 0.5  # several shots together
KIN = 0.5  # what a detector takes for another thing of the same kind counts half


@dataclass(frozen=True, slots=True)
class Stretch:
    span: TimeSpan
    count: int
    score: float
    label: str
    """As the detector says it."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What is known of one recording's pictures."""

    seen: Sequence[TimeSpan]
    """When it was seen at all."""
    cuts_s: Sequence[float]
    liking: Callable[[TimeSpan], float]
    """How well a stretch matches the question otherwise, 0 to 1."""


def thing_moments(wanted: Sought, text: str, rows: Sequence[TextRow], looks: Mapping[str, Looks]) -> list[Moment]:
    """Stretches that fit, best first; [] where none does. looks: of each recording; rows of others are left out."""
    by_recording = defaultdict[str, list[TextRow]](list)
    for row in rows:
        by_recording[row.recording_id].append(row)
    found = list[tuple[float, Moment]]()
    for name, own in by_recording.items():
        if name not in looks:
            continue
        runs = [counted(own, group) for group in wanted.groups]
        cuts_s = looks[name].cuts_s
        fitting = [*_fitting(wanted, runs, cuts_s), *_kin(wanted, own, text, cuts_s)]
        for rank, stretch in _gone(runs, looks[name].seen) if wanted.is_gone else fitting:
            score = round(rank * stretch.score, 4)
            better = score * (0.5 + 0.5 * looks[name].liking(stretch.span))
            found.append((better, Moment(name, stretch.span, score, SPEECH if stretch.label == SPEECH else "object", stretch.label)))
    return [moment for _, moment in sorted(found, key=lambda pair: _key(wanted, *pair))]


def most_at_once(wanted: Sought, rows: Sequence[TextRow]) -> str:
    """What was detected where no stretch fits, in words: " At most 1 person was detected at once."."""
    group = wanted.groups[0] - {SPEECH}
    if not group or wanted.is_gone:
        return ""
    names = {row.recording_id for row in rows}
    most = max((s.count for name in names for s in counted([row for row in rows if row.recording_id == name], group)), default=0)
    what = " or ".join(sorted(group))
    return f" At most {most} {what} was detected at once." if most else f" No {what} was detected."


def _shots(span: TimeSpan, cuts_s: Sequence[float]) -> Iterator[tuple[float, TimeSpan]]:
    """A stretch cut where the picture is: what is there before and after may be two; the whole comes after its parts."""
    inside = [cut for cut in cuts_s if span.start_s + MISSED_S < cut < span.end_s - MISSED_S]
    yield (WHOLE if inside else 1.0), span
    yield from ((1.0, TimeSpan(a, b)) for a, b in pairwise([span.start_s, *inside, span.end_s]) if inside)


def _key(wanted: Sought, better: float, moment: Moment) -> tuple[float, ...]:
    """Time decides where the question asks for the first or the last; else what fits best."""
    if wanted.order == "first":
        return moment.span.start_s, -better
    if wanted.order == "last":
        return -moment.span.end_s, -better
    return -better, moment.span.start_s


def _kin(wanted: Sought, rows: Sequence[TextRow], text: str, cuts_s: Sequence[float]) -> list[tuple[float, Stretch]]:
    """What else of their kinds is there where nothing of the groups is, as a kitten that was taken for a dog; not for "is there a cat?"."""
    kin = tuple(of_kind(*(KIND_OF[name] for name in group if name in KIND_OF)) - group for group in wanted.groups)
    there = {class_of(parsed(row)[1]) for row in rows}
    if IS_IT.match(text) or not any(kin) or any(group & there for group in wanted.groups):
        return []
    return [(KIN * rank, stretch) for rank, stretch in _fitting(replace(wanted, groups=kin), [counted(rows, each) for each in kin], cuts_s)]


def counted(rows: Sequence[TextRow], group: frozenset[str]) -> list[Stretch]:
    """When so many of a group are there, in time order and apart; rows of one recording."""
    own = [(row, *parsed(row)) for row in rows]
    own = [(row, count, label) for row, count, label in own if class_of(label) in group]
    edges = sorted({edge for row, _, _ in own for edge in (row.span.start_s, row.span.end_s)})
    found = list[Stretch]()
    for start_s, end_s in pairwise(edges):
        here = [(label, count, row.score) for row, count, label in own if row.span.start_s <= start_s and row.span.end_s >= end_s]
        if not here:
            continue
        counts = {label: max(n for other, n, _ in here if other == label) for label, _, _ in here}
        one = Stretch(TimeSpan(start_s, end_s), sum(counts.values()), float(np.mean([s for _, _, s in here])), _said(counts))
        last = found[-1] if found else None
        if last and last.label == one.label and one.span.start_s - last.span.end_s < MISSED_S:
            found[-1] = Stretch(last.span.hull(one.span), one.count, max(last.score, one.score), one.label)
        else:
            found.append(one)
    return found


def _said(counts: dict[str, int]) -> str:
    """ "2 person, dog"."""
    return ", ".join(label if n == 1 else f"{n} {label}" for label, n in sorted(counts.items()))


def _gone(runs: Sequence[Sequence[Stretch]], seen: Sequence[TimeSpan]) -> list[tuple[float, Stretch]]:
    """The longest first: of one that lasts as long as all that was seen nothing is more certain."""
    there = [stretch.span for run in runs for stretch in run]
    free = [part for span in seen for part in subtract(span, there, slack_s=LEAST_GONE_S)]
    longest_s = max((span.duration_s for span in free), default=1.0)
    return [(span.duration_s / longest_s, Stretch(span, 0, 1.0, "nothing of it")) for span in free]


def _fitting(wanted: Sought, runs: Sequence[Sequence[Stretch]], cuts_s: Sequence[float]) -> list[tuple[float, Stretch]]:
    """(how well it fits, 0 to 1; stretch)"""
    if (wanted.least, wanted.most) != (1, None):
        enough = [s for s in runs[0] if s.count >= wanted.least]
        exact = [s for s in enough if wanted.most is None or s.count <= wanted.most]
        return [(1.0, s) for s in exact] + [(0.5, s) for s in enough if s not in exact]
    together = list(_together(runs, cuts_s))
    if not wanted.how_many or not runs[0]:  # a change of the count may be what is asked about
        return together + [(0.5, s) for run in runs for s in run]
    few, many = (choose(s.count for s in runs[0]) for choose in (min, max))
    ends = {"fewest": {few}, "most": {many}}.get(wanted.order, {s.count for s in runs[0]})
    return [(1.0 if s.count in ends else 0.25, s) for s in runs[0]] + [(0.5 * rank, s) for rank, s in together]


def _together(runs: Sequence[Sequence[Stretch]], cuts_s: Sequence[float]) -> Iterator[tuple[float, Stretch]]:
    """When most of the groups are there at once, the rarer ones counting more, then when fewer are."""
    present = [union((s.span for s in run), slack_s=MISSED_S) for run in runs]
    whole_s = max((spans[-1].end_s for spans in present if spans), default=0.0)
    shares = [1 / (0.1 + sum(span.duration_s for span in spans) / whole_s) if spans else 0.0 for spans in present]
    edges = sorted({edge for spans in present for span in spans for edge in (span.start_s, span.end_s)})
    weights = [sum(w for w, spans in zip(shares, present, strict=True) if any(a < s.end_s and b > s.start_s for s in spans))
               for a, b in pairwise(edges)]  # fmt: skip
    for level in sorted({w for w in weights if w > 0}, reverse=True):
        fits = union(TimeSpan(a, b) for (a, b), w in zip(pairwise(edges), weights, strict=True) if w >= level - 1e-9)
        for rank, span in (shot for whole in fits for shot in _shots(whole, cuts_s)):
            if here := [s for run in runs for s in run if s.span.overlap_s(span) > 0]:
                score = float(np.average([s.score for s in here], weights=[s.span.overlap_s(span) for s in here]))
                yield rank * level / sum(shares), Stretch(span, max(s.count for s in here), score, _range(here))


def _range(here: Sequence[Stretch]) -> str:
    """ "1 to 3 person, dog": what is there over a stretch, and how often at once."""
    counts = defaultdict[str, list[int]](list)
    for stretch in here:
        for part in stretch.label.split(", "):
            match = ROW.fullmatch(part)
            counts[match.group(2) if match else part].append(int(match.group(1) or 1) if match else 1)
    told = {label: (min(each), max(each)) for label, each in counts.items()}
    return ", ".join(label if b == 1 else f"{a} to {b} {label}" if a < b else f"{b} {label}" for label, (a, b) in sorted(told.items()))
