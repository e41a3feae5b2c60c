"""The best matches with their neighbours, and a share of the budget spread over time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from footage import Budget, MemoryView, Plan, Query, TimeSpan
from footage.arrays import AnyArray
from frame_select.plans import picks_within, plan_of, redecodable, redecodes_within
from frame_select.scores import is_flat, ranking, relevance
from frame_select.spread import spread
from frame_select.uniform import UniformSelector


@dataclass(frozen=True, slots=True)
class TopKSelector:
    """Best rows by cosine, and what lies right before and after them.

    Pure top-k starves questions about the whole: on the global questions of LVBench it loses 6.2 % against uniform
    (AdaQ, 2026, baselines). Hence the coverage share. Scores that are all alike select as UniformSelector does.
    """

    coverage: float = 0.25
    """Share of the rows spread evenly over time, 0 to 1."""
    neighbours: int = 1
    """Rows kept on each side of a match."""
    tokens_per_carrier: int = 16
    """What reading one row costs."""

    def __post_init__(self) -> None:
        if not 0 <= self.coverage <= 1 or self.neighbours < 0 or self.tokens_per_carrier < 1:
            raise ValueError(f"coverage must lie in 0..1, neighbours at 0 or above, tokens above 0, got {self}")

    @property
    def name(self) -> str:
        return "top-k"

    def select(self, query: Query, view: MemoryView, budget: Budget, *, extents: Mapping[str, TimeSpan] | None = None) -> Plan:
        scores, open_rows = relevance(query, view), redecodable(view, extents)
        if is_flat(scores):
            even = UniformSelector(self.tokens_per_carrier).select(query, view, budget, extents=extents)
            return replace(even, selector=self.name)
        best = ranking(scores)
        again = best[open_rows[best]][: redecodes_within(budget, int(open_rows.sum()))]
        count = picks_within(budget, len(again), self.tokens_per_carrier, len(view))
        reasons = {int(row): "coverage" for row in spread(view.weights_s, int(count * self.coverage))}
        self._add_matches(reasons, best, view, count)
        return plan_of(self.name, view, budget, reasons, scores, again, self.tokens_per_carrier)

    def _add_matches(self, reasons: dict[int, str], best: AnyArray, view: MemoryView, count: int) -> None:
        """Fill up to `count` rows: every match brings its neighbours, the nearest first, before the next match."""
        for row in map(int, best):
            if len(reasons) >= count:
                return
            reasons[row] = "match"
            for step in range(1, self.neighbours + 1):
                for near in (row - step, row + step):
                    beside = 0 <= near < len(view) and view.which[near] == view.which[row]
                    if beside and len(reasons) < count:
                        reasons.setdefault(near, "neighbour")
