"""What a question sees of a whole view: the picks of frame_select.overview, loaded, and kept while the same view is asked about."""

from itertools import groupby

from footage.carriers import MemoryView, detailed
from footage.questions import Evidence, Pick
from frame_select.overview import overview

Made = tuple[tuple[Pick, ...], tuple[Evidence, ...]]


class Overviews:
    """A qa.ask.Overview. Threads may share it."""

    def __init__(self) -> None:
        self._last: tuple[MemoryView, int, Made] | None = None

    def __call__(self, view: MemoryView, most: int) -> Made:
        last = self._last
        if last is None or last[0] is not view or last[1] != most:
            self._last = last = view, most, _made(view, most)
        return last[2]


def _made(view: MemoryView, count: int) -> Made:
    picks = overview(view, count)
    loaded = zip(picks, view.load([pick.row for pick in picks]), strict=True)
    pieces = []
    for name, own in groupby(loaded, key=lambda item: item[0].recording_id):
        shown = tuple(detailed(carrier, 1) for _, carrier in own)
        pieces.append(Evidence(name, view.horizons[name], 0.0, shown[0], "", shown))
    return picks, tuple(pieces)
