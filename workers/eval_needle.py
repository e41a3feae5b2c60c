"""`footage eval needle`: one short event hidden in hours, at several depths, asked for in words."""

import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from footage.errors import ConfigError
from footage.questions import Question
from footage.timespan import TimeSpan, clock
from nano.phrases import a, phrase, the
from nano.words import DIRECTIONS, Kind
from nano.world import WorldConfig, WorldQuestion, needle_kinds
from workers.eval_films import Filmed, film, open_nano
from workers.eval_marks import Marked, mark
from workers.eval_methods import Examined, Method, last, ours, retrieval_only, uniform
from workers.eval_report import Report
from workers.eval_stats import bootstrap

DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
HOURS = (1 / 6, 1.0, 6.0, 24.0)
SHORTEST_H = 0.05
METHODS: dict[str, Method] = {
    "footage": ours,
    "uniform 8 frames": uniform(8),
    "last 8 frames": last(8),
    "retrieval only": retrieval_only,
}


@dataclass(frozen=True, slots=True)
class NeedleRun:
    folder: Path
    hours: tuple[float, ...] = HOURS
    seed: int = 900
    per_hour: float = 12.0
    """Other events that are no needle."""

    def config(self, hours: float) -> WorldConfig:
        kinds = needle_kinds("train", len(DEPTHS))
        fps = 8 if hours <= 1 else 4
        events_per_hour = max(self.per_hour, 10 / hours)
        return WorldConfig(self.seed, "test", hours * 3600, fps, events_per_hour, tuple(zip(DEPTHS, kinds, strict=True)))


def run_needle(run: NeedleRun) -> Report:
    """Five needles a length; each is asked for four or five times, with questions that need the very moment."""
    if short := [hours for hours in run.hours if hours < SHORTEST_H]:
        raise ConfigError(f"five needles do not fit into {short[0]:g} hours", hint=f"give at least {SHORTEST_H:g} (three minutes)")
    marks: dict[tuple[float, float], list[Marked]] = {}
    costs, started = [], time.perf_counter()
    for hours in run.hours:
        library = open_nano(run.folder / f"library-{hours:.3g}h")
        begun = time.perf_counter()
        filmed = film(library, run.config(hours), run.folder, per_kind=0)
        made_s = time.perf_counter() - begun
        begun = time.perf_counter()
        for depth, kind in filmed.world.config.needles:
            marks[hours, depth] = _asked(Examined(library, filmed), depth, kind)
        count = sum(len(marks[hours, d]) for d in DEPTHS)
        asked_s = time.perf_counter() - begun
        count = sum(len(marks[hours, d]) for d in DEPTHS)
        on_disk = _size(run.folder / f"library-{hours:.3g}h")
        costs.append({
            "length": length(hours), "film": f"{filmed.path.stat().st_size / 1e6:.0f} MB", "made and indexed": f"{made_s:.0f} s",
            "memory on disk": f"{on_disk / 1e6:.1f} MB", "seconds a question": round(asked_s / max(1, count), 2),
            "peak memory so far": f"{peak_mb():.0f} MB",
        })  # fmt: skip
    report = _report(run, marks, costs)
    report.begun = started
    return report


def _asked(examined: Examined, depth: float, kind: Kind) -> list[Marked]:
    return [
        mark(question, name, method(examined, Question(question.text), question.spans))
        for question in questions_about(examined.film, depth, kind)
        for name, method in METHODS.items()
    ]


def questions_about(filmed: Filmed, depth: float, kind: Kind) -> list[WorldQuestion]:
    """When (in three phrasings), whether, how often and, where it moves, which way."""
    placed = next(p for p in filmed.world.events if p.event.counts().get(kind))
    thing = placed.event.things[0]
    span = ((placed.start_s + thing.start_s, placed.start_s + thing.end_s),)
    stem = f"{filmed.path.stem}/{depth:.2f}"
    made = [WorldQuestion(f"{stem}-when-{n}", "when", phrase("when", n, the=the(kind)), "", span, False) for n in range(3)]
    made.append(WorldQuestion(f"{stem}-existence", "existence", phrase("existence", 0, a=a(kind)), "yes", span, False))
    made.append(WorldQuestion(f"{stem}-times", "times", phrase("times", 0, a=a(kind)), "1", span, False))
    if thing.motion in DIRECTIONS:
        made.append(WorldQuestion(f"{stem}-direction", "direction", phrase("direction", 0, the=the(kind)), thing.motion, span, False))
    return made


def _report(run: NeedleRun, marks: dict[tuple[float, float], list[Marked]], costs: Sequence[dict[str, Any]]) -> Report:
    every = [(hours, depth, m) for (hours, depth), own in marks.items() for m in own]
    report = Report("eval needle", asdict(run), [
        {"hours": hours, "depth": depth, "id": m.question.id, "question": m.question.text, "at": str(TimeSpan(*m.question.spans[0])),
         "method": m.method, "reply": m.reply, "right": m.right, "cited": m.cited} for hours, depth, m in every
    ])  # fmt: skip
    report.table("right answers that point into the needle's own interval", [
        {"method": name, **{length(h): bootstrap([float(_found(m)) for hours, _, m in every if hours == h and m.method == name],
                                                  groups=[f"{d}" for hours, d, m in every if hours == h and m.method == name])
                            for h in run.hours}} for name in METHODS
    ])  # fmt: skip
    report.table("what it took", costs)
    cells = [[np.mean([_found(m) for m in marks[h, d] if m.method == "footage"]) for h in run.hours] for d in DEPTHS]
    report.heat = (np.array(cells), [f"{d:.0%}" for d in DEPTHS], [length(h) for h in run.hours])
    report.heat_title = "One event hidden in hours: right and cited, footage with nano"
    return report


def _found(m: Marked) -> bool:
    """Right, and pointing at the needle itself; what cannot answer in words is judged by where it points first."""
    return m.iou > 0 if m.method == "retrieval only" else m.right and m.cited


def length(hours: float) -> str:
    return clock(hours * 3600).split(".")[0].lstrip("0:") if hours < 1 else f"{hours:g} h"


def peak_mb() -> float:
    """Largest resident size of this process and, if that was larger, of one of its workers."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
