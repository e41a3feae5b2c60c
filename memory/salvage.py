"""A damaged catalogue made anew: every row of it that can still be read, and of the other segments what their own files say.

What holds no facts of its own (indices, word searches) is not read but made again.
"""

import json
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

from footage.carriers import SegmentMemory
from footage.errors import StoreError
from footage.recordings import Recording, Segment
from footage.timespan import TimeSpan
from memory.damaged_tables import DamagedTables
from memory.database import Database
from memory.durable import path_part, sync_folder
from memory.segment_bytes import MappedBytes
from memory.segment_file import SegmentFile
from memory.segment_folder import SUFFIX
from memory.segment_format import content_hash
from memory.segment_rows import with_rows
from memory.segment_table import keep_segment
from memory.text_search import fold, squeeze
from memory.view import SegmentFacts

log = logging.getLogger(__name__)
TABLES = ("recordings", "names", "locations", "generations", "segments", "gaps", "wordings", "texts")
WAL = ("-wal", "-shm")
KEYS = ("recording_id", "generation", "segment_id", "wording_id")
ANY_BYTES = ("name", "location", "text")  # columns that hold what others wrote, UTF-8 or not
MORE_VERSIONS = 1000  # than the damaged one says: it may have lost some
NO_SPAN = TimeSpan(0, 1)


def salvage(path: Path, *, encoder_ids: Iterable[str] = ()) -> Path:
    """Puts a new catalogue in the place of a damaged one, and returns where that lies now; the caller holds the writer's lock.

    encoder_ids: by which the library may have been written, beside those that the catalogue still tells.
    """
    fresh = path.with_name("catalogue.new")
    for end in ("", *WAL):
        fresh.with_name(fresh.name + end).unlink(missing_ok=True)
    database = Database(fresh)
    with TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(folder) / path.name
        for end in ("", WAL[0]):
            if (old := path.with_name(path.name + end)).exists():
                shutil.copyfile(old, copy.with_name(copy.name + end))
        tables = DamagedTables(copy, fresh)
        with database.writing() as connection:
            connection.execute("PRAGMA defer_foreign_keys = ON")
            _copy_rows(tables, connection)
            _drop_senseless(path.parent, connection)
            _add_from_files(path.parent, connection, sorted(encoder_ids))
            _add_recordings(connection)
            _drop_strays(connection, sorted(encoder_ids))
        tables.close()
    database.close()
    return _put_in_place(fresh, path)


