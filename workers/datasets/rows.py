"""Annotation files to rows that name the file, the row and the key when something in them is not as it should be."""

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footage.errors import ConfigError
from footage.timespan import TimeSpan
from workers.datasets.item import LETTERS

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".MP4", ".avi", ".mov")
TABLE_SUFFIXES = (".jsonl", ".json", ".parquet")  # what needs no further package comes first
AS_DISTRIBUTED = "use the file as its authors distribute it"


@dataclass(frozen=True, slots=True)
class Row:
    """One record. Every reader of a value raises ConfigError: where, which key, what was found, what was expected."""

    where: str
    values: Mapping[str, Any]

    def text(self, key: str) -> str:
        value = self._get(key)
        return value if isinstance(value, str) and value.strip() else self.refuse(key, value, "text that is not empty")

    def label(self, key: str) -> str:
        """A name or a number, as text."""
        value = self._get(key)
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else self.refuse(key, value, "a name or a number")

    def number(self, key: str) -> float:
        value = self._get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else self.refuse(key, value, "a number")

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._get(key)
        good = isinstance(value, list) and all(isinstance(part, str) for part in value)
        return tuple(value) if good else self.refuse(key, value, "a list of texts")

    def rows(self, key: str) -> list["Row"]:
        value = self._get(key)
        good = isinstance(value, list) and all(isinstance(part, dict) for part in value)
        found: list[dict[str, Any]] = value if good else self.refuse(key, value, "a list of objects")
        return [Row(f"{self.where}, {key}[{n}]", part) for n, part in enumerate(found)]

    def letter(self, key: str, choices: Sequence[str]) -> str:
        """Of a right choice that is given as its place, counted from 0."""
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < len(choices):
            return self.refuse(key, value, f"a whole number from 0 to {len(choices) - 1}")
        return LETTERS[value]

    def named_letter(self, key: str, choices: Sequence[str]) -> str:
        """Of a right choice that is given as its letter."""
        value, letters = self._get(key), LETTERS[: len(choices)]
        if not isinstance(value, str) or value.strip() not in tuple(letters):
            return self.refuse(key, value, f"one of {', '.join(letters)}")
        return value.strip()

    def spans(self, key: str) -> tuple[TimeSpan, ...]:
        """From [[start, end], ...] in seconds."""
        value = self._get(key)
        return tuple(self._span(key, pair) for pair in value) if isinstance(value, list) else self.refuse(key, value, "[[start, end], ...]")

    def span(self, key: str) -> TimeSpan:
        """From [start, end] in seconds."""
        return self._span(key, self._get(key))

    def refuse(self, key: str, found: object, expected: str) -> Any:
        raise ConfigError(f"{self.where}: {key!r} is {found!r}, expected {expected}", hint=AS_DISTRIBUTED)

    def _get(self, key: str) -> Any:
        if key not in self.values:
            raise ConfigError(f"{self.where}: no {key!r}; found {', '.join(self.values) or 'nothing'}", hint=AS_DISTRIBUTED)
        return self.values[key]

    def _span(self, key: str, pair: Any) -> TimeSpan:
        try:
            start, end = pair
            return TimeSpan(float(start), float(end))
        except (TypeError, ValueError):
            return self.refuse(key, pair, "[start, end] in seconds, start before end")


def read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(file)!r} cannot be read: {error}", hint="expected UTF-8 text") from error


def rows_of(file: Path) -> list[Row]:
    """Records of a .jsonl, .json (a list, or {"questions": [...]}) or .parquet file (which needs pyarrow)."""
    if file.suffix == ".parquet":
        return _parquet_rows(file)
    if file.suffix == ".jsonl":
        lines = [(n, line) for n, line in enumerate(read_text(file).splitlines(), start=1) if line.strip()]
        return [_row(f"{str(file)!r}, line {n}", _parsed(file, line, n)) for n, line in lines]
    found = _parsed(file, read_text(file), 1)
    if isinstance(found, dict) and "questions" in found:
        found = found["questions"]
    if not isinstance(found, list):
        raise ConfigError(f"{str(file)!r} holds {type(found).__name__}, expected a list of objects", hint=AS_DISTRIBUTED)
    return [_row(f"{str(file)!r}, row {n}", value) for n, value in enumerate(found, start=1)]


def table(folder: Path, names: Sequence[str]) -> list[Row]:
    """Rows of the first of `names` (globs without suffix) that is there as .jsonl, .json or .parquet; all shards of a table."""
    for suffix in TABLE_SUFFIXES:
        for name in names:
            if files := sorted(folder.glob(name + suffix)):
                return [row for file in files for row in rows_of(file)]
    looked_for = ", ".join(name + "{" + ",".join(TABLE_SUFFIXES) + "}" for name in names)
    raise ConfigError(f"no annotations in {str(folder)!r}", hint=f"looked for {looked_for}")


def annotations(folder: Path, *names: str) -> Path:
    """The first of these files that lies in the folder or one folder below."""
    for name in names:
        for file in (folder / name, *sorted(folder.glob(f"*/{name}"))):
            if file.is_file():
                return file
    raise ConfigError(f"no annotations in {str(folder)!r}", hint=f"expected {' or '.join(names)}, there or one folder below")


def video_at(folder: Path, places: Sequence[str], stem: str) -> Path:
    """The first place/stem.suffix that is there; where none is, the first that was looked for."""
    tries = [folder / place / f"{stem}{suffix}" for place in places for suffix in VIDEO_SUFFIXES]
    return next((path for path in tries if path.is_file()), tries[0])


def _row(where: str, value: object) -> Row:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is {value!r}, expected an object", hint=AS_DISTRIBUTED)
    return Row(where, value)


def _parsed(file: Path, text: str, first_line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise ConfigError(f"{str(file)!r}, line {line}, is no JSON: {error.msg}", hint="download it again") from error


def _parquet_rows(file: Path) -> list[Row]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        hint = f"pip install pyarrow, or put the same rows as JSON lines beside it: {file.with_suffix('.jsonl').name}"
        raise ConfigError(f"{str(file)!r} is a parquet table, and pyarrow is not installed", hint=hint) from error
    try:
        found = parquet.read_table(file).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise ConfigError(f"{str(file)!r} is no parquet table: {error}", hint="download it again") from error
    return [_row(f"{str(file)!r}, row {n}", value) for n, value in enumerate(found, start=1)]
