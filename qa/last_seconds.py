"""Two speeds: the last seconds in full, decoded again and in all their tokens, beside a past that is compressed.

What is asked about now is the newest that there is, and small: a few frames in full cost what many old ones cost compressed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from footage.carriers import Carrier, MemoryView, carriers_of
from footage.errors import FootageError
from footage.frames import Clip
from footage.protocols import Encoder, Fetcher
from footage.questions import Budget, Evidence, Redecode

IN_FULL_S = 10.0  # before the end of a recording
AT_ONCE = 4  # frames of a moment


@dataclass(frozen=True, slots=True)
class Sharpened:
    evidence: list[Evidence]
    redecodes: tuple[Redecode, ...] = ()
    tokens: int = 0
    """More than the evidence had before."""


def in_full(evidence: Sequence[Evidence], view: MemoryView, *, fetcher: Fetcher, encoder: Encoder, budget: Budget) -> Sharpened:
    """The same evidence; pictures of the last seconds of a recording are decoded again, the newest first, as far as the budget goes.

    encoder: what wrote the view. Evidence stays as it is where its file is away or damaged.
    """
    ends_s = {name: float(view.ends_s[view.which == n].max()) for n, name in enumerate(view.recording_ids) if (view.which == n).any()}
    made, asked, spent = list(evidence), list[Redecode](), 0
    newest = sorted(range(len(evidence)), key=lambda n: -evidence[n].span.end_s)
    for n in newest:
        old = evidence[n]
        if not old.shown or old.span.start_s < ends_s[old.recording_id] - IN_FULL_S - 1e-6:
            continue
        times = _times(old)[: budget.redecodes - len(asked)]
        shown = _decoded(old, times, fetcher, encoder, budget.max_side_px) if times else ()
        more = sum(len(c.tokens) for c in shown) - sum(len(c.tokens) for c in old.shown)
        if shown and spent + more <= budget.tokens:
            made[n] = replace(old, content=shown[0], shown=shown)
            asked += [Redecode(old.recording_id, time_s, budget.max_side_px) for time_s in times]
            spent += more
    return Sharpened(made, tuple(asked), spent)


def _times(piece: Evidence) -> list[float]:
    """The middle of each second, or of AT_ONCE equal parts of it."""
    count = min(AT_ONCE, max(1, round(piece.span.duration_s)))
    return (piece.span.start_s + (np.arange(count) + 0.5) * piece.span.duration_s / count).tolist()


def _decoded(piece: Evidence, times: Sequence[float], fetcher: Fetcher, encoder: Encoder, side_px: int) -> tuple[Carrier, ...]:
    try:
        if fetcher.extent(piece.recording_id) is None:
            return ()
        frames = fetcher.fetch([Redecode(piece.recording_id, time_s, side_px) for time_s in times])
    except FootageError:
        return ()
    anchors = np.array(times)
    half = piece.span.duration_s / len(_times(piece)) / 2
    clip = Clip(piece.recording_id, np.stack([frame.pixels for frame in frames]), anchors - half, anchors + half, anchors)
    return tuple(carriers_of(encoder.encode(clip)))
