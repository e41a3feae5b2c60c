"""Scored rows and carriers to moments: stretches of time worth showing, best first, none twice."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise, zip_longest

import numpy as np

from footage.arrays import AnyArray
from footage.carriers import MemoryView
from footage.questions import Moment
from footage.recordings import TextRow
from footage.timespan import TimeSpan
from qa.rank_text import RankedText, squeezed

ALIKE = 0.97  # cosine of the mean looks of two moments from which on they show the same
SAME_IOU = 0.7  # moments that overlap more than this are one
NEAR, NEAR_TO_COUNT = 0.5, 0.75  # a moment too many is read and dropped, but where moments are counted it is a wrong answer
BLINK_S = 2.0  # what is gone for no longer than this has not come again
QUOTED = 4  # rows whose text one moment quotes


def text_moments(ranked: Sequence[RankedText], *, floor: float, limit: int, repeats: int | None = None) -> list[tuple[Moment, TextRow]]:
    """Rows above the floor as moments, each with its best row; rows seen over the same time as a better one add their text.

    repeats: at most so many moments whose best rows say the same, where it matters what is said and not each time it is.
    """
    said: Counter[str] = Counter()
    groups: list[list[RankedText]] = []
    for item in ranked:
        if item.score < floor:
            break
        same = next((g for g in groups if _is_same(g[0].row.recording_id, g[0].row.span, item.row)), None)
        words = squeezed(item.row.text)
        if same is None and len(groups) < limit and (repeats is None or said[words] < repeats):
            groups.append([item])
            said[words] += 1
        elif same is not None and len(same) < QUOTED and item.row.text not in {other.row.text for other in same}:
            same.append(item)
    return [(_quoted(group), group[0].row) for group in groups]


def _quoted(group: Sequence[RankedText]) -> Moment:
    """The time and score of the best row, with the text of all in reading order."""
    best = group[0]
    rows = sorted((item.row for item in group), key=lambda row: (row.box[1], row.box[0]) if row.box else (0.0, 0.0))
    text = " | ".join(row.text for row in rows)
    return Moment(best.row.recording_id, best.row.span, round(best.score, 4), best.row.kind, text)


def image_moments(
    view: MemoryView, picked: Sequence[int], scores: AnyArray, *, floor: float, limit: int, near: float = NEAR
) -> list[Moment]:
    """Runs of carriers that match: at least the floor, and NEAR of the way from what is usual in this view to the best.

    picked: rows that were planned for; a run without one of them is not shown. scores: (N,) one per row of the view. near: how far on
    that way its best row must be. A run ends where a row falls below or time is missing between two rows.
    """
    if len(scores) == 0 or float(scores.max()) < floor:
        return []
    planned = set(picked)
    usual, best = float(np.median(scores)), float(scores.max())
    good = np.flatnonzero(scores >= max(floor, usual + NEAR * (best - usual) - 1e-6))
    moments = [_run(view, scores, run) for run in _runs(view, good) if not planned.isdisjoint(run)]
    least = usual + near * (best - usual) - 1e-3  # scores of moments are rounded
    moments = [moment for moment in moments if moment.score >= least]
    return sorted(moments, key=lambda m: (-m.score, m.recording_id, m.span))[:limit]


def bridged(moments: Sequence[Moment]) -> list[Moment]:
    """The same moments, best first, those joined between which less than BLINK_S is missing."""
    joined: list[Moment] = []
    for moment in sorted(moments, key=lambda m: (m.recording_id, m.span.start_s)):
        last = joined[-1] if joined else None
        if last and last.recording_id == moment.recording_id and moment.span.start_s - last.span.end_s < BLINK_S:
            span = TimeSpan(last.span.start_s, max(last.span.end_s, moment.span.end_s))
            joined[-1] = replace(last, span=span, score=max(last.score, moment.score))
        else:
            joined.append(moment)
    return sorted(joined, key=lambda m: (-m.score, m.recording_id, m.span))


def _runs(view: MemoryView, rows: AnyArray) -> Iterable[list[int]]:
    run = [int(rows[0])]
    for a, b in pairwise(rows.tolist()):
        joined = b == a + 1 and view.which[a] == view.which[b] and view.starts_s[b] - view.ends_s[a] < 1e-3
        if not joined:
            yield run
            run = []
        run.append(int(b))
    yield run


def _run(view: MemoryView, scores: AnyArray, run: list[int]) -> Moment:
    span = TimeSpan(float(view.starts_s[run[0]]), float(view.ends_s[run[-1]]))
    return Moment(view.recording_of(run[0]), span, round(float(scores[run].max()), 4), "image")


def _is_same(recording_id: str, span: TimeSpan, other: Moment | TextRow) -> bool:
    return other.recording_id == recording_id and other.span.iou(span) >= SAME_IOU


def distinct(moments: Iterable[Moment], limit: int) -> list[Moment]:
    """In the order given, without those that show what a better one shows already."""
    kept: list[Moment] = []
    for moment in moments:
        if len(kept) < limit and not any(_is_same(m.recording_id, m.span, moment) for m in kept):
            kept.append(moment)
    return kept


def taking_turns(ones: Sequence[Moment], others: Sequence[Moment]) -> list[Moment]:
    """One of each in turn, each kind in its own order."""
    return [moment for pair in zip_longest(ones, others) for moment in pair if moment is not None]


def varied(moments: Sequence[Moment], view: MemoryView) -> list[Moment]:
    """In the order given, but what looks like a better one comes after all that looks otherwise."""
    means, firsts, others = list[AnyArray](), list[Moment](), list[Moment]()
    for moment in moments:
        own = view.which == view.recording_ids.index(moment.recording_id)
        here = np.flatnonzero(own & (view.starts_s < moment.span.end_s) & (view.ends_s > moment.span.start_s))
        mean = (
            view.embeds[here].mean(0) / max(1e-9, float(np.linalg.norm(view.embeds[here].mean(0)))) if len(here) else view.embeds[:0].sum(0)
        )
        is_new = all(float(mean @ other) < ALIKE for other in means)
        (firsts if is_new else others).append(moment)
        means += [mean] if is_new else []
    return firsts + others
