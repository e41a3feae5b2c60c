"""How streams that are being watched fare: for the table of `footage watch`, and for whoever asks of a library meanwhile."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from footage.errors import StoreError
from memory.durable import replace_file

log = logging.getLogger(__name__)
FILE = "watching.json"
FRESH_S = 15.0  # a status that is older is of a watch that was killed


@dataclass(slots=True)
class Tally:
    """What one watch of a stream has come to so far."""

    seen: int = 0
    kept: int = 0
    unread: int = 0
    """Kept pictures whose text was not read, because there was no time for it."""
    segments: int = 0
    gap_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream: what the row of a table shows."""

    recording: str
    name: str
    state: str
    """"connecting", "live" or "reconnecting"."""
    since_s: float
    """Recording time at which that state began."""
    now_s: float
    """Recording time now."""
    lag_s: float | None
    """Since the newest frame that was looked at; None before the first."""
    fps: float
    """Frames a second that the stream sends."""
    seen: int
    """Sampled frames that were looked at."""
    kept: int
    dropped: int
    """Sampled frames that nobody had the time to look at."""
    unread: int
    """Kept pictures whose text nobody had the time to read."""
    reconnects: int
    bytes: int
    segments: int
    """Closed in this watch."""
    gap_s: float
    """Seconds of this watch of which nothing was seen."""
    reason: str = ""
    """Why there is no connection."""


def keep_status(library: Path, rows: Sequence[StreamStatus]) -> None:
    """Let other processes know; a disk that refuses is no reason to stop watching."""
    text = json.dumps({"written": time.time(), "streams": [asdict(row) for row in rows]})
    try:
        replace_file(library / FILE, lambda path: _write(path, text))
    except (OSError, StoreError) as error:
        log.warning("the status of the watch could not be written: %s", error)


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def forget_status(library: Path) -> None:
    """The watch has ended."""
    (library / FILE).unlink(missing_ok=True)


def read_status(library: Path) -> dict[str, StreamStatus]:
    """By recording: the streams that are being watched right now; empty when none are."""
    try:
        kept = json.loads((library / FILE).read_text())
        if abs(time.time() - kept["written"]) > FRESH_S:
            return {}
        return {row["recording"]: StreamStatus(**row) for row in kept["streams"]}
    except (OSError, ValueError, KeyError, TypeError):  # none, or of another version
        return {}
