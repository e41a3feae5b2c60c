"""Rows of a damaged SQLite file: all that do not lie in a damaged page.

Rows of a table lie in pages by their number, and a damaged page breaks whoever walks over it. So tables are walked from both ends up to
the damage, and what lies between is looked for by number.
"""

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)
HEADER_BYTES = 100  # what says that a file is SQLite's
INDEX_OF = {
    "recordings": "recordings_twice",
    "names": "sqlite_autoindex_names_1",
    "locations": "locations_twice",
    "generations": "generations_twice",
}
UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)  # the second one from names of columns
PAGE_SIZE, PAGES = slice(16, 18), slice(28, 32)  # places in it


class DamagedTables:
    """Of a copy, which may be changed: where not even its header is right it gets that of a sound catalogue."""

    def __init__(self, copy: Path, sound: Path) -> None:
        try:
            self._connection = _opened(copy)
        except sqlite3.DatabaseError as error:
            log.warning("the catalogue's header is damaged: %s", error)
            self._connection = _with_header(copy, sound)

    def close(self) -> None:
        self._connection.close()

    def rows(self, table: str) -> list[tuple[object, ...]]:
        """In their order, text as bytes; none where even the table cannot be found."""
        found: dict[int, tuple[object, ...]] = {}
        try:
            top = self._walk(table, found, "DESC", 1 << 62)
            at = self._walk(table, found, "ASC", 0) if top is not None else None
            while at is not None and top is not None and (begin := self._next(table, at, top)) is not None:
                at = self._walk(table, found, "ASC", begin)
        except UNREADABLE as error:
            log.warning("table %s of the catalogue cannot be read: %s", table, error)
        return [found[number] for number in sorted(found)]

    def twice(self, table: str, columns: Sequence[str]) -> list[tuple[object, ...]]:
        """The same of the few tables that are there a second time, in an index that holds all their columns."""
        if table not in INDEX_OF:
            return []
        query = f"SELECT rowid, {', '.join(columns)} FROM {table} INDEXED BY {INDEX_OF[table]}"
        found: list[tuple[int, tuple[object, ...]]] = []
        try:
            for number, *row in self._connection.execute(query):
                found.append((number, tuple(row)))
        except UNREADABLE as error:
            log.warning("the index of table %s of the catalogue cannot be read: %s", table, error)
        return [row for _, row in sorted(found, key=lambda each: each[0])]

    def _walk(self, table: str, found: dict[int, tuple[object, ...]], order: str, begin: int) -> int | None:
        """Takes rows from that number on until it meets damage, and returns the next number there; None where there is no more."""
        query = f"SELECT rowid, * FROM {table} WHERE rowid {'>=' if order == 'ASC' else '<='} ? ORDER BY rowid {order}"
        at = begin
        try:
            for number, *row in self._connection.execute(query, (begin,)):
                if number in found:  # the walk from the other end came to here
                    return None
                found[number], at = tuple(row), number + (1 if order == "ASC" else -1)
        except sqlite3.DatabaseError:
            return at
        return None

    def _next(self, table: str, bad: int, top: int) -> int | None:
        """The first number above a damaged one, and not above top, from which on something can be read."""
        step = 1
        while not self._is_readable(table, bad + step):
            step *= 2
            if bad + step > top:
                return None
        low, high = bad + step // 2, bad + step
        while low + 1 < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._is_readable(table, middle) else (middle, high)
        return high

    def _is_readable(self, table: str, number: int) -> bool:
        query = f"SELECT * FROM {table} WHERE rowid >= ? ORDER BY rowid LIMIT 1"
        try:
            return self._connection.execute(query, (number,)).fetchone() is not None
        except sqlite3.DatabaseError:
            return False


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.text_factory = bytes
    try:
        connection.execute("PRAGMA writable_schema = ON")  # reads on where a part of the schema makes no sense
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _with_header(copy: Path, sound: Path) -> sqlite3.Connection:
    """An empty database where that does not help either."""
    header = bytearray(sound.read_bytes()[:HEADER_BYTES])
    page_bytes = int.from_bytes(header[PAGE_SIZE], "big")
    header[PAGES] = (copy.stat().st_size // page_bytes).to_bytes(4, "big")
    with copy.open("r+b") as file:
        file.write(header)
    try:
        return _opened(copy)
    except sqlite3.DatabaseError as error:
        log.warning("nothing of the catalogue can be read: %s", error)
        return sqlite3.connect(":memory:")
