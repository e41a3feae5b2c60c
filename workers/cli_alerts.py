"""`footage alerts`: what standing questions have fired, and what one would have fired over recorded footage."""

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from footage.errors import ConfigError
from workers.cli_flags import FromFlag, JsonFlag, LibraryFlag, OfflineFlag, RecordingFlag, ToFlag, VerboseFlag, library_of, print_json

if TYPE_CHECKING:
    from footage.protocols import Encoder
    from workers.alerts.sinks import Sink
    from workers.engine import Library


def alerts(
    replay: Annotated[
        str, typer.Option("--replay", help="A standing question: what would it have fired over recorded footage?", show_default=False)
    ] = "",
    clip: Annotated[
        str, typer.Option("--clip", help="Cut the clip of this alert, by its id, and say where it is", show_default=False)
    ] = "",
    library: LibraryFlag = None,
    recording: RecordingFlag = "",
    start: FromFlag = None,
    end: ToFlag = None,
    model: Annotated[
        str | None, typer.Option(help="Who confirms, as for ask; none: the gate alone [default: auto]", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Only the newest so many; 0: all")] = 0,
    offline: OfflineFlag = None,
    as_json: JsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """List what standing questions (footage watch --alert "...") have fired; or try one on recorded footage."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    lib = library_of(library, offline, ask={"model": model})
    if clip:
        _cut(lib, clip, as_json=as_json)
        return
    if replay:
        print_notes([replay], lib.encoder)
        found = lib.replay(replay, recording=recording, start=start, end=end)[-limit:]
    else:
        found = lib.alerts(recording=recording, limit=limit)
    tell = told_by(as_json=as_json)
    for alert in found:
        tell(alert)
    if not found:
        print("nothing would have fired" if replay else "nothing has fired", file=sys.stderr)


def _cut(lib: "Library", id: str, *, as_json: bool) -> None:
    from workers.alerts.evidence import cut_clip
    from workers.alerts.ledger import kept_alerts

    known = kept_alerts(lib.directory, id=id)
    if not known:
        raise ConfigError(f"there is no alert {id!r} in {lib.location}", hint="`footage alerts` lists them with their ids")
    path = cut_clip(lib, known[0])
    print_json({"id": id, "clip": str(path)}) if as_json else print(path)


def print_notes(questions: Sequence[str], encoder: "Encoder") -> None:
    from workers.alerts.standing import notes_on

    for note in notes_on(questions, encoder):
        print(f"warning: {note}", file=sys.stderr)


def told_by(*, as_json: bool) -> "Sink":
    """Prints each alert to stdout: a line, or one object a line."""
    from workers.alerts.sinks import console

    return (lambda alert: print_json({"event": "alert", **alert.json(picture=False)})) if as_json else console
