"""Sampling by relevance, without randomness: BOLT and AdaQ.

"BOLT: Boost Large Vision-Language Model Without Training for Long-form Video Understanding" (2025).
"AdaQ: Towards Fast and Effective Long Video Understanding of MLLMs via Adaptive Quasi-Gaussian Sampling" (2026).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from footage.arrays import AnyArray
from frame_select.curve import Chosen, Curve


def systematic(weights: AnyArray, count: int) -> AnyArray:
    """`count` different rows, ascending, row i with inclusion probability min(1, c * weights[i]): every (k + 1/2)-th unit of their sum.

    Systematic sampling with probability proportional to size and without replacement; equal weights give the middles of equal parts.
    Fewer rows only where fewer have a weight above zero.
    """
    chances, left = np.zeros(len(weights)), np.asarray(weights, float).copy()
    sure = np.zeros(len(weights), bool)
    while (missing := min(count, int((weights > 0).sum())) - int(sure.sum())) > 0:
        left[sure] = 0
        chances = np.where(sure, 1.0, missing * left / left.sum())
        if not np.any(chances[~sure] > 1):
            break
        sure |= chances >= 1
    chances[sure] = 1.0
    until = np.round(np.cumsum(chances), 9)
    hits = np.searchsorted(until, np.arange(round(float(until[-1]))) + 0.5) if len(until) else np.zeros(0, np.intp)
    return np.unique(hits)


@dataclass(frozen=True, slots=True)
class Bolt:
    """Inverse transform of the scores to a power, at evenly spaced quantiles. Ours: a row hit twice counts once."""

    power: float = 3.0

    @property
    def name(self) -> str:
        return "bolt"

    def choose(self, curve: Curve, count: int) -> Iterator[Chosen]:
        mass = np.cumsum(curve.shares**self.power)
        quantiles = np.linspace(1 / count, 1 - 1 / count, count) if count > 1 else np.array([0.5])
        rows = np.searchsorted(np.round(mass / mass[-1], 12), np.round(quantiles, 12))
        yield from (Chosen(int(row), "match") for row in np.unique(rows))


@dataclass(frozen=True, slots=True)
class AdaQ:
    """Softmax of the scores with the variance of the curve as temperature, cut to the mass of three sigma.

    A needle has little variance and is sampled sharply, a broad curve broadly. Ours: drawn systematically instead of at random, rows
    count with their seconds, and where the cut leaves too few rows the rest is spread over time.
    """

    gamma: float = 0.5
    reach: float = 0.1
    """Typical range of the encoder's raw cosines, which the paper's exponent uses: 0.1 for CLIP."""
    mass: float = 0.9973

    @property
    def name(self) -> str:
        return "adaq"

    def temperature(self, curve: Curve) -> float:
        return max(self.gamma * float(np.var(curve.shares)), 1e-4)

    def choose(self, curve: Curve, count: int) -> Iterator[Chosen]:
        exponent = self.reach * curve.shares / self.temperature(curve)
        chances = np.exp(exponent - exponent.max())
        order = np.argsort(-chances, kind="stable")
        kept = order[: int(np.searchsorted(np.cumsum(chances[order]) / chances.sum(), self.mass)) + 1]
        inside = np.zeros(len(curve))
        inside[kept] = (chances * curve.weights_s)[kept]  # after the cut: else one long row is all the mass, and can be read only once
        yield from (Chosen(int(row), "match") for row in systematic(inside, count))
