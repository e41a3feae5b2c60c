"""Time stamps of a stream to recording time: one line that never goes back, whatever the sender's clock does.

An epoch is a stretch in which the sender's clock runs on; within it recording time = pts + offset. The offset is the smallest
delay (arrival - pts) seen, since a packet may come late but never before it was taken.
"""

import math
import time
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

WRAP_S = 2**33 / 90000  # MPEG time stamps (ISO/IEC 13818-1, 2.4.3.7)
OFF_S = 2.0  # a time so far from the wall clock is not believed ...
FEW = 5  # ... for longer than so many packets,
SUSPECT_S = 1.0  # or so long
BESIDE_S = 5.0  # sound and picture are sent at most so far apart
REORDER_S = 1.0  # pictures may be sent so long after others that are shown later
STEP_S = 0.001  # between two pictures at the least
WINDOW_S = 10.0
RISE = 0.0005  # a sender's clock that runs slow is followed by at most this share of time; crystals differ by 0.0001
FALL = 0.25  # share of the sender's time that is taken back while packets come before they could have been taken


def _ticking_s() -> float:
    """Seconds that also pass while the machine sleeps, where the system can tell."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True)
class Wall:
    """Wall clock since the recording's beginning, counted by a clock that steps of the system time do not move."""

    offset_s: float

    @classmethod
    def since(cls, began_unix_s: float) -> "Wall":
        return cls(time.time() - began_unix_s - _ticking_s())

    def now_s(self) -> float:
        return _ticking_s() + self.offset_s


@dataclass(frozen=True, slots=True)
class Opening:
    """How the first packets of a connection come: in a burst, late, until the reader has caught up with the sender."""

    blocked_s: float = 0.005
    """A wait for a packet of so long says that the burst is over."""
    limit_s: float = 1.0


class Stamped(NamedTuple, Generic[T]):
    item: T
    time_s: float
    """Whole milliseconds, all that archives keep."""
    epoch: int
    """0, 1, 2 ... within the connection."""


@dataclass(frozen=True, slots=True)
class _Held(Generic[T]):
    item: T
    pts_s: float | None
    arrival_s: float
    waited_s: float

    @property
    def delay_s(self) -> float:
        return math.inf if self.pts_s is None else self.arrival_s - self.pts_s


