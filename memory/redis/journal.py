"""The newest changes of this process, made again where a server lost them: a crash may cost it seconds that it had acknowledged."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from memory.redis.connection import Connection
from memory.redis.keys import Keys

log = logging.getLogger(__name__)
REACH_S = 10.0  # appendfsync everysec loses 2 s at most, a failover what its replica lagged behind
MOST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class _Entry:
    version: str
    at_s: float
    size_bytes: int
    again: Callable[[], object]


class Journal:
    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection, self._log = connection, keys.log
        self._entries: deque[_Entry] = deque()
        self._held_bytes = 0
        self._lock = threading.RLock()
        self.last = ""
        """Version of the newest change; "" before the first. As long as it is in the log, nothing was lost."""

    def keep(self, version: str, size_bytes: int, again: Callable[[], object]) -> None:
        """again: makes the change once more, and changes nothing where it is there."""
        with self._lock:
            self.last, now_s = version, time.monotonic()
            self._entries.append(_Entry(version, now_s, size_bytes, again))
            self._held_bytes += size_bytes
            while self._entries and (self._entries[0].at_s < now_s - REACH_S or self._held_bytes > MOST_BYTES):
                self._held_bytes -= self._entries.popleft().size_bytes

    def check(self) -> None:
        """Before this process reads what it has written."""
        if self.last and self._is_lost(f"{self.last}-0"):
            self.make_good()

    def make_good(self) -> None:
        """Make again what is missing in the log, in order."""
        with self._lock:
            entries, self.last, self._held_bytes = list(self._entries), "", 0
            self._entries.clear()
            lost = [each for each in entries if self._is_lost(f"{each.version}-0")]
            if lost:
                log.warning("%s lost changes=%d that it had taken: making them again", self._connection.address, len(lost))
            for each in lost:
                each.again()

    def _is_lost(self, id: str) -> bool:
        """Not in the log, of which older parts are there: else it was only trimmed."""
        is_there = self._connection.call("xrange", self._log, id, id)
        return not is_there and bool(self._connection.call("xrange", self._log, "-", f"({id}", count=1))
