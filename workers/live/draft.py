"""LiveDraft: a segment's memory that takes in one frame at a time and can be read while it grows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from footage.carriers import Carrier, SegmentMemory
from footage.frames import Clip
from footage.protocols import Gate
from footage.recordings import Gap, Segment, TextRow
from footage.timespan import TimeSpan
from memory.merge import prolong
from workers.remember import Draft, Tools


class LiveDraft(Draft):
    """Every frame is encoded once, however often the memory is asked for. Reading text may wait: the newest picture is kept for it."""

    def __init__(self, recording_id: str, tools: Tools, base: SegmentMemory | None = None) -> None:
        """base: what an earlier watch has kept of the same segment; it comes first."""
        super().__init__(recording_id, tools)
        self._recording_id, self._base = recording_id, base
        self._waiting: Clip | None = None  # one picture whose text was not read yet
        self._rows: list[TextRow] = []  # of readings that are done
        self._merged: list[Carrier] = []  # of the first carriers, as many as the next number says
        self._merged_of = 0
        self.unread = 0
        """Kept pictures whose text was never read, because newer ones came first."""
        self.look_afresh()

    def look_afresh(self) -> None:
        """The next frame is kept whatever it shows: no carrier stands for both sides of a gap."""
        self.gate: Gate = self.tools.gate(may_drop_first=True)

    def begin_anew(self) -> None:
        """A new connection: what comes next may show anything, in any size."""
        self.look_afresh()
        self._give_up_reading()
        if self.reading is not None:
            self._rows += self.reading.rows()
            self.reading = self.tools.reader.segment(self._recording_id)

    def add(self, item: Clip | Gap) -> None:
        """A clip of one frame, or a gap; one that goes on for the same reason grows."""
        if isinstance(item, Gap):
            self._add_gap(item)
            return
        with self.timed("gate"):
            is_kept = bool(self.gate.keep(item)[0])
        self.seen += 1
        if is_kept or not self.carriers:
            self.remember(item)
        else:
            self.prolong(item.span.end_s)

    def _add_gap(self, gap: Gap) -> None:
        last = self.gaps[-1] if self.gaps else None
        if last is not None and last.reason == gap.reason and abs(last.span.end_s - gap.span.start_s) < 1e-6:
            gap = replace(gap, span=self.gaps.pop().span.hull(gap.span))
        self.gaps.append(gap)

    def prolong(self, end_s: float) -> None:
        """The last frame stays on the screen until then."""
        last = self.carriers[-1]
        span = TimeSpan(last.span.end_s, end_s)
        self.carriers[-1] = prolong(last, span)
        if self._waiting is not None:
            self._waiting = replace(self._waiting, ends_s=np.array([end_s]))
        elif self.reading is not None:
            self.reading.stays(span)

    def read(self, kept: Clip) -> None:
        """Not now: see `catch_up`."""
        self._give_up_reading()
        self._waiting = kept if self.reading is not None else None

    @property
    def is_behind(self) -> bool:
        """A picture waits to be read."""
        return self._waiting is not None

    def catch_up(self) -> None:
        """Read the picture that waits; the one slow stage, for times when nothing else is to be done."""
        if self._waiting is not None:
            super().read(self._waiting)
            self._waiting = None

    def _give_up_reading(self) -> None:
        self.unread += self._waiting is not None
        self._waiting = None

    def rows(self) -> list[TextRow]:
        return [*self._rows, *super().rows()]

    def merged(self) -> list[Carrier]:
        """What was merged before is not merged again; the last carrier still grows."""
        done = max(self._merged_of, len(self.carriers) - 1)
        self._merged += self.merge(self.carriers[self._merged_of : done])
        self._merged_of = done
        return [*self._merged, *self.merge(self.carriers[done:])]

    def whole(self, segment: Segment) -> SegmentMemory:
        """The same as `memory`, merged all at once, as a file's segment is."""
        self._merged, self._merged_of = self.merge(self.carriers), len(self.carriers)
        return self.memory(segment)

    def memory(self, segment: Segment, texts: Sequence[TextRow] = ()) -> SegmentMemory:
        made = super().memory(segment, texts)
        return made if self._base is None else _joined(self._base, made)


def _joined(first: SegmentMemory, then: SegmentMemory) -> SegmentMemory:
    """One memory of two that follow each other, for the segment of the second."""
    carriers, thumbnails = first.carriers + then.carriers, first.thumbnails + then.thumbnails
    stages = dict.fromkeys([*first.seconds, *then.seconds])
    return SegmentMemory(
        then.segment, carriers, thumbnails if len(thumbnails) == len(carriers) else (), first.texts + then.texts, first.gaps + then.gaps,
        first.frames_seen + then.frames_seen, first.frames_kept + then.frames_kept,
        {stage: round(first.seconds.get(stage, 0.0) + then.seconds.get(stage, 0.0), 3) for stage in stages},
        {**first.failed, **then.failed},
    )  # fmt: skip
