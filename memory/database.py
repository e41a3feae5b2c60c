"""One SQLite file: opened, brought up to date, transactions, and its errors in words."""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from footage.errors import NothingRecorded, StoreError
from memory.schema import MIGRATIONS
from memory.text_search import fold

log = logging.getLogger(__name__)
DAMAGED_SCHEMA = ("no such", "malformed", "table ", "duplicate column")
"""How SQLite begins to tell of tables that are not as we made them."""
NO_VERSION = 1000  # of a schema is as high
BUSY_S = 30.0  # a checkpoint of another process may take this long; longer is an error


class OldCatalogue(StoreError):
    """Opening it for writing brings it up to date."""


class DamagedCatalogue(StoreError):
    """`footage library repair` makes a new one from what can be read and from the segments' own files."""

    def __init__(self, path: object, why: object = "", *, hint: str = "run `footage library repair`: it makes it again") -> None:
        super().__init__(f"{path} is damaged: {why}" if why else str(path), hint=hint)


class Database:
    """One connection, shared by the threads of a process."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Raises StoreError when the file is damaged, newer than this program, or too old to be only read."""
        self._path, self._lock = path, threading.Lock()
        with self._explained():
            self._connection = _connect_reader(path) if read_only else _connect_writer(path)
            try:
                self._migrate(read_only=read_only)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent state of the library."""
        with self._lock, self._explained():
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            except (ValueError, TypeError, KeyError) as error:  # a value that nothing of ours would have written
                raise DamagedCatalogue(self._path, error) from error
            finally:
                _roll_back(self._connection)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; the library's version grows when anything changed."""
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

    def compact(self) -> None:
        """The file without free pages, and the log emptied as far as readers allow."""
        with self._lock, self._explained():
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:  # a bug, or used after close
            raise
        except sqlite3.OperationalError as error:
            if str(error).startswith(DAMAGED_SCHEMA):
                raise DamagedCatalogue(self._path, error) from error
            hint = "is the disk full or read-only, or is another program holding the file?"
            raise StoreError(f"{self._path} cannot be used: {error}", hint=hint) from error
        except sqlite3.DatabaseError as error:
            raise DamagedCatalogue(self._path, error) from error

    def _migrate(self, *, read_only: bool) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        found = f"{self._path} has schema version {version}, this program knows {len(MIGRATIONS)}"
        if version > NO_VERSION:
            raise DamagedCatalogue(self._path, f"no schema has version {version}")
        if version > len(MIGRATIONS):
            raise StoreError(found, hint="it was written by a newer footage: update this one, or use another library")
        if version == 0 and read_only:  # a writer is making it right now
            raise NothingRecorded(f"nothing is kept in {self._path} yet", hint="index first: footage index VIDEO")
        if version < len(MIGRATIONS) and read_only:
            raise OldCatalogue(found, hint="it is brought up to date where it may be written: `footage library compact`")
        if version < len(MIGRATIONS):
            log.debug("migrating %s from version=%d", self._path, version)
            script = "".join(MIGRATIONS[version:])  # in one step: no reader sees a library that is half made
            try:
                self._connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {len(MIGRATIONS)}; COMMIT;")
            finally:
                _roll_back(self._connection)


def _connect_writer(path: Path) -> sqlite3.Connection:
    connection = _connect(path, "mode=rwc")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a commit that returned is on the disk
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _connect_reader(path: Path) -> sqlite3.Connection:
    """SQLite puts its -shm and -wal files beside the catalogue. Where it may not, and nobody writes, it reads without
    them, and does not see what is written later."""
    connection = _connect(path, "mode=ro")
    try:
        connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if path.with_name(path.name + "-wal").exists():
            raise
        return _connect(path, "immutable=1")
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")  # file names need not be UTF-8
    connection.create_function("fold", 1, fold, deterministic=True)
    return connection


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
