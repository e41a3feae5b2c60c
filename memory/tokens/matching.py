"""Merging in pairs: PiToMe and AIM's halving. ToMe itself is memory/tome.py.

"Accelerating Transformers with Spectrum-Preserving Token Merging" (PiToMe, 2024).
"AIM: Adaptive Inference of Multi-Modal LLMs via Token Merging and Pruning" (2024).
"""

import numpy as np

from footage.arrays import AnyArray
from memory.tokens.reduced import Reduced, checked, merged, unit


def energy(tokens: AnyArray, margin: float) -> AnyArray:
    """(N,) how much of a crowd each token stands in: mean of ELU(cosine - margin) over the others. Small unique things have little."""
    above = unit(tokens) @ unit(tokens).T - margin
    each = np.where(above >= 0, above, np.expm1(np.minimum(above, 0)))
    return (each.sum(1) - np.diag(each)) / max(len(tokens) - 1, 1)


def pitome(tokens: AnyArray, keep: int, *, margin: float = 0.9, sizes: AnyArray | None = None) -> Reduced:
    """(N, D) to `keep`: only the tokens in the densest crowd merge, each with the most alike of every other one of them.

    margin falls with the depth of the layer in the paper (0.9 at the first to 0 at the last); ours runs once, after the tower, in rounds
    that merge at most a quarter, so that what stands alone is spared in each.
    """
    keep = checked(keep, len(tokens))
    sizes = np.ones(len(tokens)) if sizes is None else np.asarray(sizes, float)
    made = merged(tokens, np.arange(len(tokens)), np.arange(len(tokens)), sizes)
    while (N := len(made.tokens)) > keep:
        count = min(N - keep, max(1, N // 4))
        crowd = np.argsort(-np.round(energy(made.tokens, margin), 6), kind="stable")[: 2 * count]
        going, staying = crowd[::2], crowd[1::2]
        alike = np.round(unit(made.tokens[going]) @ unit(made.tokens[staying]).T, 5)
        made = _joined(made, going, staying[alike.argmax(1)])
    return made


def halving(tokens: AnyArray, keep: int, *, sizes: AnyArray | None = None) -> Reduced:
    """(N, D) to `keep`: every even token into the most alike odd one, again and again; the last round as many as needed, best first."""
    keep = checked(keep, len(tokens))
    made = merged(tokens, np.arange(len(tokens)), np.arange(len(tokens)), sizes)
    while (N := len(made.tokens)) > keep:
        even, odd = np.arange(0, N, 2), np.arange(1, N, 2)
        alike = np.round(unit(made.tokens[even]) @ unit(made.tokens[odd]).T, 5)
        going = np.argsort(-alike.max(1), kind="stable")[: min(N - keep, N // 2)]
        made = _joined(made, even[going], odd[alike.argmax(1)[going]])
    return made


def _joined(made: Reduced, going: AnyArray, into: AnyArray) -> Reduced:
    """One round: rows `going` of what is left go into rows `into`; a merged token stands where its earliest member stood."""
    home = np.arange(len(made.tokens))
    home[going] = into
    homes, owners = np.unique(home, return_inverse=True)
    first = np.full(len(homes), len(made.tokens))
    np.minimum.at(first, owners, np.arange(len(made.tokens)))
    next_ = merged(made.tokens, owners, first, made.sizes)
    return Reduced(next_.tokens, made.places[next_.places], next_.sizes, next_.owners[made.owners])
