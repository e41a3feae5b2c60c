"""The command line: parse, build, call. stdout carries data, stderr carries logs; heavy imports wait for the verb that needs them."""

import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footage.errors import ConfigError, FootageError

if TYPE_CHECKING:
    from workers.engine import Library

INTERRUPTED = 130

app = typer.Typer(
    help="Ask questions of hours of video; get answers whose times are true.", no_args_is_help=True, add_completion=True,
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}, rich_markup_mode=None,
)  # fmt: skip

LibraryFlag = Annotated[
    str | None,
    typer.Option("--library", "-l", help="Where recordings are remembered [default: ./.footage]", show_default=False),
]
EncoderFlag = Annotated[str | None, typer.Option(help='"color", "nano", or an image-text checkpoint: folder or hub id', show_default=False)]
OfflineFlag = Annotated[bool | None, typer.Option("--offline", help="Never fetch anything", show_default=False)]
JsonFlag = Annotated[bool, typer.Option("--json", help="Machine-readable output, one object a line")]
VerboseFlag = Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens, to stderr")]
RecordingFlag = Annotated[str, typer.Option("--recording", "-r", help="Only this one: name, path or id", show_default=False)]
FromFlag = Annotated[str | None, typer.Option("--from", help="Only from this time on: 75, 1:15 or 1:00:15", show_default=False)]
ToFlag = Annotated[str | None, typer.Option("--to", help="Only up to this time", show_default=False)]


@app.command()
def index(
    targets: Annotated[list[str], typer.Argument(help="Files, folders, globs, or synthetic:red=30,blue=5", metavar="PATH...")],
    library: LibraryFlag = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second that are looked at [default: 1]", show_default=False)] = None,
    keyframes: Annotated[
        bool,
        typer.Option("--keyframes", help="Look at key frames only: much faster, times late by up to their interval"),
    ] = False,
    encoder: EncoderFlag = None,
    ocr: Annotated[str | None, typer.Option(help="Read text on the screen: auto, on, off [default: auto]", show_default=False)] = None,
    decoder: Annotated[str | None, typer.Option(help="pyav, pyav-sequential or decord [default: pyav]", show_default=False)] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", help="Segments worked on at a time [default: one a core]", show_default=False),
    ] = None,
    offline: OfflineFlag = None,
    as_json: JsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Remember footage. Run it again at any time: what is there already is not made again."""
    _log(verbose)
    lib = _library(library, offline, index={"encoder": encoder, "ocr": ocr, "jobs": jobs},
                   sampling={"fps": fps, "mode": "keyframes" if keyframes else None, "decoder": decoder})  # fmt: skip
    from workers.progress import reporter

    with reporter(quiet=verbose) as listener:
        refused = _report_index(lib, targets, listener, as_json)
    if refused is not None:
        raise typer.Exit(refused.exit_code)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="In words", metavar="QUESTION")],
    source: Annotated[str, typer.Argument(help="A file to ask; it is indexed first when it must be", metavar="[SOURCE]")] = "",
    library: LibraryFlag = None,
    recording: RecordingFlag = "",
    start: FromFlag = None,
    end: ToFlag = None,
    model: Annotated[
        str | None, typer.Option(help="none (moments only), template, nano, or a checkpoint [default: auto]", show_default=False)
    ] = None,
    selector: Annotated[str | None, typer.Option(help="How frames are chosen: see docs/selection.md", show_default=False)] = None,
    budget: Annotated[int | None, typer.Option(help="Visual tokens to spend [default: 4096]", show_default=False)] = None,
    moments: Annotated[int | None, typer.Option(help="How many moments to cite [default: 5]", show_default=False)] = None,
    encoder: EncoderFlag = None,
    offline: OfflineFlag = None,
    as_json: JsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Answer a question, with the moments that bear the answer out."""
    _log(verbose)
    asked = {"model": model, "selector": selector, "budget": budget, "moments": moments}
    lib = _library(library, offline, index={"encoder": encoder}, ask=asked)
    from workers.engine import answer_json
    from workers.progress import reporter

    with reporter(quiet=verbose) as listener:
        answer = lib.ask(question, source, recording=recording, start=start, end=end, jobs=lib.settings.index.jobs, listener=listener)
    if as_json:
        _print_json(answer_json(answer, lib))
    else:
        print(answer.text)
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
    offline: OfflineFlag = None,
    as_json: JsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """List the moments that match words, or look like a picture, best first."""
    _log(verbose)
    lib = _library(library, offline, index={"encoder": encoder})
    from workers.engine import moment_json

    if bool(text.strip()) == (image is not None):
        raise ConfigError("search takes words or --image FILE, one of the two")
    if image is not None:
        found = lib.search_image(image, recording=recording, start=start, end=end, limit=limit)
    else:
        found = lib.search(text, recording=recording, start=start, end=end, limit=limit)
    if as_json:
        _print_json({"moments": [moment_json(m, lib) for m in found]})
        return
    for m in found:
        print(f"{m.span}  {lib.name_of(m.recording_id)}  {m.kind} {m.score:.2f}  {m.text}".rstrip())
    if not found:
        print("nothing matches", file=sys.stderr)