def _put_in_place(fresh: Path, path: Path) -> Path:
    """A crash between any two steps leaves a catalogue under that name, which can be made again."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    if path.exists():
        os.link(path, aside)
    for end in WAL:  # the new one must not meet the log of the old one
        if (old := path.with_name(path.name + end)).exists():
            old.replace(aside.with_name(aside.name + end))
    fresh.replace(path)
    sync_folder(path.parent)
    return aside


def _copy_rows(tables: DamagedTables, connection: sqlite3.Connection) -> None:
    """Those that fit."""
    for table in TABLES:
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        for row in (*tables.rows(table), *tables.twice(table, names)):
            values = dict(zip(names, row, strict=False))  # an older version has fewer columns, and the same ones first
            if table == "recordings" and not _are_sound(values.get("recording_id"), values.get("facts")):
                continue
            if None in [values[name] for name in KEYS if name in values]:
                continue
            if not all(_is_utf8(value) for name, value in values.items() if name not in ANY_BYTES):
                continue
            if table == "wordings" and isinstance(text := values["text"], bytes):
                words = text.decode("utf-8", "surrogateescape")
                values |= {"squeezed": squeeze(words), "folded": fold(words)}
            places = ", ".join("CAST(? AS TEXT)" if isinstance(value, bytes) else "?" for value in values.values())
            connection.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(values)}) VALUES ({places})", list(values.values()))
    version = max((value for row in tables.rows("library") for value in row[:1] if isinstance(value, int)), default=0)
    connection.execute("UPDATE library SET version = ?", (version + MORE_VERSIONS,))


def _is_utf8(value: object) -> bool:
    try:
        if isinstance(value, bytes):
            value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _drop_senseless(directory: Path, connection: sqlite3.Connection) -> None:
    """Segments with values that nothing of ours would have written, or that name another file than is there for them."""
    query = "SELECT segment_id, recording_id, generation, idx, file, start_s, end_s, seconds, forgotten FROM segments"
    for segment_id, recording_id, generation, index, file, start_s, end_s, *texts in connection.execute(query).fetchall():
        try:
            TimeSpan(start_s, end_s)
            is_sound = all(isinstance(json.loads(text), dict) for text in texts)
            own = f"segments/{path_part(recording_id)}/{path_part(generation)}/{index:06d}-"
            is_sound &= file.startswith(own) and ((directory / file).is_file() or not any(directory.glob(own + "*" + SUFFIX)))
        except (ValueError, TypeError):
            is_sound = False
        if not is_sound:
            connection.execute("DELETE FROM segments WHERE segment_id = ?", (segment_id,))


def _add_from_files(directory: Path, connection: sqlite3.Connection, encoder_ids: Sequence[str]) -> None:
    """Segments whose file is sound and has no row, where their time is not kept already: else they were replaced."""
    named = {file for (file,) in connection.execute("SELECT file FROM segments")}
    encoders = dict(connection.execute("SELECT generation, encoder_id FROM generations"))
    for path in sorted(directory.glob(f"segments/*/*/*{SUFFIX}")):
        file = path.relative_to(directory).as_posix()
        told = _told(path) if file not in named else None
        if told is None:
            continue
        segment, generation = told.segment, unquote(path.parent.name)
        key = (segment.recording_id, generation, segment.span.end_s, segment.span.start_s)
        taken = "SELECT 1 FROM segments WHERE recording_id = ? AND generation = ? AND (idx = ? OR start_s < ? AND end_s > ?)"
        if connection.execute(taken, (*key[:2], segment.index, *key[2:])).fetchone() is None:
            facts = SegmentFacts.of(told, generation, size_bytes=path.stat().st_size, file=file)
            keep_segment(connection, told, facts, encoders.get(generation) or _encoder_id(generation, encoder_ids))


def _told(path: Path) -> SegmentMemory | None:
    """A segment as its file tells it; None where that is damaged. Older files tell carriers alone, whose time is all that is known."""
    index, _, hash = path.name.removesuffix(SUFFIX).partition("-")
    try:
        if content_hash(path.read_bytes()) != hash:
            return None
        recording_id = unquote(path.parent.parent.name)
        file = SegmentFile(MappedBytes(path), recording_id)
        rows, carriers = file.rows(), tuple(file.carriers())
        if rows is None and not carriers:
            return None
        ends = [edge for carrier in carriers for edge in (carrier.span.start_s, carrier.span.end_s)]
        span = TimeSpan(min(ends), max(ends)) if ends else NO_SPAN
        memory = SegmentMemory(Segment(recording_id, int(index), span), carriers, file.thumbnails())
        return memory if rows is None else with_rows(memory, rows)
    except (StoreError, OSError, ValueError) as error:
        log.warning("%s is passed over: %s", path, error)
        return None


def _encoder_id(generation: str, encoder_ids: Sequence[str]) -> str:
    """A generation begins with its encoder's id, in which slashes became underscores."""
    fits = [id for id in encoder_ids if generation.startswith(id.replace("/", "_") + "+")]
    return max(fits, key=len, default=generation.rsplit("+", 2)[0])


def _add_recordings(connection: sqlite3.Connection) -> None:
    """Those whose facts are gone come back with what their segments tell."""
    query = "SELECT recording_id, max(end_s) FROM segments WHERE recording_id NOT IN (SELECT recording_id FROM recordings) GROUP BY 1"
    for recording_id, end_s in connection.execute(query).fetchall():
        facts = json.dumps(asdict(Recording(recording_id, end_s, 0, 0)), sort_keys=True)
        connection.execute("INSERT INTO recordings VALUES (?, ?)", (recording_id, facts))


def _are_sound(recording_id: object, facts: object) -> bool:
    """Facts of a recording, both as bytes."""
    try:
        return isinstance(facts, bytes) and Recording(**json.loads(facts)).recording_id.encode() == recording_id
    except (ValueError, TypeError):
        return False


def _drop_strays(connection: sqlite3.Connection, encoder_ids: Sequence[str]) -> None:
    """What points to nothing; texts belong to their segment's recording."""
    lost = "SELECT DISTINCT generation FROM segments WHERE generation NOT IN (SELECT generation FROM generations)"
    for (generation,) in connection.execute(lost).fetchall():
        connection.execute("INSERT INTO generations VALUES (?, ?, 0)", (generation, _encoder_id(generation, encoder_ids)))
    connection.execute("DELETE FROM generations WHERE generation NOT IN (SELECT generation FROM segments)")
    while strays := connection.execute("PRAGMA foreign_key_check").fetchall():
        for table, number, *_ in strays:
            connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (number,))
    connection.execute("UPDATE texts SET recording_id = (SELECT recording_id FROM segments WHERE segments.segment_id = texts.segment_id)")
    connection.execute(
        "INSERT INTO names SELECT recording_id, recording_id FROM recordings WHERE recording_id NOT IN (SELECT recording_id FROM names)"
    )
