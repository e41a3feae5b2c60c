"""Exact edges: sampling finds a text within a second, decoding around the edge finds the very frame.

A row's box is compared, frame by frame, with how it looks inside its span; the edge is where the looks change for good.
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

REACH_S = 1.0  # sampling interval: the edge lies at most this far outside the first and the last sample
STEP_S = 1 / 30
SIDE_PX = 640


def ground(moment: Moment, row: TextRow | None, fetcher: Fetcher | None) -> Moment:
    """The moment with its edges at the frames where the text comes and goes; unchanged where pixels cannot tell.

    Costs two decodes of about a second of footage. Only for text read from the picture.
    """
    if row is None or row.kind != "ocr" or row.box is None or fetcher is None:
        return moment
    extent = fetcher.extent(moment.recording_id)
    if extent is None:
        return moment
    try:
        start_s = _edge(row, fetcher, extent, at_start=True)
        end_s = _edge(row, fetcher, extent, at_start=False)
    except FootageError:  # damaged around here: the sampled edges stand
        return moment
    return replace(moment, span=TimeSpan(start_s, end_s)) if start_s < end_s else moment


def _edge(row: TextRow, fetcher: Fetcher, extent: TimeSpan, *, at_start: bool) -> float:
    """The time of the edge: searched one sampling interval outwards, from a picture well inside."""
    sampled = row.span.start_s if at_start else row.span.end_s
    low, high = max(extent.start_s, sampled - REACH_S), min(extent.end_s, sampled)
    if high - low < STEP_S or (at_start and sampled <= extent.start_s) or (not at_start and sampled >= extent.end_s - 1e-6):
        return sampled
    times = np.arange(low, high, STEP_S).tolist()
    inside = row.span.start_s if at_start else max(row.span.start_s, row.span.end_s - REACH_S)
    frames = fetcher.fetch([Redecode(row.recording_id, t, SIDE_PX) for t in [inside, *times]])
    looks = _differences(frames[0], frames[1:], row)
    return _change(looks, frames[1:], sampled, at_start=at_start)


def _differences(like: Frame, frames: Sequence[Frame], row: TextRow) -> AnyArray:
    """(n,) mean absolute difference of the row's box from how it looks in `like`, 0..255."""
    crop = _crop(like, row)
    return np.array([float(np.abs(_crop(frame, row) - crop).mean()) for frame in frames])


def _crop(frame: Frame, row: TextRow) -> AnyArray:
    height, width = frame.pixels.shape[:2]
    left, top, right, bottom = row.box or (0.0, 0.0, 1.0, 1.0)
    x0, x1 = int(left * width), max(int(left * width) + 1, round(right * width))
    y0, y1 = int(top * height), max(int(top * height) + 1, round(bottom * height))
    return frame.pixels[y0:y1, x0:x1].astype(np.float32).mean(axis=2)


def _change(looks: AnyArray, frames: Sequence[Frame], sampled: float, *, at_start: bool) -> float:
    """The split of the series into a near and a far part with the least spread inside the parts (Otsu, along time)."""
    series = looks if at_start else looks[::-1]
    n = len(series)
    if n < 2 or float(series.max() - series.min()) < 6:  # the box looks the same throughout: pixels cannot tell
        return sampled
    cost = [float(series[:k].var() * k + series[k:].var() * (n - k)) for k in range(1, n)]
    k = int(np.argmin(cost)) + 1
    far, near = float(series[:k].mean()), float(series[k:].mean())
    if far - near < 4:
        return sampled
    frame = frames[k] if at_start else frames[n - k]
    return frame.span.start_s
