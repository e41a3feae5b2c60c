"""What was read, detected and seen as one ranking, by ranks: scores of two kinds are never compared."""

from collections.abc import Sequence

from footage.questions import Moment
from qa.moments import SAME_IOU

K = 10  # the paper takes 60, for rankings of a thousand
AGREE_IOU = 0.3  # from here on two kinds point at the same event


def fused(texts: Sequence[Moment], things: Sequence[Moment], images: Sequence[Moment], limit: int) -> list[Moment]:
    """The moments of all kinds, none twice; those that several kinds point at come before those of one.

    The more of the query one text holds, the less the other kinds have to say: a sign that says it all is found by reading. Detections
    come before pictures.
    Source: "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods" (2009). There all rankings weigh the
    same, and a document is the same or not; a moment counts here in a ranking where the first that agrees with it in time stands.
    """
    read = max((moment.score for moment in texts), default=0.0)
    rankings = ((1.0, texts), (1 - read / 4, things), (1 - read, images))
    found: list[Moment] = []
    for moment in (*texts, *things, *images):
        if not any(_shared(m, moment) >= SAME_IOU for m in found):
            found.append(moment)
    return sorted(found, key=lambda moment: -sum(weight * _vote(ranking, moment) for weight, ranking in rankings))[:limit]


def _vote(ranking: Sequence[Moment], moment: Moment) -> float:
    ranks = (rank for rank, other in enumerate(ranking, 1) if other is moment or _shared(moment, other) >= AGREE_IOU)
    return next((1 / (K + rank) for rank in ranks), 0.0)


def _shared(a: Moment, b: Moment) -> float:
    return a.span.iou(b.span) if a.recording_id == b.recording_id else 0.0
