"""One recording on its way into the library: what is there already, what is made, what is given up, and what is told at the end."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from footage.addresses import name_of, without_credentials
from footage.carriers import SegmentMemory
from footage.errors import DecodeError, FootageError, SourceError, StoreError
from footage.recordings import Gap, Recording, Segment, TextRow
from footage.timespan import TimeSpan, subtract, union
from ingest.synthetic import PREFIX
from memory.stores import LibraryStore
from workers.channels import tell
from workers.places import grew
from workers.remember import Tools, subtitles_of
from workers.segment_worker import Opened

log = logging.getLogger(__name__)

KEPT_SLACK_S = 1e-3
GIVEN_UP = "not decoded: "  # begins the reason of a gap that the next run tries again
DAMAGED = "the file may be damaged; try to play it elsewhere"


@dataclass(frozen=True, slots=True)
class Done:
    """One finished recording: a JSON line of `footage index`."""

    recording: str
    name: str
    duration_s: float
    frames_seen: int
    frames_kept: int
    carriers: int
    text_rows: int
    bytes: int
    """On disk, thumbnails included."""
    gaps: list[dict[str, Any]]
    seconds: dict[str, float]
    """Work by stage, over all processes, for the segments made now."""
    wall_s: float
    """From the beginning of its first segment made now to its last commit."""
    x_realtime: float | None
    """Seconds of footage made now per second of wall time; None when nothing was left to do."""
    late_by_s: float
    """How long something can be on screen before a sample shows it."""
    segments_made: int
    segments_kept: int
    """Made earlier and left as they were."""
    failed: dict[str, int] = field(default_factory=dict)
    """Channels (objects, speech) that lost their rows, and in how many of the segments made now."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A source that could not be indexed; the others go on."""

    location: str
    error: FootageError


class Listener(Protocol):
    """Hears how far indexing is; a progress bar, or nobody."""

    def found(self, name: str, recording: Recording, todo_s: float) -> None: ...
    def advanced(self, name: str, seconds: float) -> None: ...
    def finished(self, name: str) -> None: ...
    def told(self, text: str) -> None: ...


