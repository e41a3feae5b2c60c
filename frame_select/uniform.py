"""Evenly over time, whatever was asked: the baseline, and the answer when scores say nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from footage import Budget, MemoryView, Plan, Query, TimeSpan
from frame_select.plans import picks_within, plan_of, redecodable, redecodes_within
from frame_select.scores import relevance
from frame_select.spread import spread


@dataclass(frozen=True, slots=True)
class UniformSelector:
    """Rows spread evenly over the seconds of all recordings; re-decoded frames likewise."""

    tokens_per_carrier: int = 16
    """What reading one row costs."""

    def __post_init__(self) -> None:
        if self.tokens_per_carrier < 1:
            raise ValueError(f"tokens_per_carrier must be at least 1, got {self.tokens_per_carrier}")

    @property
    def name(self) -> str:
        return "uniform"

    def select(self, query: Query, view: MemoryView, budget: Budget, *, extents: Mapping[str, TimeSpan] | None = None) -> Plan:
        scores, open_rows = relevance(query, view), redecodable(view, extents)
        again = spread(view.weights_s, redecodes_within(budget, int(open_rows.sum())), among=open_rows)
        rows = spread(view.weights_s, picks_within(budget, len(again), self.tokens_per_carrier, len(view)))
        reasons = {int(row): ("coverage", self.tokens_per_carrier) for row in rows}
        return plan_of(self.name, view, budget, reasons, scores, again)
