"""`footage bench merge`: every way to shorten a frame on the same frames at the same tokens, read by the same model."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from footage.arrays import AnyArray
from footage.carriers import Carrier
from footage.questions import Question
from footage.timespan import TimeSpan
from memory.mergers import MERGERS
from memory.tokens.reduced import unit
from workers.eval_marks import mark
from workers.eval_methods import Examined, given, merged_by
from workers.eval_report import Report
from workers.eval_stats import Interval, bootstrap, paired
from workers.eval_world import WorldRun, filmed

KEEPS = (32, 16, 8, 4, 1)
ALL = 64
NAMES = tuple(name for name in MERGERS if name != "keep")
DRAWN = ("details", "divprune", "vidcom2", "tome", "holitom", "strided")
"""In the picture, which can hold no more; the tables have all."""
RUN = 8
"""Frames that follow each other, whose tokens are reconstructed together."""


@dataclass(frozen=True, slots=True)
class MergeRun:
    """How much to measure."""

    world: WorldRun
    frames: int = 300
    """Whose tokens are reconstructed and timed."""
    ours: str = "details"


def run_merge(run: MergeRun, names: Sequence[str] = NAMES, keeps: Sequence[int] = KEEPS, *, examined: Sequence[Examined] = ()) -> Report:
    """nano's accuracy with the right frames given, reconstruction error, time and bytes a frame, by method and tokens.

    examined: films at hand; by default those of run.world.
    """
    report = Report("bench merge", asdict(run.world) | {"frames": run.frames})
    examined = examined or filmed(run.world)
    rows: list[dict[str, Any]] = []
    for one in examined:
        for question in one.film.questions:
            for name, keep in [("all tokens", ALL), *((name, keep) for name in names for keep in keeps)]:
                method = given(keep, merged_by(MERGERS[name])) if name in MERGERS else given(keep)
                made = mark(question, name, method(one, Question(question.text), question.spans))
                rows.append({"world": one.film.path.stem, "id": question.id, "kind": question.kind, "method": name, "tokens": keep,
                             "right": made.right, "prefill_macs": made.cost.prefill_macs})  # fmt: skip
    report.rows = rows
    whole = _values(rows, "all tokens", ALL)
    report.table(f"right answers, the right frames given; all {ALL} tokens a frame: {_share(rows, 'all tokens', ALL)}", [
        {"method": name, **{f"{keep} tokens": _share(rows, name, keep) for keep in keeps}} for name in names
    ])  # fmt: skip
    worlds = _worlds(rows, run.ours, keeps[0])
    report.table(f"{run.ours} against the others, the same questions and tokens", [
        {"method": name, **{f"{k} tokens": paired(_values(rows, run.ours, k), _values(rows, name, k), groups=worlds) for k in keeps}}
        for name in names if name != run.ours
    ])  # fmt: skip
    macs = {keep: np.mean([r["prefill_macs"] for r in rows if (r["method"], r["tokens"]) == (run.ours, keep)]) for keep in keeps}
    full = np.mean([r["prefill_macs"] for r in rows if r["method"] == "all tokens"])
    report.table(f"what {run.ours} keeps of the accuracy of all tokens", [
        {"tokens a frame": keep, "of the right answers": f"{np.mean(_values(rows, run.ours, keep)) / np.mean(whole):.1%}",
         "of the prefill": f"{macs[keep] / full:.1%}", "bytes a frame": keep * 2 * _width(examined)} for keep in keeps
    ])  # fmt: skip
    runs = _some(examined, run.frames)
    report.table("what is lost of a frame, and what it takes", [_measured(name, runs, keeps) for name in names])
    report.table("an hour at 1 fps, frames of 196 tokens of width 1152 to 16", [
        {"method": name, "seconds an hour": round(hour_s(name), 1)} for name in names
    ])  # fmt: skip
    report.curve = {name: [(float(keep), _share(rows, name, keep)) for keep in keeps] for name in names if name in DRAWN}
    report.x_label, report.log_x = "tokens a frame", True
    for name in names:
        if name != run.ours:
            gain = paired(_values(rows, run.ours), _values(rows, name), groups=_worlds(rows, run.ours))
            report.bar(f"{run.ours} above {name}: lower end of the gain", gain.low, 0.0)
    return report


def lost(tokens: AnyArray, kept: AnyArray) -> float:
    """Reconstruction error: of the token (K, D) that is told worst, 1 - cosine with the nearest that was kept (k, D).

    The mean over all tokens would be that of the background, which is most of a frame.
    """
    return float(1 - (unit(tokens) @ unit(kept).T).max(1).min())


def hour_s(name: str, frames: int = 60, *, tokens: int = 196, width: int = 1152, keep: int = 16) -> float:
    """Seconds that an hour at 1 fps takes, in segments of so many frames, one of which is timed: random tokens, half of them still."""
    rng = np.random.default_rng(0)
    made = rng.normal(size=(frames, tokens, width)).astype(np.float16)
    made[:, : tokens // 2] = made[0, : tokens // 2]
    embeds = rng.normal(size=(frames, 8)).astype(np.float32)
    carriers = [Carrier("", (TimeSpan(t, t + 1.0),), t + 0.5, 1.0, made[t], embeds[t]) for t in range(frames)]
    begun = time.perf_counter()
    MERGERS[name].merge(carriers, max_tokens=keep * frames)
    return 3600 * (time.perf_counter() - begun) / frames


def _measured(name: str, runs: Sequence[Sequence[Carrier]], keeps: Sequence[int]) -> dict[str, Any]:
    """Error by tokens kept, and the time that all of these frames took at the middle of them."""
    made, spent_s = {}, 0.0
    for keep in keeps:
        begun = time.perf_counter()
        made[keep] = [np.concatenate([c.tokens for c in MERGERS[name].merge(run, max_tokens=keep * len(run))]) for run in runs]
        spent_s = time.perf_counter() - begun if keep == keeps[len(keeps) // 2] else spent_s
    errors = {keep: np.mean([lost(c.tokens, kept) for run, kept in zip(runs, made[keep], strict=True) for c in run]) for keep in keeps}
    count, timed = sum(len(run) for run in runs), keeps[len(keeps) // 2]
    return {"method": name, **{f"error, {keep} tokens": f"{error:.4f}" for keep, error in errors.items()},
            f"ms a frame, {timed} tokens": round(1000 * spent_s / count, 2)}  # fmt: skip


def _some(examined: Sequence[Examined], count: int) -> list[list[Carrier]]:
    """Runs of frames that follow each other, evenly over all films."""
    each, runs = max(1, count // RUN // len(examined)), []
    for one in examined:
        rows = len(one.library.memory.view([one.film.recording_id]))
        starts = np.linspace(0, max(0, rows - RUN), min(each, max(1, rows // RUN))).round().astype(int).tolist()
        runs += [one.carriers(list(range(start, min(rows, start + RUN)))) for start in starts]
    return runs


def _width(examined: Sequence[Examined]) -> int:
    return int(examined[0].carriers([0])[0].tokens.shape[1])


def _values(rows: Sequence[dict[str, Any]], name: str, keep: int | None = None) -> list[float]:
    """Right or wrong, by question and then by tokens; keep: at so many tokens alone."""
    return [float(r["right"]) for r in rows if r["method"] == name and keep in (None, r["tokens"])]


def _worlds(rows: Sequence[dict[str, Any]], name: str, keep: int | None = None) -> list[str]:
    return [r["world"] for r in rows if r["method"] == name and keep in (None, r["tokens"])]


def _share(rows: Sequence[dict[str, Any]], name: str, keep: int) -> Interval:
    return bootstrap(_values(rows, name, keep), groups=_worlds(rows, name, keep))
