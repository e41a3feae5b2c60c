"""Worker processes that break on files of certain names."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from footage.carriers import SegmentMemory
from footage.recordings import Segment
from workers.guard import Clock
from workers.segment_worker import Opened, SegmentWorker


class FragileSegments(SegmentWorker):
    """A file says by its name what happens to it: "crash 1" at segment 1, "once 1" the first time only, "hang 2" from segment 2 on."""

    def open(self, clock: Clock, location: str) -> Opened:
        with clock.running():
            _happens(location, "open")
        return super().open(clock, location)

    def make(self, clock: Clock, location: str, segment: Segment, texts: Any) -> SegmentMemory:
        with clock.running():
            _happens(location, str(segment.index))
        return super().make(clock, location, segment, texts)


def _happens(location: str, at: str) -> None:
    what, _, where = Path(location).stem.partition(" ")
    if what == "hang" and at != "open" and at >= where:
        time.sleep(600)
    if at != where or (what == "once" and not _is_first(location)):
        return
    if what in ("crash", "once"):
        os.kill(os.getpid(), signal.SIGSEGV)


def _is_first(location: str) -> bool:
    marker = Path(location + ".seen")
    if marker.exists():
        return False
    marker.touch()
    return True
