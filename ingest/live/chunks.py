"""The rolling archive on disk: ARCHIVE/RECORDING_ID/START_MS.mkv, and what is deleted from it when.

START_MS is the recording time of a chunk's first frame in milliseconds; time stamps inside are relative to it.
"""

import contextlib
import logging
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

SUFFIX = ".mkv"
IDLE_S = 600.0  # a writer closes a chunk and begins another long before


@dataclass(frozen=True, slots=True, order=True)
class Chunk:
    """A file of the archive, by what its name tells."""

    start_ms: int
    path: Path


def grid_ms(time_s: float) -> int:
    """Recording time in the milliseconds that Matroska keeps, rounded down: no frame goes on screen later than it did."""
    return math.floor(time_s * 1000 + 1e-3)


def chunk_path(folder: Path, start_ms: int) -> Path:
    return folder / f"{start_ms:012d}{SUFFIX}"


def chunks(folder: Path) -> list[Chunk]:
    """Of one recording, in time order; empty where there is no such folder."""
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [Chunk(int(stem), folder / name) for name in names if name.endswith(SUFFIX) and (stem := name[: -len(SUFFIX)]).isdecimal()]


def prune(archive: Path, *, max_bytes: float, max_age_s: float) -> int:
    """Delete the oldest chunks of all recordings until the rest is young and small enough; returns how many.

    archive: the folder that holds one folder a recording. The newest chunk of a recording stays while it may be written to. About 20 us a
    chunk: call it as often as you like.
    """
    now, found, total = time.time(), list[tuple[float, int, Path]](), 0
    for folder in archive.glob("*/"):
        newest = None
        for chunk in chunks(folder):
            with contextlib.suppress(FileNotFoundError):
                stat = chunk.path.stat()
                newest = (stat.st_mtime, stat.st_size, chunk.path)
                total += stat.st_size
                found.append(newest)
        if newest is not None and now - newest[0] < IDLE_S:
            found.remove(newest)
    removed = 0
    for written, size, path in sorted(found):
        if now - written <= max_age_s and total <= max_bytes:
            break
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("a chunk cannot be deleted: %s", error)
            continue
        removed, total = removed + 1, total - size
        with contextlib.suppress(OSError):  # not empty yet
            path.parent.rmdir()
    return removed
