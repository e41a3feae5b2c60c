"""`footage bench qa`: time to the first token on short and long memories, of first and second questions, against reading everything."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from footage.costs import Cost, Meter
from footage.questions import Question
from qa.answerers.vlm import VlmAnswerer
from workers.bench_size import pieces
from workers.engine import Library, open_library
from workers.eval_films import NANO, NANO_ASK, Filmed, film, open_nano
from workers.eval_needle import NeedleRun, length, peak_mb, questions_about
from workers.eval_report import Report
from workers.models import load_answerer
from workers.random_models import save

HOURS = (1 / 6, 1.0, 6.0)
FULL_H = 1.0
ORDERS = ("opened", "first", "second", "everything")
WORDS = {"opened": "library just opened", "first": "first question", "second": "second question"}
NAMES = {"nano": "nano", "random": "random weights, 8 layers of 256"}
AT_MOST, FULL_OVER, SECOND_OVER = 1.3, 5.0, 3.0


@dataclass(frozen=True, slots=True)
class QaRun:
    """Needle films and libraries are looked for in the folder first: those of `footage eval needle` lie there."""

    folder: Path
    hours: tuple[float, ...] = HOURS
    questions: int = 10
    sample: int = 5
    """Questions for which nano reads everything."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A library whose film is indexed and whose models are loaded."""

    library: Library
    asked: Sequence[str]
    facts: dict[str, Any]


def run_qa(run: QaRun) -> Report:
    """The same questions for every length and both models, length by length in turn, so that a busy machine is busy for all of them."""
    report = Report("bench qa", asdict(run))
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        for model in NAMES:
            ready = [_ready(stack, run, model, hours) for hours in run.hours]
            for turn in range(run.questions):
                rows += [each.facts | row for each in ready for row in _asked_in_turn(each, turn)]
            for each in ready:
                if each.facts["hours"] == FULL_H or len(ready) == 1:
                    count = run.sample if model == "nano" else min(2, run.sample)  # one long prompt costs the same whatever is asked
                    rows += [each.facts | row for row in _everything(each.library, each.asked[:count])]
    report.rows = rows
    for model, name in NAMES.items():
        own = [row for row in rows if row["model"] == model]
        report.table(f"{name}: seconds to the first token, median (least to most)", [_shown(own, hours) for hours in run.hours])
        _bars(report, name, own, run.hours)
    return report


def _ready(stack: ExitStack, run: QaRun, model: str, hours: float) -> _Ready:
    library = stack.enter_context(_opened(run.folder, model, hours))
    filmed = film(library, NeedleRun(run.folder).config(hours), run.folder, per_kind=0)
    asked = _questions(filmed, run.questions)
    library.ask(asked[0])
    facts = {"model": model, "hours": hours, "rows": len(library.memory.view()), "peak_mb": peak_mb()}
    return _Ready(library, asked, facts)


def _opened(folder: Path, model: str, hours: float) -> Library:
    if model == "nano":
        return open_nano(folder / f"library-{hours:.3g}h")
    checkpoint = str(save(folder / "random-vlm"))
    ask = NANO_ASK | {"model": checkpoint, "moments": 5}
    return open_library(str(folder / f"library-random-{hours:.3g}h"), offline=True, index=NANO | {"carriers": checkpoint}, ask=ask)


def _questions(filmed: Filmed, count: int) -> list[str]:
    """When, and whether, for needle after needle: the same words for every length."""
    needles = (questions_about(filmed, depth, kind) for depth, kind in filmed.world.config.needles)
    every = [[question.text for question in some if question.kind in ("when", "existence")] for some in needles]
    return [texts[turn] for turn in (0, -1, 1, 2) for texts in every][:count]


def _asked_in_turn(ready: _Ready, turn: int) -> Iterator[dict[str, Any]]:
    """A question to a library that was just opened, as `footage ask` does, models and all; one first on a view that nothing knows, with
    the models loaded; then the next one second on the same view.
    """
    library, asked = ready.library, ready.asked
    with Library(library.settings) as anew:
        yield _timed(anew, asked[turn % len(asked)], "opened")
    library.close()
    if isinstance(library.answerer, VlmAnswerer) and library.answerer.prefixes is not None:
        library.answerer.prefixes.clear()
    yield _timed(library, asked[turn % len(asked)], "first")
    yield _timed(library, asked[(turn + 1) % len(asked)], "second")


