"""How well each row of a view matches a query."""

import numpy as np

from footage import EncoderMismatch, MemoryView, Query
from footage.arrays import AnyArray

FLAT = 1e-6  # scores closer together than this say nothing


def relevance(query: Query, view: MemoryView) -> AnyArray:
    """How well every row matches, (N,) float32 (Query.likeness); all zero where the encoder knows none of the words.

    Raises:
        EncoderMismatch: the query was embedded by another encoder than the view.
        ValueError: the view's embeds are not finite, or of another width.
    """
    if query.encoder_id != view.encoder_id:
        raise EncoderMismatch(
            f"the question was embedded by {query.encoder_id!r}, the recordings were written by {view.encoder_id!r}",
            hint=f"ask with the encoder that made {view.encoder_id!r}, or index again with the other one",
        )
    if len(view) == 0:
        return np.zeros(0, np.float32)
    if view.embeds.shape[1:] != query.embed.shape:
        raise ValueError(f"the query has width {query.embed.shape}, the view {view.embeds.shape[1:]}")
    scores: AnyArray = np.asarray(query.likeness(view.embeds), np.float32)
    if not np.all(np.isfinite(scores)):
        raise ValueError(f"row {int(np.flatnonzero(~np.isfinite(scores))[0])} of the view has no finite embed")
    return scores


def is_flat(scores: AnyArray) -> bool:
    """Whether all scores are alike: nothing can be preferred."""
    return len(scores) == 0 or float(scores.max() - scores.min()) <= FLAT
