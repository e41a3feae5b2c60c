"""The catalogue of a library: which recordings, segments, gaps and texts are kept. Every method is one transaction."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from footage.carriers import SegmentMemory
from footage.errors import NothingRecorded, StoreError
from footage.recordings import Gap, Recording, Segment, TextRow
from footage.timespan import TimeSpan
from memory import text_rows
from memory.database import Database
from memory.text_search import Found, relevance
from memory.view import GenerationFacts, SegmentFacts, Snapshot

_SEGMENT_COLUMNS = "recording_id, idx, start_s, end_s, generation, frames_seen, frames_kept, carriers, tokens, size_bytes, seconds, file"
_OF = "recording_id = ? AND generation = ?"
_KEY = f"{_OF} AND idx = ?"


@dataclass(frozen=True, slots=True)
class Known:
    """What is told of one recording."""

    recording: Recording
    names: tuple[str, ...]
    locations: tuple[str, ...]
    """Where the source was last seen, newest first."""
    generations: tuple[str, ...]
    size_bytes: int
    """Of its segment files, over all generations."""


class Catalogue:
    """catalogue.sqlite of one library."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._database = Database(path, read_only=read_only)
        self.close = self._database.close

    def version(self) -> int:
        with self._database.reading() as connection:
            return _version(connection)

    def problems(self) -> list[str]:
        """What SQLite itself finds wrong with the file; empty when nothing."""
        with self._database.reading() as connection:
            return [text for (text,) in connection.execute("PRAGMA integrity_check") if text != "ok"]

    # Recordings

    def add(self, recording: Recording, name: str, location: str) -> None:
        """The newest facts win: a stream grows while it is recorded."""
        recording_id, facts = recording.recording_id, json.dumps(asdict(recording), sort_keys=True)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO recordings VALUES (?, ?) ON CONFLICT DO UPDATE SET facts = excluded.facts WHERE facts != excluded.facts",
                (recording_id, facts),
            )
            connection.execute("INSERT OR IGNORE INTO names VALUES (?, CAST(? AS TEXT))", (recording_id, _utf8(name)))
            if location and location not in _locations(connection, recording_id)[:1]:
                connection.execute(
                    "INSERT OR REPLACE INTO locations VALUES (?, CAST(? AS TEXT), (SELECT ifnull(max(seen), 0) + 1 FROM locations))",
                    (recording_id, _utf8(location)),
                )

    def forget(self, recording_id: str) -> list[str]:
        """Drops all rows of a recording; returns the files that nothing points to any more."""
        with self._database.writing() as connection:
            files = [facts.file for facts in _segments(connection, "recording_id = ?", recording_id).values()]
            connection.execute("DELETE FROM recordings WHERE recording_id = ?", (recording_id,))
            connection.execute("DELETE FROM generations WHERE generation NOT IN (SELECT generation FROM segments)")
        return files

    def recordings(self) -> list[Recording]:
        with self._database.reading() as connection:
            rows = connection.execute("SELECT facts FROM recordings ORDER BY recording_id").fetchall()
        return [Recording(**json.loads(facts)) for (facts,) in rows]

    def known(self) -> list[Known]:
        """Every recording, by id, in a few queries however many there are."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT recording_id, facts FROM recordings ORDER BY recording_id").fetchall()
            names = _grouped(connection, "SELECT recording_id, name FROM names ORDER BY rowid")
            locations = _grouped(connection, "SELECT recording_id, location FROM locations ORDER BY seen DESC")
            generations = _grouped(connection, "SELECT DISTINCT recording_id, generation FROM segments ORDER BY generation")
            sizes = dict(connection.execute("SELECT recording_id, sum(size_bytes) FROM segments GROUP BY recording_id"))
        return [
            Known(Recording(**json.loads(facts)), names.get(id, ()), locations.get(id, ()), generations.get(id, ()), sizes.get(id, 0))
            for id, facts in rows
        ]

    def encoder_ids(self) -> set[str]:
        """Of all that is kept."""
        query = "SELECT DISTINCT encoder_id FROM generations WHERE generation IN (SELECT generation FROM segments)"
        with self._database.reading() as connection:
            return {encoder_id for (encoder_id,) in connection.execute(query)}

    def names(self, recording_id: str) -> tuple[str, ...]:
        query = "SELECT name FROM names WHERE recording_id = ? ORDER BY rowid"
        with self._database.reading() as connection:
            return tuple(name for (name,) in connection.execute(query, (recording_id,)))

    def locations(self, recording_id: str) -> tuple[str, ...]:
        with self._database.reading() as connection:
            return _locations(connection, recording_id)

    # Segments

    def admit(self, memory: SegmentMemory, *, generation: str, encoder_id: str) -> SegmentFacts | None:
        """What is kept for this segment so far.

        Raises:
            StoreError: its recording was never added. ValueError: another encoder wrote that generation.
        """
        segment = memory.segment
        with self._database.reading() as connection:
            if segment.recording_id not in _recording_ids(connection):
                raise StoreError(f"recording {segment.recording_id} was never added", hint="add it before its segments")
            if kept := _generation(connection, generation):
                kept.check(memory, encoder_id)
            found = _segments(connection, _KEY, segment.recording_id, generation, segment.index)
        return next(iter(found.values()), None)

    def keep(self, memory: SegmentMemory, facts: SegmentFacts, *, encoder_id: str) -> None:
        """Put a segment's rows in place of what is there for it; `admit` it first."""
        segment, generation = memory.segment, facts.generation
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO generations VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET embed_dim = excluded.embed_dim "
                "WHERE embed_dim = 0 AND excluded.embed_dim > 0",
                (generation, encoder_id, len(memory.carriers[0].embed) if memory.carriers else 0),
            )
            _drop(connection, segment.recording_id, generation, segment.index)
            segment_id = connection.execute(
                f"INSERT INTO segments ({_SEGMENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (segment.recording_id, segment.index, segment.span.start_s, segment.span.end_s, generation,
                 facts.frames_seen, facts.frames_kept, facts.carriers, facts.tokens, facts.size_bytes,
                 json.dumps(dict(facts.seconds), sort_keys=True), facts.file),
            ).lastrowid  # fmt: skip
            assert segment_id is not None
            gaps = [(segment_id, gap.span.start_s, gap.span.end_s, gap.reason) for gap in memory.gaps]
            connection.executemany("INSERT INTO gaps VALUES (?, ?, ?, ?)", gaps)
            text_rows.keep(connection, segment_id, memory.texts)

    def drop(self, recording_id: str, generation: str, index: int) -> None:
        with self._database.writing() as connection:
            _drop(connection, recording_id, generation, index)

    def segments(self, recording_id: str | None = None, generation: str | None = None, index: int | None = None) -> list[SegmentFacts]:
        """Those that fit, by recording, generation and time."""
        wanted = {"recording_id": recording_id, "generation": generation, "idx": index}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "true"
        with self._database.reading() as connection:
            return list(_segments(connection, where, *given.values()).values())

    def files(self, generation: str) -> dict[tuple[str, int], str]:
        """(recording, segment index) to file."""
        query = "SELECT recording_id, idx, file FROM segments WHERE generation = ?"
        with self._database.reading() as connection:
            return {(recording_id, index): file for recording_id, index, file in connection.execute(query, (generation,))}

    def segment_at(self, recording_id: str, generation: str, time_s: float) -> SegmentFacts | None:
        where = f"{_OF} AND start_s <= ? AND ? < end_s"
        with self._database.reading() as connection:
            found = _segments(connection, where, recording_id, generation, time_s, time_s)
        return next(iter(found.values()), None)

    def with_rows(self, memory: SegmentMemory, generation: str) -> SegmentMemory:
        """The same memory with the gaps and texts that are kept here for its segment."""
        segment = memory.segment
        with self._database.reading() as connection:
            ids = list(_segments(connection, _KEY, segment.recording_id, generation, segment.index))
            texts = [row for segment_id in ids for row in text_rows.of_segment(connection, segment_id)]
            return replace(memory, texts=tuple(texts), gaps=_gaps(connection, ids))

    def generations(self, recording_id: str) -> tuple[str, ...]:
        query = "SELECT DISTINCT generation FROM segments WHERE recording_id = ? ORDER BY generation"
        with self._database.reading() as connection:
            return tuple(generation for (generation,) in connection.execute(query, (recording_id,)))

    def encoder_id(self, generation: str) -> str:
        """Empty for a generation of which nothing was ever kept."""
        with self._database.reading() as connection:
            kept = _generation(connection, generation)
        return kept.encoder_id if kept else ""

    def snapshot(self, recording_ids: Sequence[str] | None, generation: str) -> tuple[Snapshot, list[SegmentFacts]]:
        """What a view is made of. Raises NothingRecorded when no segment of that generation is kept for any of them."""
        with self._database.reading() as connection:
            asked = _recording_ids(connection) if recording_ids is None else list(dict.fromkeys(recording_ids))
            found = {recording_id: _segments(connection, _OF, recording_id, generation) for recording_id in asked}
            gaps = {recording_id: _gaps(connection, list(ids)) for recording_id, ids in found.items()}
            kept, version = _generation(connection, generation), _version(connection)
        facts = [each for segments in found.values() for each in segments.values()]
        if kept is None or not facts:
            raise nothing_recorded(asked, generation)
        return Snapshot(version, generation, kept, tuple(each.segment for each in facts), gaps), facts

    # Texts

    def texts(self, recording_ids: Sequence[str] | None) -> list[TextRow]:
        """By recording as asked, then by time; as they were committed."""
        with self._database.reading() as connection:
            asked = _recording_ids(connection) if recording_ids is None else list(dict.fromkeys(recording_ids))
            return text_rows.of_recordings(connection, asked)

    def search(self, words: str, recording_ids: Sequence[str] | None) -> tuple[list[TextRow], Found]:
        """All rows that hold any of the words, ordered as in `texts`, and how relevant each wording is."""
        with self._database.reading() as connection:
            asked = _recording_ids(connection) if recording_ids is None else list(dict.fromkeys(recording_ids))
            found = relevance(connection, words)
            return text_rows.of_wordings(connection, asked, found), found


