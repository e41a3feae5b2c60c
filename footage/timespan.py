"""TimeSpan: half-open seconds on one recording, and clock text for people."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass


def clock(time_s: float) -> str:
    """Seconds as 00:12:03.400 (hours may exceed two digits)."""
    millis = round(time_s * 1000)
    sign, millis = ("-", -millis) if millis < 0 else ("", millis)
    return f"{sign}{millis // 3_600_000:02d}:{millis // 60_000 % 60:02d}:{millis // 1000 % 60:02d}.{millis % 1000:03d}"


def parse_clock(text: str) -> float:
    """Seconds from 75, 75.5, 1:15, 01:15.5 or 1:00:15; minutes and seconds of clock text stay below 60.

    Raises:
        ValueError: anything else.
    """
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?)", text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a time; write seconds (75.5) or clock time (1:15, 1:00:15)")
    hours, minutes, seconds = match.groups()
    if minutes is not None and (float(seconds) >= 60 or (hours is not None and int(minutes) >= 60)):
        raise ValueError(f"{text!r} is not a time: minutes and seconds of clock time stay below 60")
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


@dataclass(frozen=True, slots=True, order=True)
class TimeSpan:
    """Half-open [start_s, end_s) in seconds since the recording began; finite, start_s < end_s."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s) and self.start_s < self.end_s):
            raise ValueError(f"a span needs finite start_s < end_s, got [{self.start_s}, {self.end_s})")

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2

    def __contains__(self, time_s: float) -> bool:
        return self.start_s <= time_s < self.end_s

    def overlap_s(self, other: "TimeSpan") -> float:
        """Seconds that both cover; 0 when they only touch."""
        return max(0.0, min(self.end_s, other.end_s) - max(self.start_s, other.start_s))

    def hull(self, other: "TimeSpan") -> "TimeSpan":
        """The shortest span that covers both."""
        return TimeSpan(min(self.start_s, other.start_s), max(self.end_s, other.end_s))

    def iou(self, other: "TimeSpan") -> float:
        """Temporal intersection over union, 0 to 1."""
        both = self.overlap_s(other)
        return both / (self.duration_s + other.duration_s - both)

    def __str__(self) -> str:
        return f"{clock(self.start_s)}-{clock(self.end_s)}"


def union(spans: Iterable[TimeSpan], *, slack_s: float = 1e-6) -> tuple[TimeSpan, ...]:
    """The same time as sorted, disjoint spans; spans closer than slack_s are joined."""
    joined: list[TimeSpan] = []
    for span in sorted(spans):
        if joined and span.start_s <= joined[-1].end_s + slack_s:
            joined[-1] = joined[-1].hull(span)
        else:
            joined.append(span)
    return tuple(joined)


def subtract(whole: TimeSpan, parts: Iterable[TimeSpan], *, slack_s: float = 1e-6) -> tuple[TimeSpan, ...]:
    """What of `whole` no part covers, as sorted spans longer than slack_s."""
    left, at = [], whole.start_s
    for part in union(parts, slack_s=slack_s):
        if min(part.start_s, whole.end_s) - at > slack_s:
            left.append(TimeSpan(at, min(part.start_s, whole.end_s)))
        at = max(at, part.end_s)
    if whole.end_s - at > slack_s:
        left.append(TimeSpan(at, whole.end_s))
    return tuple(left)


def clock_words(time_s: float) -> str:
    """1:02:05 or 12:05: a time in whole seconds, as prompts and short answers say it."""
    whole = int(time_s)
    hours, minutes, seconds = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
