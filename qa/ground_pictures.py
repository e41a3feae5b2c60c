"""Edges of what pictures show: between the last sample without it and the first with it, where likeness with the question changes sides.

Sampled rows say how alike the moment is and how alike its neighbours are; frames between two samples are embedded until it is known which
is the first on the other side of half way, three or four looks an edge. Nothing is moved where the neighbour is nearly as alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from footage.carriers import MemoryView
from footage.frames import Clip, Frame
from footage.protocols import Encoder
from footage.questions import Moment, Query

CLEAR = 0.25  # of the way from what is usual in a recording to the moment: the least that likeness must fall by
FINE_S = 1 / 8  # closer than this an edge is not sought, unless frames are further apart
SLACK_S = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Fall:
    """How far likeness falls on both sides of a moment."""

    finder: Encoder
    query: Query
    inside: float
    before: float | None
    """Of the row before it; None where none adjoins it."""
    after: float | None
    least: float
    """Neighbours that are nearer to it than this tell nothing."""

    @classmethod
    def of(cls, moment: Moment, query: Query, view: MemoryView, finder: Encoder) -> "Fall | None":
        """None where a moment of pictures does not match by what it shows. finder: what made the view's embeds."""
        scores, at, span = query.likeness(view.embeds), view.recording_ids.index(moment.recording_id), moment.span
        rows = np.flatnonzero((view.which == at) & (view.starts_s < span.end_s) & (view.ends_s > span.start_s))
        inside = float(scores[rows].max(initial=-1.0))
        if not len(rows) or inside < finder.floor:
            return None
        before = float(scores[rows[0] - 1]) if _adjoin(view, rows[0] - 1) else None
        after = float(scores[rows[-1] + 1]) if _adjoin(view, rows[-1]) else None
        return cls(finder, query, inside, before, after, CLEAR * (inside - float(np.median(scores))))

    def edge_s(self, frames: Sequence[Frame], sampled_s: float, cut_s: float, *, at_start: bool) -> float:
        """Where it begins, or ends. frames: between two samples, in time order; cut_s: of a hard cut among them, else sampled_s.

        The cut where it lies in the stretch that is left, or where likeness does not tell.
        """
        outside = self.before if at_start else self.after
        if outside is None or self.inside - outside < self.least:
            return cut_s
        distinct = {round(frame.span.start_s, 6): frame for frame in frames}
        shown = [distinct[time_s] for time_s in sorted(distinct)]
        half, low, high = (self.inside + outside) / 2, -1, len(shown)  # low is on the earlier side of the edge, high on the later
        while high - low > 1 and not (low >= 0 and high < len(shown) and shown[high].span.start_s - shown[low].span.start_s <= FINE_S):
            middle = (low + high) // 2
            if (self._likeness(shown[middle]) >= half) == at_start:
                high = middle
            else:
                low = middle
        edge_s = shown[high].span.start_s if high < len(shown) else sampled_s
        begin_s = shown[low].span.start_s if low >= 0 else shown[0].span.start_s
        return cut_s if begin_s - SLACK_S <= cut_s <= edge_s + SLACK_S else edge_s

    def _likeness(self, frame: Frame) -> float:
        zero = np.zeros(1)
        embeds = self.finder.encode(Clip(frame.recording_id, frame.pixels[None], zero, zero + 1, zero)).embeds
        return float(self.query.likeness(embeds)[0])


def _adjoin(view: MemoryView, row: int | np.integer) -> bool:
    """A row of the view and the next one, of the same recording and without a gap between them."""
    both = 0 <= row < len(view) - 1 and view.which[row] == view.which[row + 1]
    return bool(both) and abs(float(view.starts_s[row + 1] - view.ends_s[row])) < 1e-3
