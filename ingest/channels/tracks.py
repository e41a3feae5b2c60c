"""Detections of sampled frames to rows: tracked by overlap, counted by label, one row for each stretch of one count.

Letters: N boxes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from footage import TextRow, TimeSpan
from ingest.channels.boxes import Box, Detection, iou

SAME_IOU = 0.3  # boxes of one label in neighbouring samples that overlap so much are one thing
MISSED_S = 2.0  # missed for so long, it was there all the same when it comes back at its place
MANY = 10  # more of a label at once are not told apart: one count less or more would make a row a second
NAMED_TRACKS = 8


@dataclass(slots=True)
class _Track:
    label: str
    name: str
    """The second in which it was first seen, and its number: "65.3"."""
    seen: list[tuple[int, Detection]] = field(default_factory=list)
    """(sample, what was found there)"""


class Tracker:
    """Greedy tracking by overlap, as in the IoU tracker (Bochinski et al., AVSS 2017), that bridges what is missed for a moment."""

    def __init__(self, sure_score: float) -> None:
        """sure_score: what was seen in one sample alone counts from this score on."""
        self._sure_score = sure_score
        self._spans: list[TimeSpan] = []
        self._tracks: list[_Track] = []

    def add(self, found: Sequence[Detection], span: TimeSpan) -> None:
        """What one sample shows, and the time that it stands for; in time order."""
        at = len(self._spans)
        self._spans.append(span)
        open_ = [track for track in self._tracks if span.start_s - self._spans[track.seen[-1][0]].end_s <= MISSED_S + 1e-6]
        left = list(found)
        for track, one in _pairs(open_, found):
            track.seen.append((at, one))
            left.remove(one)
        for one in left:
            self._tracks.append(_Track(one.label, f"{int(span.start_s)}.{len(self._tracks) + 1}", [(at, one)]))

    def stays(self, span: TimeSpan) -> None:
        """What the last sample showed is still there until the end of span."""
        if self._spans:
            self._spans[-1] = self._spans[-1].hull(span)

    def rows(self, recording_id: str) -> list[TextRow]:
        """One row for each stretch in which a label is there equally often, by start, then label."""
        certain = [track for track in self._tracks if len(track.seen) > 1 or track.seen[0][1].score >= self._sure_score]
        labels = sorted({track.label for track in certain})
        rows = [row for label in labels for row in self._of(recording_id, label, [t for t in certain if t.label == label])]
        return sorted(rows, key=lambda row: (row.span, row.text))

    def _of(self, recording_id: str, label: str, tracks: Sequence[_Track]) -> Iterator[TextRow]:
        counts = np.zeros(len(self._spans), int)
        for track in tracks:
            counts[track.seen[0][0] : track.seen[-1][0] + 1] += 1
        joined = np.cumsum([i > 0 and self._spans[i].start_s - self._spans[i - 1].end_s > 1e-3 for i in range(len(counts))])
        for (count, _), run in groupby(range(len(counts)), key=lambda i: (min(int(counts[i]), MANY), int(joined[i]))):
            if count:
                yield self._row(recording_id, label, count, list(run), tracks)

    def _row(self, recording_id: str, label: str, count: int, run: Sequence[int], tracks: Sequence[_Track]) -> TextRow:
        """Its box is around all that the sample with the best detection shows; its score the mean of all detections."""
        here = [(at, one) for track in tracks for at, one in track.seen if run[0] <= at <= run[-1]]
        names = [t.name for t in tracks if t.seen[0][0] <= run[-1] and t.seen[-1][0] >= run[0]][:NAMED_TRACKS]
        best = max(here, key=lambda item: (item[1].score, -item[0]), default=None)
        box = _around([one.box for at, one in here if best is not None and at == best[0]])
        score = float(np.mean([one.score for _, one in here])) if here else self._sure_score
        text = label if count == 1 else f"{count}{'+' if count == MANY else ''} {label}"
        span = TimeSpan(self._spans[run[0]].start_s, self._spans[run[-1]].end_s)
        return TextRow(recording_id, span, "object", text, round(score, 4), box, track="+".join(names))


def _pairs(tracks: Sequence[_Track], found: Sequence[Detection]) -> Iterator[tuple[_Track, Detection]]:
    """Tracks and detections of one label that overlap most, each once."""
    boxes = np.array([one.box for one in found]).reshape(-1, 4)
    near = [(float(share), n, i) for n, track in enumerate(tracks) for i, share in enumerate(iou(track.seen[-1][1].box, boxes))
            if share >= SAME_IOU and found[i].label == track.label]  # fmt: skip
    tracked, taken = set[int](), set[int]()
    for _, n, i in sorted(near, key=lambda item: (-item[0], item[1], item[2])):
        if n not in tracked and i not in taken:
            tracked.add(n)
            taken.add(i)
            yield tracks[n], found[i]


def _around(boxes: Sequence[Box]) -> Box | None:
    if not boxes:
        return None
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
