"""`footage bench` and `footage eval`: measuring, as ratios against a named baseline and against known truth."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from workers.cli_flags import EncoderFlag, JsonFlag, LibraryFlag, QuickFlag, ResultsFlag, WorkFlag, library_of, print_json

bench = typer.Typer(help="Measure, as ratios against a named baseline in the same run.", no_args_is_help=True)


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

    if not run_bench(files or [], quick=quick, repeats=repeats, emit=print_json if as_json else None):
        raise typer.Exit(1)


@bench.command("select")
def bench_select(
    seeds: Annotated[int, typer.Option(min=1, help="Views of each case")] = 40,
    out: ResultsFlag = None,
    quick: QuickFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Every selector on the same hours with planted events, at the same budgets."""
    from workers.bench_select import SelectRun, run_select

    run_select(SelectRun(4 if quick else seeds)).show(out, print_json if as_json else None)


@bench.command("search")
def bench_search(
    folder: WorkFlag = Path("eval"),
    hours: Annotated[list[float] | None, typer.Option(help="Lengths; may be repeated [default: 1, 10, 100]", show_default=False)] = None,
    width: Annotated[int, typer.Option(min=64, help="Numbers of a key")] = 768,
    each: Annotated[float, typer.Option(min=0, help="Hours of one recording; 0: one holds all")] = 0.0,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between keys")] = 1.0,
    out: ResultsFlag = None,
    quick: QuickFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Libraries made up without video, searched and asked: milliseconds, memory a key, recall against exact search."""
    from workers.bench_search import HOURS, SearchRun, run_search
    from workers.made_up import MadeUp

    made = MadeUp(width=width, recording_h=each, every_s=every)
    run = SearchRun(folder, made, (1.0,), 10) if quick else SearchRun(folder, made, tuple(hours or HOURS))
    run_search(run, None if as_json else lambda text: print(text, file=sys.stderr)).show(out, print_json if as_json else None)


@bench.command("size")
def bench_size(
    files: Annotated[list[Path] | None, typer.Argument(help="Videos; by default two worlds of nano", metavar="[FILE]...")] = None,
    folder: WorkFlag = Path("eval"),
    out: ResultsFlag = None,
    quick: QuickFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Bytes an hour of what is kept, by level and encoding, against all tokens of all sampled frames."""
    from workers.bench_stored import StoredRun, run_stored

    run = StoredRun(tuple(files or ()), folder, 1, 300.0) if quick else StoredRun(tuple(files or ()), folder)
    run_stored(run).show(out, print_json if as_json else None)


@bench.command("merge")
def bench_merge(
    folder: WorkFlag = Path("eval"),
    worlds: Annotated[int, typer.Option(min=1, help="Unseen worlds of 20 minutes")] = 2,
    per_kind: Annotated[int, typer.Option(min=1, help="Questions of each kind a world")] = 4,
    out: ResultsFlag = None,
    quick: QuickFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Every way to shorten a frame, read by nano at the same tokens: accuracy, reconstruction error, time."""
    from workers.bench_merge import KEEPS, MergeRun, run_merge
    from workers.eval_world import WorldRun

    run = MergeRun(WorldRun(folder, 1, 2, 300.0), 40) if quick else MergeRun(WorldRun(folder, worlds, per_kind))
    run_merge(run, keeps=(16, 4) if quick else KEEPS).show(out, print_json if as_json else None)


@bench.command("minute")
def bench_minute(
    folder: WorkFlag = Path("eval"),
    worlds: Annotated[int, typer.Option(min=1, help="Unseen worlds of 20 minutes")] = 4,
    per_kind: Annotated[int, typer.Option(min=1, help="Questions of each kind a world")] = 4,
    out: ResultsFlag = None,
    quick: QuickFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Questions about a minute, read whole in all its tokens or through footage's defaults: accuracy and prefill."""
    from workers.bench_minute import MinuteRun, run_minute

    run = MinuteRun(folder, 1, 2, 300.0) if quick else MinuteRun(folder, worlds, per_kind)
    run_minute(run).show(out, print_json if as_json else None)


@bench.command("qa")
def bench_qa(
    folder: WorkFlag = Path("eval"),
    hours: Annotated[list[float] | None, typer.Option(help="Lengths; may be repeated [default: 1/6, 1, 6]", show_default=False)] = None,
    size: Annotated[str, typer.Option(help="Instead: random weights of a published size, tiny, 2b or 7b (GPU)", show_default=False)] = "",
    out: ResultsFlag = None,
    quick: QuickFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Time to the first token, on short and long memories, first and second questions, against reading everything."""
    from workers.bench_qa import HOURS, QaRun, run_qa
    from workers.bench_size import SizeRun, run_size

    if size:
        report = run_size(SizeRun(size, frames=64, carriers=16, new=9, repeats=1) if quick else SizeRun(size))
    else:
        report = run_qa(QaRun(folder, (0.05,), 3, 1) if quick else QaRun(folder, tuple(hours or HOURS)))
    report.show(out, print_json if as_json else None)


evaluate = typer.Typer(help="Measure answers against known truth, baselines in the same run.", no_args_is_help=True)


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

    lib = library_of(library, ask={"model": model, "moments": moments})
    run_questions(
        lib,
        file,
        videos or file.parent,
        kinds=kind or [],
        moments=moments,
        out=out,
        emit=print_json if as_json else None,
    )


@evaluate.command("objects")
def eval_objects(
    file: Annotated[Path, typer.Argument(help="JSON, as of `footage eval questions`", metavar="QUESTIONS.json")],
    videos: Annotated[
        Path | None,
        typer.Option(help="Folder that the video paths start from [default: the file's own]", show_default=False),
    ] = None,
    library: LibraryFlag = None,
    moments: Annotated[int, typer.Option(help="Moments that count")] = 5,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Markdown report to write", show_default=False)] = None,
    as_json: JsonFlag = False,
) -> None:
    """Questions about things, with what the detector of `objects.model` saw and without it; each miss is explained."""
    from workers.eval_objects import ObjectsRun, run_objects

    lib = library_of(library, ask={"model": "none", "moments": moments})
    report = run_objects(lib, ObjectsRun(file, videos or file.parent, moments))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(report.to_markdown())
    if as_json:
        print_json(report.to_json())
    else:
        print(report.to_markdown())


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
    run_world(run).show(out, print_json if as_json else None)


@evaluate.command("carriers")
def eval_carriers(
    adapter: Annotated[Path, typer.Argument(help="What `python -m workers.train_carriers` wrote", metavar="ADAPTER")],
    folder: WorkFlag = Path("eval"),
    worlds: Annotated[int, typer.Option(min=1, help="Unseen worlds of 20 minutes")] = 6,
    per_kind: Annotated[int, typer.Option(min=1, help="Questions of each kind a world")] = 4,
    out: ResultsFlag = None,
    quick: QuickFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """nano reading each frame through one trained carrier, an untrained one, one mean token, or all tokens."""
    from workers.eval_carriers import CarriersRun, run_carriers

    run = CarriersRun(folder, 1, 2, 300.0, adapter=adapter) if quick else CarriersRun(folder, worlds, per_kind, adapter=adapter)
    run_carriers(run).show(out, print_json if as_json else None)


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

    run_moments(WorldRun(folder, 1, 2, 300.0) if quick else WorldRun(folder, worlds)).show(out, print_json if as_json else None)


@evaluate.command("abstain")
def eval_abstain(
    folder: WorkFlag = Path("eval"),
    worlds: Annotated[int, typer.Option(min=1, help="Unseen worlds of 20 minutes")] = 6,
    says: Annotated[
        Path | None, typer.Option("--says-times", help="A model that says times, from nano.train --says-times, beside", show_default=False)
    ] = None,
    out: ResultsFlag = None,
    quick: QuickFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """The same questions with their evidence in the memory and cut out of it, and what is cited."""
    from workers.eval_world import WorldRun, run_abstain

    run = WorldRun(folder, 1, 2, 300.0, says_times=says) if quick else WorldRun(folder, worlds, says_times=says)
    run_abstain(run).show(out, print_json if as_json else None)


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
    run_needle(NeedleRun(folder, lengths)).show(out, print_json if as_json else None)


@evaluate.command("retention")
def eval_retention(out: ResultsFlag = None, quick: QuickFlag = False, as_json: JsonFlag = False) -> None:
    """A day, a month and a year of a camera made up without video: tokens against time, and recall by age of what was seen once."""
    from workers.eval_retention import LENGTHS, QUICK, run_retention

    run_retention(QUICK if quick else LENGTHS).show(out, print_json if as_json else None)


@evaluate.command("alerts")
def eval_alerts(
    folder: WorkFlag = Path("eval"),
    hours: Annotated[int, typer.Option(min=1, help="Unseen worlds of an hour")] = 4,
    per_kind: Annotated[int, typer.Option(min=1, help="Standing questions of each kind an hour")] = 5,
    out: ResultsFlag = None,
    quick: QuickFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Standing questions over hours whose events are known: precision, recall, delay, and what fires for nothing."""
    from workers.eval_alerts import AlertsRun, run_alerts

    run = AlertsRun(folder, 1, 600.0, per_kind=1) if quick else AlertsRun(folder, hours, per_kind=per_kind)
    run_alerts(run).show(out, print_json if as_json else None)


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

    lib = library_of(library, index={"encoder": encoder}, ask={"model": model})
    run_set(lib, name, folder, limit=limit).show(out, print_json if as_json else None)
