"""DyMU: one likeness decides for all frames which tokens merge, so a plain frame keeps few and a busy one many.

"DyMU: Dynamic Merging and Virtual Unmerging for Efficient VLMs" (2025), which calibrates its thresholds on other people's pictures; ours is
the quantile of the frames at hand at which the budget is met exactly.
"""

import numpy as np

from footage.arrays import AnyArray
from footage.nested import FRAMES_AT_ONCE
from memory.tokens.matching import halving, merging_likeness
from memory.tokens.reduced import Chosen


def dymu(tokens_TND: AnyArray, budget: int, times_s: AnyArray) -> Chosen:
    """As many of all pairs as must go are merged, the most alike first; needs budget >= T."""
    T, N, _ = tokens_TND.shape
    blocks = [slice(at, at + FRAMES_AT_ONCE) for at in range(0, T, FRAMES_AT_ONCE)]
    alike = np.concatenate([merging_likeness(tokens_TND[block]) for block in blocks])
    going = np.argsort(-alike, axis=None, kind="stable")[: max(T * N - budget, 0)]
    counts = N - np.bincount(going // max(N - 1, 1), minlength=T)
    made = [halving(tokens_TND[block], counts[block]) for block in blocks]
    parts = [Chosen.where(part.places < N, part.tokens) for part in made]
    places = np.concatenate([part.places[part.places < N] for part in made])
    return Chosen(np.repeat(np.arange(T), counts), places, np.concatenate([part.tokens for part in parts]))
