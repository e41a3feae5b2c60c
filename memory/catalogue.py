"""The catalogue of a library: which recordings, segments, gaps and texts are kept. Every method is one transaction."""

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

from footage.carriers import SegmentMemory
from footage.errors import StoreError
from footage.recordings import Gap, Recording, Segment, TextRow
from footage.timespan import TimeSpan
from memory import segment_times, text_rows
from memory.database import Database
from memory.refusals import not_kept, nothing_recorded
from memory.segment_table import drop_segment, gaps_of, keep_segment, segments_of
from memory.segment_times import Amount
from memory.text_search import Found, relevance
from memory.view import GenerationFacts, SegmentFacts, Snapshot

_OF = "recording_id = ? AND generation = ?"
_KEY = f"{_OF} AND idx = ?"
Kept: TypeAlias = tuple[SegmentMemory, SegmentFacts]


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
        self.close, self.writing = self._database.close, self._database.writing

    def version(self) -> int:
        with self._database.reading() as connection:
            return _version(connection)

    def problems(self) -> list[str]:
        """What SQLite itself finds wrong with the file; empty when nothing."""
        with self._database.reading() as connection:
            return [text for (text,) in connection.execute("PRAGMA integrity_check") if text != "ok"]

    def compact(self) -> None:
        """Write the file anew without the room of what is gone."""
        self._database.compact()

    # Recordings

    def add(self, recording: Recording, name: str, location: str) -> None:
        """The newest facts win: a stream grows while it is recorded."""
        recording_id, facts = recording.recording_id, json.dumps(asdict(recording), sort_keys=True)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO recordings VALUES (?, ?) ON CONFLICT DO UPDATE SET facts = excluded.facts WHERE facts != excluded.facts",
                (recording_id, facts),
            )
            connection.execute("INSERT OR IGNORE INTO names VALUES (?, CAST(? AS TEXT))", (recording_id, utf8(name)))
            if location and location not in _locations(connection, recording_id)[:1]:
                connection.execute(
                    "INSERT OR REPLACE INTO locations VALUES (?, CAST(? AS TEXT), (SELECT ifnull(max(seen), 0) + 1 FROM locations))",
                    (recording_id, utf8(location)),
                )

    def forget(self, recording_id: str) -> list[str]:
        """Drops all rows of a recording; returns the files that nothing points to any more."""
        with self._database.writing() as connection:
            files = [facts.file for facts in segments_of(connection, "recording_id = ?", recording_id).values()]
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
            generations = segment_times.generations_of(connection)
            sizes = dict(connection.execute("SELECT recording_id, sum(size_bytes) FROM segments GROUP BY recording_id"))
            return [
                Known(Recording(**json.loads(facts)), names.get(id, ()), locations.get(id, ()), generations.get(id, ()), sizes.get(id, 0))
                for id, facts in rows
            ]

    def encoder_ids(self) -> set[str]:
        """Of all that is kept."""
        query = "SELECT DISTINCT encoder_id FROM generations AS g WHERE EXISTS (SELECT 1 FROM segments WHERE generation = g.generation)"
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
            if not connection.execute("SELECT 1 FROM recordings WHERE recording_id = ?", (segment.recording_id,)).fetchone():
                raise StoreError(f"recording {segment.recording_id} was never added", hint="add it before its segments")
            kept = _generation(connection, generation)
            found = segments_of(connection, _KEY, segment.recording_id, generation, segment.index)
        if kept:
            kept.check(memory, encoder_id)
        return next(iter(found.values()), None)

    def keep(self, memory: SegmentMemory, facts: SegmentFacts, *, encoder_id: str) -> None:
        """Put a segment's rows in place of what is there for it; `admit` it first."""
        with self._database.writing() as connection:
            keep_segment(connection, memory, facts, encoder_id)

    def replace(self, recording_id: str, generation: str, gone: Sequence[int], come: Sequence[Kept], *, encoder_id: str) -> None:
        """The rows of `gone` leave and those of `come` are put in place; `admit` each first."""
        with self._database.writing() as connection:
            for index in gone:
                drop_segment(connection, recording_id, generation, index)
            for memory, facts in come:
                keep_segment(connection, memory, facts, encoder_id)

    def drop(self, recording_id: str, generation: str, index: int) -> None:
        with self._database.writing() as connection:
            drop_segment(connection, recording_id, generation, index)

    def segments(self, recording_id: str | None = None, generation: str | None = None, index: int | None = None) -> list[SegmentFacts]:
        """Those that fit, by recording, generation and time."""
        wanted = {"recording_id": recording_id, "generation": generation, "idx": index}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "true"
        with self._database.reading() as connection:
            return list(segments_of(connection, where, *given.values()).values())

    def files(self, generation: str) -> dict[tuple[str, int], str]:
        """(recording, segment index) to file."""
        query = "SELECT recording_id, idx, file FROM segments WHERE generation = ?"
        with self._database.reading() as connection:
            return {(recording_id, index): file for recording_id, index, file in connection.execute(query, (generation,))}

    def content(self, generation: str) -> str:
        """A hash of all that `files` would say."""
        rows = "SELECT recording_id, idx, file FROM segments WHERE generation = ? ORDER BY segment_id"
        query = f"SELECT group_concat(recording_id || char(10) || idx || char(10) || file, char(10)) FROM ({rows})"
        with self._database.reading() as connection:
            [told] = connection.execute(query, (generation,)).fetchone()
        return hashlib.blake2b(utf8(told or ""), digest_size=16).hexdigest()

    def segment_at(self, recording_id: str, generation: str, time_s: float) -> SegmentFacts | None:
        with self._database.reading() as connection:
            [segment] = segment_times.segments_at(connection, recording_id, generation, [time_s])
            found = segments_of(connection, _KEY, recording_id, generation, segment.index) if segment else {}
        return next(iter(found.values()), None)

    def files_of(self, recording_id: str, generation: str, indices: Iterable[int]) -> dict[int, str]:
        """Segment index to file, of those that are kept."""
        query = f"SELECT idx, file FROM segments WHERE {_OF} AND idx IN (SELECT value FROM json_each(?))"
        with self._database.reading() as connection:
            return dict(connection.execute(query, (recording_id, generation, json.dumps(list(indices)))).fetchall())

    def horizon(self, recording_id: str, generation: str) -> TimeSpan | None:
        """From the first kept segment to the last; None while there is none."""
        with self._database.reading() as connection:
            return segment_times.horizon(connection, recording_id, generation)

    def aged_until(self, recording_id: str, generation: str, level: int) -> float | None:
        """End of the last segment that has aged so far; None where none has."""
        with self._database.reading() as connection:
            return segment_times.aged_until(connection, recording_id, generation, level)

    def segments_at(self, recording_id: str, generation: str, times_s: Iterable[float]) -> list[Segment | None]:
        """For each time the kept segment that holds it."""
        with self._database.reading() as connection:
            return segment_times.segments_at(connection, recording_id, generation, times_s)

    def segments_within(self, recording_id: str, generation: str, span: TimeSpan | None = None) -> list[Segment]:
        """Those that overlap a span, or all, in time order."""
        with self._database.reading() as connection:
            return segment_times.segments_within(connection, recording_id, generation, span)

    def amount(self, recording_ids: Sequence[str], generation: str, span: TimeSpan | None) -> Amount:
        """Of what overlaps the span; of all, without one."""
        with self._database.reading() as connection:
            return segment_times.amount(connection, recording_ids, generation, span)

    def with_rows(self, memory: SegmentMemory, facts: SegmentFacts) -> SegmentMemory:
        """The same memory with the gaps and texts of its row. Raises StoreError when that row has been replaced since `facts` were read."""
        segment = memory.segment
        with self._database.reading() as connection:
            key = (segment.recording_id, facts.generation, segment.index, facts.file)
            ids = list(segments_of(connection, f"{_KEY} AND file = ?", *key))
            if not ids:
                raise not_kept(segment.recording_id, segment.index)
            texts = [row for segment_id in ids for row in text_rows.of_segment(connection, segment_id)]
            return replace(memory, texts=tuple(texts), gaps=gaps_of(connection, ids))

    def generations(self, recording_id: str) -> tuple[str, ...]:
        query = (
            "SELECT generation FROM generations AS g "
            "WHERE EXISTS (SELECT 1 FROM segments WHERE recording_id = ? AND generation = g.generation) ORDER BY generation"
        )
        with self._database.reading() as connection:
            return tuple(generation for (generation,) in connection.execute(query, (recording_id,)))

    def written(self) -> dict[str, tuple[str, ...]]:
        """By recording the generations that are kept of it; quick in large libraries."""
        with self._database.reading() as connection:
            return segment_times.generations_of(connection)

    def encoder_id(self, generation: str) -> str:
        """Empty for a generation of which nothing was ever kept."""
        with self._database.reading() as connection:
            kept = _generation(connection, generation)
        return kept.encoder_id if kept else ""

    def snapshot(self, recording_ids: Sequence[str] | None, generation: str) -> tuple[Snapshot, list[SegmentFacts]]:
        """What a view is made of. Raises NothingRecorded when no segment of that generation is kept for any of them."""
        with self._database.reading() as connection:
            asked = _recording_ids(connection) if recording_ids is None else list(dict.fromkeys(recording_ids))
            found = {recording_id: segments_of(connection, _OF, recording_id, generation) for recording_id in asked}
            gaps = {recording_id: gaps_of(connection, list(ids)) for recording_id, ids in found.items()}
            kept, version = _generation(connection, generation), _version(connection)
        facts = [each for segments in found.values() for each in segments.values()]
        if kept is None or not facts:
            raise nothing_recorded(asked, generation)
        return Snapshot(version, generation, kept, tuple(each.segment for each in facts), gaps), facts

    def part(self, segments: Mapping[str, Collection[int]], generation: str) -> tuple[Snapshot, list[SegmentFacts]]:
        """The same of some segments alone, by recording; horizons and gaps stay those of all that is kept of these recordings."""
        with self._database.reading() as connection:
            some = f"{_OF} AND idx IN (SELECT value FROM json_each(?))"
            found = {id: segments_of(connection, some, id, generation, json.dumps(list(own))) for id, own in segments.items()}
            gaps = segment_times.gaps_of(connection, list(segments), generation)
            stretches = {id: segment_times.stretches(connection, id, generation) for id, own in found.items() if own}
            kept, version = _generation(connection, generation), _version(connection)
        facts = [each for own in found.values() for each in own.values()]
        if kept is None or not facts:
            raise nothing_recorded(segments, generation)
        return Snapshot(version, generation, kept, tuple(each.segment for each in facts), gaps, stretches), facts

    def gaps(self, recording_id: str, generation: str) -> tuple[Gap, ...]:
        """As recorded, in time order."""
        with self._database.reading() as connection:
            return segment_times.gaps_of(connection, [recording_id], generation).get(recording_id, ())

    # Texts

    def texts(self, recording_ids: Sequence[str] | None) -> list[TextRow]:
        """By recording as asked, then by time; as they were committed."""
        with self._database.reading() as connection:
            asked = _recording_ids(connection) if recording_ids is None else list(dict.fromkeys(recording_ids))
            return text_rows.of_recordings(connection, asked)

    def texts_in(self, spans: Mapping[str, Sequence[TimeSpan]]) -> list[TextRow]:
        """The same of those that begin inside some spans of each recording alone."""
        with self._database.reading() as connection:
            return text_rows.of_spans(connection, spans)

    def relevance(self, words: str) -> Found:
        """How relevant each wording is that holds any of the words."""
        with self._database.reading() as connection:
            return relevance(connection, words)

    def text_places(self, words: str, recording_ids: Sequence[str] | None, limit: int, span: TimeSpan | None) -> list[tuple[str, float]]:
        """Recording and start of rows that hold any of the words, the most relevant first; span: only what overlaps it."""
        with self._database.reading() as connection:
            return text_rows.places(connection, recording_ids, relevance(connection, words), limit, span)

    def search(self, words: str, recording_ids: Sequence[str] | None, limit: int = 0) -> tuple[list[TextRow], Found]:
        """Rows that hold any of the words, ordered as in `texts`, and how relevant each wording is.

        All of them, or at least the `limit` most relevant ones.
        """
        with self._database.reading() as connection:
            asked = _recording_ids(connection) if recording_ids is None else list(dict.fromkeys(recording_ids))
            found = relevance(connection, words)
            return text_rows.of_wordings(connection, asked, found, limit), found


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


def utf8(text: str) -> bytes:
    """A file name may hold bytes that are not UTF-8; they come back as they were."""
    return text.encode("utf-8", "surrogateescape")
