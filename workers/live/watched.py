"""Watched: one stream of a watch: its reader, the events that wait, its memory."""

import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from footage.addresses import scheme_of
from footage.carriers import SegmentMemory
from footage.recordings import Recording
from ingest.live.events import Connected, Event, Health, Lost, Sampled
from ingest.live.stream import LiveStream
from memory.stores import LibraryStore
from workers.live.coverage import began_unix_s
from workers.live.memory import Grown, LiveMemory
from workers.live.status import StreamStatus
from workers.live.targets import Target
from workers.remember import Tools, longest_side_px


class Listener(Protocol):
    """Hears what happens; a table, a file, alerts, or nobody."""

    def connected(self, name: str, event: Connected) -> None: ...
    def lost(self, name: str, event: Lost) -> None: ...
    def closed(self, name: str, recording: Recording, memory: SegmentMemory) -> None:
        """A segment is done and committed; the last one of a watch may go on in the next watch."""

    def status(self, rows: Sequence[StreamStatus]) -> None:
        """About once a second."""


class Silent:
    def connected(self, name: str, event: Connected) -> None: ...
    def lost(self, name: str, event: Lost) -> None: ...
    def closed(self, name: str, recording: Recording, memory: SegmentMemory) -> None: ...
    def status(self, rows: Sequence[StreamStatus]) -> None: ...


class Reader(Protocol):
    """What tells the events: ingest.live.stream.LiveStream."""

    @property
    def connection(self) -> Any:
        """Something to wait for, or None."""
        ...

    def start(self) -> None: ...
    def poll(self) -> list[Event]: ...
    def stop(self) -> None: ...


class Watched:
    def __init__(self, name: str, memory: LiveMemory, reader: Reader, *, began_unix_s: float, backlog: int, listener: Listener) -> None:
        """began_unix_s: wall clock at time 0 of the recording. backlog: frames that may wait."""
        self.name, self.memory, self.reader = name, memory, reader
        self._offset_s = time.time() - time.monotonic() - began_unix_s  # fixed: a wall clock that is set does not move it
        self._backlog, self._listener = backlog, listener
        self._waiting: deque[Event] = deque()
        self._health = Health(self.now_s, self.now_s, False, -1, 0.0, 0, 0, 0, 0, 0.0)
        self._state, self._since_s, self._reason, self._dropped = "connecting", self.now_s, "", 0

    @classmethod
    def opened(cls, target: Target, store: LibraryStore, tools: Tools, listener: Listener, grown: Grown | None = None) -> Self:
        """Its recording as it is kept, or a new one that begins now; the reader is not started."""
        known = {recording.recording_id: recording for recording in store.recordings()}
        recording = known.get(target.recording_id) or _new_recording(target)
        # where the clock stands before what is recorded already, time goes on from there
        began = min(began_unix_s(recording) or time.time(), time.time() - recording.duration_s)

        def heard(segment: SegmentMemory, is_closed: bool) -> None:
            if is_closed:
                listener.closed(target.name, memory.recording, segment)
            if grown is not None:
                grown(segment, is_closed)

        memory = LiveMemory(recording, target.name, store, tools, begin_s=time.time() - began, grown=heard)
        live = tools.settings.live
        archive = store.archive_folder(recording.recording_id) if live.archive_gib > 0 else None
        reader = LiveStream(
            target.address, began_unix_s=began, config=live, fps=tools.settings.sampling.fps,
            max_side_px=longest_side_px(tools.settings), archive=archive,
        )  # fmt: skip
        return cls(target.name, memory, reader, began_unix_s=began, backlog=live.backlog, listener=listener)

    @property
    def now_s(self) -> float:
        """Recording time."""
        return time.monotonic() + self._offset_s

    @property
    def is_waiting(self) -> bool:
        """A frame waits to be looked at."""
        return any(isinstance(event, Sampled) for event in self._waiting)

    def hear(self) -> None:
        """Take what the reader has told. When more frames wait than may, the oldest are dropped and counted; nothing else ever is."""
        for event in self.reader.poll():
            self._waiting.append(event)
            self._note(event)
        frames = [event for event in self._waiting if isinstance(event, Sampled)]
        late = frames[: max(0, len(frames) - self._backlog)]
        if late:
            self._waiting = deque(event for event in self._waiting if event not in late)
            self._dropped += len(late)
            self.memory.missed(len(late))

    def _note(self, event: Event) -> None:
        if isinstance(event, Health):
            self.memory.missed(max(0, event.dropped - self._health.dropped))
            self._health = event
        elif isinstance(event, Connected):
            self._state, self._since_s, self._reason = "live", event.time_s, ""
            self._listener.connected(self.name, event)
        elif isinstance(event, Lost):
            self._state, self._since_s, self._reason = "reconnecting", event.time_s, event.reason
            self._listener.lost(self.name, event)

    def look(self) -> None:
        """Take in what waits, up to one frame."""
        while self._waiting:
            event = self._waiting.popleft()
            self.memory.feed(event)
            if isinstance(event, Sampled):
                return

    def finish(self) -> None:
        """The reader has stopped: all that waits is looked at, and committed."""
        now_s = self.now_s
        self.hear()
        while self._waiting:
            self.look()
        self.memory.close(now_s)

    def status(self) -> StreamStatus:
        health, tally, now_s = self._health, self.memory.tally, self.now_s
        lag_s = now_s - self.memory.looked_s if tally.seen else None
        return StreamStatus(
            self.memory.recording.recording_id, self.name, self._state, self._since_s, now_s, lag_s, health.fps, tally.seen, tally.kept,
            self._dropped + health.dropped, tally.unread, health.reconnects, health.bytes, tally.segments, tally.gap_s, self._reason,
        )  # fmt: skip


def _new_recording(target: Target) -> Recording:
    """Named by its address, as that may be shown."""
    began = datetime.now(UTC).isoformat(timespec="milliseconds")
    facts = {"live": scheme_of(target.address) or "v4l2", "began": began, "address": target.shown}
    return Recording(target.recording_id, 0.0, 0, 0, facts=facts)
