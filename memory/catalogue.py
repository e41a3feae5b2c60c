"""The catalogue of a library: one SQLite file that says which recordings, segments, gaps and texts are kept."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from footage.carriers import SegmentMemory
from footage.errors import NothingRecorded, StoreError
from footage.recordings import Gap, Recording, Segment, TextRow
from footage.timespan import TimeSpan
from memory import text_rows
from memory.schema import MIGRATIONS
from memory.text_search import fold, relevance
from memory.view import SegmentFacts, Snapshot, check_generation

BUSY_S = 30.0  # a checkpoint of another process may take this long; then it is an error
_SEGMENT_COLUMNS = (
    "segment_id, recording_id, idx, start_s, end_s, generation, frames_seen, frames_kept, carriers, tokens, size_bytes, "
    "seconds, file"
)


class Catalogue:
    """One connection, shared by the threads of a process; every method is one transaction."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Raises StoreError when the file is damaged, newer than this program, or too old to be only read."""
        self._path, self._lock = path, threading.RLock()
        with self._explained():
            self._connection = _connect(path, read_only=read_only)
            try:
                self._migrate(read_only=read_only)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent state of the catalogue."""
        with self._lock, self._explained():
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                _roll_back(self._connection)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; the version grows when anything changed."""
        with self._lock, self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            before = self._connection.total_changes
            try:
                yield self._connection
                if self._connection.total_changes > before:
                    self._connection.execute("UPDATE library SET version = version + 1")
                self._connection.execute("COMMIT")
            finally:
                _roll_back(self._connection)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.OperationalError as error:
            hint = "is the disk full or read-only, or is another program holding the file?"
            raise StoreError(f"{self._path} cannot be used: {error}", hint=hint) from error
        except sqlite3.DatabaseError as error:
            hint = "restore it from a copy, or move the library away and index again"
            raise StoreError(f"{self._path} is damaged: {error}", hint=hint) from error

    def _migrate(self, *, read_only: bool) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        found = f"{self._path} has schema version {version}, this program knows {len(MIGRATIONS)}"
        if version > len(MIGRATIONS):
            raise StoreError(found, hint="it was written by a newer footage: update this one, or use another library")
        if version < len(MIGRATIONS) and read_only:
            raise StoreError(found, hint="open it once for writing to bring it up to date: run `footage index` on it")
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            try:
                self._connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
            finally:
                _roll_back(self._connection)

    def version(self) -> int:
        with self._reading() as connection:
            return _version(connection)

    def problems(self) -> list[str]:
        """What SQLite itself finds wrong with the file; empty when nothing."""
        with self._reading() as connection:
            return [text for (text,) in connection.execute("PRAGMA integrity_check") if text != "ok"]

    # -- recordings

    def add(self, recording: Recording, name: str, location: str) -> None:
        """The newest facts win: a stream grows while it is recorded."""
        recording_id, facts = recording.recording_id, json.dumps(asdict(recording), sort_keys=True)
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO recordings VALUES (?, ?) ON CONFLICT DO UPDATE SET facts = excluded.facts "
                "WHERE facts != excluded.facts",
                (recording_id, facts),
            )
            connection.execute("INSERT OR IGNORE INTO names VALUES (?, CAST(? AS TEXT))", (recording_id, _utf8(name)))
            if location and location not in _locations(connection, recording_id)[:1]:
                connection.execute(
                    "INSERT OR REPLACE INTO locations "
                    "VALUES (?, CAST(? AS TEXT), (SELECT ifnull(max(seen), 0) + 1 FROM locations))",
                    (recording_id, _utf8(location)),
                )

    def forget(self, recording_id: str) -> list[str]:
        """Drops all rows of a recording; gives the files that nothing points to any more."""
        with self._writing() as connection:
            files = connection.execute("SELECT file FROM segments WHERE recording_id = ?", (recording_id,)).fetchall()
            connection.execute("DELETE FROM recordings WHERE recording_id = ?", (recording_id,))
            connection.execute("DELETE FROM generations WHERE generation NOT IN (SELECT generation FROM segments)")
        return [file for (file,) in files]

    def recordings(self) -> list[Recording]:
        with self._reading() as connection:
            rows = connection.execute("SELECT facts FROM recordings ORDER BY recording_id").fetchall()
        return [Recording(**json.loads(facts)) for (facts,) in rows]

    def names(self, recording_id: str) -> tuple[str, ...]:
        query = "SELECT name FROM names WHERE recording_id = ? ORDER BY rowid"
        with self._reading() as connection:
            return tuple(name for (name,) in connection.execute(query, (recording_id,)))

    def locations(self, recording_id: str) -> tuple[str, ...]:
        with self._reading() as connection:
            return _locations(connection, recording_id)

    # -- segments

    def admit(self, memory: SegmentMemory, *, generation: str, encoder_id: str) -> SegmentFacts | None:
        """What is kept for this segment so far.

        Raises:
            StoreError: its recording was never added. ValueError: the generation was written by another encoder.
        """
        recording_id, index = memory.segment.recording_id, memory.segment.index
        with self._reading() as connection:
            if not connection.execute("SELECT 1 FROM recordings WHERE recording_id = ?", (recording_id,)).fetchone():
                raise StoreError(f"recording {recording_id} was never added", hint="add it before its segments")
            check_generation(memory, generation, encoder_id, _generation(connection, generation))
            return next(iter(_segments(connection, recording_id, generation, index).values()), None)

    def keep(self, memory: SegmentMemory, facts: SegmentFacts, *, encoder_id: str) -> None:
        """Put a segment's rows in place of what is there for it; `admit` it first."""
        segment, generation = memory.segment, facts.generation
        embed_dim = len(memory.carriers[0].embed) if memory.carriers else 0
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO generations VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET embed_dim = excluded.embed_dim "
                "WHERE embed_dim = 0 AND excluded.embed_dim > 0",
                (generation, encoder_id, embed_dim),
            )
            _drop(connection, segment.recording_id, generation, segment.index)
            segment_id = connection.execute(
                f"INSERT INTO segments ({_SEGMENT_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (segment.recording_id, segment.index, segment.span.start_s, segment.span.end_s, generation,
                 facts.frames_seen, facts.frames_kept, facts.carriers, facts.tokens, facts.size_bytes,
                 json.dumps(dict(facts.seconds), sort_keys=True), facts.file),
            ).lastrowid  # fmt: skip
            assert segment_id is not None
            gaps = [(segment_id, gap.span.start_s, gap.span.end_s, gap.reason) for gap in memory.gaps]
            connection.executemany("INSERT INTO gaps VALUES (?, ?, ?, ?)", gaps)
            text_rows.keep(connection, segment_id, memory.texts)

    def drop(self, recording_id: str, generation: str, index: int) -> bool:
        with self._writing() as connection:
            return _drop(connection, recording_id, generation, index)

    def segments(
        self, recording_id: str | None = None, generation: str | None = None, index: int | None = None
    ) -> list[SegmentFacts]:
        """Those that fit, by recording, generation and time."""
        with self._reading() as connection:
            return list(_segments(connection, recording_id, generation, index).values())

    def rest_of(self, memory: SegmentMemory, generation: str) -> SegmentMemory:
        """With the gaps and texts that are kept here."""
        segment = memory.segment
        with self._reading() as connection:
            for segment_id in _segments(connection, segment.recording_id, generation, segment.index):
                texts = tuple(text_rows.of_segment(connection, segment_id))
                return replace(memory, texts=texts, gaps=_gaps(connection, [segment_id]))
        return memory

    def generations(self, recording_id: str) -> tuple[str, ...]:
        query = "SELECT DISTINCT generation FROM segments WHERE recording_id = ? ORDER BY generation"
        with self._reading() as connection:
            return tuple(generation for (generation,) in connection.execute(query, (recording_id,)))

    def encoder_id(self, generation: str) -> str | None:
        with self._reading() as connection:
            kept = _generation(connection, generation)
        return kept[0] if kept else None

    def snapshot(
        self, recording_ids: Sequence[str] | None, generation: str
    ) -> tuple[Snapshot, list[SegmentFacts]]:
        """What a view is made of. Raises NothingRecorded when no segment of that generation is kept for any of them."""
        with self._reading() as connection:
            asked = _all_recordings(connection) if recording_ids is None else list(dict.fromkeys(recording_ids))
            found = {r: _segments(connection, r, generation) for r in asked}
            gaps = {r: _gaps(connection, segments) for r, segments in found.items()}
            encoder = _generation(connection, generation)
            version = _version(connection)
        facts = [kept for segments in found.values() for kept in segments.values()]
        if not facts or encoder is None:
            raise NothingRecorded(
                f"nothing is kept of {', '.join(asked) or 'any recording'} in generation {generation!r}",
                hint="index it first: footage index VIDEO",
            )
        return Snapshot(version, generation, *encoder, tuple(kept.segment for kept in facts), gaps), facts
