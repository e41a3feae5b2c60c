"""What is new in each frame, in exactly as many tokens as there may be: EVS, DTD and PVC without training.

"Efficient Video Sampling" (EVS, 2025). "TimeChat-Online: 80% Visual Tokens are Naturally Redundant in Streaming Videos" (DTD, 2025).
"PVC: Progressive Visual Token Compression for Unified Image and Video Processing in Large Vision-Language Models" (2024).
Ours: a patch that stays as it was is never kept, even where there is room, and a frame with anything new keeps at least one token.
"""

from math import isqrt

import numpy as np

from footage.arrays import AnyArray, Bools, halved, is_square_grid
from memory.tokens.change import innovation, likeness
from memory.tokens.coverage import farthest_first
from memory.tokens.reduced import Chosen

STILL = 1e-3
"""1 - cosine up to which a patch is the one before it: rounding and the noise of coding."""
CHANGED = 0.8
"""Cosine with the patch kept last below which a patch is new; HoliTom's threshold for the same question."""
REFRESH_S = 30.0


def evs(tokens_TND: AnyArray, budget: int, times_s: AnyArray) -> Chosen:
    """The patches that changed most since the frame before."""
    change = np.full(tokens_TND.shape[:2], np.inf)
    change[1:] = 1 - likeness(tokens_TND)
    return Chosen.where(fitted(tokens_TND[0], change, change > STILL, budget), tokens_TND)


def dtd(tokens_TND: AnyArray, budget: int, times_s: AnyArray) -> Chosen:
    """The patches that are unlike what was kept last at their place; the most unlike of them where there are too many."""
    news, change = innovation(tokens_TND, CHANGED, times_s=times_s, refresh_s=REFRESH_S)
    return Chosen.where(fitted(tokens_TND[0], change, news, budget), tokens_TND)


def pvc(tokens_TND: AnyArray, budget: int, times_s: AnyArray) -> Chosen:
    """As dtd, and then the new patches of every 2 x 2 square become their mean; what is no grid stays as it is."""
    N = tokens_TND.shape[1]
    if not is_square_grid(N):
        return dtd(tokens_TND, budget, times_s)
    news, change = innovation(tokens_TND, CHANGED, times_s=times_s, refresh_s=REFRESH_S)
    half = isqrt(N) // 2
    squares = np.arange(N).reshape(half, 2, half, 2).swapaxes(1, 2).reshape(-1, 4)
    of_square: AnyArray = np.where(news, change, -np.inf)[:, squares].max(2)
    is_new: Bools = of_square > -np.inf
    frames, places = np.nonzero(fitted(halved(tokens_TND[0].astype(np.float32)), of_square, is_new, budget))
    members = squares[places]
    shares = news[frames[:, None], members].astype(np.float32)
    shares /= shares.sum(1, keepdims=True)
    return Chosen(frames, places, (shares[:, :, None] * tokens_TND[frames[:, None], members]).sum(1))


def fitted(first: AnyArray, change: AnyArray, news: Bools, budget: int) -> Bools:
    """(T, N) bool: at most `budget` of the news (T, N), by change, the best of every frame before all others; needs budget >= T.

    first: (N, D) tokens of frame 0, which is whole, or half of the budget by farthest-first where the rest needs it.
    """
    N, rest = len(first), news[1:]
    whole = min(N, max(budget - int(rest.sum()), budget // 2), budget - int(rest.any(1).sum()))
    keep = np.zeros(news.shape, bool)
    keep[0, farthest_first(first, whole)] = True
    score = np.where(rest, np.round(change[1:], 6), -np.inf)
    rows = np.arange(len(score))
    score[rows, score.argmax(1)] += 3.0  # above the greatest 1 - cosine
    taken = np.argsort(-score, axis=None, kind="stable")[: min(budget - whole, int(rest.sum()))]
    keep[1:].reshape(-1)[taken] = True
    return keep
