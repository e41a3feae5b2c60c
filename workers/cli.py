"""The command line: parse, build, call. stdout carries data, stderr carries logs; heavy imports wait for the verb that needs them."""

import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footage.addresses import is_live, scheme_of
from footage.errors import ConfigError, FootageError
from workers.cli_alerts import alerts
from workers.cli_flags import (
    CarriersFlag,
    EncoderFlag,
    FromFlag,
    JsonFlag,
    LibraryFlag,
    NameArgument,
    OfflineFlag,
    RecordingFlag,
    ToFlag,
    VerboseFlag,
    library_of,
    print_json,
    print_table,
    warn_of_coverage,
)
from workers.cli_library import library as library_verbs
from workers.cli_live import watch
from workers.cli_measure import bench, evaluate

if TYPE_CHECKING:
    from workers.engine import Library

INTERRUPTED = 130

app = typer.Typer(
    help="Ask questions of hours of video; get answers whose times are true.", no_args_is_help=True, add_completion=True,
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}, rich_markup_mode=None,
)  # fmt: skip
app.add_typer(bench, name="bench")
app.add_typer(evaluate, name="eval")
app.add_typer(library_verbs, name="library")
app.command()(watch)
app.command()(alerts)


@app.command()
def index(
    targets: Annotated[list[str], typer.Argument(help="Files, folders, globs, http(s) addresses", metavar="PATH...")],
    library: LibraryFlag = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second that are looked at [default: 1]", show_default=False)] = None,
    keyframes: Annotated[
        bool,
        typer.Option("--keyframes", help="Look at key frames only: much faster, times late by up to their interval"),
    ] = False,
    encoder: EncoderFlag = None,
    carriers: CarriersFlag = None,
    ocr: Annotated[str | None, typer.Option(help="Read text on the screen: auto, on, off [default: auto]", show_default=False)] = None,
    decoder: Annotated[str | None, typer.Option(help="pyav, pyav-sequential or decord [default: pyav]", show_default=False)] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", help="Segments worked on at a time [default: one a core]", show_default=False),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on watching the folders, until Ctrl-C; a new file is taken once it is whole")
    ] = False,
    offline: OfflineFlag = None,
    as_json: JsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Remember footage. Run it again at any time: what is there already is not made again."""
    _log(verbose)
    lib = library_of(library, offline, index={"encoder": encoder, "carriers": carriers, "ocr": ocr, "jobs": jobs},
                   sampling={"fps": fps, "mode": "keyframes" if keyframes else None, "decoder": decoder})  # fmt: skip
    from workers.progress import reporter

    with reporter(quiet=verbose) as listener:
        if follow:
            _follow(lib, targets, listener, as_json)
            return
        refused = _report_index(lib, targets, listener, as_json)
    if refused is not None:
        raise typer.Exit(refused.exit_code)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="In words", metavar="QUESTION")] = "",
    source: Annotated[str, typer.Argument(help="A file to ask; it is indexed first when it must be", metavar="[SOURCE]")] = "",
    library: LibraryFlag = None,
    recording: RecordingFlag = "",
    start: FromFlag = None,
    end: ToFlag = None,
    model: Annotated[
        str | None,
        typer.Option(help="none (moments only), template, nano, openai:URL#NAME, or a checkpoint [default: auto]", show_default=False),
    ] = None,
    selector: Annotated[str | None, typer.Option(help="How frames are chosen: see docs/selection.md", show_default=False)] = None,
    budget: Annotated[int | None, typer.Option(help="Visual tokens to spend [default: 4096]", show_default=False)] = None,
    moments: Annotated[int | None, typer.Option(help="How many moments to cite [default: 5]", show_default=False)] = None,
    choice: Annotated[list[str] | None, typer.Option(help="One of the answers to choose from; again for each", show_default=False)] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Talk: questions one after the other, each may lean on those before")
    ] = False,
    encoder: EncoderFlag = None,
    carriers: CarriersFlag = None,
    offline: OfflineFlag = None,
    as_json: JsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Answer a question, with the moments that bear the answer out; or many, with -i."""
    _log(verbose)
    asked = {"model": model, "selector": selector, "budget": budget, "moments": moments}
    lib = library_of(library, offline, index={"encoder": encoder, "carriers": carriers}, ask=asked)
    from workers.as_json import answer_json
    from workers.progress import reporter

    if interactive:
        from workers.chat import chat

        chat(lib, question, source, recording=recording, start=start, end=end, as_json=as_json)
        return
    if not question:
        raise ConfigError("QUESTION is missing", hint='write one in quotes: footage ask "When is it blue?"; or talk: footage ask -i')
    with reporter(quiet=verbose) as listener:
        answer = lib.ask(
            question, source, recording=recording, start=start, end=end, jobs=lib.settings.index.jobs, listener=listener,
            choices=choice or (),
        )  # fmt: skip
    if as_json:
        print_json(answer_json(answer, lib))
    else:
        print(answer.text + (f"\nchoice: {answer.choice}" if answer.choice else ""))
    if doubtful := [str(moment.span) for moment in answer.citations if not moment.supported]:
        print(f"not borne out by a second look: {', '.join(doubtful)}", file=sys.stderr)
    for warning in answer.warnings:
        print(f"warning: {warning}", file=sys.stderr)


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="Words to find, in pictures and in text", metavar="[TEXT]")] = "",
    image: Annotated[Path | None, typer.Option(help="Instead of words: a picture to find the like of", show_default=False)] = None,
    library: LibraryFlag = None,
    recording: RecordingFlag = "",
    start: FromFlag = None,
    end: ToFlag = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most moments to list")] = 10,
    encoder: EncoderFlag = None,
    carriers: CarriersFlag = None,
    offline: OfflineFlag = None,
    as_json: JsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """List the moments that match words, or look like a picture, best first."""
    _log(verbose)
    lib = library_of(library, offline, index={"encoder": encoder, "carriers": carriers})
    from workers.as_json import moment_json

    if bool(text.strip()) == (image is not None):
        raise ConfigError("search takes words or --image FILE, one of the two")
    if image is not None:
        found = lib.search_image(image, recording=recording, start=start, end=end, limit=limit)
    else:
        found = lib.search(text, recording=recording, start=start, end=end, limit=limit)
    warn_of_coverage(lib, recording)
    if as_json:
        print_json({"moments": [moment_json(m, lib) for m in found]})
        return
    for m in found:
        print(f"{m.span}  {lib.name_of(m.recording_id)}  {m.kind} {m.score:.2f}  {m.text}".rstrip())
    if not found:
        print("nothing matches", file=sys.stderr)