@app.command()
def recordings(library: LibraryFlag = None, as_json: JsonFlag = False) -> None:
    """List what is remembered."""
    from footage.timespan import clock

    lib = _library(library)
    rows: list[dict[str, Any]] = []
    for recording, names in lib.recordings():
        rows.append({
            "recording": recording.recording_id, "names": list(names), "duration_s": round(recording.duration_s, 6),
            "width_px": recording.width_px, "height_px": recording.height_px, "codec": recording.codec, "frames": recording.frames,
            "bytes": lib.store.sizes(recording.recording_id), "generations": list(lib.store.generations(recording.recording_id)),
            "facts": recording.facts,
        })  # fmt: skip
    if as_json:
        for row in rows:
            _print_json(row)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "duration", "size", "codec", "memory", "id", box=None, header_style="bold")
    for row in rows:
        table.add_row(", ".join(row["names"]), clock(row["duration_s"]), f"{row['width_px']}x{row['height_px']}", row["codec"],
                      f"{row['bytes'] / 1e6:.2f} MB", row["recording"])  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 200).print(table)


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
    lib = _library(library)
    if contents:
        for row in lib.dump():
            _print_json(row)
        return
    from footage.questions import Moment
    from workers.export import contact_sheet, export_clip

    recording_id, when = _what_to_export(lib, span, recording, citation)
    stem = Path(lib.name_of(recording_id)).stem
    target = out or Path(f"{stem}-{when.start_s:.1f}-{when.end_s:.1f}.mp4")
    done = export_clip(lib, recording_id, when, target, exact=exact)
    result = {
        "recording": recording_id,
        "path": str(target),
        "start_s": round(done.span.start_s, 3),
        "end_s": round(done.span.end_s, 3),
    }
    if sheet:
        result["sheet"] = str(contact_sheet(lib, [Moment(recording_id, when, 1.0, "image")], target.with_suffix(".png")))
    if as_json:
        _print_json(result)
    else:
        print(f"{target}  {done.span}" + (f"\n{result['sheet']}" if sheet else ""))


@app.command()
def doctor(library: LibraryFlag = None, as_json: JsonFlag = False) -> None:
    """Check this machine and the library, and say what is missing."""
    from workers.doctor import examine

    checks = examine(_library(library))
    if as_json:
        _print_json({"checks": [check.__dict__ for check in checks]})
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
        _print_json({name: {"value": value, "from": origin} for name, value, origin in rows})
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
    if not run(folder, _print_json if as_json else None):
        raise typer.Exit(1)


bench = typer.Typer(help="Measure, as ratios against a named baseline in the same run.", no_args_is_help=True)
app.add_typer(bench, name="bench")


@bench.command("decode")
def bench_decode(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Videos to decode; by default four that it makes itself", metavar="[FILE]..."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Under a minute on two cores")] = False,
    repeats: Annotated[int, typer.Option(help="Runs of each method")] = 5,
    as_json: JsonFlag = False,
) -> None:
    """Sampled decoding at 1 fps against the ffmpeg command line doing the same work."""
    from workers.bench_decode import run_bench

    if not run_bench(files or [], quick=quick, repeats=repeats, emit=_print_json if as_json else None):
        raise typer.Exit(1)


@bench.command("select")
def bench_select(
    seeds: Annotated[int, typer.Option(min=1, help="Views of each case")] = 40,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for table, JSON and picture", show_default=False)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything, under a minute on two cores")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Every selector on the same hours with planted events, at the same budgets."""
    from workers.bench_select import SelectRun, run_select

    run_select(SelectRun(4 if quick else seeds)).show(out, _print_json if as_json else None)


evaluate = typer.Typer(help="Measure answers against known truth, baselines in the same run.", no_args_is_help=True)
app.add_typer(evaluate, name="eval")


@evaluate.command("questions")
def eval_questions(
    file: Annotated[
        Path,
        typer.Argument(help="JSON: {questions: [{id, video, kind, question, answer, intervals}]}", metavar="QUESTIONS.json"),
    ],
    videos: Annotated[
        Path | None,
        typer.Option(help="Folder that the video paths start from [default: the file's own]", show_default=False),
    ] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only questions of this kind; may be repeated", show_default=False)] = None,
    library: LibraryFlag = None,
    moments: Annotated[int, typer.Option(help="Moments that count")] = 5,
    model: Annotated[str, typer.Option(help="none or template")] = "none",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Markdown report to write", show_default=False)] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask every question of a file about its own video; recall of the right moment next to uniform sampling."""
    from workers.evaluate import run_questions

    lib = _library(library, ask={"model": model, "moments": moments})
    run_questions(
        lib,
        file,
        videos or file.parent,
        kinds=kind or [],
        moments=moments,
        out=out,
        emit=_print_json if as_json else None,
    )


