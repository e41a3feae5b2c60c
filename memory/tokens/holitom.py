"""HoliTom: what stays through a segment is told once, what moves stays with its frame.

"HoliTom: Holistic Token Merging for Fast Video Large Language Models" (2025). Ours: what moves is ranked by VidCom2's uniqueness, not by
the tower's attention, and the counts add up to the budget exactly. Letters: T frames, N tokens of each, D width.
"""

import numpy as np

from footage.arrays import AnyArray
from memory.segmentation import optimal_segments, static
from memory.tokens.density import dpc_knn
from memory.tokens.reduced import Chosen, least
from memory.tokens.unique import shared_out, uniqueness


def holitom(tokens_TND: AnyArray, budget: int, times_s: AnyArray) -> Chosen:
    """Static places of a segment averaged over it and merged by density, carried by its first frame; needs budget >= 2 T, or one frame."""
    T, N, _ = tokens_TND.shape
    stays = static(tokens_TND)
    moving, scenes = np.ones((T, N), bool), []
    for scene in optimal_segments(stays):
        still = stays[scene.start : scene.stop - 1].all(0) & (scene.stop - scene.start > 1)
        moving[scene] = ~still
        scenes += [(scene, np.flatnonzero(still))] if still.any() else []
    sizes = np.array([*moving.sum(1), *(len(places) for _, places in scenes)])
    total = min(budget, int(sizes.sum()))
    counts = shared_out(sizes * total / sizes.sum(), total, sizes)
    of_video, of_frame = uniqueness(tokens_TND)
    parts = [Chosen.where(least(np.where(moving, of_video + of_frame, np.inf), np.array(counts[:T])), tokens_TND)]
    for (scene, places), count in zip(scenes, counts[T:], strict=True):
        made = dpc_knn(tokens_TND[scene, places].mean(0, dtype=np.float32), count)
        parts.append(Chosen(np.full(count, scene.start), places[made.places], made.tokens))
    return Chosen.joined(parts)
