"""What the verbs of the command line share: flags, opening a library, printing."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workers.engine import Library

NameArgument = Annotated[
    str, typer.Argument(help="A recording, or a file; it is indexed first when it must be", metavar="[SOURCE_OR_RECORDING]")
]
LibraryFlag = Annotated[
    str | None,
    typer.Option("--library", "-l", help="Where recordings are remembered [default: ./.footage]", show_default=False),
]
EncoderFlag = Annotated[str | None, typer.Option(help='"color", "nano", or an image-text checkpoint: folder or hub id', show_default=False)]
CarriersFlag = Annotated[
    str | None,
    typer.Option(help="A video-language checkpoint: its tower makes the tokens that it reads when asked", show_default=False),
]
OfflineFlag = Annotated[bool | None, typer.Option("--offline", help="Never fetch anything", show_default=False)]
JsonFlag = Annotated[bool, typer.Option("--json", help="Machine-readable output, one object a line")]
VerboseFlag = Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens, to stderr")]
RecordingFlag = Annotated[str, typer.Option("--recording", "-r", help="Only this one: name, path or id", show_default=False)]
FromFlag = Annotated[str | None, typer.Option("--from", help="Only from this time on: 75, 1:15 or 1:00:15", show_default=False)]
ToFlag = Annotated[str | None, typer.Option("--to", help="Only up to this time", show_default=False)]
WorkFlag = Annotated[Path, typer.Option("--folder", help="Where films and libraries go, and are found again")]
ResultsFlag = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for table, JSON and picture", show_default=False)]
QuickFlag = Annotated[bool, typer.Option("--quick", help="Less of everything, under a minute on two cores")]


def library_of(library: str | None, offline: bool | None = None, **sections: dict[str, Any]) -> "Library":
    from workers.config import load_settings
    from workers.engine import Library

    return Library(load_settings({"library": library, "offline": offline, **sections}).settings)


def print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """In columns, the first row being their names."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip())


def warn_of_coverage(lib: "Library", recording: str) -> None:
    """Up to when streams are covered, to stderr; recording: a name, or "" for all."""
    for sentence in lib.coverage((lib.resolve(recording),) if recording else None):
        print(f"warning: {sentence}", file=sys.stderr)