WorkFlag = Annotated[Path, typer.Option("--folder", help="Where films and libraries go, and are found again")]
ResultsFlag = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for table, JSON and picture", show_default=False)]
QuickFlag = Annotated[bool, typer.Option("--quick", help="Less of everything, under a minute on two cores")]


@evaluate.command("world")
def eval_world(
    folder: WorkFlag = Path("eval"),
    worlds: Annotated[int, typer.Option(min=1, help="Unseen worlds of 20 minutes")] = 6,
    per_kind: Annotated[int, typer.Option(min=1, help="Questions of each kind a world")] = 6,
    model: Annotated[str, typer.Option(help="nano, or a folder with another model trained on nano's tower")] = "nano",
    out: ResultsFlag = None,
    quick: QuickFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """nano's accuracy by kind of question and tokens a frame, on worlds that it never saw."""
    from workers.eval_world import WorldRun, run_world

    run = WorldRun(folder, 1, 2, 300.0, model) if quick else WorldRun(folder, worlds, per_kind, model=model)
    run_world(run).show(out, _print_json if as_json else None)


@evaluate.command("moments")
def eval_moments(
    folder: WorkFlag = Path("eval"),
    worlds: Annotated[int, typer.Option(min=1, help="Unseen worlds of 20 minutes")] = 6,
    out: ResultsFlag = None,
    quick: QuickFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Recall and temporal IoU of the right interval at 4 to 64 frames, selectors side by side."""
    from workers.eval_world import WorldRun, run_moments

    run_moments(WorldRun(folder, 1, 2, 300.0) if quick else WorldRun(folder, worlds)).show(out, _print_json if as_json else None)


@evaluate.command("abstain")
def eval_abstain(
    folder: WorkFlag = Path("eval"),
    worlds: Annotated[int, typer.Option(min=1, help="Unseen worlds of 20 minutes")] = 6,
    out: ResultsFlag = None,
    quick: QuickFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """The same questions with their evidence in the memory and cut out of it."""
    from workers.eval_world import WorldRun, run_abstain

    run_abstain(WorldRun(folder, 1, 2, 300.0) if quick else WorldRun(folder, worlds)).show(out, _print_json if as_json else None)


@evaluate.command("needle")
def eval_needle(
    folder: WorkFlag = Path("eval"),
    hours: Annotated[list[float] | None, typer.Option(help="Lengths; may be repeated [default: 1/6, 1, 6, 24]", show_default=False)] = None,
    out: ResultsFlag = None,
    quick: QuickFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """One event hidden in hours, at five depths; writes a heat map."""
    from workers.eval_needle import HOURS, NeedleRun, run_needle

    lengths = (0.1,) if quick else tuple(hours or HOURS)
    run_needle(NeedleRun(folder, lengths)).show(out, _print_json if as_json else None)


@evaluate.command("set")
def eval_set(
    name: Annotated[str, typer.Argument(help="video-mme, longvideobench, mlvu, lvbench, ovo-bench, charades-sta, qvhighlights ...")],
    folder: Annotated[Path, typer.Argument(help="Where the set lies, laid out as it is distributed")],
    library: LibraryFlag = None,
    model: Annotated[str | None, typer.Option(help="As of ask", show_default=False)] = None,
    encoder: EncoderFlag = None,
    limit: Annotated[int, typer.Option(help="Only the first so many questions; 0: all")] = 0,
    out: ResultsFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """One of the field's own sets, from this machine's disk, through the same ask() that users call."""
    from workers.eval_sets import run_set

    lib = _library(library, index={"encoder": encoder}, ask={"model": model})
    run_set(lib, name, folder, limit=limit).show(out, _print_json if as_json else None)


def _library(library: str | None, offline: bool | None = None, **sections: dict[str, Any]) -> "Library":
    from workers.config import load_settings
    from workers.engine import Library

    return Library(load_settings({"library": library, "offline": offline, **sections}).settings)


def _report_index(lib: "Library", targets: list[str], listener: Any, as_json: bool) -> FootageError | None:
    """Print each result as it comes; returns the first error."""
    from workers.engine import done_json
    from workers.indexing import Refused

    first, made, refused = None, 0, 0
    for result in lib.indexing(targets, jobs=lib.settings.index.jobs, listener=listener):
        if isinstance(result, Refused):
            first, refused = first or result.error, refused + 1
            if as_json:
                _print_json(
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
            _print_json(done_json(result))
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


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


def _log(verbose: bool) -> None:
    level = logging.INFO if verbose else logging.ERROR
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


def _error_text(error: FootageError) -> str:
    return f"{type(error).__name__}: {error}" + (f"\nhint: {error.hint}" if error.hint else "")


def main() -> None:
    """Entry point: errors for the user become two lines and an exit code, never a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
