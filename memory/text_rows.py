"""TextRows in the catalogue: each row points to its wording, which is kept once."""

import json
import sqlite3
from collections.abc import Iterable, Sequence

from footage.recordings import TextRow
from footage.timespan import TimeSpan
from memory.text_search import fold, squeeze

_COLUMNS = "texts.recording_id, start_s, end_s, kind, text, score, box, ink, ground, track"
_IN_SCOPE = (
    f"SELECT {_COLUMNS} FROM json_each(?) AS asked JOIN texts ON texts.recording_id = asked.value "
    "JOIN wordings USING (wording_id) {where} ORDER BY asked.key, start_s, end_s, kind, text"
)


def keep(connection: sqlite3.Connection, segment_id: int, rows: Iterable[TextRow]) -> None:
    for row in rows:
        connection.execute(
            "INSERT OR IGNORE INTO wordings (text, squeezed, folded) VALUES (?, ?, ?)",
            (row.text, squeeze(row.text), fold(row.text)),
        )
        connection.execute(
            "INSERT INTO texts VALUES (NULL, ?, ?, ?, ?, ?, (SELECT wording_id FROM wordings WHERE text = ?), "
            "?, ?, ?, ?, ?)",
            (segment_id, row.recording_id, row.span.start_s, row.span.end_s, row.kind, row.text,
             row.score, _json(row.box), _json(row.ink), _json(row.ground), row.track),
        )  # fmt: skip


def of_segment(connection: sqlite3.Connection, segment_id: int) -> list[TextRow]:
    """As they were committed."""
    query = f"SELECT {_COLUMNS} FROM texts JOIN wordings USING (wording_id) WHERE segment_id = ? ORDER BY text_id"
    return [_row(values) for values in connection.execute(query, (segment_id,))]


def of_recordings(connection: sqlite3.Connection, recording_ids: Sequence[str]) -> list[TextRow]:
    """By recording as asked, then by time; as they were committed."""
    query = _IN_SCOPE.format(where="")
    return [_row(values) for values in connection.execute(query, (json.dumps(recording_ids),))]


def of_wordings(connection: sqlite3.Connection, recording_ids: Sequence[str], squeezed: Iterable[str]) -> list[TextRow]:
    """The same, of some wordings alone."""
    query = _IN_SCOPE.format(where="WHERE squeezed IN (SELECT value FROM json_each(?))")
    values = (json.dumps(recording_ids), json.dumps(list(squeezed)))
    return [_row(row) for row in connection.execute(query, values)]


def _json(numbers: tuple[float, ...] | None) -> str | None:
    return None if numbers is None else json.dumps(numbers)


def _row(values: tuple[object, ...]) -> TextRow:
    recording_id, start_s, end_s, kind, text, score, box, ink, ground, track = values
    span = TimeSpan(start_s, end_s)  # type: ignore[arg-type]
    return TextRow(recording_id, span, kind, text, score, _tuple(box), _tuple(ink), _tuple(ground), track)  # type: ignore[arg-type]


def _tuple(text: str | None) -> tuple[float, ...] | None:
    return None if text is None else tuple(json.loads(text))
