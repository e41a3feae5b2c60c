"""What a standing question is matched against: the time between two moments of one recording, with what was seen and read in it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from footage.carriers import Carrier, MemoryView, SegmentMemory
from footage.recordings import TextRow
from footage.timespan import TimeSpan
from qa.ask import rows_of

Thumbnail = Callable[[float], bytes]
"""Recording time to a JPEG; b"" where none is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A segment, or as much of it as was seen so far."""

    recording_id: str
    span: TimeSpan
    view: MemoryView
    rows: Sequence[TextRow]
    thumbnail: Thumbnail
    is_closed: bool = True
    """False: the segment goes on, and this part will come again with more."""

    @classmethod
    def of(cls, memory: SegmentMemory, *, generation: str, encoder_id: str, is_closed: bool) -> Self:
        """A segment as it was committed, without a look into the library."""
        carriers, thumbnails, recording_id = memory.carriers, memory.thumbnails, memory.segment.recording_id
        times = np.array([(c.span.start_s, c.span.end_s, c.anchor_s, c.weight_s) for c in carriers], np.float64).reshape(-1, 4)
        embeds = np.stack([c.embed for c in carriers]) if carriers else np.zeros((0, 1), np.float32)
        view = MemoryView(
            generation, encoder_id, 0, (recording_id,), {recording_id: memory.segment.span}, {recording_id: memory.gaps},
            np.zeros(len(carriers), np.int32), times[:, 0], times[:, 1], times[:, 2], times[:, 3], embeds, _no_tokens,
        )  # fmt: skip

        def thumbnail(time_s: float) -> bytes:
            return thumbnails[int(np.argmin(np.abs(times[:, 2] - time_s)))] if thumbnails else b""

        return cls(recording_id, memory.segment.span, view, memory.texts, thumbnail, is_closed)


def _no_tokens(rows: Sequence[int]) -> list[Carrier]:
    raise AssertionError("parts wait in a queue without tokens: what is matched are embeds")


def parts_of(
    recording_id: str, spans: Sequence[TimeSpan], view: MemoryView, rows: Sequence[TextRow], thumbnail: Thumbnail, *, refresh_s: float = 0.0
) -> Iterator[Part]:
    """The segments of a recording in the order of time, out of a view of it; with refresh_s each one also as it grew, so often.

    Nothing of a later time is in a part: what goes on after its end ends there.
    """
    begins, ends = (np.array([getattr(row.span, name) for row in rows], np.float64) for name in ("start_s", "end_s"))
    for span in spans:
        until = np.arange(span.start_s + refresh_s, span.end_s - 1e-6, refresh_s).tolist() if refresh_s else []
        for end_s in [*until, span.end_s]:
            own = TimeSpan(span.start_s, end_s)
            near = np.flatnonzero((view.starts_s < end_s) & (view.starts_s >= span.start_s - 1e-6) & (view.ends_s <= span.end_s + 1e-6))
            seen = rows_of(view, near)
            seen = replace(seen, ends_s=np.minimum(seen.ends_s, end_s))
            said = [_inside(rows[n], own) for n in np.flatnonzero((begins < end_s) & (ends > span.start_s)).tolist()]
            yield Part(recording_id, own, seen, said, thumbnail, end_s == span.end_s)


def _inside(row: TextRow, span: TimeSpan) -> TextRow:
    return replace(row, span=TimeSpan(max(row.span.start_s, span.start_s), min(row.span.end_s, span.end_s)))
