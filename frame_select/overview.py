"""An overview: all of a view in a few carriers of one token, chosen by time alone, so that every question sees the same."""

import numpy as np

from footage import MemoryView, Pick
from footage.arrays import AnyArray

FINEST_S = 1
LONGEST = 1 << 40
"""Windows of a recording, more than there will ever be."""


def overview(view: MemoryView, count: int) -> tuple[Pick, ...]:
    """At most `count` picks of one token each, one for every window [k w, (k + 1) w) of a recording that has an anchor, in time order.

    w is the smallest power of two of seconds, 1 at the least, for which there are so few; in each window the row anchored nearest its
    middle is taken, of equals the earlier. Windows stand in absolute time: while footage grows only the last one changes, until w doubles.
    () where not every recording with rows can have one.
    """
    home = view.which.astype(np.int64) * LONGEST + np.floor(view.anchors_s / FINEST_S).astype(np.int64)
    windows, halved = np.unique(home), 0
    while len(windows) > max(count, 0) and (1 << halved) < LONGEST:
        windows, halved = np.unique(windows // 2), halved + 1
    if len(windows) > count:
        return ()
    rows = _nearest_the_middle(view.anchors_s, home >> halved, LONGEST >> halved, FINEST_S << halved)
    return tuple(Pick(row, view.recording_of(row), view.span(row), 0.0, 1, "overview") for row in rows.tolist())


def _nearest_the_middle(anchors_s: AnyArray, home: AnyArray, windows: int, width_s: int) -> AnyArray:
    """(W,) one row for each of W homes, in their order. home: (N,) recording x windows + window."""
    away_s = np.abs(anchors_s - (home % windows + 0.5) * width_s).round(6)
    order = np.lexsort((away_s, home))
    rows: AnyArray = order[np.unique(home[order], return_index=True)[1]]
    return rows