def nothing_recorded(recording_ids: Iterable[str], generation: str) -> NothingRecorded:
    of = ", ".join(recording_ids) or "any recording"
    return NothingRecorded(f"nothing is kept of {of} in generation {generation!r}", hint="index it first: footage index")


def not_kept(recording_id: str, index: int) -> StoreError:
    return StoreError(f"segment {index} of {recording_id} is not kept", hint="index that recording again")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT version FROM library").fetchone()[0])


def _recording_ids(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT recording_id FROM recordings ORDER BY recording_id")]


def _locations(connection: sqlite3.Connection, recording_id: str) -> tuple[str, ...]:
    query = "SELECT location FROM locations WHERE recording_id = ? ORDER BY seen DESC"
    return tuple(location for (location,) in connection.execute(query, (recording_id,)))


def _grouped(connection: sqlite3.Connection, query: str) -> dict[str, tuple[str, ...]]:
    """Of a query for (recording, text), the texts of each recording in the query's order."""
    groups: dict[str, list[str]] = {}
    for recording_id, text in connection.execute(query):
        groups.setdefault(recording_id, []).append(text)
    return {recording_id: tuple(texts) for recording_id, texts in groups.items()}


def _generation(connection: sqlite3.Connection, generation: str) -> GenerationFacts | None:
    query = "SELECT encoder_id, embed_dim FROM generations WHERE generation = ?"
    row = connection.execute(query, (generation,)).fetchone()
    return GenerationFacts(*row) if row else None


def _drop(connection: sqlite3.Connection, recording_id: str, generation: str, index: int) -> None:
    key = (recording_id, generation, index)
    connection.execute(f"DELETE FROM segments WHERE {_KEY}", key)


def _segments(connection: sqlite3.Connection, where: str = "true", *values: str | float) -> dict[int, SegmentFacts]:
    """By row id, ordered by recording, generation and time."""
    query = f"SELECT segment_id, {_SEGMENT_COLUMNS} FROM segments WHERE {where} ORDER BY recording_id, generation, start_s"
    return {row[0]: _segment_facts(row[1:]) for row in connection.execute(query, values)}


def _segment_facts(row: tuple[object, ...]) -> SegmentFacts:
    recording_id, index, start_s, end_s, generation, seen, kept, carriers, tokens, size_bytes, seconds, file = row
    segment = Segment(recording_id, index, TimeSpan(start_s, end_s))  # type: ignore[arg-type]
    return SegmentFacts(segment, generation, seen, kept, carriers, tokens, size_bytes, json.loads(seconds), file)  # type: ignore[arg-type]


def _gaps(connection: sqlite3.Connection, segment_ids: Sequence[int]) -> tuple[Gap, ...]:
    query = "SELECT start_s, end_s, reason FROM json_each(?) AS asked JOIN gaps ON segment_id = asked.value ORDER BY asked.key, gaps.rowid"
    rows = connection.execute(query, (json.dumps(list(segment_ids)),))
    return tuple(Gap(TimeSpan(start_s, end_s), reason) for start_s, end_s, reason in rows)


def _utf8(text: str) -> bytes:
    """A file name may hold bytes that are not UTF-8; they come back as they were."""
    return text.encode("utf-8", "surrogateescape")
