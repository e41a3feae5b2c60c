"""`footage library`: what a library holds, whether it is sound, and how it is mended, made smaller and copied."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from footage.errors import ConfigError
from workers.cli_flags import JsonFlag, LibraryFlag, OfflineFlag, RecordingFlag, library_of, print_json, print_table

if TYPE_CHECKING:
    from workers.engine import Library
    from workers.library.damage import Damage, Heard
    from workers.library.repair import Again

library = typer.Typer(help="Look into a library, mend it, make it smaller, copy it.", no_args_is_help=True)


@library.command()
def info(library: LibraryFlag = None, as_json: JsonFlag = False) -> None:
    """Count what a library holds."""
    from workers.library.facts import facts_of

    lib = library_of(library)
    with lib.opened(read_only=True) as store, _bar(quiet=as_json) as heard:
        facts = facts_of(store, shown_location(lib), heard)
    if as_json:
        print_json(facts.json())
        return
    print(f"{facts.location}: {facts.recordings} recordings, {facts.seconds / 3600:.2f} hours, {facts.size_bytes / 1e6:.2f} MB")
    rows = [
        (k.generation, str(k.level), k.encoding, str(k.segments), str(k.carriers), str(k.tokens), f"{k.size_bytes / 1e6:.2f} MB")
        for k in facts.kept
    ]
    print_table([("generation", "level", "tokens are", "segments", "carriers", "tokens", "memory"), *rows])
    for generation, state in facts.indexes.items():
        print(f"index of {generation}: {state}")
    print(f"archive of streams: {facts.archive_bytes / 1e6:.2f} MB; leftovers: {facts.leftovers}; schema version {facts.schema}")
    for problem in facts.problems:
        print(f"damaged: {problem}")
    if not facts.problems:
        print("damaged: nothing seen; `footage library verify` reads every byte")


@library.command()
def verify(library: LibraryFlag = None, as_json: JsonFlag = False) -> None:
    """Read everything and name what is damaged: recording, segment, time. Ends with 1 where anything is."""
    from memory.database import DamagedCatalogue
    from workers.library.damage import Damage, examine

    lib, count, leftovers = library_of(library), 0, 0
    with _bar(quiet=as_json) as heard:
        try:
            with lib.opened(read_only=True) as store:
                for damage in examine(store, heard):
                    _tell(damage, as_json=as_json)
                    count += 1
                leftovers = len(store.leftovers()) if not count else 0
        except DamagedCatalogue as error:
            _tell(Damage("catalogue", str(error)), as_json=as_json)
            count += 1
    if leftovers:
        print(f"{leftovers} files that no row names: a writer makes them now, or did not finish; the next one sweeps them", file=sys.stderr)
    if count:
        print(f"{count} damaged; `footage library repair` mends what can be mended", file=sys.stderr)
        raise typer.Exit(1)
    print("nothing is damaged", file=sys.stderr)


@library.command()
def repair(
    library: LibraryFlag = None,
    reindex: Annotated[bool, typer.Option("--reindex", help="Index again at once what is lost, where its source is still there")] = False,
    offline: OfflineFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Mend what can be mended, and say what must be indexed again. What is sound is never deleted."""
    from memory.redis.address import is_redis
    from workers.library.damage import Damage
    from workers.library.repair import mend, mended_catalogue, to_index_again

    lib = library_of(library, offline)
    aside = None if is_redis(lib.settings.library) else mended_catalogue(lib.directory)
    if aside is not None:
        _tell(Damage("catalogue", "it was damaged"), f"made again; the damaged one is kept as {aside.name}", as_json=as_json)
    with _bar(quiet=as_json) as heard, lib.opened() as store:
        for damage, done in mend(store, heard):
            _tell(damage, done, as_json=as_json)
        again = to_index_again(store)
    for each in again:
        if not (reindex and each.is_there and _indexed_again(library, offline, each)):
            _tell_again(each, library, as_json=as_json)
    if not again:
        print("nothing has to be indexed again", file=sys.stderr)


