"""Keeping what is unlike: farthest-first (DivPrune) and least alike in sum (ToDRE). Coverage (MMTok) is footage/coverage.py.

"DivPrune: Diversity-based Visual Token Pruning for Large Multimodal Models" (2025). "ToDRE: Visual Token Pruning via Diversity and Task
Awareness" (2025).
"""

from collections.abc import Callable

import numpy as np

from footage.arrays import AnyArray
from memory.tokens.reduced import checked, unit


def farthest_first(tokens: AnyArray, keep: int, *, first: int | None = None) -> AnyArray:
    """(..., N, D) to (..., keep) places in the order taken: each as far (1 - cosine) as can be from all taken before.

    first: where to begin; None: the token whose nearest neighbour is farthest, as in DivPrune. The least chord distance is at least half of
    the best possible, 1 - cosine at least a quarter.
    """
    apart = 1 - cosines(tokens)
    begin = (apart + np.where(np.eye(apart.shape[-1]), np.inf, 0)).min(-1).argmax(-1) if first is None else first
    return _in_turn(apart, begin, checked(keep, apart.shape[-1]), np.minimum)


def least_alike(tokens: AnyArray, keep: int, *, first: int = 0) -> AnyArray:
    """(..., N, D) to (..., keep) places in the order taken: each with the least summed cosine to all taken before, from a pivot on."""
    return _in_turn(-cosines(tokens), first, checked(keep, tokens.shape[-2]), np.add)


def cosines(tokens: AnyArray) -> AnyArray:
    """(..., N, N), rounded so that ties are ties on every machine."""
    vectors = unit(tokens)
    return np.round(vectors @ vectors.swapaxes(-1, -2), 6)


def _in_turn(scores: AnyArray, first: AnyArray | int, keep: int, joined: Callable[[AnyArray, AnyArray], AnyArray]) -> AnyArray:
    """From `first` on always the column that scores best with all the rows taken, their scores joined."""
    flat = scores.reshape(-1, *scores.shape[-2:])
    every, order = np.arange(len(flat)), np.zeros((len(flat), keep), int)
    order[:, 0] = np.reshape(first, -1)
    best = flat[every, order[:, 0]]
    for step in range(1, keep):
        best[every, order[:, step - 1]] = -np.inf
        order[:, step] = best.argmax(1)
        best = joined(best, flat[every, order[:, step]])
    return order.reshape(*scores.shape[:-2], keep)
