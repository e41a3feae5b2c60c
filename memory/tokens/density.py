"""DPC-KNN: tokens gather around those that are dense and far from any denser one.

"Study on density peaks clustering based on k-nearest neighbors and principal component analysis" (2016), as HoliTom, FastVID and
PruneVid use it. Ours: ties go to the earlier token instead of to random noise.
"""

import numpy as np

from footage.arrays import AnyArray
from memory.tokens.reduced import Reduced, checked, merged


def dpc_knn(tokens: AnyArray, keep: int, *, neighbours: int = 7, centre: float | None = 0.6) -> Reduced:
    """(N, D) to `keep` centres with their members.

    neighbours: whose distance is the density. centre: the centre's own share of what is left (HoliTom's beta); None: a plain mean,
    which conserves the sum of tokens.
    """
    N = len(tokens)
    keep = checked(keep, N)
    squared = distances(tokens)
    k = min(neighbours, N - 1)
    near = np.partition(squared, k, axis=1)[:, : k + 1].sum(1) / max(k, 1) if k else np.zeros(N)
    density = np.exp(-near)
    earlier = np.arange(N)[None, :] < np.arange(N)[:, None]
    denser = (density[None, :] > density[:, None]) | ((density[None, :] == density[:, None]) & earlier)
    apart = np.where(denser, squared, np.inf).min(1)
    apart[np.isinf(apart)] = squared.max() if N else 0.0
    score = density * np.sqrt(apart)
    centres = np.sort(np.argsort(-score, kind="stable")[:keep])
    owners = squared[:, centres].argmin(1)
    owners[centres] = np.arange(keep)
    made = merged(tokens, owners, centres)
    if centre is None:
        return made
    own = tokens[centres].astype(np.float32)
    others = (made.tokens * made.sizes[:, None] - own) / np.maximum(made.sizes - 1, 1)[:, None]
    mixed = np.where(made.sizes[:, None] > 1, centre * own + (1 - centre) * others, own)
    return Reduced(mixed.astype(np.float32), made.places, made.sizes, made.owners)


def distances(tokens: AnyArray) -> AnyArray:
    """(N, N) squared Euclidean distances divided by the width."""
    wide = tokens.astype(np.float32)
    norms = (wide**2).sum(1)
    return np.maximum(norms[:, None] + norms[None, :] - 2 * wide @ wide.T, 0.0) / tokens.shape[1]
