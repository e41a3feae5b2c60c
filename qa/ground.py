"""Exact edges: sampling finds a moment within a second, decoding around its edge finds the very frame.

A text's box, or the whole picture, is compared frame by frame with how it looks inside the moment; the edge is where the
looks change for good. Where they do not change clearly, the sampled edge stands.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from footage.arrays import AnyArray
from footage.errors import FootageError
from footage.frames import Frame
from footage.protocols import Fetcher
from footage.questions import Moment, Redecode
from footage.recordings import TextRow
from footage.timespan import TimeSpan
from qa.ground_pictures import Fall

REACH_S = 1.0  # sampling interval: the edge lies at most this far outside the first and the last sample
STEP_S = 1 / 30
SIDE_PX = 640
LEAST_CHANGE = 4.0  # of colour, 0..255, between the two sides of an edge; compression noise stays below
WHOLE = (0.0, 0.0, 1.0, 1.0)
Box = tuple[float, float, float, float]


def ground(moment: Moment, row: TextRow | None, fetcher: Fetcher | None, fall: Fall | None = None) -> Moment:
    """The moment with its edges at the very frames where it begins and ends; unchanged where pixels cannot tell.

    For text read from the picture, and for pictures that begin or end with a cut, or with a fall of likeness. Costs two decodes of about a
    second.
    """
    box = row.box if row is not None and row.kind == "ocr" else WHOLE if moment.kind == "image" else None
    extent = None if fetcher is None or box is None else fetcher.extent(moment.recording_id)
    if fetcher is None or box is None or extent is None:
        return moment
    try:
        start_s = _edge(moment, box, fetcher, extent, fall, at_start=True)
        end_s = _edge(moment, box, fetcher, extent, fall, at_start=False)
    except FootageError:  # damaged around here: the sampled edges stand
        return moment
    return replace(moment, span=TimeSpan(start_s, end_s)) if start_s < end_s else moment


def _edge(moment: Moment, box: Box, fetcher: Fetcher, extent: TimeSpan, fall: Fall | None, *, at_start: bool) -> float:
    """The time of the edge, searched in the sampling interval before the sampled one, against a picture well inside."""
    span = moment.span
    sampled = span.start_s if at_start else span.end_s
    low, high = max(extent.start_s, sampled - REACH_S), min(extent.end_s, sampled)
    if high - low < STEP_S or sampled <= extent.start_s or (not at_start and sampled >= extent.end_s - 1e-6):
        return sampled
    inside = span.start_s if at_start else max(span.start_s, span.end_s - REACH_S)
    times = [inside, *np.arange(low, high, STEP_S).tolist()]
    like, *frames = fetcher.fetch([Redecode(moment.recording_id, t, SIDE_PX) for t in times])
    crop = _crop(like, box)
    looks = np.array([float(np.abs(_crop(frame, box) - crop).mean()) for frame in frames])
    changed_s = _change(looks, frames, sampled, at_start=at_start, is_cut=box == WHOLE)
    return changed_s if fall is None else fall.edge_s(frames, sampled, changed_s, at_start=at_start)


def _crop(frame: Frame, box: Box) -> AnyArray:
    """(h, w, 3) float32 of a box, at least one pixel."""
    height, width = frame.pixels.shape[:2]
    left, top, right, bottom = box
    x0, x1 = int(left * width), max(int(left * width) + 1, round(right * width))
    y0, y1 = int(top * height), max(int(top * height) + 1, round(bottom * height))
    crop: AnyArray = frame.pixels[y0:y1, x0:x1].astype(np.float32)
    return crop


def _change(looks: AnyArray, frames: Sequence[Frame], sampled: float, *, at_start: bool, is_cut: bool) -> float:
    """The split of the series into a far and a near part with the least spread inside the parts (Otsu 1979, along time)."""
    series = looks if at_start else looks[::-1]
    n = len(series)
    if n < 2:
        return sampled
    cost = [float(series[:k].var() * k + series[k:].var() * (n - k)) for k in range(1, n)]
    k = int(np.argmin(cost)) + 1
    rise = float(series[:k].mean() - series[k:].mean())
    jump = float(series[k - 1] - series[k])
    if rise < LEAST_CHANGE or (is_cut and jump < rise / 2):
        return sampled
    return (frames[k] if at_start else frames[n - k]).span.start_s
