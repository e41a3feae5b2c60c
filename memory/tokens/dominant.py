"""VisionZip: the tokens that stand out stay whole, the others gather around evenly spread ones.

"VisionZip: Longer is Better but Not Necessary in Vision Language Models" (2024). Ours: standing out is being least like the others on the
mean, where the paper takes the tower's attention; a member counts as much as its target, where adding its mean on top would grow the norm.
"""

import numpy as np

from footage.arrays import AnyArray
from memory.tokens.coverage import cosines
from memory.tokens.reduced import checked, taken

CONTEXT = 10 / 64
"""Share of contextual tokens, the paper's."""


def visionzip(tokens: AnyArray, keep: int) -> AnyArray:
    """(..., N, D) to (..., keep, D), at least one of them contextual, in the picture's order."""
    N = tokens.shape[-2]
    if (keep := checked(keep, N)) == N:
        return tokens
    alike, context = cosines(tokens), max(1, round(CONTEXT * keep))
    order = np.argsort(np.round(alike.mean(-1), 6), axis=-1, kind="stable")
    dominant, rest = order[..., : keep - context], np.sort(order[..., keep - context :], -1)
    targets = rest[..., np.linspace(0, rest.shape[-1] - 1, context).round().astype(int)]
    near = taken(np.take_along_axis(alike, targets[..., None, :], -1), rest)  # (..., rest, context)
    owners = np.round(near, 5).argmax(-1)
    shares = (owners[..., None, :] == np.arange(context)[:, None]).astype(np.float32)
    means = (shares @ taken(tokens, rest)) / np.maximum(shares.sum(-1, keepdims=True), 1)
    places = np.concatenate([dominant, targets], -1)
    made = np.concatenate([taken(tokens, dominant), means], -2)
    return taken(made, np.argsort(places, -1))
