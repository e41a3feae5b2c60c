"""What a worker process does: opens sources, and turns their segments into memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from footage.carriers import SegmentMemory
from footage.errors import SourceError
from footage.protocols import Source
from footage.recordings import Recording, Segment, TextRow
from ingest.file_source import FileSource
from workers.config import Settings
from workers.guard import Clock
from workers.remember import Tools, open_source, remember


@dataclass(frozen=True, slots=True)
class Opened:
    """What a source tells before anything of it is decoded."""

    recording: Recording
    segments: tuple[Segment, ...]
    work_s: tuple[float, ...]
    """Seconds of footage that must be decoded for each segment."""
    texts: tuple[TextRow, ...]
    """Rows that come with it."""
    worst_lateness_s: float

    @classmethod
    def of(cls, source: Source) -> "Opened":
        segments = tuple(source.segments())
        work_s = tuple(source.work_s(s) if isinstance(source, FileSource) else s.span.duration_s for s in segments)
        return cls(source.recording, segments, work_s, tuple(source.texts()), source.worst_lateness_s)


class SegmentWorker:
    """Keeps its tools and the two sources used last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._source = lru_cache(maxsize=2)(lambda location: open_source(location, settings))

    @cached_property
    def _tools(self) -> Tools:
        return Tools.build(self._settings)

    def open(self, clock: Clock, location: str) -> Opened:
        """Raises SourceNotFound, NotVideo, SourceError or DecodeError, saying what is wrong with it."""
        with clock.running():
            return Opened.of(self._source(location))

    def make(self, clock: Clock, location: str, segment: Segment, texts: Sequence[TextRow]) -> SegmentMemory:
        """texts: rows that begin in this segment. Raises SourceError when the source is another one by now."""
        with clock.running():
            source = self._source(location)
        if source.recording.recording_id != segment.recording_id:
            raise SourceError(f"{location!r} changed while it was being indexed", hint="index it again")
        return remember(source, segment, self._tools, texts, decoding=clock.running)
