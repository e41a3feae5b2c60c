"""DPC-KNN: tokens gather around those that are dense and far from any denser one.

"Study on density peaks clustering based on k-nearest neighbors and principal component analysis" (2016), as HoliTom, FastVID and
PruneVid use it. Ours: ties go to the earlier token instead of to random noise.
"""

import numpy as np

from footage.arrays import AnyArray
from memory.tokens.reduced import Reduced, checked, merged, taken


def dpc_knn(tokens: AnyArray, keep: int, *, neighbours: int = 7, centre: float | None = 0.6) -> Reduced:
    """(..., N, D) to `keep` centres with their members.

    neighbours: whose distance is the density. centre: the centre's own share of what is left (HoliTom's beta); None: a plain mean,
    which conserves the sum of tokens.
    """
    N = tokens.shape[-2]
    keep = checked(keep, N)
    squared = distances(tokens)
    centres = np.sort(np.argsort(-peaks(squared, neighbours), axis=-1, kind="stable")[..., :keep], -1)
    owners = np.take_along_axis(squared, centres[..., None, :], -1).argmin(-1)
    np.put_along_axis(owners, centres, np.broadcast_to(np.arange(keep), centres.shape), -1)
    made = merged(tokens, owners, centres)
    if centre is None:
        return made
    own, sizes = taken(tokens, centres).astype(np.float32), made.sizes[..., None]
    others = (made.tokens * sizes - own) / np.maximum(sizes - 1, 1)
    mixed = np.where(sizes > 1, centre * own + (1 - centre) * others, own)
    return Reduced(mixed.astype(np.float32), made.places, made.sizes, made.owners)


def peaks(squared: AnyArray, neighbours: int) -> AnyArray:
    """(..., N) density times the distance to the nearest denser token, from squared distances (..., N, N)."""
    N = squared.shape[-1]
    k = min(neighbours, N - 1)
    near = np.partition(squared, k, axis=-1)[..., : k + 1].sum(-1) / max(k, 1)
    density = np.exp(-near)
    row, column = density[..., :, None], density[..., None, :]
    denser = (column > row) | ((column == row) & np.tri(N, k=-1, dtype=bool))
    apart = np.where(denser, squared, np.inf).min(-1)
    apart = np.where(np.isinf(apart), squared.max((-2, -1))[..., None], apart)
    return density * np.sqrt(apart)


def distances(tokens: AnyArray) -> AnyArray:
    """(..., N, N) squared Euclidean distances divided by the width."""
    wide = tokens.astype(np.float32)
    norms = (wide**2).sum(-1)
    return np.maximum(norms[..., :, None] + norms[..., None, :] - 2 * wide @ wide.swapaxes(-1, -2), 0.0) / tokens.shape[-1]
