"""Hours of a stream through the whole memory path at full speed: nothing may grow with time but what is kept of it."""

import gc
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from live_events import connected, health, lost

from footage.recordings import Recording
from ingest.live.events import Event, Sampled
from memory.local_store import LocalStore
from workers.config import load_settings
from workers.live.memory import LiveMemory
from workers.live.watched import Silent, Watched
from workers.remember import Tools

FACTS = {"live": "rtsp", "address": "rtsp://camera/1", "began": "2026-01-02T03:04:05.678+00:00"}
FEW, MANY = 2, 10  # events that come at once: now and then more frames than may wait
MB = 2**20


def flapping(end_s: float, rng: random.Random) -> Iterator[Event]:
    """One frame a second of scenes that last some seconds; the connection is lost for up to 30 s every few minutes."""
    time_s, epoch, picture = 0.0, 0, np.zeros((36, 64, 3), np.uint8)
    while time_s < end_s:
        yield connected(time_s, epoch)
        until_s = time_s + rng.uniform(60.0, 400.0)
        while time_s < until_s:
            if rng.random() < 0.15:
                picture = rng.randbytes(36 * 64 * 3)
            yield Sampled(time_s, epoch, np.frombuffer(picture, np.uint8).reshape(36, 64, 3).copy())
            yield health(time_s + 0.95)
            time_s = float(np.floor(time_s) + 1)
        yield lost(time_s - 0.04)
        back_s = time_s + rng.uniform(0.5, 30.0)
        while (time_s := time_s + 1) < back_s:
            yield health(time_s, until_s, on=False)
        time_s, epoch = back_s, epoch + 1


class Script:
    """A reader that tells what is written, some events at a time."""

    connection = None

    def __init__(self, events: Iterator[Event]) -> None:
        self._events, self.is_over, self._turns = events, False, 0

    def start(self) -> None: ...
    def stop(self) -> None: ...

    def poll(self) -> list[Event]:
        self._turns += 1
        told = list(islice(self._events, FEW if self._turns % 40 else MANY))
        self.is_over = not told
        return told


@dataclass(frozen=True, slots=True)
class Reading:
    """What a process holds at a moment of recording time."""

    time_s: float
    rss_mb: float
    handles: int
    threads: int
    waiting: int
    library_mb: float


def read(watched: Watched, folder: Path) -> Reading:
    gc.collect()
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    library = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))
    counts = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), len(watched._waiting)
    return Reading(watched.memory.edge_s, rss / MB, *counts, library / MB)


def soak(folder: Path, hours: float, every_s: float) -> list[Reading]:
    tools = Tools.build(load_settings({"index": {"ocr": "off"}, "live": {"backlog": 2}}).settings)
    with LocalStore(folder) as store:
        memory = LiveMemory(Recording("cam", 0.0, 0, 0, facts=FACTS), "cam", store, tools, begin_s=0.0)
        script = Script(flapping(hours * 3600, random.Random(5)))
        watched = Watched("cam", memory, script, began_unix_s=time.time() - hours * 3600, backlog=2, listener=Silent())
        readings = []
        while not script.is_over:
            watched.hear()
            watched.look()
            watched.look()
            watched.status()
            if memory.edge_s >= every_s * (len(readings) + 1):
                readings.append(read(watched, folder))
        watched.finish()
        assert memory.tally.seen > 0.7 * hours * 3600
        assert watched.status().dropped > 0
    return readings


def slope_an_hour(readings: list[Reading], what: str) -> float:
    return float(np.polyfit([r.time_s / 3600 for r in readings], [getattr(r, what) for r in readings], 1)[0])


def check_flat(readings: list[Reading], *, rss_mb_an_hour: float) -> None:
    warm = readings[len(readings) // 3 :]
    print([(round(r.time_s), round(r.rss_mb, 1), r.handles, r.threads, r.waiting, round(r.library_mb, 2)) for r in readings])
    assert slope_an_hour(warm, "rss_mb") < rss_mb_an_hour
    assert max(r.handles for r in warm) <= min(r.handles for r in warm) + 1
    assert len({r.threads for r in warm}) == 1
    assert max(r.waiting for r in readings) <= 2 * MANY
    grown = np.diff([r.library_mb for r in warm])
    assert grown.max() < 2.5 * max(np.median(grown), 0.1)


def test_over_minutes_nothing_grows_but_what_is_kept(tmp_path: Path) -> None:
    check_flat(soak(tmp_path / "lib", 0.2, 60.0), rss_mb_an_hour=20.0)


@pytest.mark.slow
def test_over_a_day_nothing_grows_but_what_is_kept(tmp_path: Path) -> None:
    check_flat(soak(tmp_path / "lib", 24.0, 1800.0), rss_mb_an_hour=0.2)
