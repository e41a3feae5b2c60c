"""Scores of sets that ask when: R@1 at IoU bars, mean IoU, mean average precision."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from footage.timespan import TimeSpan

RECALL_BARS = (0.3, 0.5, 0.7)
AP_BARS = tuple(round(0.5 + 0.05 * n, 2) for n in range(10))  # 0.5, 0.55 ... 0.95
AP_SPANS = 10

Truth = tuple[TimeSpan, ...]


@dataclass(frozen=True, slots=True)
class GroundingScore:
    """Over the items with true times; nan where there are none."""

    asked: int
    silent: int
    """Items with true times but no span given: IoU and precision 0."""
    ious: Mapping[str, float]
    """By item: of the first span, with the best true one. What the means are over, and intervals can be made of."""
    recall: Mapping[float, float]
    """R@1 by IoU bar: the first span reaches it with any true one."""
    mean_ap: Mapping[float, float]
    """By IoU bar, 0.5 to 0.95."""
    unanswerable: int
    """Items without true times; they count in nothing above."""
    abstained: int
    """Of those, the ones for which no span was given."""

    @property
    def mean_iou(self) -> float:
        return _mean(list(self.ious.values()))

    @property
    def mean_ap_average(self) -> float:
        """QVHighlights' "mAP avg"."""
        return _mean(list(self.mean_ap.values()))


def score_grounding(truths: Mapping[str, Truth], found: Mapping[str, Sequence[TimeSpan]]) -> GroundingScore:
    """Score spans, best first, against the true ones (`{item.id: item.spans for item in items}`).

    An item that is not in `found` is one without a span: the common scorers leave such items out of the mean.
    """
    answerable = {key: spans for key, spans in truths.items() if spans}
    given = {key: list(found.get(key, ())) for key in truths}
    ious = {key: best_iou(given[key][:1], spans) for key, spans in answerable.items()}
    return GroundingScore(
        asked=len(answerable),
        silent=sum(not given[key] for key in answerable),
        ious=ious,
        recall={bar: _mean([float(iou >= bar) for iou in ious.values()]) for bar in RECALL_BARS},
        mean_ap={bar: _mean([average_precision(given[key], spans, bar) for key, spans in answerable.items()]) for bar in AP_BARS},
        unanswerable=len(truths) - len(answerable),
        abstained=sum(not given[key] for key in truths if key not in answerable),
    )


def best_iou(spans: Iterable[TimeSpan], truth: Truth) -> float:
    """The best temporal IoU of any of the spans with any of the true ones; 0 without spans."""
    return max((span.iou(true) for span in spans for true in truth), default=0.0)


def average_precision(spans: Sequence[TimeSpan], truth: Truth, bar: float) -> float:
    """Of the first ten spans, best first, as QVHighlights measures it (Lei et al., NeurIPS 2021, after ActivityNet).

    Each span takes the true span that it meets best among those not yet taken; precision is made never to rise with recall.
    """
    free, hits = list(truth), []
    for span in spans[:AP_SPANS]:
        best = max(free, key=span.iou, default=None)
        is_hit = best is not None and span.iou(best) >= bar
        hits.append(is_hit)
        if best is not None and is_hit:
            free.remove(best)
    precisions = [sum(hits[: n + 1]) / (n + 1) for n in range(len(hits))]
    return sum(max(precisions[n:]) for n, is_hit in enumerate(hits) if is_hit) / len(truth)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
