"""A stream, seen from the process that watches it: one reader process, supervised; it is replaced when it dies, hangs, ages or grows."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from footage.addresses import without_credentials
from ingest.live.clock import Wall
from ingest.live.config import LiveConfig
from ingest.live.connect import route
from ingest.live.events import Connected, Event, Health, Lost, Sampled
from ingest.live.orders import Order, Progress
from ingest.live.outbox import BROKEN, STUCK, Inbox, Said, packed
from ingest.net.policy import Policy

log = logging.getLogger(__name__)

START_S = 30.0  # until a process is ready; only on a very busy machine more than two
LEAVE_S = 2.0  # a process that was asked to leave is killed after so long
STEADY_S, MOST_PAUSE_S = 30.0, 5.0  # a reader that lived so long is replaced at once; others after at most so long


class LiveStream:
    """Not for several threads at once. Between start and stop call poll about once a second, or whenever `connection` can be read."""

    def __init__(
        self, address: str, *, began_unix_s: float, config: LiveConfig, fps: float = 1.0, max_side_px: int = 768,
        archive: Path | None = None, policy: Policy | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            began_unix_s: recording time 0.
            fps, max_side_px: one frame a slot of 1 / fps seconds, of at most that size.
            archive: folder for the packets; None: they are not kept.
            policy: which addresses may be reached; by default cameras anywhere, and web servers that are named here.
        Raises:
            ConfigError: not the address of a stream.
        """
        route(address, config)
        wall = Wall.since(began_unix_s)
        self._order = Order(address, wall, config, fps, max_side_px, archive, policy or Policy(), Progress(wall.now_s()))
        self._reader: _Process | None = None
        self._spare: _Process | None = None  # started while the old one still reads
        self._events, self._tries, self._starts_s = list[Event](), 0, 0.0
        self._is_on = False

    @property
    def connection(self) -> socket.socket | None:
        """Can be read when there is something to poll; another one after the reader was replaced, None while there is none."""
        return None if self._reader is None or self._reader.is_gone else self._reader.inbox.sock

    @property
    def pid(self) -> int | None:
        """Of the reader process."""
        return None if self._reader is None else self._reader.pid

    def start(self) -> None:
        self._is_on = True
        self._order.progress.seen_until_s = self._order.wall.now_s()
        self._begin(_Process())

    def poll(self) -> list[Event]:
        """What happened since the last call; never blocks."""
        self._receive()
        if self._is_on and self._reader is not None:
            self._supervise(self._reader)
        events, self._events = self._events, []
        return events

    def stop(self) -> None:
        """Ends the reader within a second or two; poll then gives the last events, Health at the end."""
        self._is_on = False
        if self._reader is not None:
            self._reader.ask_to_leave()
            while not self._reader.is_gone:
                time.sleep(0.01)
                self._receive()
            self._reader.end()
        if self._spare is not None:
            self._spare.end()
        self._reader = self._spare = None

    def _begin(self, process: "_Process") -> None:
        self._reader = process
        process.send(self._order)

    def _receive(self) -> None:
        for message in [] if self._reader is None else self._reader.taken():
            match message:
                case Said():
                    log.log(message.level, "stream=%s %s", without_credentials(self._order.address), message.text)
                case Connected() | Sampled() | Lost() | Health():
                    self._tell(message)

    def _tell(self, event: Event) -> None:
        self._order.progress.follow(event)
        self._events.append(event)

    def _supervise(self, reader: "_Process") -> None:
        config, spare = self._order.config, self._spare
        if reader.is_gone:
            self._replace("the reader was replaced by a fresh one" if reader.is_leaving else reader.ending())
        elif reader.hangs(config.watchdog_s):
            self._replace(f"the reader did not answer for {reader.silent_s:.0f} s")
        elif spare is None and (reader.age_s > config.recycle_h * 3600 or reader.rss_mib > config.max_rss_mib):
            self._spare = _Process()
        elif spare is not None and (spare.is_ready() or spare.is_gone or spare.hangs(config.watchdog_s)):
            reader.ask_to_leave()

    def _replace(self, reason: str) -> None:
        """The reader is gone or hangs: the spare one takes over, or a new one; after a pause where they die one after the other."""
        if not self._order.progress.is_lost:
            self._tell(Lost(self._order.progress.seen_until_s, reason))
        if self._reader is None or time.monotonic() < self._starts_s:
            return
        self._tries = 0 if self._reader.age_s > STEADY_S else self._tries + 1
        self._starts_s = time.monotonic() + min(MOST_PAUSE_S, 0.25 * 2 ** min(self._tries, 8))
        self._reader.end()
        spare, self._spare = self._spare, None
        if spare is not None and not spare.is_ready():
            spare.end()
            spare = None
        self._begin(spare or _Process())


class _Process:
    """A reader process. It waits for its order, and leaves when the socket is shut, as it is when its parent dies."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "ingest.live.child", str(fd)], pass_fds=[fd], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
            )  # fmt: skip
        self.inbox, self.rss_mib, self.is_leaving = Inbox(ours), 0.0, False
        self._began_s = self._heard_s = time.monotonic()
        self._asked_s, self._is_ready = 0.0, False

    @property
    def pid(self) -> int:
        return self._popen.pid

    def send(self, order: Order) -> None:
        self._began_s = self._heard_s = time.monotonic()
        with contextlib.suppress(OSError):  # gone already: that is found when its inbox is read
            self.inbox.sock.send(packed(order))

    def taken(self) -> list[Any]:
        messages = self.inbox.taken()
        for message in messages:
            self._heard_s, self._is_ready = time.monotonic(), True
            if isinstance(message, Health):
                self.rss_mib = message.rss_mib
        return messages

    def is_ready(self) -> bool:
        self.taken()
        return self._is_ready and not self.is_gone

    def ask_to_leave(self) -> None:
        if not self.is_leaving:
            self.is_leaving, self._asked_s = True, time.monotonic()
            with contextlib.suppress(OSError):
                self.inbox.sock.shutdown(socket.SHUT_WR)

    @property
    def is_gone(self) -> bool:
        """It ended, or did not when it was asked to."""
        return self.inbox.is_closed or (self.is_leaving and time.monotonic() - self._asked_s > LEAVE_S)

    @property
    def silent_s(self) -> float:
        return time.monotonic() - self._heard_s

    def hangs(self, watchdog_s: float) -> bool:
        return self.silent_s > (watchdog_s if self._is_ready else max(watchdog_s, START_S))

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._began_s

    def ending(self) -> str:
        """How it ended, in words."""
        status = self._popen.wait() if self.inbox.is_closed else 0
        if status < 0:
            return f"the reader was killed by signal {-status}"
        return {BROKEN: "the reader broke", STUCK: "the reader stood still"}.get(status, f"the reader ended with exit code {status}")

    def end(self) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()
        self.inbox.sock.close()
