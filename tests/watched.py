"""A live stream that is polled, all that it told, and how wrong its times are by the clock in its pictures."""

import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import TypeVar

import clock_film

from ingest.live.config import LiveConfig
from ingest.live.events import Event, Lost, Sampled
from ingest.live.stream import LiveStream

T = TypeVar("T")
QUICK = LiveConfig(open_s=2.0, read_s=0.7, watchdog_s=2.5)
PATIENCE_S = 40.0  # for what takes one to five seconds on a quiet machine


class Watched:
    """For a `with` block."""

    def __init__(self, address: str, config: LiveConfig = QUICK, *, fps: float = 10.0, archive: Path | None = None) -> None:
        self.began_unix_s = time.time() - 1000  # a recording that is older than the watch
        self.stream = LiveStream(address, began_unix_s=self.began_unix_s, config=config, fps=fps, max_side_px=320, archive=archive)
        self.events: list[Event] = []
        self.told_s: list[float] = []
        """Recording time at which each event was polled."""

    def __enter__(self) -> "Watched":
        self.stream.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.stop()

    def now_s(self) -> float:
        return time.time() - self.began_unix_s

    def poll(self, timeout_s: float = 0.1) -> None:
        wait([c for c in (self.stream.connection,) if c], timeout_s)
        events = self.stream.poll()
        self.events += events
        self.told_s += [self.now_s()] * len(events)

    def until(self, is_there: Callable[[], object], what: str) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_there():
            others = [e for e in self.events if not isinstance(e, Sampled)]
            assert time.monotonic() < deadline_s, f"no {what} within {PATIENCE_S} s, but {others}"
            self.poll()

    def all_of(self, kind: type[T]) -> list[T]:
        return [e for e in self.events if isinstance(e, kind)]

    def next_of(self, kind: type[T], count: int = 1) -> list[T]:
        """Waits for so many more."""
        before = len(self.all_of(kind))
        self.until(lambda: len(self.all_of(kind)) >= before + count, f"{count} {kind.__name__}")
        return self.all_of(kind)[before:]

    def outage(self) -> Lost:
        return self.next_of(Lost)[0]

    def errors_s(self, loops_unix_s: Sequence[float]) -> list[float]:
        """Of every sampled frame: claimed minus true time; the film began at each of these wall-clock times."""
        errors = []
        for told_s, frame in zip(self.told_s, self.events, strict=True):
            if isinstance(frame, Sampled):
                assert told_s - 12 < frame.time_s < told_s + 0.5  # so the nearest pass of the film is the right one
                shown_s = clock_film.ms_in(frame.pixels) / 1000 - self.began_unix_s
                errors.append(min((frame.time_s - (loop_s + shown_s) for loop_s in loops_unix_s), key=abs))
        return errors
