"""Events of a stream as its reader tells them, made by hand: for what is behind the reader."""

from collections.abc import Iterator

import numpy as np

from footage.colours import ANCHORS
from ingest.live.events import Connected, Event, Health, Lost, Sampled

COLOURS = dict(reversed(ANCHORS))


def plain(colour: str, width_px: int = 32, height_px: int = 24) -> np.ndarray:
    return np.full((height_px, width_px, 3), COLOURS[colour], np.uint8)


def connected(time_s: float, epoch: int = 0) -> Connected:
    return Connected(time_s, epoch, 32, 24, "h264")


def sampled(time_s: float, colour: str = "red", epoch: int = 0) -> Sampled:
    return Sampled(time_s, epoch, plain(colour))


def health(now_s: float, seen_until_s: float | None = None, *, dropped: int = 0, fps: float = 10.0, on: bool = True) -> Health:
    return Health(now_s, now_s if seen_until_s is None else seen_until_s, on, 0, fps, 0, dropped, 0, 0, 0.0)


def seen(begin_s: float, end_s: float, colour: str = "red", epoch: int = 0) -> Iterator[Event]:
    """Connected at begin_s, one frame at the beginning of each second, lost at end_s (not told)."""
    yield connected(begin_s, epoch)
    times = [begin_s, *map(float, range(int(begin_s) + 1, int(np.ceil(end_s))))]
    for time_s in times:
        yield sampled(time_s, colour, epoch)
        yield health(min(time_s + 0.95, end_s))


def lost(time_s: float, reason: str = "the server ended the stream") -> Lost:
    return Lost(time_s, reason)


def waiting(begin_s: float, end_s: float) -> Iterator[Event]:
    """No connection, and the seconds pass."""
    for time_s in np.arange(begin_s + 1, end_s, 1.0).tolist():
        yield health(time_s, begin_s, on=False)
