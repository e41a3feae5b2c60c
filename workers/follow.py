"""Folders that are watched: new and changed video files, each once it has stopped growing."""

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

from footage.errors import ConfigError
from workers.places import files_below

log = logging.getLogger(__name__)

STILL_S = 2.0
LOOK_AGAIN_S = 30.0  # where events get lost, as on network folders
TICK_MS = 500
Stamp = tuple[int, int]
"""Size, time of the last change in ns."""


class Follower:
    """Knows what it has handed out; a file that changes later is handed out again."""

    def __init__(self, folders: Sequence[str]) -> None:
        """Raises ConfigError where one of them is no folder."""
        for folder in folders:
            if not Path(folder).is_dir():
                raise ConfigError(f"{folder!r} is no folder", hint="--follow watches folders; index files without it")
        self.folders = tuple(folders)
        self._done: dict[str, Stamp] = {}
        self._waiting: dict[str, tuple[Stamp, float]] = {}
        """Stamp, and since when it has been like that (time.monotonic)."""
        self._looked_s = -float("inf")

    @property
    def growing(self) -> int:
        """Files that are waited for."""
        return len(self._waiting)

    def batches(self, stop: Event | None = None) -> Iterator[list[str]]:
        """Files that are whole by now, as often as there are some; without end, until `stop` is set."""
        has_news = True
        for changes in self._ticks(stop):
            has_news, since_s = has_news or changes, time.monotonic() - self._looked_s
            if since_s >= LOOK_AGAIN_S or (since_s >= STILL_S / 2 and (has_news or self._waiting)):
                has_news = False
                if ready := self.ready(time.monotonic()):
                    yield ready

    def ready(self, now_s: float) -> list[str]:
        """Looks at the folders; files that have not changed for STILL_S, by name."""
        self._look(now_s)
        ready = sorted(path for path, (_, since_s) in self._waiting.items() if now_s - since_s >= STILL_S)
        for path in ready:
            self._done[path], _ = self._waiting.pop(path)
        return ready

    def _look(self, now_s: float) -> None:
        wall_ns, seen = time.time_ns(), set[str]()
        for path in (path for folder in self.folders for path in files_below(folder, Counter())):
            stamp = _stamp(path)
            if stamp is None or stamp == self._done.get(path):
                continue
            seen.add(path)
            known = self._waiting.get(path)
            if known is None or known[0] != stamp:
                age_s = (wall_ns - stamp[1]) / 1e9  # what lay there long before is whole at once
                self._waiting[path] = stamp, now_s - (age_s if known is None and age_s > STILL_S else 0.0)
        self._waiting = {path: facts for path, facts in self._waiting.items() if path in seen}
        self._looked_s = now_s

    def _ticks(self, stop: Event | None) -> Iterator[bool]:
        """Twice a second whether something changed below the folders."""
        from watchfiles import watch

        yield True
        polling = None
        while stop is None or not stop.is_set():
            try:
                for changes in watch(
                    *self.folders, stop_event=stop, force_polling=polling, rust_timeout=TICK_MS, yield_on_timeout=True,
                    ignore_permission_denied=True, watch_filter=None, debounce=200, poll_delay_ms=TICK_MS,
                ):  # fmt: skip
                    yield bool(changes)
            except (OSError, RuntimeError) as error:  # a folder that went away, or more than the system watches
                log.info("folders are looked at instead of watched: %s", error)
                polling = True
                time.sleep(TICK_MS / 1000)
                yield True


def _stamp(path: str) -> Stamp | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns
