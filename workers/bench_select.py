"""`footage bench select`: every selector on the same planted views at the same budgets."""

import time
from dataclasses import dataclass
from typing import Any

from footage.questions import Budget, Plan
from frame_select.registry import SELECTORS, selector
from workers.bench_curves import CASES, Planted, plant
from workers.eval_report import Report
from workers.eval_stats import Interval, bootstrap, paired

BUDGETS = (4, 8, 16, 32, 64)
BASELINES = ("uniform", "top-k", "aks", "bolt", "f2c")
PRICE = 16


@dataclass(frozen=True, slots=True)
class SelectRun:
    """How much to measure."""

    seeds: int = 40
    seconds: int = 3600
    ours: str = "peaks"


def run_select(run: SelectRun, names: tuple[str, ...] = SELECTORS) -> Report:
    """Share of what counts that a plan reads, by case, selector and frames."""
    report = Report("bench select", {"seeds": run.seeds, "seconds": run.seconds})
    rows: list[dict[str, Any]] = []
    for case in CASES:
        for seed in range(run.seeds):
            planted = plant(case, seed, run.seconds)
            for name in names:
                for frames in BUDGETS:
                    begun = time.perf_counter()
                    plan = selector(name, tokens_per_carrier=PRICE).select(planted.query, planted.view, Budget(PRICE * frames))
                    took_s = time.perf_counter() - begun
                    rows.append({"case": case, "seed": seed, "method": name, "frames": frames, "found": found(plan, planted), "s": took_s})
    report.rows = rows

    def share(name: str, frames: int | None = None, case: str = "") -> Interval:
        own = [r for r in rows if r["method"] == name and frames in (None, r["frames"]) and case in ("", r["case"])]
        return bootstrap([float(r["found"]) for r in own], groups=[str(r["seed"]) for r in own])

    report.table("found, all cases together", [
        {"selector": name, **{f"{frames} frames": share(name, frames) for frames in BUDGETS}, "all": share(name),
         "seconds an hour": max(float(r["s"]) for r in rows if r["method"] == name)} for name in names
    ])  # fmt: skip
    report.table("found, all budgets together", [
        {"selector": name, **{case: share(name, None, case) for case in CASES}} for name in names
    ])  # fmt: skip
    groups = [str(r["seed"]) for r in rows if r["method"] == run.ours]
    values = {name: [float(r["found"]) for r in rows if r["method"] == name] for name in names}
    gains = {name: paired(values[run.ours], values[name], groups=groups) for name in names if name != run.ours}
    report.table(f"{run.ours} against the others, the same views and budgets", [{"selector": n, "gain": g} for n, g in gains.items()])
    for name in BASELINES:
        if name in gains:
            report.bar(f"{run.ours} above {name}: lower end of the gain", gains[name].low, 0.0)
    report.curve = {name: [(float(n), share(name, n)) for n in BUDGETS] for name in names}
    report.x_label, report.log_x = "frames that may be read", True
    return report


def found(plan: Plan, planted: Planted) -> float:
    """Share of the events inside which at least a quarter of a frame's tokens are read."""
    spent = [sum(pick.tokens for pick in plan.picks if event.start <= pick.row < event.stop) for event in planted.events]
    return sum(4 * tokens >= PRICE for tokens in spent) / len(spent)
