"""`footage eval world`, `moments` and `abstain`: nano's model on worlds that it never saw, next to baselines in the same run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from footage.carriers import pooled
from footage.questions import Budget, Query, Question
from footage.timespan import TimeSpan, union
from frame_select.registry import selector
from nano.phrases import Q_KINDS
from nano.world import WorldConfig, WorldQuestion
from workers.eval_films import film, open_nano
from workers.eval_marks import Marked, mark
from workers.eval_methods import Examined, Method, cut_out, each, given, last, ours, planned, retrieval_only, uniform
from workers.eval_report import Report
from workers.eval_said import says_times
from workers.eval_stats import Interval, bootstrap

FIRST_SEED = 600
LEVELS, POOLED = (64, 32, 16, 8, 4, 1), (16, 4, 1)
BARS = {"colour": 0.9, "shape": 0.9, "existence": 0.9, "text": 0.9, "direction": 0.75, "count": 0.75, "order": 0.75}
BUDGETS = (4, 8, 16, 32, 64)
COMPARED = ("peaks", "top-k", "aks", "mmr", "uniform")
"""Selectors of `eval moments`."""


@dataclass(frozen=True, slots=True)
class WorldRun:
    """How much to measure."""

    folder: Path
    worlds: int = 6
    per_kind: int = 6
    duration_s: float = 1200.0
    model: str = "nano"
    """Or the folder of another checkpoint that reads nano's carriers, such as one trained without some levels."""
    says_times: Path | None = None
    """The folder of a checkpoint that says times itself, for `run_abstain` to hold ours against (workers/eval_said.py)."""

    @property
    def configs(self) -> list[WorldConfig]:
        return [WorldConfig(FIRST_SEED + n, "test", self.duration_s) for n in range(self.worlds)]


def run_world(run: WorldRun) -> Report:
    """Accuracy by kind: footage end to end, the right frames given at each level, and the baselines."""
    methods: dict[str, Method] = {
        "footage": ours, **{f"given, {level} tokens": given(level) for level in LEVELS},
        **{f"given, {level} pooled": given(level, each(pooled)) for level in POOLED}, "footage, 4 tokens": planned(4),
        "uniform 8 frames": uniform(8), "last 8 frames": last(8), "retrieval only": retrieval_only,
    }  # fmt: skip
    report = Report("eval world", asdict(run))
    marks = examine(run, methods)
    report.rows = [row(m) for m in marks]
    report.table("by kind", [_by_kind(marks, name) for name in methods])
    seen = [m for m in marks if not m.question.held_out]
    new = [m for m in marks if m.question.held_out]
    names = ("footage", f"given, {LEVELS[0]} tokens")
    report.table("pairs and words that training had, and those it never had", [
        {"method": name, "had": right([m for m in seen if m.method == name]), "never had": right([m for m in new if m.method == name])}
        for name in names
    ])  # fmt: skip
    report.table("where the answer points", [
        {"method": name, "right": right(own), "cited in the right interval": share(own, "cited"), "temporal IoU": share(own, "iou"),
         "right, but cited elsewhere": sum(m.right and not m.cited for m in own)}
        for name in methods if (own := [m for m in marks if m.method == name])
    ])  # fmt: skip
    report.table("what the answers cost, a question", [spent(marks, name, names[1]) for name in methods])
    report.curve = {
        "right frames, whole tokens": _curve(marks, LEVELS, "tokens"), "right frames, pooled": _curve(marks, POOLED, "pooled")
    }  # fmt: skip
    report.x_label, report.log_x = "tokens a frame", True
    report.bars = {name: {k: right(_of(marks, name, k)) for k in Q_KINDS if _of(marks, name, k)} for name in names}
    for k, bar in BARS.items():
        report.bar(f"{k}, given, 64 tokens a frame", right(_of(marks, names[1], k)).value, bar)
    return report


def run_moments(run: WorldRun) -> Report:
    """Recall of the right interval and temporal IoU, by how many frames may be read; the selectors next to each other."""
    report = Report("eval moments", asdict(run))
    curves: dict[str, list[tuple[float, Interval]]] = {}
    rows: list[dict[str, Any]] = []
    for examined in filmed(run):
        for question in examined.film.questions:
            truth = [TimeSpan(a, b) for a, b in question.spans]
            if not truth:
                continue
            for name in COMPARED:
                for frames in BUDGETS:
                    spans = picked(examined, question.text, name, frames)
                    hit = [any(s.overlap_s(t) > 0 for s in spans) for t in truth]
                    iou = max((s.iou(t) for s in spans for t in truth), default=0.0)
                    rows.append({"world": examined.film.path.stem, "id": question.id, "method": name, "frames": frames,
                                 "recall": sum(hit) / len(hit), "iou": iou})  # fmt: skip
    report.rows = rows
    for name in COMPARED:
        for measure in ("recall", "iou"):
            curves[f"{name}, {measure}"] = [
                (float(n), bootstrap([r[measure] for r in rows if r["method"] == name and r["frames"] == n],
                                     groups=[r["world"] for r in rows if r["method"] == name and r["frames"] == n]))
                for n in BUDGETS
            ]  # fmt: skip
    report.table("share of true intervals with a frame in them, and IoU of the best stretch of planned frames", [
        {"method": name, **{f"{int(n)} frames": value for n, value in points}} for name, points in curves.items()
    ])  # fmt: skip
    report.curve, report.x_label, report.log_x = {k: v for k, v in curves.items() if "recall" in k}, "frames that may be read", True
    return report


