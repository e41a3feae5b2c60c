"""When a match is unusual for this very stream: scores are compared with those of the segments before."""

from collections import deque
from collections.abc import Iterable

import numpy as np

NEEDED = 3  # segments before which nothing is known to be usual
OFTEN = 0.9  # what one segment of ten reaches is no news


class Past:
    """The best scores of the segments before this one, newest last; at most `size`, so that weeks take no more than hours."""

    def __init__(self, size: int, scores: Iterable[float] = ()) -> None:
        self._scores = deque((float(score) for score in scores), maxlen=size)

    def __len__(self) -> int:
        return len(self._scores)

    def add(self, score: float) -> None:
        """Of a segment that is over; also of one that passed, so that what becomes usual stops being news."""
        self._scores.append(float(score))

    def threshold(self, floor: float, spread: float) -> float:
        """median + spread x (90 % quantile - median), never below the floor of the encoder; that alone before NEEDED segments.

        Robust as median + k MAD is (Hampel 1974), but with the spread of the upper half: most segments show nothing at all, so that the
        MAD says how empty a stream is, and not how well the best of what is usual matches.
        """
        if len(self._scores) < NEEDED:
            return floor
        usual, often = np.quantile(self._scores, (0.5, OFTEN))
        return max(floor, float(usual + spread * (often - usual)))

    def above(self, score: float) -> float:
        """0 to 1: the chance that the next ordinary segment matches less (Laplace's rule of succession); 0.5 without a past."""
        return (sum(past < score for past in self._scores) + 1) / (len(self._scores) + 2)
