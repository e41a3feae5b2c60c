"""TS-LLaVA: a coarse look at a few frames, and details strided over all.

"TS-LLaVA: Constructing Visual Tokens through Thumbnail-and-Sampling for Training-Free Video Large Language Models" (2024), which tiles six
frames into one picture before the tower; ours averages the tokens of those frames.
"""

import numpy as np

from footage.arrays import AnyArray, halved, is_square_grid
from memory.tokens.reduced import Chosen

FRAMES = 6
SHARE = 1 / 6
"""Of the tokens, for the thumbnail; the paper's 576 of 3,456."""


def ts_llava(tokens_TND: AnyArray, budget: int, times_s: AnyArray) -> Chosen:
    """Thumbnails stand before the details of their frames; every frame has a detail. Needs budget >= T."""
    T, N, D = tokens_TND.shape
    room = min(round(SHARE * budget), budget - T)
    shown = np.linspace(0, T - 1, min(FRAMES, T, max(room, 1))).round().astype(int)
    coarse = _coarse(tokens_TND[shown].astype(np.float32), room // len(shown))
    K = coarse.shape[1]
    thumbnail = Chosen(np.repeat(shown, K), np.tile(np.arange(K) - K, len(shown)), coarse.reshape(len(shown) * K, D))
    detail = np.linspace(0, T * N - 1, budget - len(thumbnail.frames)).round().astype(int)
    frames, places = np.divmod(detail, N)
    return Chosen.joined([thumbnail, Chosen(frames, places, tokens_TND[frames, places])])


def _coarse(tokens: AnyArray, at_most: int) -> AnyArray:
    """(B, N, D) to the finest level of the grid of at most so many tokens; their mean where there is none, nothing below 1."""
    while tokens.shape[1] > at_most and is_square_grid(tokens.shape[1]):
        tokens = halved(tokens)
    return tokens if tokens.shape[1] <= at_most else tokens.mean(1, keepdims=True)[:, :at_most]
