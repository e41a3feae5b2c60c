"""The segments of a library by time: how many, which ones hold a moment, what they cover; quick where there are hundreds of thousands.

Each query is answered from the index segments_by_time (schema.py), and returns no more rows than are needed.
"""

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from footage.recordings import Gap, Segment
from footage.timespan import TimeSpan

TOUCHING_S = 1e-6  # as footage.timespan.union has it
_MANY = "json_each(?) AS asked JOIN segments ON segments.recording_id = asked.value AND generation = ?"
_OWN = "FROM segments WHERE recording_id = ? AND generation = ?"


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is kept of a scope."""

    segments: int
    seconds: float


def amount(connection: sqlite3.Connection, recording_ids: Sequence[str], generation: str, span: TimeSpan | None) -> Amount:
    """Of what overlaps the span; of all, without one."""
    query = f"SELECT count(*), ifnull(sum(end_s - start_s), 0.0) FROM {_MANY}"
    values: list[str | float] = [json.dumps(recording_ids), generation]
    if span is not None:
        query, values = f"{query} AND start_s < ? AND end_s > ?", [*values, span.end_s, span.start_s]
    return Amount(*connection.execute(query, values).fetchone())


def generations_of(connection: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """By recording, of all that is kept."""
    query = (
        "SELECT recording_id, generation FROM recordings CROSS JOIN generations "
        "WHERE EXISTS (SELECT 1 FROM segments WHERE segments.recording_id = recordings.recording_id "
        "AND segments.generation = generations.generation) ORDER BY recording_id, generation"
    )
    found: dict[str, list[str]] = {}
    for recording_id, generation in connection.execute(query):
        found.setdefault(recording_id, []).append(generation)
    return {recording_id: tuple(generations) for recording_id, generations in found.items()}


def horizon(connection: sqlite3.Connection, recording_id: str, generation: str) -> TimeSpan | None:
    """From the first kept segment to the last; None while there is none."""
    own = recording_id, generation
    first = connection.execute(f"SELECT start_s {_OWN} ORDER BY start_s LIMIT 1", own).fetchone()
    last = connection.execute(f"SELECT end_s {_OWN} ORDER BY start_s DESC LIMIT 1", own).fetchone()
    return TimeSpan(first[0], last[0]) if first else None


def aged_until(connection: sqlite3.Connection, recording_id: str, generation: str, level: int) -> float | None:
    """End of the last segment that has aged so far; None where none has."""
    query = f"SELECT max(end_s) {_OWN} AND level > 0 AND level >= ?"
    [end_s] = connection.execute(query, (recording_id, generation, level)).fetchone()
    return None if end_s is None else float(end_s)


def segments_at(connection: sqlite3.Connection, recording_id: str, generation: str, times_s: Iterable[float]) -> list[Segment | None]:
    """For each time the kept segment that holds it."""
    query = (
        "SELECT idx, start_s, end_s FROM json_each(?) AS asked LEFT JOIN segments ON segment_id = ("
        "SELECT segment_id FROM segments WHERE recording_id = ? AND generation = ? AND start_s <= asked.value AND end_s > asked.value "
        "ORDER BY start_s DESC LIMIT 1) ORDER BY asked.key"
    )
    rows = connection.execute(query, (json.dumps(list(times_s)), recording_id, generation))
    return [None if index is None else Segment(recording_id, index, TimeSpan(a, b)) for index, a, b in rows]


def segments_within(connection: sqlite3.Connection, recording_id: str, generation: str, span: TimeSpan | None = None) -> list[Segment]:
    """Those that overlap a span, or all, in time order."""
    query = f"SELECT idx, start_s, end_s {_OWN} AND start_s < ? AND end_s > ? ORDER BY start_s"
    start_s, end_s = (-math.inf, math.inf) if span is None else (span.start_s, span.end_s)
    rows = connection.execute(query, (recording_id, generation, end_s, start_s))
    return [Segment(recording_id, index, TimeSpan(a, b)) for index, a, b in rows]


def stretches(connection: sqlite3.Connection, recording_id: str, generation: str) -> tuple[TimeSpan, ...]:
    """All the time that the kept segments of a recording cover: the union of their spans, without reading each of them here."""
    seen = horizon(connection, recording_id, generation)
    if seen is None:
        return ()
    if abs(amount(connection, [recording_id], generation, None).seconds - seen.duration_s) < TOUCHING_S * seen.duration_s / 3600:
        return (seen,)  # they tile it
    earlier = "max(end_s) OVER (ORDER BY start_s, end_s ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    begins = f"SELECT start_s, before FROM (SELECT start_s, {earlier} AS before {_OWN}) WHERE before IS NULL OR start_s > before + ?"
    rows = connection.execute(begins, (recording_id, generation, TOUCHING_S)).fetchall()
    [last_s] = connection.execute(f"SELECT max(end_s) {_OWN}", (recording_id, generation)).fetchone()
    ends = [*(before for _, before in rows[1:]), last_s]
    return tuple(TimeSpan(start_s, end_s) for (start_s, _), end_s in zip(rows, ends, strict=True))


def gaps_of(connection: sqlite3.Connection, recording_ids: Sequence[str], generation: str) -> Mapping[str, tuple[Gap, ...]]:
    """As recorded, by recording; gaps are few, so they are where the search begins."""
    query = (
        "SELECT recording_id, gaps.start_s, gaps.end_s, reason FROM gaps CROSS JOIN segments USING (segment_id) "
        "WHERE generation = ? AND recording_id IN (SELECT value FROM json_each(?)) ORDER BY segments.start_s, gaps.rowid"
    )
    found: dict[str, list[Gap]] = {}
    for recording_id, start_s, end_s, reason in connection.execute(query, (generation, json.dumps(list(recording_ids)))):
        found.setdefault(recording_id, []).append(Gap(TimeSpan(start_s, end_s), reason))
    return {recording_id: tuple(gaps) for recording_id, gaps in found.items()}
