"""What comes before or after, or moves: a found moment, together with what is seen next to it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from footage.carriers import MemoryView
from footage.questions import Budget, Moment, Pick, Plan
from footage.timespan import TimeSpan
from qa.parse import Asked

BESIDE_S = 8.0  # how far a question with "before" or "after" looks
MOVING_S = 4.0  # what a direction is told from


def with_neighbours(moments: Sequence[Moment], asked: Asked, view: MemoryView) -> list[Moment]:
    """The same moments with as much around them as the question needs."""
    if asked.beside:
        return widened(moments, asked.beside, view)
    return [_at_least(moment, view) for moment in moments] if asked.which_way else list(moments)


def _at_least(moment: Moment, view: MemoryView) -> Moment:
    """MOVING_S of it, from its middle to both sides, as far as anything was seen."""
    lacking_s, seen = (MOVING_S - moment.span.duration_s) / 2, view.horizons[moment.recording_id]
    if lacking_s <= 0 or moment.text:
        return moment
    span = TimeSpan(max(seen.start_s, moment.span.start_s - lacking_s), min(seen.end_s, moment.span.end_s + lacking_s))
    return replace(moment, span=span)


def widened(moments: Sequence[Moment], side: str, view: MemoryView) -> list[Moment]:
    """The same moments, with up to BESIDE_S more before or after them, as far as anything was seen."""
    found = []
    for moment in moments:
        seen, span = view.horizons[moment.recording_id], moment.span
        if side == "before":
            span = TimeSpan(min(span.start_s, max(seen.start_s, span.start_s - BESIDE_S)), span.end_s)
        else:
            span = TimeSpan(span.start_s, max(span.end_s, min(seen.end_s, span.end_s + BESIDE_S)))
        found.append(replace(moment, span=span))
    return found


def with_moments(plan: Plan, moments: Sequence[Moment], view: MemoryView, budget: Budget) -> Plan:
    """The plan with every row of these moments; where the budget is full, rows outside them make room, the least alike first."""
    picks = {pick.row: pick for pick in plan.picks}
    each = max((pick.tokens for pick in plan.picks), default=0)
    inside: set[int] = set()
    for moment in moments:
        near = (view.starts_s < moment.span.end_s) & (view.ends_s > moment.span.start_s)
        inside.update(np.flatnonzero(near & (view.which == view.recording_ids.index(moment.recording_id))).tolist())
    for row in inside:
        picks.setdefault(row, Pick(row, view.recording_of(row), view.span(row), 0.0, each, "neighbour"))
    tokens = plan.tokens + each * (len(picks) - len(plan.picks))
    for pick in sorted(picks.values(), key=lambda pick: (pick.row in inside, pick.score)):
        if tokens > budget.tokens:
            tokens -= picks.pop(pick.row).tokens
    return replace(plan, picks=tuple(picks[row] for row in sorted(picks)), tokens=tokens)
