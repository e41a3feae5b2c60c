"""Up to when a stream is covered: what an answer about it says beside its words."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from footage.recordings import Recording
from footage.timespan import clock
from workers.live.status import read_status

SAID = 3  # recordings; of more it is said how many
UNITS = (("day", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))


def coverage(library: Path, recordings: Sequence[Recording], name_of: Callable[[str], str]) -> tuple[str, ...]:
    """A sentence for each recording of a stream: "door is being watched: seen until 00:12:31, 4 s ago"."""
    live = [recording for recording in recordings if "live" in recording.facts]
    watched = read_status(library) if live else {}
    told = [f"{name_of(r.recording_id)} {_state(r, is_watched=r.recording_id in watched)}" for r in live[:SAID]]
    return (*told, f"and {len(live) - SAID} more streams") if len(live) > SAID else tuple(told)


def began_unix_s(recording: Recording) -> float | None:
    """Wall clock at time 0 of a recording; None when that is not known."""
    began = recording.facts.get("began")
    return datetime.fromisoformat(began).timestamp() if began else None


def _state(recording: Recording, *, is_watched: bool) -> str:
    """LiveMemory keeps the facts."""
    seen, began = recording.facts.get("seen_until_s"), began_unix_s(recording)
    what = "is being watched" if is_watched else "is not being watched now"
    if not seen or began is None:
        return f"{what}: nothing was seen of it yet"
    missing = recording.facts.get("missing", "")
    why = f" (since then: {missing})" if missing and is_watched else ""
    return f"{what}: seen until {clock(float(seen))[:-4]}, {_ago(time.time() - began - float(seen))} ago{why}"


def _ago(seconds: float) -> str:
    name, length_s = next((unit for unit in UNITS if seconds >= unit[1]), UNITS[-1])
    count = max(0, int(seconds // length_s))
    return f"{count} {name}" + ("s" if name == "day" and count != 1 else "")
