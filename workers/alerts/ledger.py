"""Alerts that fired, kept beside the library: what `footage alerts` lists, and what a receiver has not got yet."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from footage.errors import StoreError
from workers.alerts.alert import Alert

FILE = "alerts.sqlite"
BUSY_S = 10.0
_TABLE = """
CREATE TABLE IF NOT EXISTS alerts (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, question TEXT NOT NULL, recording TEXT NOT NULL, start_s REAL NOT NULL,
    end_s REAL NOT NULL, clip TEXT NOT NULL, rest TEXT NOT NULL, thumbnail BLOB NOT NULL, waits INTEGER NOT NULL)
"""
_COLUMNS = "id, question, recording, start_s, end_s, clip, rest, thumbnail"


class Ledger:
    """A SQLite file; threads may share it, and other processes may read it or write it too. The newest `keep` alerts stay."""

    def __init__(self, directory: Path, *, keep: int = 1000) -> None:
        self._path, self._keep, self._lock = directory / FILE, keep, threading.Lock()
        with self._explained():
            self._connection = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(_TABLE)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def add(self, alert: Alert, *, waits: bool = False) -> bool:
        """False when it is there already. waits: a receiver is to be told."""
        fields = alert.json(picture=False)
        rest = json.dumps({name: fields[name] for name in ("name", "fired_s", "at", "confidence", "by", "text")})
        values = alert.id, alert.question, alert.recording, alert.start_s, alert.end_s, alert.clip, rest, alert.thumbnail, waits
        with self._using() as db:
            is_new = db.execute("INSERT OR IGNORE INTO alerts VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values).rowcount > 0
            db.execute("DELETE FROM alerts WHERE number <= (SELECT max(number) FROM alerts) - ?", (self._keep,))
        return is_new

    def seen_until(self, question: str, recording: str) -> float | None:
        """Until when the newest event was seen; None where there was none."""
        with self._using() as db:
            return db.execute("SELECT max(end_s) FROM alerts WHERE question = ? AND recording = ?", (question, recording)).fetchone()[0]

    def goes_on(self, question: str, recording: str, end_s: float) -> None:
        """The newest event of a question was seen until then."""
        newest = "SELECT max(number) FROM alerts WHERE question = ? AND recording = ?"
        with self._using() as db:
            db.execute(f"UPDATE alerts SET end_s = max(end_s, ?) WHERE number = ({newest})", (end_s, question, recording))

    def alerts(self, *, limit: int = 0, recording: str = "", id: str = "") -> list[Alert]:
        """Oldest first; of those that match the newest `limit`, 0 for all."""
        where = "WHERE (? = '' OR recording = ?) AND (? = '' OR id = ?) ORDER BY number DESC LIMIT ?"
        with self._using() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM alerts {where}", (recording, recording, id, id, limit or -1)).fetchall()
        return [_alert(row) for row in reversed(rows)]

    def waiting(self) -> Alert | None:
        """The oldest that its receiver has not got."""
        with self._using() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM alerts WHERE waits ORDER BY number LIMIT 1").fetchone()
        return _alert(row) if row else None

    def told(self, id: str) -> None:
        with self._using() as db:
            db.execute("UPDATE alerts SET waits = 0 WHERE id = ?", (id,))

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained():
            yield self._connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self._path} cannot be used: {error}", hint="is the disk full or read-only?") from error
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self._path} is damaged: {error}", hint="move it away: it holds alerts alone") from error


def kept_alerts(directory: Path, *, recording: str = "", limit: int = 0, id: str = "") -> list[Alert]:
    """As Ledger.alerts; none, and nothing made, where nothing ever fired."""
    if not (directory / FILE).exists():
        return []
    with Ledger(directory) as ledger:
        return ledger.alerts(recording=recording, limit=limit, id=id)


def _alert(row: tuple[Any, ...]) -> Alert:
    id, question, recording, start_s, end_s, clip, rest, thumbnail = row
    clip = clip if clip and Path(clip).exists() else ""  # the oldest make room for new ones
    return Alert(
        id=id, question=question, recording=recording, start_s=start_s, end_s=end_s, clip=clip, thumbnail=thumbnail, **json.loads(rest)
    )  # fmt: skip
