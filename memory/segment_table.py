"""The table of segments: a segment's facts, gaps and texts to rows, and back."""

import json
import sqlite3
from collections.abc import Sequence

from footage.carriers import SegmentMemory
from footage.recordings import Gap, Segment
from footage.timespan import TimeSpan
from memory import text_rows
from memory.view import SegmentFacts

COLUMNS = (
    "recording_id, idx, start_s, end_s, generation, frames_seen, frames_kept, carriers, tokens, size_bytes, seconds, file, "
    "level, novelty, forgotten"
)


def drop_segment(connection: sqlite3.Connection, recording_id: str, generation: str, index: int) -> None:
    key = (recording_id, generation, index)
    connection.execute("DELETE FROM segments WHERE recording_id = ? AND generation = ? AND idx = ?", key)


def keep_segment(connection: sqlite3.Connection, memory: SegmentMemory, facts: SegmentFacts, encoder_id: str) -> None:
    segment, generation = memory.segment, facts.generation
    connection.execute(
        "INSERT INTO generations VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET embed_dim = excluded.embed_dim "
        "WHERE embed_dim = 0 AND excluded.embed_dim > 0",
        (generation, encoder_id, len(memory.carriers[0].embed) if memory.carriers else 0),
    )
    drop_segment(connection, segment.recording_id, generation, segment.index)
    row = (
        segment.recording_id, segment.index, segment.span.start_s, segment.span.end_s, generation,
        facts.frames_seen, facts.frames_kept, facts.carriers, facts.tokens, facts.size_bytes,
        json.dumps(dict(facts.seconds), sort_keys=True), facts.file,
        facts.level, facts.novelty, json.dumps(dict(facts.forgotten), sort_keys=True),
    )  # fmt: skip
    places = ", ".join("?" * len(row))
    segment_id = connection.execute(f"INSERT INTO segments ({COLUMNS}) VALUES ({places})", row).lastrowid
    assert segment_id is not None
    gaps = [(segment_id, gap.span.start_s, gap.span.end_s, gap.reason) for gap in memory.gaps]
    connection.executemany("INSERT INTO gaps VALUES (?, ?, ?, ?)", gaps)
    text_rows.keep(connection, segment_id, memory.texts)


def segments_of(connection: sqlite3.Connection, where: str = "true", *values: str | float) -> dict[int, SegmentFacts]:
    """By row id, ordered by recording, generation and time."""
    query = f"SELECT segment_id, {COLUMNS} FROM segments WHERE {where} ORDER BY recording_id, generation, start_s"
    return {row[0]: _segment_facts(row[1:]) for row in connection.execute(query, values)}


def _segment_facts(row: tuple[object, ...]) -> SegmentFacts:
    recording_id, index, start_s, end_s, generation, seen, kept, carriers, tokens, size_bytes, seconds, file, *ages = row
    segment = Segment(recording_id, index, TimeSpan(start_s, end_s))  # type: ignore[arg-type]
    level, novelty, forgotten = ages[0], ages[1], json.loads(ages[2])  # type: ignore[arg-type]
    counts = seen, kept, carriers, tokens, size_bytes
    return SegmentFacts(segment, generation, *counts, json.loads(seconds), file, level, novelty, forgotten)  # type: ignore[arg-type]


def gaps_of(connection: sqlite3.Connection, segment_ids: Sequence[int]) -> tuple[Gap, ...]:
    query = "SELECT start_s, end_s, reason FROM json_each(?) AS asked JOIN gaps ON segment_id = asked.value ORDER BY asked.key, gaps.rowid"
    rows = connection.execute(query, (json.dumps(list(segment_ids)),))
    return tuple(Gap(TimeSpan(start_s, end_s), reason) for start_s, end_s, reason in rows)
