"""Moments that are chosen by time and not by what they show: the last seconds for what is asked about now, even parts for the whole."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from footage.arrays import AnyArray
from footage.carriers import MemoryView
from footage.questions import Moment
from footage.recordings import TextRow
from footage.timespan import TimeSpan
from qa.rank_text import squeezed

LATEST_S = 30.0  # how far back "now" looks
STRETCHES_S = (0.0, 2.0, 10.0, LATEST_S)  # back from the end: between two of them is read as one moment
PARTS = 12  # of all the time that is asked about
ENOUGH = 24  # letters of a text that tells something; of fewer, as on a button, it tells less

Match = tuple[Moment, TextRow | None]


def begins_s(view: MemoryView, span: TimeSpan | None = None) -> dict[str, float]:
    """By recording: where its last LATEST_S begin, or those of a span of it; earlier where nothing was seen in them."""
    ends_s = np.array([min(view.horizons[name].end_s, span.end_s if span else np.inf) for name in view.recording_ids])
    seen_s = np.full(len(ends_s), -np.inf)
    np.maximum.at(seen_s, view.which, view.ends_s)
    begins = np.where(np.isfinite(seen_s) & (seen_s <= ends_s - LATEST_S), seen_s, ends_s) - LATEST_S
    return dict(zip(view.recording_ids, begins.tolist(), strict=True))


def latest(view: MemoryView, begins: Mapping[str, float]) -> AnyArray:
    """(M,) rows of the view that are seen after these times."""
    since_s = np.array([begins[name] for name in view.recording_ids])
    rows: AnyArray = np.flatnonzero(view.ends_s > since_s[view.which] + 1e-6)
    return rows


def newest(view: MemoryView, span: TimeSpan | None = None) -> list[Match]:
    """What each recording of a view shows, or a span of it, in STRETCHES_S, the newest first. view: of the last seconds alone."""
    found: list[Match] = []
    for own in _of_recordings(view):
        end_s = min(float(view.ends_s[own].max()), span.end_s if span else np.inf)
        edges = [max(end_s - back_s, float(view.starts_s[own[0]])) for back_s in STRETCHES_S]
        for late_s, early_s in pairwise(edges):
            found += _image(view, own, early_s, late_s)
    return found


def spread(view: MemoryView, rows: Sequence[TextRow]) -> list[Match]:
    """PARTS equal parts of what was seen, shared among the recordings, each with a text that stands there long; in time order."""
    recordings = _of_recordings(view)
    each = max(1, PARTS // max(1, len(recordings)))
    texts = defaultdict[str, list[TextRow]](list)
    for row in rows:
        if row.is_wording:
            texts[row.recording_id].append(row)
    found: list[Match] = []
    for own in recordings[:PARTS]:
        name, edges = view.recording_of(int(own[0])), np.linspace(view.starts_s[own[0]], view.ends_s[own].max(), each + 1)
        for begin_s, end_s in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            found += _image(view, own, begin_s, end_s)
            found += _text(texts[name], TimeSpan(begin_s, end_s), found)
    return found


def _of_recordings(view: MemoryView) -> list[AnyArray]:
    """Rows of each recording that has some."""
    return [own for k in range(len(view.recording_ids)) if len(own := np.flatnonzero(view.which == k))]


def _image(view: MemoryView, own: AnyArray, begin_s: float, end_s: float) -> list[Match]:
    if begin_s >= end_s or not np.any((view.starts_s[own] < end_s) & (view.ends_s[own] > begin_s)):
        return []
    return [(Moment(view.recording_of(int(own[0])), TimeSpan(begin_s, end_s), 0.0, "image"), None)]


def _text(rows: Sequence[TextRow], part: TimeSpan, found: Sequence[Match]) -> list[Match]:
    """Nothing that was said of an earlier part already."""
    said = {squeezed(moment.text) for moment, _ in found if moment.text}
    here = [row for row in rows if row.span.overlap_s(part) > 0 and squeezed(row.text) and squeezed(row.text) not in said]
    best = max(here, key=lambda row: round(row.span.overlap_s(part) * min(ENOUGH, sum(map(str.isalpha, row.text))), 3), default=None)
    return [(Moment(best.recording_id, best.span, 0.0, best.kind, best.text), best)] if best else []
