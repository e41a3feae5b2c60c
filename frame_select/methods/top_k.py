"""The best rows, and what lies right before and after them."""

from collections.abc import Iterator
from dataclasses import dataclass

from frame_select.curve import Chosen, Curve, best_first


@dataclass(frozen=True, slots=True)
class TopK:
    """Every match brings its neighbours, the nearest first, before the next match."""

    neighbours: int = 1
    """Rows kept on each side of a match."""

    def __post_init__(self) -> None:
        if self.neighbours < 0:
            raise ValueError(f"neighbours must be at least 0, got {self.neighbours}")

    @property
    def name(self) -> str:
        return "top-k"

    def choose(self, curve: Curve, count: int) -> Iterator[Chosen]:
        for row in map(int, best_first(curve.scores)):
            yield Chosen(row, "match")
            for step in range(1, self.neighbours + 1):
                for near in (row - step, row + step):
                    if 0 <= near < len(curve) and curve.which[near] == curve.which[row]:
                        yield Chosen(near, "neighbour")