def _timed(library: Library, question: str, order: str) -> dict[str, Any]:
    begun = time.perf_counter()
    answer = library.ask(question)
    stages = {f"{stage}_s": answer.seconds[stage] for stage in ("recall", "plan", "answer")}
    return _row(order, question, answer.seconds["first"], answer.text, answer.cost) | stages | {"whole_s": time.perf_counter() - begun}


def _everything(library: Library, asked: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every frame that the gate kept, in all its tokens, four a row: nano reads row by row until one answers, others one long prompt."""
    answerer = load_answerer(library.settings.ask.model, library.settings)
    answerer.reading = replace(answerer.reading, max_visual_tokens=10**9)
    for question in asked:
        if answerer.prefixes is not None:
            answerer.prefixes.clear()
        meter, begun, view = Meter(), time.perf_counter(), library.memory.view()
        said = next(answerer.stream(Question(question), pieces(view.load(range(len(view)))), meter=meter))
        yield _row("everything", question, time.perf_counter() - begun, said, meter.cost)


def _row(order: str, question: str, first_s: float, reply: str, cost: Cost) -> dict[str, Any]:
    return {
        "order": order, "question": question, "ttft_s": first_s, "reply": reply, "passes": cost.passes, "visual": cost.visual_tokens,
        "text": cost.text_tokens, "reused": cost.reused_tokens, "macs": cost.prefill_macs,
    }  # fmt: skip


def _shown(rows: Sequence[dict[str, Any]], hours: float) -> dict[str, Any]:
    own = {order: [row for row in rows if row["hours"] == hours and row["order"] == order] for order in ORDERS}
    first = own["first"]
    shown: dict[str, Any] = {"memory": length(hours), "rows": f"{first[0]['rows']:,}"}
    shown |= {name: _spread(some) for name, some in zip((*WORDS.values(), "everything read"), own.values(), strict=True) if some}
    return shown | {
        "of the first: view": f"{median(r['recall_s'] for r in first):.2f} s", "plan": f"{median(r['plan_s'] for r in first):.2f} s",
        **{f"new tokens, {order}": f"{_tokens(some):,.0f}" for order, some in own.items() if some},
        "peak memory so far": f"{first[0]['peak_mb']:.0f} MB",
    }  # fmt: skip


def _tokens(rows: Sequence[dict[str, Any]]) -> float:
    return median(row["visual"] + row["text"] - row["reused"] for row in rows)


def _spread(rows: Sequence[dict[str, Any]]) -> str:
    times = [row["ttft_s"] for row in rows]
    return f"{median(times):.2f} ({min(times):.2f}-{max(times):.2f})"


def _bars(report: Report, name: str, rows: Sequence[dict[str, Any]], hours: Sequence[float]) -> None:
    """As shares that must be reached: how much longer the longest memory may take is turned round.

    "First" is what a person asks first, of a library just opened; with the models loaded beforehand it is in the table alone.
    """
    at = {(h, order): [r["ttft_s"] for r in rows if r["hours"] == h and r["order"] == order] for h in hours for order in ORDERS}
    took = {key: median(times) for key, times in at.items() if times}
    least, most = min(hours), max(hours)
    for order in ("opened", "second") if least < most else ():
        what = f"{name}: {WORDS[order]}, TTFT at {length(least)} over that at {length(most)} (1 / {AT_MOST})"
        report.bar(what, took[least, order] / took[most, order], round(1 / AT_MOST, 4))
    for h in hours:
        if (whole := took.get((h, "everything"))) is not None:
            report.bar(f"{name}: everything read at {length(h)} over TTFT of a library just opened", whole / took[h, "opened"], FULL_OVER)
    saved = took[most, "opened"] / took[most, "second"]
    report.bar(f"{name}: library just opened over the second question on one view of {length(most)}", saved, SECOND_OVER)
