"""What a method may look at, and what it says: rows with what they match, and rows that earn tokens.

Letters: N rows of a view, E width of an embed, n rows that the budget pays for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from footage.arrays import AnyArray


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Relevance over time: the rows of a view, in time order."""

    scores: AnyArray
    """(N,) cosines with the query."""
    embeds: AnyArray
    """(N, E) unit length, or zero."""
    weights_s: AnyArray
    """(N,) seconds that each row stands for."""
    which: AnyArray
    """(N,) its recording."""

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def shares(self) -> AnyArray:
        """(N,) scores from 0 to 1: the least and the greatest of this view; all zero where they are alike."""
        low, high = float(self.scores.min()), float(self.scores.max())
        return (self.scores - low) / (high - low) if high > low else np.zeros(len(self.scores))


class Chosen(NamedTuple):
    """A row that earns tokens."""

    row: int
    why: str
    """"match", "neighbour", "coverage"."""
    share: float = 1.0
    """Of a row's full price: 1 or 1/4, 1/16 ... where it is read at a coarser level."""


class Method(Protocol):
    """Chooses rows; whatever the budget still pays for after that is spread over time by the selector."""

    @property
    def name(self) -> str: ...

    def choose(self, curve: Curve, count: int) -> Iterable[Chosen]:
        """Different rows whose shares add up to at most `count`. Asked only where 0 < count < N and scores differ."""
        ...


def best_first(scores: AnyArray) -> AnyArray:
    """(N,) rows, best first; equals in the order of rows."""
    return np.argsort(-scores, kind="stable")
