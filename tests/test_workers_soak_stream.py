"""A camera that sends, and of which is looked at, sixty frames a second: each second is a minute at the usual rate.

The whole live path: real RTSP, decoding in the reader process, the rolling archive, gate, encoder, merger and commits; and the server
dies now and then.
"""

import gc
import json
import os
import random
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import clock_film
import numpy as np
import pytest
from rtsp_server import Served
from test_workers_watch import Watching

from workers.engine import Library, open_library

RATE = 60
HOUR_FRAMES = 3600
"""Of what is looked at once a second otherwise."""
MB = 2**20


@dataclass(frozen=True, slots=True)
class Held:
    """What the watch holds after so many frames."""

    frames: int
    rss_mb: float
    reader_mb: float
    handles: int
    threads: int
    library_mb: float
    """Without the archive, which has a cap."""
    archive_mb: float
    dropped: int
    lag_s: float


def rss_mb(pid: int | str = "self") -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / MB


def readers() -> list[int]:
    children = {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}
    return [pid for pid in children if b"ingest.live.child" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def size_mb(folder: Path) -> float:
    def of(path: Path) -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:  # replaced meanwhile
            return 0

    return sum(of(path) for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm"))) / MB


def hold(watching: Watching, folder: Path) -> Held:
    gc.collect()
    row, archive = watching.rows[0], folder / "archive"
    counts = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    whole, kept = size_mb(folder), size_mb(archive)
    return Held(row.seen, rss_mb(), max(map(rss_mb, readers()), default=0.0), *counts, whole - kept, kept, row.dropped, row.lag_s or 0.0)


def opened(folder: Path) -> Library:
    live = {"segment_s": 60 / RATE, "refresh_s": 3 / RATE, "open_s": 2.0, "read_s": 1.0, "watchdog_s": 5.0, "archive_gib": 8 / 1024}
    return open_library(str(folder), index={"ocr": "off"}, sampling={"fps": RATE}, live=live)


class Flapping(threading.Thread):
    """A camera whose server dies now and then, but not before it was found again, and comes back on the same port."""

    def __init__(self, film: Path) -> None:
        super().__init__()
        self.film, self.over, self.server, self.deaths, self.found = film, threading.Event(), Served(film), 0, 0
        self.address = self.server.address

    def run(self) -> None:
        rng = random.Random(3)
        while not self.over.wait(rng.uniform(4.0, 20.0)):
            if self.found < self.deaths:
                continue
            self.deaths += 1
            self.server.kill()
            self.over.wait(rng.uniform(0.0, 2.0))
            self.server = Served(self.film, port=self.server.port)


def wait(watching: Watching, camera: Flapping, frames: int) -> None:
    end_s = time.monotonic() + 60 + 10 * frames / RATE
    while not (watching.rows and watching.rows[0].seen >= frames):
        camera.found = watching.rows[0].reconnects if watching.rows else 0
        assert time.monotonic() < end_s, watching.rows
        assert watching.thread.is_alive()
        time.sleep(0.1)


def soak(tmp_path: Path, frames: int, every: int) -> list[Held]:
    film, folder = clock_film.write(tmp_path / "clock.mp4", rate=RATE, size_px=(160, 90)), tmp_path / "lib"
    library, camera, held = opened(folder), Flapping(film), list[Held]()
    camera.start()
    try:
        with Watching(library, f"cam={camera.address}") as watching:
            while not held or held[-1].frames < frames:
                wait(watching, camera, every * (len(held) + 1))
                held.append(hold(watching, folder))
                print(json.dumps(asdict(held[-1])), flush=True)
            camera.over.set()
            camera.join()
            watching.until(lambda: watching.rows[0].reconnects >= camera.deaths)
            print(f"{camera.deaths} deaths, {watching.rows[0].reconnects} reconnects")
            assert watching.rows[0].reconnects == camera.deaths
    finally:
        camera.over.set()
        camera.join()
        camera.server.kill()
    return held


def slope_an_hour(held: list[Held], what: str) -> float:
    return float(np.polyfit([each.frames / HOUR_FRAMES for each in held], [getattr(each, what) for each in held], 1)[0])


def test_minutes_of_a_flapping_camera_leave_nothing_open(tmp_path: Path) -> None:
    held = soak(tmp_path, 720, 120)
    warm = held[2:]
    assert max(each.handles for each in warm) <= min(each.handles for each in warm) + 8  # between two connections some are closed
    assert len({each.threads for each in warm}) <= 2
    assert all(each.reader_mb < 150 for each in held)


@pytest.mark.slow
def test_a_day_of_frames_of_a_flapping_camera_grows_nothing_but_what_is_kept(tmp_path: Path) -> None:
    began_s = time.monotonic()
    held = soak(tmp_path, 24 * HOUR_FRAMES, HOUR_FRAMES)
    warm = held[len(held) // 3 :]
    print(f"{held[-1].frames} frames in {time.monotonic() - began_s:.0f} s")
    assert slope_an_hour(warm, "rss_mb") < 0.5
    assert slope_an_hour(warm, "reader_mb") < 0.5
    assert slope_an_hour(warm, "handles") < 0.2
    assert len({each.threads for each in warm}) <= 2
    assert max(each.archive_mb for each in held) < 8 + 10  # a minute may pass before old chunks go
    grown = np.diff([each.library_mb for each in warm])
    assert grown.max() < 3 * max(np.median(grown), 0.1)
