"""VidCom2: tokens unlike the mean of their frame and of the video; frames unlike the video get more of the budget.

"Video Compression Commander: Plug-and-Play Inference Acceleration for Video Large Language Models" (VidCom2, 2025).
"""

import numpy as np

from footage.arrays import AnyArray, Bools
from memory.tokens.reduced import unit

WIDTHS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)


def likeness(tokens: AnyArray, centre: AnyArray) -> AnyArray:
    """(...,) sum of Gaussians of several widths of the distance to a centre; least for outliers."""
    squared = ((tokens - centre) ** 2).sum(-1)
    made: AnyArray = np.sum([np.exp(-squared / (2 * width)) for width in WIDTHS], axis=0)
    return made


def vidcom2(tokens_TND: AnyArray, share: float, *, sharp: float = 0.01) -> Bools:
    """(T, N) bool: exactly max(T, round(share * T * N)) tokens, at least one a frame.

    Ours: the paper's frame budgets add up to the share only about; here they are filled up by largest remainder, none above N.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], got {share}")
    T, N, D = tokens_TND.shape
    wide = tokens_TND.astype(np.float32)
    steady = np.sort(np.argsort(wide.reshape(-1, D).var(0), kind="stable")[: max(1, D // 2)])
    vectors = unit(wide[..., steady])
    of_video = likeness(vectors, vectors.mean((0, 1)))
    of_frame = likeness(vectors, vectors.mean(1, keepdims=True))
    raised = np.exp(-(of_video.mean(1) - of_video.mean(1).min()) / sharp)
    wish = share * (1 + raised / raised.sum() - 1 / T) * N
    counts = shared_out(wish, max(T, round(share * T * N)), N)
    order = np.argsort(np.round(of_video + of_frame, 6), axis=1, kind="stable")
    keep = np.zeros((T, N), bool)
    for t, count in enumerate(counts):
        keep[t, order[t, :count]] = True
    return keep


def shared_out(wish: AnyArray, total: int, most: int) -> list[int]:
    """Whole numbers near the wishes, from 1 to `most` each, that add up to `total` (between len(wish) and len(wish) * most)."""
    if not len(wish) <= total <= len(wish) * most:
        raise ValueError(f"{total} cannot be shared out to {len(wish)} with 1 to {most} each")
    low, high = -float(most) - float(np.max(wish)), float(most) + 1
    for _ in range(100):  # water level at which the clipped wishes add up
        level = (low + high) / 2
        low, high = (level, high) if np.clip(wish + level, 1, most).sum() < total else (low, level)
    exact = np.clip(wish + high, 1, most)
    counts = np.floor(exact + 1e-9).astype(int)
    for row in np.argsort(-np.round(exact - counts, 9), kind="stable")[: total - int(counts.sum())]:
        counts[row] += 1
    return [int(c) for c in counts]