@app.command()
def timeline(
    name: NameArgument = "",
    library: LibraryFlag = None,
    start: FromFlag = None,
    end: ToFlag = None,
    min_s: Annotated[float, typer.Option("--min-s", help="Shortest scene, in seconds")] = 2.0,
    every: Annotated[bool, typer.Option("--all", help="Every scene; otherwise the most alike become one, to 40 an hour")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Also a picture of each scene (.png)", show_default=False)] = None,
    model: Annotated[
        str | None, typer.Option(help="Who puts scenes into words, as for ask; none: no model [default: auto]", show_default=False)
    ] = None,
    offline: OfflineFlag = None,
    as_json: JsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Tell what a recording shows, scene by scene."""
    _log(verbose)
    lib = library_of(library, offline, ask={"model": model})
    from workers.timeline import print_timeline, scene_json, scene_sheet

    name = _indexed_when_it_must_be(lib, name, quiet=verbose)
    found = lib.timeline(name, start=start, end=end, min_s=min_s, every=every)
    warn_of_coverage(lib, name)
    if as_json:
        for scene in found:
            print_json(scene_json(scene))
    else:
        print_timeline(found)
        late = sum(not scene.is_exact and scene.source != "gap" for scene in found)
        if late:
            print(f"{late} of these begin where sampling saw them first; --json says which", file=sys.stderr)
    if sheet is not None:
        print(f"sheet: {scene_sheet(lib, found, sheet)}", file=sys.stderr)


@app.command()
def summary(
    name: NameArgument = "",
    library: LibraryFlag = None,
    start: FromFlag = None,
    end: ToFlag = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also as markdown (.md)", show_default=False)] = None,
    model: Annotated[
        str | None, typer.Option(help="Who puts it into words, as for ask; none: quotes alone [default: auto]", show_default=False)
    ] = None,
    offline: OfflineFlag = None,
    as_json: JsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Sum up a recording in a few sections, each line with its time and what it is drawn from."""
    _log(verbose)
    lib = library_of(library, offline, ask={"model": model})
    from workers.summary_text import summary_json, written

    name = _indexed_when_it_must_be(lib, name, quiet=verbose)
    made = lib.summary(name, start=start, end=end)
    warn_of_coverage(lib, name)
    if out is not None:
        try:
            out.write_text(written(made, lib.name_of(made.recording_id), marked=True))
        except OSError as error:
            raise ConfigError(f"{out} cannot be written: {error.strerror}", hint="name a file in a folder that is there") from error
    if as_json:
        print_json(summary_json(made, lib))
    else:
        print(written(made, lib.name_of(made.recording_id)), end="")


@app.command()
def recordings(library: LibraryFlag = None, as_json: JsonFlag = False) -> None:
    """List what is remembered."""
    from footage.addresses import printable
    from footage.timespan import clock
    from workers.retention import faded

    lib = library_of(library)
    rows: list[dict[str, Any]] = []
    for known in lib.known():
        recording = known.recording
        rows.append({
            "recording": recording.recording_id, "names": list(known.names), "duration_s": round(recording.duration_s, 6),
            "width_px": recording.width_px, "height_px": recording.height_px, "codec": recording.codec, "frames": recording.frames,
            "bytes": known.size_bytes, "generations": list(known.generations), "facts": recording.facts,
        })  # fmt: skip
        if "live" in recording.facts:
            rows[-1]["less_detail_before_s"] = faded(lib.store, recording.recording_id, *known.generations)
    if as_json:
        for row in rows:
            print_json(row)
        return
    print_table([("name", "duration", "size", "codec", "memory", "id")] + [
        (", ".join(map(printable, row["names"])), clock(row["duration_s"]), f"{row['width_px']}x{row['height_px']}", row["codec"],
         f"{row['bytes'] / 1e6:.2f} MB", row["recording"]) for row in rows
    ])  # fmt: skip
    for row in rows:
        if (until_s := row.get("less_detail_before_s")) is not None:
            when = lib.wall_clock(row["recording"], until_s) or clock(until_s)
            print(f"{printable(row['names'][0])} is kept in less detail before {when}")


@app.command()
def export(
    span: Annotated[str, typer.Argument(help="START-END, such as 1:02-1:10; or leave it out with --citation", metavar="[SPAN]")] = "",
    library: LibraryFlag = None,
    recording: RecordingFlag = "",
    citation: Annotated[int, typer.Option("--citation", "-c", help="This citation of the last answer (1 is the first)")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Clip to write (.mp4, .mkv) [default: by name and time]", show_default=False),
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Encode again, to begin at the very frame")] = False,
    sheet: Annotated[bool, typer.Option("--sheet", help="Also a contact sheet (.png) of the moment")] = False,
    contents: Annotated[bool, typer.Option("--contents", help="Instead: all that the library holds, as JSON lines")] = False,
    as_json: JsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Write the clip that a citation points at."""
    _log(verbose)
    lib = library_of(library)
    if contents:
        for row in lib.dump():
            print_json(row)
        return
    from footage.questions import Moment
    from workers.export import contact_sheet, export_clip

    recording_id, when = _what_to_export(lib, span, recording, citation)
    stem = Path(lib.name_of(recording_id)).stem[:50]  # names of files are short
    target = out or Path(f"{stem}-{when.start_s:.1f}-{when.end_s:.1f}.mp4")
    done = export_clip(lib, recording_id, when, target, exact=exact)
    result = {
        "recording": recording_id,
        "path": str(target),
        "start_s": round(done.span.start_s, 3),
        "end_s": round(done.span.end_s, 3),
    }
    if done.note:
        result["note"] = done.note
    if sheet:
        result["sheet"] = str(contact_sheet(lib, [Moment(recording_id, when, 1.0, "image")], target.with_suffix(".png")))
    if as_json:
        print_json(result)
    else:
        print(f"{target}  {done.span}" + (f"\n{result['sheet']}" if sheet else ""))
        if done.note:
            print(done.note, file=sys.stderr)


@app.command()
def doctor(library: LibraryFlag = None, as_json: JsonFlag = False) -> None:
    """Check this machine and the library, and say what is missing."""
    from workers.doctor import examine

    checks = examine(library_of(library))
    if as_json:
        print_json({"checks": [check.__dict__ for check in checks]})
    else:
        for check in checks:
            print(f"{'ok  ' if check.ok else 'BAD ' if check.needed else '-   '} {check.name}: {check.finding}")
            if check.hint and not check.ok:
                print(f"     hint: {check.hint}")
    if any(check.needed and not check.ok for check in checks):
        raise typer.Exit(1)


@app.command()
def config(library: LibraryFlag = None, as_json: JsonFlag = False) -> None:
    """Show every setting, its value and where it came from (footage.toml, FOOTAGE_ variables, flags)."""
    from workers.config import load_settings

    rows = load_settings({"library": library}).rows()
    if as_json:
        print_json({name: {"value": value, "from": origin} for name, value, origin in rows})
        return
    for name, value, origin in rows:
        print(f"{name} = {json.dumps(value)}  # {origin}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the video, the library and the pictures go")] = Path("demo"),
    harbour: Annotated[
        bool, typer.Option("--harbour", help="Two minutes with titles and subtitles instead, asked without a model")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Draw 20 minutes whose truth is known, index them, ask ten questions of nano, and check every answer."""
    from workers.demo import run_demo
    from workers.demo_world import run_world_demo

    run = run_demo if harbour else run_world_demo
    if not run(folder, print_json if as_json else None):
        raise typer.Exit(1)


def _indexed_when_it_must_be(lib: "Library", name: str, *, quiet: bool) -> str:
    """The recording that a file is, or the same name."""
    from workers.progress import reporter

    is_remote = scheme_of(name) in ("http", "https") and not is_live(name)
    if not (is_remote or Path(name).is_file() or name.startswith("synthetic:")):
        return name
    with reporter(quiet=quiet) as listener:
        return lib.indexed(name, lib.settings.index.jobs, listener)


def _follow(lib: "Library", folders: list[str], listener: Any, as_json: bool) -> None:
    """Until Ctrl-C; what is refused is told, and tried again when it changes."""
    from workers.follow import Follower

    follower = Follower(folders)
    listener.say(f"watching {', '.join(map(repr, folders))}; Ctrl-C ends it")
    try:
        for ready in follower.batches():
            _report_index(lib, ready, listener, as_json)
    except KeyboardInterrupt:
        listener.say("no longer watching; what was committed is kept")


def _report_index(lib: "Library", targets: list[str], listener: Any, as_json: bool) -> FootageError | None:
    """Print each result as it comes; returns the first error."""
    from workers.as_json import done_json
    from workers.indexing import Refused

    first, made, refused = None, 0, 0
    for result in lib.indexing(targets, jobs=lib.settings.index.jobs, listener=listener):
        if isinstance(result, Refused):
            first, refused = first or result.error, refused + 1
            if as_json:
                print_json(
                    {
                        "location": result.location,
                        "error": type(result.error).__name__,
                        "message": str(result.error),
                        "hint": result.error.hint,
                    }
                )
            listener.say(_error_text(result.error))
            continue
        made += 1
        if as_json:
            print_json(done_json(result))
        else:
            listener.show(result)
    if refused and made:
        listener.say(f"{made} indexed, {refused} refused")
    return first


def _what_to_export(lib: "Library", span: str, recording: str, citation: int) -> tuple[str, Any]:
    from footage.timespan import TimeSpan, parse_clock

    if citation:
        cited = lib.last_answer()["citations"]
        if not 1 <= citation <= len(cited):
            raise ConfigError(f"the last answer has {len(cited)} citations, not {citation}")
        chosen = cited[citation - 1]
        return chosen["recording"], TimeSpan(chosen["start_s"], chosen["end_s"])
    start, _, end = span.partition("-")
    try:
        when = TimeSpan(parse_clock(start), parse_clock(end))
    except ValueError as error:
        raise ConfigError(f"{span!r} is no stretch of time", hint="write START-END, such as 1:02-1:10, or use --citation 1") from error
    known = lib.recordings()
    if not recording and len(known) != 1:
        raise ConfigError(f"the library holds {len(known)} recordings", hint="say which one with --recording")
    return (lib.resolve(recording) if recording else known[0][0].recording_id), when


def _log(verbose: bool) -> None:
    level = logging.INFO if verbose else logging.ERROR
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


def _error_text(error: FootageError) -> str:
    return f"{type(error).__name__}: {error}" + (f"\nhint: {error.hint}" if error.hint else "")


def main() -> None:
    """Entry point: errors for the user become two lines and an exit code, never a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    try:
        code = app(standalone_mode=False) or 0
        if code == INTERRUPTED:  # the parser takes Ctrl-C for itself and leaves this code
            raise KeyboardInterrupt
        sys.exit(code)
    except FootageError as error:
        print(_error_text(error), file=sys.stderr)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted: what was committed is kept; run the same command again to go on", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except typer.TyperException as error:  # a flag or argument that does not fit
        error.show()  # type: ignore[attr-defined]  # only the vendored class declares it
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
