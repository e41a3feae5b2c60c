"""Writing a decision down as a Plan: what it costs, where decoding is allowed, in time order."""

from collections.abc import Mapping

import numpy as np

from footage import Budget, MemoryView, Pick, Plan, Redecode, TimeSpan
from footage.arrays import AnyArray, Bools


def redecodable(view: MemoryView, extents: Mapping[str, TimeSpan] | None) -> Bools:
    """(N,) rows whose anchor can be decoded right now; none without extents."""
    inside = np.zeros(len(view), bool)
    for index, recording_id in enumerate(view.recording_ids):
        extent = extents.get(recording_id) if extents else None
        if extent is not None:
            at_s = view.anchors_s
            inside |= (view.which == index) & (at_s >= extent.start_s) & (at_s < extent.end_s)
    return inside


def redecodes_within(budget: Budget, candidates: int) -> int:
    """How many frames may be decoded again: they take at most half of the tokens, so that memory is always read too."""
    each = budget.tokens_per_redecode
    return min(budget.redecodes, candidates, budget.tokens // 2 // each if each else candidates)


def picks_within(budget: Budget, redecodes: int, tokens_per_carrier: int, rows: int) -> int:
    """How many rows the tokens left over can pay: as many as possible."""
    return min(rows, (budget.tokens - redecodes * budget.tokens_per_redecode) // tokens_per_carrier)


def plan_of(
    selector: str, view: MemoryView, budget: Budget, reasons: Mapping[int, tuple[str, int]], scores: AnyArray, redecode_rows: AnyArray
) -> Plan:
    """Args: reasons: by row to be picked, (why, tokens)."""
    picks = tuple(
        Pick(row, view.recording_of(row), view.span(row), float(scores[row]), tokens, why) for row, (why, tokens) in sorted(reasons.items())
    )
    redecodes = tuple(
        Redecode(view.recording_of(row), float(view.anchors_s[row]), budget.max_side_px) for row in sorted(map(int, redecode_rows))
    )
    spent = sum(pick.tokens for pick in picks) + len(redecodes) * budget.tokens_per_redecode
    return Plan(selector, view.version, picks, redecodes, spent)
