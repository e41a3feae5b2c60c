"""`footage eval alerts`: standing questions over hours whose events are known: what fires, when, and what fires for nothing."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nano.phrases import a, the
from nano.words import Kind, kinds, words
from nano.world import World, WorldConfig, needle_kinds
from workers.alerts.replay import Recorded, confirming, replayed
from workers.alerts.standing import Scores, Standing
from workers.alerts.tracker import Confirm, Tracker
from workers.engine import Library
from workers.eval_films import Filmed, film, open_nano
from workers.eval_report import Report
from workers.eval_stats import bootstrap

Span = tuple[float, float]
NEAR_S = 1.0  # sampling sees a second
FLOOR, GATE, ONCE, ONCE_LIVE = "floor of the encoder", "gate", "gate, then nano", "the same, open segments every 3 s"
MODEL, LIVE = "gate, nano, then a second look", "with a second look, open segments every 3 s"
METHODS = (FLOOR, GATE, ONCE, MODEL, ONCE_LIVE, LIVE)
REFRESH_S, OFTEN_S = 3.0, 300.0
BINS = (0.0, 0.9, 0.95, 0.98, 1.0)

Row = Callable[[Sequence["Outcome"], float], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class AlertsRun:
    folder: Path
    hours: int = 4
    hour_s: float = 3600.0
    seed: int = 410
    per_kind: int = 5
    """Questions of each kind an hour."""
    events_per_hour: float = 72.0

    def configs(self) -> list[WorldConfig]:
        """Hours as they come, and a last one in which one thing is seen every five minutes."""
        often, count = needle_kinds("test", 1)[0], round(self.hour_s / OFTEN_S)
        needles = tuple(((n + 0.5) / count, often) for n in range(count))
        hours = [WorldConfig(self.seed + n, "test", self.hour_s, 4, self.events_per_hour) for n in range(self.hours)]
        return [*hours, replace(hours[0], seed=self.seed + self.hours, needles=needles)]


@dataclass(frozen=True, slots=True)
class Case:
    """A standing question on one hour, with the events that it should fire for."""

    kind: str
    """ "thing", "sign", "pair", "often", or "never" for what the hour does not show."""
    text: str
    events: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    hour: str
    case: Case
    method: str
    alerts: tuple[tuple[float, float, bool, float], ...]
    """(start_s, delay_s or nan, it is right, confidence) of each."""
    late: int
    """Events that fired later than at the end of the segment after the one in which they began."""
    asked: int
    """How often the model was asked."""

    @property
    def right(self) -> int:
        return sum(alert[2] for alert in self.alerts)


def cases(world: World, per_kind: int, cool_down_s: float) -> list[Case]:
    """Questions of every kind about a world, drawn from its own truth; the same world gives the same."""
    rng = np.random.default_rng([world.config.seed, 7])
    things: dict[Kind, list[Span]] = {}
    signs: dict[str, list[Span]] = {}
    pairs: dict[tuple[Kind, Kind], list[Span]] = {}
    for placed in world.events:
        seen = [(t.kind, (placed.start_s + t.start_s, placed.start_s + t.end_s)) for t in placed.event.things]
        for kind, span in seen:
            things.setdefault(kind, []).append(span)
        for kind, span in seen:
            for other, its in seen:
                both = max(span[0], its[0]), min(span[1], its[1])
                if kind < other and both[1] - both[0] >= 2:
                    pairs.setdefault((kind, other), []).append(both)
        if sign := placed.event.sign:
            signs.setdefault(sign.text, []).append((placed.start_s + sign.start_s, placed.start_s + sign.end_s))
    often = {f"{a(kind)} is there": things[kind] for _, kind in world.config.needles}
    if often:
        return [Case("often", text, _events(spans, cool_down_s)) for text, spans in often.items()]

    def some(kind: str, texts: dict[str, list[Span]], count: int = per_kind) -> list[Case]:
        chosen = rng.permutation(sorted(texts))[:count]
        return [Case(kind, str(text), _events(texts[str(text)], cool_down_s)) for text in chosen]

    never = {f"{a(kind)} is there": list[Span]() for kind in kinds(world.config.split) if kind not in things}
    unwritten = {f"{the(word)} is there": list[Span]() for word in words(world.config.split) if word not in signs}
    return [
        *some("thing", {f"{a(kind)} is there": spans for kind, spans in things.items()}, 2 * per_kind),
        *some("sign", {f"{the(text)} is there": spans for text, spans in signs.items()}),
        *some("pair", {f"{a(x)} and {a(y)} are there": spans for (x, y), spans in pairs.items()}),
        *some("never", never, 2 * per_kind), *some("never", unwritten),
    ]  # fmt: skip


def _events(spans: Sequence[Span], cool_down_s: float) -> tuple[Span, ...]:
    """What is seen again within the cool-down is one event, as it is for an alert."""
    events: list[Span] = []
    for start_s, end_s in sorted(spans):
        if events and start_s < events[-1][1] + cool_down_s:
            events[-1] = events[-1][0], max(events[-1][1], end_s)
        else:
            events.append((start_s, end_s))
    return tuple(events)


def run_alerts(run: AlertsRun) -> Report:
    begun = time.perf_counter()
    library, outcomes = open_nano(run.folder / "library-alerts"), list[Outcome]()
    for config in run.configs():
        filmed = film(library, config, run.folder, per_kind=0)
        for case in cases(filmed.world, run.per_kind, library.settings.alerts.cool_down_s):
            outcomes += [outcome_of(library, filmed, case, method) for method in METHODS]
    report = _report(run, outcomes)
    report.begun = begun
    return report


def outcome_of(library: Library, filmed: Filmed, case: Case, method: str) -> Outcome:
    recorded, asked = Recorded.of(library, filmed.recording_id), [0]
    by_model = method not in (FLOOR, GATE)
    confirm = _counted(confirming(library, twice=method in (MODEL, LIVE)), asked) if by_model else None
    tracker = Tracker(Standing.of(case.text, library.encoder), library.settings.alerts, confirm=confirm)
    if method == FLOOR:
        tracker.usual = Scores(0)
    fired = replayed(tracker, recorded.parts(refresh_s=REFRESH_S if method in (ONCE_LIVE, LIVE) else 0.0))
    left, alerts, late = list(case.events), [], 0
    for each in fired:
        start_s, at_s = each.event.moment.span.start_s, each.event.part.span.end_s
        event = next((e for e in left if start_s < e[1] + NEAR_S and each.end_s > e[0] - NEAR_S), None)
        if event is not None:
            left.remove(event)
            late += at_s > _latest_s(recorded, event[0])
        delay_s = max(0.0, at_s - event[0]) if event else float("nan")
        alerts.append((round(start_s, 2), round(delay_s, 2), event is not None, each.event.confidence))
    return Outcome(filmed.path.stem, case, method, tuple(alerts), late, asked[0])


def _counted(confirm: Confirm | None, asked: list[int]) -> Confirm | None:
    if confirm is None:
        return None

    def counting(*args: Any) -> Any:
        asked[0] += 1
        return confirm(*args)

    return counting


def _latest_s(recorded: Recorded, start_s: float) -> float:
    """End of the segment after the one in which an event begins."""
    ends = [span.end_s for span in recorded.spans if span.end_s > start_s]
    return ends[min(1, len(ends) - 1)]


def _report(run: AlertsRun, outcomes: Sequence[Outcome]) -> Report:
    report = Report("eval alerts", asdict(run), [
        {"hour": o.hour, "kind": o.case.kind, "question": o.case.text, "events": o.case.events, "method": o.method,
         "alerts": o.alerts, "asked": o.asked} for o in outcomes
    ])  # fmt: skip
    hour, rare = run.hour_s / 3600, ("thing", "sign", "pair")

    def rows(row: Row, *of: str) -> list[dict[str, Any]]:
        return [{"method": m} | row([o for o in outcomes if o.method == m and o.case.kind in of], hour) for m in METHODS]

    report.table("what is rare: a thing, a sign, or two things at once", rows(_found, *rare))
    report.table("questions about what an hour never shows", rows(_silent, "never"))
    for kind in rare:
        report.table(f"a {kind}", rows(_found, kind))
    report.table("a thing that is not rare: every five minutes", rows(_found, "often"))
    scored = [alert for o in outcomes if o.method == GATE and o.case.kind in (*rare, "never") for alert in o.alerts]
    report.table("confidence of the gate alone, and how many of these alerts were right", [
        {"confidence": f"{low:g} to {high:g}", "alerts": str(len(inside)), "right": bootstrap([float(alert[2]) for alert in inside])}
        for low, high in pairwise(BINS) if (inside := [alert for alert in scored if low <= alert[3] < high])
    ])  # fmt: skip
    return report


def _found(outcomes: Sequence[Outcome], hour: float) -> dict[str, Any]:
    """Precision, recall and delay of some questions together; intervals resample hours."""
    events = [(o.hour, n < o.right) for o in outcomes for n in range(len(o.case.events))]
    alerts = [(o.hour, alert) for o in outcomes for alert in o.alerts]
    delays = [alert[1] for _, alert in alerts if alert[2]]
    hours, wrong, late = len(outcomes) * hour, sum(not alert[2] for _, alert in alerts), sum(o.late for o in outcomes)
    return {
        "events": str(len(events)), "recall": _share([fired for _, fired in events], [name for name, _ in events]),
        "precision": _share([alert[2] for _, alert in alerts], [name for name, _ in alerts]), "false alarms an hour": wrong / hours,
        "delay, median": _seconds(delays, 0.5), "delay, 95 %": _seconds(delays, 0.95), "later than a segment": str(late),
        "model asked an hour": sum(o.asked for o in outcomes) / hours,
    }  # fmt: skip


def _silent(outcomes: Sequence[Outcome], hour: float) -> dict[str, Any]:
    hours, wrong = len(outcomes) * hour, [len(o.alerts) for o in outcomes]
    return {
        "questions x hours": f"{hours:g}", "false alarms an hour": sum(wrong) / hours if hours else 0.0,
        "hours without any": _share([not count for count in wrong], [o.hour for o in outcomes]),
        "model asked an hour": sum(o.asked for o in outcomes) / hours if hours else 0.0,
    }  # fmt: skip


def _share(of: Sequence[bool], groups: Sequence[str]) -> Any:
    return bootstrap([float(each) for each in of], groups=groups) if of else "-"


def _seconds(delays: Sequence[float], share: float) -> str:
    return f"{np.quantile(delays, share):.0f} s" if delays else "-"
