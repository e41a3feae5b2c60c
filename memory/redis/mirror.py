"""A catalogue on this machine that holds what a Redis library holds: kept up with its commit log, made again where that does not reach."""

import fcntl
import json
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from footage.errors import NothingRecorded, StoreError
from memory.catalogue import Catalogue, utf8
from memory.redis.connection import Connection
from memory.redis.keys import Keys, text
from memory.redis.rows import RecordingRow, SegmentRow
from memory.redis.scripts import CHANGES
from memory.schema import MIGRATIONS
from memory.segment_table import drop_segment, keep_segment

log = logging.getLogger(__name__)
FILE = f"mirror-{len(MIGRATIONS)}.sqlite"  # one of another version of footage is left alone
STEP = 500  # changes read at once
ROWS = 200  # rows read at once where all are read


class Mirror:
    """A cache: thrown away where it is damaged. Threads and processes may share it."""

    def __init__(self, connection: Connection, keys: Keys, folder: Path) -> None:
        self._connection, self._keys, self._path = connection, keys, folder / FILE
        self._changes = connection.script(CHANGES)
        self._lock = threading.RLock()
        self._catalogue = self._opened()
        self.close = self._catalogue.close

    def now(self) -> Catalogue:
        """As the library is. Raises NothingRecorded when there is none any more."""
        version = self._connection.call("hget", self._keys.library, "version")
        if version is None:
            raise no_library(self._connection)
        if int(version) != self._catalogue.version():
            with self._lock, self._alone():  # reading all rows may take longer than SQLite waits for a lock
                self._follow()
        return self._catalogue

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Other processes wait."""
        with self._path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _opened(self) -> Catalogue:
        with self._alone():  # two processes must not make its tables at once
            try:
                return Catalogue(self._path)
            except StoreError as error:
                log.warning("the mirror is made anew: %s", error)
                for path in self._path.parent.glob(f"{FILE}*"):
                    path.unlink(missing_ok=True)
                return Catalogue(self._path)

    def _follow(self) -> None:
        """In one transaction of the mirror, so that nobody sees a state that never was."""
        with self._catalogue.writing() as connection:
            since = int(connection.execute("SELECT version FROM library").fetchone()[0])
            while True:
                status, *found = self._asked(since)
                if status == "gone":
                    raise no_library(self._connection)
                if status == "behind":
                    since = int(found[0])
                    self._read_all(connection)
                    continue
                since = int(found[0])
                if len(found) > 1:
                    self._take(connection, *found[1:])
                if status == "all":
                    break
            connection.execute("UPDATE library SET version = ?", (since - 1,))  # and one for this change

    def _asked(self, since: int) -> list[Any]:
        keys = [self._keys.library, self._keys.log, self._keys.recordings]
        reply = self._changes(keys, [since, STEP, self._keys.rows("")])
        return [text(reply[0]), *reply[1:]]

    def _take(self, connection: sqlite3.Connection, gone: Sequence[bytes], recordings: Sequence[Any], rows: Sequence[Any]) -> None:
        for recording_id in map(text, gone):
            _forget(connection, recording_id)
        there = set()
        for recording_id, row in zip(map(text, recordings[::2]), recordings[1::2], strict=True):
            if row is None:
                _forget(connection, recording_id)
            else:
                there.add(recording_id)
                _put_recording(connection, RecordingRow.parse(text(row)))
        for recording_id, field, row in zip(map(text, rows[::3]), map(text, rows[1::3]), rows[2::3], strict=True):
            if recording_id in there:
                _put_segment(connection, recording_id, field, None if row is None else text(row))

    def _read_all(self, connection: sqlite3.Connection) -> None:
        """What changes meanwhile is in the log, and read after this."""
        log.info("reading all rows of %s", self._connection.address)
        connection.execute("DELETE FROM recordings")
        connection.execute("DELETE FROM generations")
        for recording_id, row in self._scanned(self._keys.recordings):
            _put_recording(connection, RecordingRow.parse(row))
            for field, segment in self._scanned(self._keys.rows(recording_id)):
                _put_segment(connection, recording_id, field, segment)

    def _scanned(self, key: str) -> Iterator[tuple[str, str]]:
        cursor = 0
        while True:
            cursor, found = self._connection.call("hscan", key, cursor, count=ROWS)
            yield from ((text(field), text(value)) for field, value in found.items())
            if cursor == 0:
                return


def no_library(connection: Connection) -> NothingRecorded:
    return NothingRecorded(f"there is no library in {connection.address}", hint="index first: footage index VIDEO")


def _forget(connection: sqlite3.Connection, recording_id: str) -> None:
    connection.execute("DELETE FROM recordings WHERE recording_id = ?", (recording_id,))
    connection.execute("DELETE FROM generations WHERE generation NOT IN (SELECT generation FROM segments)")


def _put_recording(connection: sqlite3.Connection, row: RecordingRow) -> None:
    recording_id, facts = row.recording.recording_id, json.dumps(asdict(row.recording), sort_keys=True)
    connection.execute(
        "INSERT INTO recordings VALUES (?, ?) ON CONFLICT DO UPDATE SET facts = excluded.facts", (recording_id, facts)
    )  # fmt: skip
    for table in ("names", "locations"):
        connection.execute(f"DELETE FROM {table} WHERE recording_id = ?", (recording_id,))
    names = [(recording_id, utf8(name)) for name in row.names]
    connection.executemany("INSERT INTO names VALUES (?, CAST(? AS TEXT))", names)
    places = [(recording_id, utf8(place), seen) for seen, place in enumerate(reversed(row.locations))]
    connection.executemany("INSERT INTO locations VALUES (?, CAST(? AS TEXT), ?)", places)


def _put_segment(connection: sqlite3.Connection, recording_id: str, field: str, row: str | None) -> None:
    index, generation = field.split(" ", 1)
    if row is None:
        drop_segment(connection, recording_id, generation, int(index))
        return
    found = SegmentRow.parse(recording_id, generation, row)
    connection.execute(
        "INSERT INTO generations VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET encoder_id = excluded.encoder_id, "
        "embed_dim = max(excluded.embed_dim, iif(encoder_id = excluded.encoder_id, embed_dim, 0))",
        (generation, found.encoder_id, found.embed_dim),
    )
    keep_segment(connection, found.memory, found.facts, found.encoder_id)
