"""Scored rows and carriers to moments: stretches of time worth showing, best first, none twice."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from footage.arrays import AnyArray
from footage.carriers import MemoryView
from footage.questions import Moment
from footage.timespan import TimeSpan
from qa.rank_text import RankedText

SAME_IOU = 0.7  # moments that overlap more than this are one


def text_moments(ranked: Sequence[RankedText], *, floor: float, limit: int) -> list[Moment]:
    """Rows above the floor as moments; rows seen over the same time as a better one join it with their text."""
    moments: list[Moment] = []
    for item in ranked:
        if item.score < floor:
            break
        row = item.row
        same = next((i for i, m in enumerate(moments) if _is_same(m, row.recording_id, row.span)), None)
        if same is None and len(moments) < limit:
            moments.append(Moment(row.recording_id, row.span, round(item.score, 4), row.kind, row.text))
        elif same is not None and moments[same].text.count(" | ") < 2 and row.text not in moments[same].text:
            m = moments[same]
            moments[same] = Moment(m.recording_id, m.span, m.score, m.kind, f"{m.text} | {row.text}")
    return moments


def image_moments(view: MemoryView, scores: AnyArray, *, floor: float, limit: int) -> list[Moment]:
    """Runs of carriers that match: at least the floor, and nearer to the best than to what is usual in this view.

    scores: (N,) one per row of the view. A run ends where a row falls below or time is missing between two rows.
    """
    if len(scores) == 0 or float(scores.max()) < floor:
        return []
    usual, best = float(np.median(scores)), float(scores.max())
    good = np.flatnonzero(scores >= max(floor, usual + 0.5 * (best - usual) - 1e-6))
    moments = [_run(view, scores, run) for run in _runs(view, good)]
    return sorted(moments, key=lambda m: (-m.score, m.recording_id, m.span))[:limit]


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


def _is_same(moment: Moment, recording_id: str, span: TimeSpan) -> bool:
    return moment.recording_id == recording_id and moment.span.iou(span) >= SAME_IOU


def distinct(moments: Iterable[Moment], limit: int) -> list[Moment]:
    """In the order given, without those that show what a better one shows already."""
    kept: list[Moment] = []
    for moment in moments:
        if len(kept) < limit and not any(_is_same(m, moment.recording_id, moment.span) for m in kept):
            kept.append(moment)
    return kept