def run_abstain(run: WorldRun) -> Report:
    """The same questions with the evidence there and with it cut out: does it still answer?"""
    report = Report("eval abstain", asdict(run))
    methods: dict[str, Method] = {"whole": ours, "cut out": cut_out}
    if run.says_times is not None:
        told = {"says the time, whole": says_times(run.says_times), "says the time, cut out": says_times(run.says_times, cut_out=True)}
        methods |= told
    marks = examine(run, methods, lambda q: bool(q.spans) and q.kind not in ("existence", "times"))
    report.rows = [row(m) for m in marks]
    by_method = {name: [m for m in marks if m.method == name] for name in methods}
    report.table("the same questions with their evidence and without it", [
        {"memory": name, "refuses": share(own, "refused"),
         "refuses, what training never had": share([m for m in own if m.question.held_out], "refused")}
        for name, own in by_method.items()
    ])  # fmt: skip
    report.table("what is cited where the evidence is there", [
        {"memory": name, "right": right(own), "cites the right interval": share(own, "cited"), "temporal IoU": share(own, "iou"),
         "right, but cited elsewhere": sum(m.right and not m.cited for m in own)}
        for name, own in by_method.items() if "cut out" not in name
    ])  # fmt: skip
    return report


def filmed(run: WorldRun) -> list[Examined]:
    library = open_nano(run.folder / "library", model=run.model, alone=True)
    return [
        Examined(library, film(library, config, run.folder, per_kind=run.per_kind, per_kind_new=run.per_kind // 3))
        for config in run.configs
    ]


def examine(run: WorldRun, methods: Mapping[str, Method], wanted: Callable[[WorldQuestion], bool] = lambda _: True) -> list[Marked]:
    """Every method on every question; ids carry their world, so that intervals can be made by world."""
    marks = []
    for examined in filmed(run):
        for question in filter(wanted, examined.film.questions):
            dated = replace(question, id=f"{examined.film.path.stem}/{question.id}")
            marks += [mark(dated, name, method(examined, Question(question.text), question.spans)) for name, method in methods.items()]
    return marks


def picked(examined: Examined, text: str, name: str, frames: int) -> list[TimeSpan]:
    """What a selector plans within so many frames, adjoining rows joined."""
    library = examined.library
    view = library.memory.view([examined.film.recording_id])
    query = Query(Question(text), library.encoder.id, library.encoder.embed_text([text])[0])
    plan = selector(name, tokens_per_carrier=64).select(query, view, Budget(64 * frames))
    return list(union(pick.span for pick in plan.picks))


def right(marks: Sequence[Marked]) -> Interval:
    return share(marks, "right")


def share(marks: Sequence[Marked], name: str) -> Interval:
    return bootstrap([float(getattr(m, name)) for m in marks], groups=[m.question.id.split("/")[0] for m in marks])


def _of(marks: Sequence[Marked], method: str, kind: str) -> list[Marked]:
    return [m for m in marks if m.method == method and m.question.kind == kind]


def spent(marks: Sequence[Marked], name: str, full: str) -> dict[str, Any]:
    """Means over the questions, beside those of the method that reads everything."""
    own, whole = ([m for m in marks if m.method == method] for method in (name, full))
    macs, most = (sum(m.cost.prefill_macs for m in some) / len(some) for some in (own, whole))
    return {
        "method": name, "right": right(own), "of what all tokens give": f"{right(own).value / max(right(whole).value, 1e-9):.1%}",
        "visual tokens": round(sum(m.cost.visual_tokens for m in own) / len(own)), "million MACs of prefill": round(macs / 1e6),
        "share of the prefill": f"{macs / max(most, 1e-9):.1%}", "kB of cache at most": max(m.cost.kv_bytes for m in own) // 1000,
    }  # fmt: skip


def _curve(marks: Sequence[Marked], levels: Sequence[int], how: str) -> list[tuple[float, Interval]]:
    """Accuracy by tokens a frame."""
    return [(float(level), right([m for m in marks if m.method == f"given, {level} {how}"])) for level in levels]


def _by_kind(marks: Sequence[Marked], method: str) -> dict[str, Any]:
    own = [m for m in marks if m.method == method]
    return {"method": method, **{k: right(_of(marks, method, k)) for k in Q_KINDS if _of(marks, method, k)}, "all": right(own)}


def row(m: Marked) -> dict[str, Any]:
    """id (world/kind-n), kind, question, answer (true), spans (true), held_out, method, reply, right, cited, iou, cost."""
    q = m.question
    return {
        "id": q.id, "kind": q.kind, "question": q.text, "answer": q.answer, "spans": q.spans, "held_out": q.held_out,
        "method": m.method, "reply": m.reply, "right": m.right, "cited": m.cited, "iou": round(m.iou, 3),
        "visual_tokens": m.cost.visual_tokens, "prefill_macs": m.cost.prefill_macs,
    }  # fmt: skip