class EpochClock(Generic[T]):
    """The packets of one connection, in the order in which they came, with their recording times.

    Packets of the opening, and those whose time stamps are not believed yet, are held for a moment.
    """

    def __init__(self, opening: Opening, after_s: float = -math.inf) -> None:
        """after_s: what was given out before this connection; every time is later."""
        self._opening, self._last_s = opening, after_s
        self._epoch = 0
        self._offset_s: float | None = None
        self._newest_s = -math.inf  # pts
        self._held: list[_Held[T]] = []
        self._lows = (math.inf, math.inf)  # smallest delays of the window before and of this one
        self._window_ends_s = self._moved_s = 0.0

    def push(self, item: T, pts_s: float | None, arrival_s: float, waited_s: float) -> list[Stamped[T]]:
        """What can be given out now: nothing, this packet, or also those held before it.

        Args:
            pts_s: by the sender's clock; None where it has none.
            arrival_s: recording time at which the packet was read; never goes back.
            waited_s: how long reading it blocked.
        """
        pts_s = None if pts_s is None else self._unwrapped(pts_s)
        held = _Held(item, pts_s, arrival_s, waited_s)
        self._held.append(held)
        if self._offset_s is None:
            return self._settled(self._held) if self._has_caught_up(held) else []
        if pts_s is None or not self._is_off(held):
            return self._released()
        return self._judged(held)

    def flush(self) -> list[Stamped[T]]:
        """The connection ended: everything that is still held."""
        return self._settled(self._held) if self._offset_s is None else self._released()

    def beside(self, pts_s: float) -> float | None:
        """Recording time of a packet of another stream of the same sender; None when the two cannot be compared."""
        pts_s = self._unwrapped(pts_s)
        return None if self._offset_s is None or abs(pts_s - self._newest_s) > BESIDE_S else pts_s + self._offset_s

    def _unwrapped(self, pts_s: float) -> float:
        if math.isinf(self._newest_s):
            return pts_s
        unwrapped = pts_s + round((self._newest_s - pts_s) / WRAP_S) * WRAP_S
        return unwrapped if abs(unwrapped - self._newest_s) < WRAP_S / 100 else pts_s

    def _has_caught_up(self, held: _Held[T]) -> bool:
        first_s = self._held[0].arrival_s
        advance_s = 0.0 if held.pts_s is None else held.pts_s - self._newest_s
        self._newest_s = max(self._newest_s, held.pts_s if held.pts_s is not None else -math.inf)
        blocked = len(self._held) > 1 and held.waited_s >= max(self._opening.blocked_s, min(advance_s, 1.0) / 2)
        return blocked or held.arrival_s - first_s >= self._opening.limit_s

    def _settled(self, trusted: list[_Held[T]]) -> list[Stamped[T]]:
        """A new offset; nothing before what was given out."""
        stamps = [h.pts_s for h in trusted if h.pts_s is not None]
        if stamps:
            delay_s = min(h.delay_s for h in trusted)
            self._offset_s = max(delay_s, self._last_s + STEP_S - min(stamps))
            self._newest_s = max(stamps)
            self._lows = (delay_s, math.inf)
            self._moved_s = self._held[-1].arrival_s
            self._window_ends_s = self._moved_s + WINDOW_S
        return self._released()

    def _released(self) -> list[Stamped[T]]:
        held, self._held = self._held, []
        times, next_s = list[float](), math.inf
        for h in reversed(held):  # what has no stamp of its own comes before what follows it
            next_s = min(self._time_of(h), next_s - STEP_S if h.pts_s is None else math.inf)
            times.append(round(next_s, 3))
        for h in held:
            self._follow(h)
        self._last_s = max(self._last_s, *times) if times else self._last_s
        return [Stamped(h.item, time_s, self._epoch) for h, time_s in zip(held, reversed(times), strict=True)]

    def _time_of(self, held: _Held[T]) -> float:
        if held.pts_s is None or self._offset_s is None:
            return held.arrival_s
        time_s = held.pts_s + self._offset_s
        return time_s if time_s - held.arrival_s <= OFF_S else held.arrival_s

    def _follow(self, held: _Held[T]) -> None:
        """Moves the offset towards the smallest delay of the last windows, so slowly that time goes on."""
        if self._offset_s is None or held.pts_s is None or abs(held.delay_s - self._offset_s) > OFF_S:
            return
        advance_s = max(0.0, held.pts_s - self._newest_s)
        self._newest_s += advance_s
        if held.arrival_s >= self._window_ends_s:
            self._lows, self._window_ends_s = (self._lows[1], math.inf), held.arrival_s + WINDOW_S
        self._lows = (self._lows[0], min(self._lows[1], held.delay_s))
        off_s = min(self._lows) - self._offset_s
        rise_s = RISE * max(0.0, held.arrival_s - self._moved_s)
        self._offset_s += max(-FALL * advance_s, min(rise_s, off_s))
        self._moved_s = held.arrival_s

    def _is_off(self, held: _Held[T]) -> bool:
        assert self._offset_s is not None
        return abs(held.delay_s - self._offset_s) > OFF_S

    def _judged(self, last: _Held[T]) -> list[Stamped[T]]:
        """Packets far off the wall clock: the sender's clock jumped, or they only come late."""
        assert self._offset_s is not None
        assert last.pts_s is not None
        first = self._held[0]
        span_s = last.arrival_s - first.arrival_s
        if len(self._held) <= FEW and span_s < SUSPECT_S:
            return []
        is_late = last.delay_s > self._offset_s and last.pts_s > self._newest_s - REORDER_S
        if is_late:  # after a stall they come in a burst; a sender whose clock runs slow keeps us waiting
            waited_s = sum(h.waited_s for h in self._held[1:])
            if waited_s < span_s / 2 or first.delay_s - last.delay_s > span_s / 4:
                return self._released()
        self._epoch += 1
        return self._settled([h for h in self._held if abs(h.delay_s - last.delay_s) <= OFF_S])
