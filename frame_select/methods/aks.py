"""AKS: halve the timeline until a part has clear peaks, and take the best rows of each part.

"Adaptive Keyframe Sampling for Long Video Understanding" (2025).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from frame_select.curve import Chosen, Curve, best_first


@dataclass(frozen=True, slots=True)
class Aks:
    """A part at depth k takes the n / 2^k best of its rows. Ours: parts are halved by their seconds; the paper's fall short of n
    where a part is small, here the selector spreads what is left."""

    threshold: float = 0.8
    """A part whose best rows stand out from its mean by so much is not halved again; of scores from 0 to 1."""
    depth: int = 5

    @property
    def name(self) -> str:
        return "aks"

    def choose(self, curve: Curve, count: int) -> Iterator[Chosen]:
        shares, until_s = curve.shares, np.cumsum(curve.weights_s)
        parts = [(0, len(curve), 0)]
        while parts:
            begin, end, depth = parts.pop()
            some = shares[begin:end]
            best = best_first(some)[:count]
            if depth < self.depth and end - begin > 1 and some[best].mean() - some.mean() <= self.threshold:
                before_s = until_s[begin - 1] if begin else 0.0
                middle = int(np.searchsorted(until_s, (before_s + until_s[end - 1]) / 2, side="right"))
                middle = min(max(middle, begin + 1), end - 1)
                parts += [(begin, middle, depth + 1), (middle, end, depth + 1)]
            else:
                yield from (Chosen(begin + int(row), "match") for row in best[: count >> depth])