class Silent:
    def found(self, name: str, recording: Recording, todo_s: float) -> None: ...
    def advanced(self, name: str, seconds: float) -> None: ...
    def finished(self, name: str) -> None: ...
    def told(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Writer:
    """Where jobs write, with what, and who hears of it."""

    store: LibraryStore
    tools: Tools
    listener: Listener

    def commit(self, memory: SegmentMemory) -> None:
        self.store.commit(memory, generation=self.tools.generation, encoder_id=self.tools.encoder.id)


@dataclass(slots=True)
class Job:
    location: str
    name: str
    opened: Opened
    pending: list[Segment]
    kept: int
    begun: float = math.inf
    """When work on its first segment began; waiting behind other recordings does not count."""
    is_refused: bool = False
    made: int = 0
    made_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    given_up: dict[Segment, str] = field(default_factory=dict)
    """Segments that could not be decoded, with the reason."""
    hint: str = ""
    slow: int = 0
    """Of them, those that took too long."""

    @classmethod
    def begin(cls, location: str, opened: Opened, writer: Writer) -> "Job":
        recording, store = opened.recording, writer.store
        is_file = "://" not in location and not location.startswith(PREFIX)
        shown = without_credentials(location)
        name = Path(location).name if is_file else name_of(location)
        store.add(recording, name, location=str(Path(location).resolve()) if is_file else shown)
        have = _sound(recording.recording_id, writer)
        _add_subtitles(opened, have, writer)
        kept = union(memory.segment.span for memory in have.values())  # several may have become one wider
        pending = [s for s in opened.segments if subtract(s.span, kept, slack_s=KEPT_SLACK_S)]
        writer.listener.found(name, recording, sum(s.span.duration_s for s in pending))
        return cls(location, name, opened, pending, len(opened.segments) - len(pending))

    def texts(self, segment: Segment) -> list[TextRow]:
        return subtitles_of(segment, self.opened.texts, self.opened.recording.duration_s)

    def work_s(self, segment: Segment) -> float:
        return self.opened.work_s[segment.index]

    def commit(self, memory: SegmentMemory, writer: Writer) -> None:
        writer.commit(memory)
        self.begun = min(self.begun, time.perf_counter() - sum(memory.seconds.values()))
        self.made, self.made_s = self.made + 1, self.made_s + memory.segment.span.duration_s
        for stage, seconds in memory.seconds.items():
            self.seconds[stage] = round(self.seconds.get(stage, 0.0) + seconds, 3)
        tell(memory.failed, self.failed, self.name)
        writer.listener.advanced(self.name, memory.segment.span.duration_s)

    def give_up(self, segment: Segment, reason: str, hint: str, writer: Writer) -> None:
        """That segment becomes a gap, provided that anything of the recording can be seen at all."""
        log.info("segment is given up file=%s span=%s reason=%s", self.name, segment.span, reason)
        self.given_up[segment], self.hint = GIVEN_UP + reason, self.hint or hint
        writer.listener.advanced(self.name, segment.span.duration_s)

    @property
    def is_over(self) -> bool:
        return self.made + len(self.given_up) == len(self.pending)

    def refuse(self, error: FootageError, writer: Writer) -> Refused:
        self.is_refused = True
        writer.listener.finished(self.name)
        return Refused(without_credentials(self.location), error)

    def finish(self, writer: Writer) -> Done | Refused:
        if grew(self.location, self.opened.recording.size_bytes):
            self._forget_half(writer.store)
            error = SourceError(f"{self.name!r} is still being written", hint="index it when it is whole; --follow waits for that")
            return self.refuse(error, writer)
        if self.given_up and not (self.made or self.kept):
            reason = next(iter(self.given_up.values())).removeprefix(GIVEN_UP)
            return self.refuse(DecodeError(f"nothing of {self.name!r} could be decoded: {reason}", hint=self.hint or DAMAGED), writer)
        for segment, reason in self.given_up.items():
            writer.commit(SegmentMemory(segment, (), texts=tuple(self.texts(segment)), gaps=(Gap(segment.span, reason),)))
        writer.listener.finished(self.name)
        return self._done(writer.store, writer.tools.generation)

    def _forget_half(self, store: LibraryStore) -> None:
        """Half a file would stay as a recording of its own; one that was known before stays."""
        recording_id = self.opened.recording.recording_id
        if not self.kept and len(store.generations(recording_id)) <= 1 and len(store.locations(recording_id)) <= 1:
            store.forget(recording_id)

    def _done(self, store: LibraryStore, generation: str) -> Done:
        recording = self.opened.recording
        facts = store.segment_facts(recording.recording_id, generation)
        view = store.view([recording.recording_id], generation=generation)
        wall_s = time.perf_counter() - self.begun if self.made else 0.0
        return Done(
            recording.recording_id, self.name, round(recording.duration_s, 6),
            sum(f.frames_seen for f in facts), sum(f.frames_kept for f in facts), sum(f.carriers for f in facts),
            len(store.texts([recording.recording_id])), store.sizes(recording.recording_id),
            [{"start_s": g.span.start_s, "end_s": g.span.end_s, "reason": g.reason} for g in view.gaps[recording.recording_id]],
            self.seconds, round(wall_s, 3), round(self.made_s / wall_s, 2) if self.made else None,
            round(self.opened.worst_lateness_s, 3), self.made, self.kept, self.failed,
        )  # fmt: skip


def _sound(recording_id: str, writer: Writer) -> dict[int, SegmentMemory]:
    """The segments that are kept and can be read; damaged ones, and those that were given up, are dropped, to be made again."""
    sound: dict[int, SegmentMemory] = {}
    store, generation = writer.store, writer.tools.generation
    for index in store.committed(recording_id, generation):
        try:
            memory = replace(store.read_segment(recording_id, generation, index), carriers=(), thumbnails=())
        except StoreError as error:
            log.warning("segment is damaged and made again: %s", error)
            store.drop_segment(recording_id, generation, index)
            continue
        if any(gap.reason.startswith(GIVEN_UP) for gap in memory.gaps):
            store.drop_segment(recording_id, generation, index)
        else:
            sound[index] = memory
    return sound


def _add_subtitles(opened: Opened, have: dict[int, SegmentMemory], writer: Writer) -> None:
    """Lines that came after the picture was indexed, such as a file laid beside it later, join the segments they belong to."""
    store, tools = writer.store, writer.tools
    known: dict[str, list[TimeSpan]] = {}
    for memory in have.values():
        for row in memory.texts:
            if row.kind == "subtitle":
                known.setdefault(row.text, []).append(row.span)  # equal lines that follow each other may have become one
    new = [row for row in opened.texts if subtract(row.span, known.get(row.text, ()))] if have else []
    for index, memory in have.items():
        rows: Sequence[TextRow] = subtitles_of(memory.segment, new, opened.recording.duration_s)
        if rows:
            whole = store.read_segment(memory.segment.recording_id, tools.generation, index)
            more = replace(whole, texts=(*whole.texts, *rows))
            store.rewrite(more, generation=tools.generation, encoder_id=tools.encoder.id)
