"""CurveSelector: any method inside one budget, with a share of it spread over time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from footage import Budget, MemoryView, Plan, Query, TimeSpan
from footage.arrays import AnyArray
from frame_select.curve import Curve, Method, best_first
from frame_select.plans import picks_within, plan_of, redecodable, redecodes_within
from frame_select.scores import is_flat, relevance
from frame_select.spread import spread
from frame_select.uniform import UniformSelector


@dataclass(frozen=True, slots=True)
class CurveSelector:
    """What the method chooses, what covers the rest of the time, and the best matches to decode again.

    Scores that are all alike select as UniformSelector does, and so does all that the method leaves of the budget.
    """

    method: Method
    coverage: float = 0.25
    """Share of the rows spread evenly over time, 0 to 1: without it, questions about the whole starve."""
    tokens_per_carrier: int = 16
    """What reading one row in full costs."""

    def __post_init__(self) -> None:
        if not 0 <= self.coverage <= 1 or self.tokens_per_carrier < 1:
            raise ValueError(f"coverage must lie in 0..1, tokens_per_carrier at 1 or above, got {self.coverage}, {self.tokens_per_carrier}")

    @property
    def name(self) -> str:
        return self.method.name

    def select(self, query: Query, view: MemoryView, budget: Budget, *, extents: Mapping[str, TimeSpan] | None = None) -> Plan:
        scores, open_rows = relevance(query, view), redecodable(view, extents)
        if is_flat(scores):
            even = UniformSelector(self.tokens_per_carrier).select(query, view, budget, extents=extents)
            return replace(even, selector=self.name)
        best = best_first(scores)
        again = best[open_rows[best]][: redecodes_within(budget, int(open_rows.sum()))]
        tokens = budget.tokens - len(again) * budget.tokens_per_redecode
        curve = Curve(scores, view.embeds, view.weights_s, view.which)
        reasons = self._reasons(curve, tokens, picks_within(budget, len(again), self.tokens_per_carrier, len(view)))
        return plan_of(self.name, view, budget, reasons, scores, again)

    def _reasons(self, curve: Curve, tokens: int, count: int) -> dict[int, tuple[str, int]]:
        """(why, tokens) by row: coverage first, then the method in its order, then coverage again while a whole row can be paid."""
        full = self.tokens_per_carrier
        reasons = {int(row): ("coverage", full) for row in spread(curve.weights_s, int(count * self.coverage))}
        spent = len(reasons) * full
        if len(reasons) < count:
            for row, why, share in self.method.choose(curve, count - len(reasons)):
                cost = max(1, int(full * share))
                if spent + cost > tokens:
                    break
                if row in reasons:
                    if why == "match" or reasons[row][0] == "coverage":
                        reasons[row] = why, reasons[row][1]
                else:
                    reasons[row] = why, cost
                    spent += cost
        free = _without(reasons, len(curve))
        more = spread(curve.weights_s, min((tokens - spent) // full, int(free.sum())), among=free)
        return reasons | {int(row): ("coverage", full) for row in more}


def _without(rows: Mapping[int, object], count: int) -> AnyArray:
    """(N,) bool: rows not yet taken."""
    free = np.ones(count, bool)
    free[list(rows)] = False
    return free