@library.command()
def compact(
    library: LibraryFlag = None,
    generation: Annotated[
        str, typer.Option("--generation", help="Keep this one alone of recordings that it holds as far as others", show_default=False)
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Give back room: leftovers of crashes, what was forgotten, worn indexes."""
    from workers.library import compacting

    lib = library_of(library)
    lib.opened(read_only=True).close()  # there is one
    with lib.opened() as store:
        if generation and not store.encoder_id(generation):
            known = sorted({name for names in store.written().values() for name in names})
            raise ConfigError(f"nothing is kept of generation {generation!r}", hint=f"known: {', '.join(known)}")
        before = _bytes_of(lib.directory)
        dropped = compacting.prune(store, generation) if generation else 0
        compacting.compact(store)
    freed = before - _bytes_of(lib.directory)
    print_json({"freed_bytes": freed, "segments_dropped": dropped}) if as_json else print(
        f"{freed / 1e6:.2f} MB given back, {dropped} segments dropped"
    )


@library.command()
def age(library: LibraryFlag = None, recording: RecordingFlag = "", as_json: JsonFlag = False) -> None:
    """Make what is old coarser now, as the settings retention.* say; indexing and watching do it as they go."""
    from workers import retention

    lib = library_of(library)
    ids = (lib.resolve(recording),) if recording else None
    lib.opened(read_only=True).close()  # there is one
    with lib.opened() as store:
        done = retention.age(store, lib.settings.retention, ids)
    for each in done:
        if as_json:
            row = {"recording": each.recording, "steps": each.steps, "bytes_before": each.bytes_before, "bytes_after": each.bytes_after}
            print_json(row)
        else:
            print(f"{lib.name_of(each.recording)}: {each.bytes_before / 1e6:.2f} MB became {each.bytes_after / 1e6:.2f} MB")
    if not done:
        print("nothing is due", file=sys.stderr)


@library.command()
def copy(
    to: Annotated[str, typer.Option("--to", help="A directory, or redis://HOST:PORT/DB?name=NAME; made when it is not there")],
    library: LibraryFlag = None,
    recording: RecordingFlag = "",
    as_json: JsonFlag = False,
) -> None:
    """Copy a library, or one recording of it, to another place; run it again after an interruption, it goes on."""
    from memory.stores import open_store, shown
    from workers.library import copying

    lib = library_of(library)
    ids = (lib.resolve(recording),) if recording else None
    if shown(to) == shown_location(lib) or Path(to).resolve() == lib.directory.resolve():
        raise ConfigError(f"{shown(to)} is the library itself", hint="name another place with --to")
    with _bar(quiet=as_json) as heard, lib.opened(read_only=True) as source, open_store(to, config=lib.settings.redis) as target:
        done = copying.copy(source, target, ids, heard)
        copying.compare(source, target, ids, heard)
    if as_json:
        print_json(
            {"to": shown(to), "recordings": done.recordings, "segments": done.segments, "there": done.there, "bytes": done.size_bytes}
        )
    else:
        segments = f"{done.segments} segments ({done.there} were there)"
        print(f"{shown(to)}  {done.recordings} recordings, {segments}, {done.size_bytes / 1e6:.2f} MB, compared")


def shown_location(lib: "Library") -> str:
    from memory.stores import shown

    return shown(lib.settings.library)


def _indexed_again(library: str | None, offline: bool | None, each: "Again") -> bool:
    """Where today's settings make what was lost; the same command as a user would give."""
    from workers.progress import reporter

    encoder, _, carriers = each.encoder.partition(" --carriers ")
    lib = library_of(library, offline, index={"encoder": encoder or None, "carriers": carriers or None})
    with reporter() as listener:
        for done in lib.index(each.location, jobs=lib.settings.index.jobs, listener=listener):
            listener.show(done)
    with lib.opened(read_only=True) as store:
        from workers.library.repair import to_index_again

        return each.recording not in {left.recording for left in to_index_again(store)}


def _tell(damage: "Damage", done: str = "", *, as_json: bool) -> None:
    if as_json:
        print_json(damage.json() | ({"done": done} if done else {}))
    else:
        print(f"{damage}" + (f": {done}" if done else ""))


def _tell_again(each: "Again", library: str | None, *, as_json: bool) -> None:
    flags = (f" --encoder {each.encoder}" if each.encoder else "") + (f" -l {library}" if library else "")
    command = f"footage index {each.location!r}{flags}"
    if as_json:
        print_json(
            {"index_again": each.recording, "name": each.name, "location": each.location, "is_there": each.is_there, "command": command}
        )
    elif each.is_there:
        print(f"{each.name} has gaps now; index it again: {command}")
    else:
        print(f"{each.name} has gaps now, and its source is not at {each.location!r}; put it back there and run: {command}")


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and "archive" not in path.parts)


@contextmanager
def _bar(*, quiet: bool) -> Iterator["Heard"]:
    """A bar on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        tasks = {}

        def heard(what: str, done: float, whole: float) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=None)
            progress.update(tasks[what], completed=done, total=whole or 1)

        yield heard
