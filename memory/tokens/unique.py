"""VidCom2: tokens unlike the mean of their frame and of the video; frames unlike the video get more of the budget.

"Video Compression Commander: Plug-and-Play Inference Acceleration for Video Large Language Models" (VidCom2, 2025).
"""

import numpy as np

from footage.arrays import AnyArray, Bools
from footage.nested import FRAMES_AT_ONCE
from memory.tokens.reduced import least, unit

WIDTHS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)


def likeness(tokens: AnyArray, centre: AnyArray) -> AnyArray:
    """(..., N) sum of Gaussians of several widths of the distance of tokens (..., N, D) to a centre (..., D); least for outliers."""
    squared = (tokens**2).sum(-1) + (centre**2).sum(-1)[..., None] - 2 * (tokens @ centre[..., None])[..., 0]
    made: AnyArray = np.sum([np.exp(-np.maximum(squared, 0) / (2 * width)) for width in WIDTHS], axis=0)
    return made


def uniqueness(tokens_TND: AnyArray) -> tuple[AnyArray, AnyArray]:
    """(T, N) likeness to the mean of the video and to that of the frame, on the half of the channels that vary least."""
    steady = np.sort(np.argsort(_variance(tokens_TND), kind="stable")[: max(1, tokens_TND.shape[-1] // 2)])
    vectors = np.concatenate([unit(block[..., steady]) for block in _blocks(tokens_TND)])
    video = vectors.mean((0, 1))
    both = [(likeness(block, video), likeness(block, block.mean(1))) for block in _blocks(vectors)]
    return np.concatenate([of_video for of_video, _ in both]), np.concatenate([of_frame for _, of_frame in both])


def _variance(tokens_TND: AnyArray) -> AnyArray:
    """(D,) over all tokens."""
    sizes, means, variances = [], [], []
    for block in _blocks(tokens_TND):
        wide = block.astype(np.float32)
        mean = wide.mean((0, 1))
        wide -= mean
        sizes.append(len(block))
        means.append(mean)
        variances.append((wide**2).mean((0, 1)))
    between = (np.array(means) - np.average(means, 0, sizes)) ** 2
    return np.average(variances + between, 0, sizes)


def _blocks(tokens_TND: AnyArray) -> list[AnyArray]:
    return [tokens_TND[at : at + FRAMES_AT_ONCE] for at in range(0, len(tokens_TND), FRAMES_AT_ONCE)]


def vidcom2(tokens_TND: AnyArray, share: float, *, sharp: float = 0.01) -> Bools:
    """(T, N) bool: exactly max(T, round(share * T * N)) tokens, at least one a frame.

    Ours: the paper's frame budgets add up to the share only about; here they are filled up by largest remainder, none above N.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], got {share}")
    T, N, _ = tokens_TND.shape
    of_video, of_frame = uniqueness(tokens_TND)
    raised = np.exp(-(of_video.mean(1) - of_video.mean(1).min()) / sharp)
    wish = share * (1 + raised / raised.sum() - 1 / T) * N
    return least(of_video + of_frame, np.array(shared_out(wish, max(T, round(share * T * N)), N)))


def shared_out(wish: AnyArray, total: int, most: int | AnyArray, *, fewest: int = 1) -> list[int]:
    """Whole numbers near the wishes, from `fewest` to `most` each (a number or one for each), that add up to `total`.

    Where `most` is less than `fewest`, it is that. Raises ValueError where it cannot be done.
    """
    most = np.broadcast_to(most, np.shape(wish))
    fewest_each = np.minimum(fewest, most)
    if not fewest_each.sum() <= total <= most.sum():
        raise ValueError(f"{total} cannot be shared out to {len(wish)} with {fewest} to {most.max(initial=0)} each")
    low, high = -float(np.max(most)) - float(np.max(wish)), float(np.max(most)) + 1
    for _ in range(100):  # water level at which the clipped wishes add up
        level = (low + high) / 2
        low, high = (level, high) if np.clip(wish + level, fewest_each, most).sum() < total else (low, level)
    exact = np.clip(wish + high, fewest_each, most)
    counts = np.floor(exact + 1e-9).astype(int)
    counts[np.argsort(-np.round(exact - counts, 9), kind="stable")[: total - int(counts.sum())]] += 1
    return [int(c) for c in counts]
