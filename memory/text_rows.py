"""TextRows in the catalogue: each row points to its wording, which is kept once."""

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

from footage.recordings import TextRow
from footage.timespan import TimeSpan
from memory.text_search import Found, fold, join_rows, squeeze

_COLUMNS = "texts.recording_id, start_s, end_s, kind, text, score, box, ink, ground, track"
_IN_SCOPE = (
    f"SELECT {_COLUMNS} FROM json_each(?) AS asked JOIN texts ON texts.recording_id = asked.value "
    "JOIN wordings USING (wording_id) ORDER BY asked.key, start_s, end_s, kind, text"
)
# From the wordings to their rows: what a question shares words with is little of what is kept.
_OF_WORDINGS = "FROM wordings CROSS JOIN texts USING (wording_id) WHERE squeezed IN (SELECT value FROM json_each(?))"


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
    return [_row(values) for values in connection.execute(_IN_SCOPE, (json.dumps(recording_ids),))]


def of_spans(connection: sqlite3.Connection, spans: Mapping[str, Sequence[TimeSpan]]) -> list[TextRow]:
    """The same, of those that begin inside some spans of each recording alone."""
    query = (
        f"SELECT {_COLUMNS} FROM json_each(?) AS asked CROSS JOIN texts ON texts.recording_id = ? AND start_s >= asked.value ->> 0 "
        "AND start_s < asked.value ->> 1 JOIN wordings USING (wording_id) ORDER BY start_s, end_s, kind, text"
    )
    rows: list[TextRow] = []
    for recording_id, own in spans.items():
        edges = json.dumps([(span.start_s, span.end_s) for span in own])
        rows += [_row(values) for values in connection.execute(query, (edges, recording_id))]
    return rows


def places(
    connection: sqlite3.Connection, recording_ids: Sequence[str] | None, found: Found, limit: int, span: TimeSpan | None
) -> list[tuple[str, float]]:
    """Recording and start of rows of some wordings, the most relevant first; recording_ids, span: only of these, and what overlaps it."""
    start_s, end_s = (-math.inf, math.inf) if span is None else (span.start_s, span.end_s)
    query = (  # CROSS JOIN: in this order, so that it ends where enough was found
        "SELECT texts.recording_id, start_s FROM json_each(?) AS best CROSS JOIN wordings ON squeezed = best.value "
        "CROSS JOIN texts USING (wording_id) WHERE start_s < ? AND end_s > ?"
    )
    values: list[str | float] = [json.dumps(_best_first(found)), end_s, start_s]
    if recording_ids is not None:
        query, values = f"{query} AND texts.recording_id IN (SELECT value FROM json_each(?))", [*values, json.dumps(recording_ids)]
    return connection.execute(f"{query} LIMIT ?", [*values, limit]).fetchall()


def of_wordings(connection: sqlite3.Connection, recording_ids: Sequence[str], found: Found, limit: int = 0) -> list[TextRow]:
    """The same, of some wordings alone: all of them, or at least the `limit` most relevant."""
    rows: list[TextRow] = []
    for squeezed in _by_relevance(found):
        rows += _of_some(connection, recording_ids, squeezed)
        if limit and len(join_rows(rows)) >= limit:
            break
    order = {recording_id: i for i, recording_id in enumerate(recording_ids)}
    return sorted(rows, key=lambda row: (order[row.recording_id], row.span, row.kind, row.text))


def _by_relevance(found: Found) -> Iterator[list[str]]:
    """Best first, some at a time, twice as many each time; those that are as relevant as each other come together."""
    best_first, first, size = _best_first(found), 0, 64
    while first < len(best_first):
        end = min(first + size, len(best_first))
        while end < len(best_first) and found[best_first[end]] == found[best_first[end - 1]]:
            end += 1
        yield best_first[first:end]
        first, size = end, 2 * size


def _best_first(found: Found) -> list[str]:
    return sorted(found, key=found.__getitem__, reverse=True)


def _of_some(connection: sqlite3.Connection, recording_ids: Sequence[str], squeezed: Sequence[str]) -> list[TextRow]:
    query = (
        f"SELECT {_COLUMNS} {_OF_WORDINGS} AND texts.recording_id IN (SELECT value FROM json_each(?)) "
        "ORDER BY texts.recording_id, start_s, end_s, kind, text"
    )
    return [_row(row) for row in connection.execute(query, (json.dumps(squeezed), json.dumps(recording_ids)))]


def _json(numbers: tuple[float, ...] | None) -> str | None:
    return None if numbers is None else json.dumps(numbers)


def _row(values: tuple[object, ...]) -> TextRow:
    recording_id, start_s, end_s, kind, text, score, box, ink, ground, track = values
    span = TimeSpan(start_s, end_s)  # type: ignore[arg-type]
    return TextRow(recording_id, span, kind, text, score, _tuple(box), _tuple(ink), _tuple(ground), track)  # type: ignore[arg-type]


def _tuple(text: str | None) -> tuple[float, ...] | None:
    return None if text is None else tuple(json.loads(text))
