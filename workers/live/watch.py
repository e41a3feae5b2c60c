"""Watch: many streams in one process, looked at in turns by one thread. Each stream's reader is a process of its own."""

import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import wait

from footage.carriers import SegmentMemory
from ingest.live.chunks import prune
from memory.stores import LibraryStore
from workers.live.memory import Grown
from workers.live.status import StreamStatus, forget_status, keep_status
from workers.live.targets import Target
from workers.live.watched import Listener, Silent, Watched
from workers.remember import Tools
from workers.retention import Retention

TURN_S = 0.2  # longest wait for events: readers are supervised as often
STATUS_S = 1.0
PRUNE_S = 60.0


class Watch:
    """Takes what all streams tell, in turns, and keeps up with the present: of frames that wait too long only the newest are looked at."""

    def __init__(
        self, targets: Sequence[Target], store: LibraryStore, tools: Tools, *, listener: Listener | None = None, grown: Grown | None = None
    ) -> None:
        """Nothing starts yet. grown: told of every segment as it grows, and when it is done."""
        self._store, self._listener, self._live = store, listener or Silent(), tools.settings.live
        self._retention = Retention(store, tools.settings.retention)

        def heard(memory: SegmentMemory, is_closed: bool) -> None:
            if is_closed:
                self._retention.grown(memory.segment.recording_id)
            if grown is not None:
                grown(memory, is_closed)

        self._streams = [Watched.opened(target, store, tools, self._listener, heard) for target in targets]
        for stream in self._streams:
            self._retention.grown(stream.memory.recording.recording_id)
        self._status_s = self._prune_s = -float("inf")
        self._reader = 0  # whose text is read next

    def run(self, for_s: float | None = None, stop: threading.Event | None = None) -> list[StreamStatus]:
        """Until the time is up or somebody says stop; then everything is committed. Returns how each stream fared.

        Raises:
            StoreError: the disk refuses. What was committed is kept.
        """
        stop, end_s = stop or threading.Event(), time.monotonic() + (for_s if for_s is not None else float("inf"))
        try:
            for stream in self._streams:
                stream.reader.start()
            while time.monotonic() < end_s and not stop.is_set():
                self._turn()
        finally:
            for stream in self._streams:
                stream.reader.stop()
            forget_status(self._store.directory)
        for stream in self._streams:
            stream.finish()
        return self.status()

    def status(self) -> list[StreamStatus]:
        return [stream.status() for stream in self._streams]

    def _turn(self) -> None:
        """One frame of each stream at most; when no frame waits, one picture's text is read."""
        is_idle = not any(stream.is_waiting or stream.memory.is_behind for stream in self._streams)
        connections = [connection for stream in self._streams if (connection := stream.reader.connection) is not None]
        wait(connections, TURN_S if is_idle else 0)
        for stream in self._streams:
            stream.hear()
        for stream in self._streams:
            stream.look()
        if not any(stream.is_waiting for stream in self._streams):
            self._read_some_text()
        if is_idle:
            self._retention.step()
        self._keep_house()

    def _read_some_text(self) -> None:
        for _ in self._streams:
            self._reader = (self._reader + 1) % len(self._streams)
            if self._streams[self._reader].memory.read_text():
                return

    def _keep_house(self) -> None:
        now_s = time.monotonic()
        if now_s - self._status_s >= STATUS_S:
            self._status_s, rows = now_s, self.status()
            keep_status(self._store.directory, rows)
            self._listener.status(rows)
            self._retention.step()  # also where frames wait all the time
        if now_s - self._prune_s >= PRUNE_S and self._live.archive_gib > 0:
            self._prune_s = now_s
            prune(self._store.directory / "archive", max_bytes=self._live.archive_gib * 2**30, max_age_s=self._live.archive_h * 3600)
