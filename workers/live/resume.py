"""Where a watch takes up a recording: at its beginning, in the segment that was open last, or after a time in which nobody watched."""

import logging
import math
from dataclasses import dataclass

from footage.carriers import SegmentMemory
from footage.errors import StoreError
from footage.recordings import Gap
from footage.timespan import TimeSpan
from memory.stores import LibraryStore

log = logging.getLogger(__name__)
NOT_WATCHED = "not watched"
AT_ONCE_S = 0.01  # a watch that begins so soon leaves no gap
OTHER_SETTINGS = "not watched with these settings"


@dataclass(frozen=True, slots=True, eq=False)
class Resumed:
    """The segment that is open when a watch begins."""

    index: int
    start_s: float
    edge_s: float
    """What comes before is told already."""
    base: SegmentMemory | None
    """What is kept of this segment."""
    gap: Gap | None
    """From there to the beginning of the watch."""

    @classmethod
    def of(cls, recording_id: str, store: LibraryStore, generation: str, *, begin_s: float, segment_s: float) -> "Resumed":
        """Segments lie on a grid of segment_s; the first of a watch also holds the time since the last one."""
        last, index = _last(recording_id, store, generation), math.floor(begin_s / segment_s + 1e-9)
        edge_s = last.segment.span.end_s if last else 0.0
        reason = OTHER_SETTINGS if last is None and store.generations(recording_id) else NOT_WATCHED
        gap = Gap(TimeSpan(edge_s, begin_s), reason) if begin_s > edge_s + AT_ONCE_S else None
        if last is not None and last.segment.index >= index:
            return cls(last.segment.index, last.segment.span.start_s, edge_s, last, gap)
        return cls(index, edge_s, edge_s, None, gap)


def _last(recording_id: str, store: LibraryStore, generation: str) -> SegmentMemory | None:
    """The newest segment that can be read; damaged ones after it are dropped."""
    for index in sorted(store.committed(recording_id, generation), reverse=True):
        try:
            return store.read_segment(recording_id, generation, index)
        except StoreError as error:
            log.warning("segment is damaged and left out: %s", error)
            store.drop_segment(recording_id, generation, index)
    return None
