"""MemoryViews made by hand, without a store."""

from collections.abc import Sequence

import numpy as np

from footage import Carrier, MemoryView, Query, Question, TimeSpan
from footage.arrays import AnyArray


def make_view(
    embeds: AnyArray | Sequence[Sequence[float]],
    *,
    weights_s: Sequence[float] | None = None,
    recordings: Sequence[str] | None = None,
    encoder_id: str = "color@1",
    version: int = 7,
) -> MemoryView:
    """Rows one after the other from 0 s in each recording, anchored in their middle; `recordings` names each row's."""
    rows = np.asarray(embeds, np.float32)
    rows = rows.reshape(len(rows), -1) if rows.size else np.zeros((0, 2), np.float32)
    N = len(rows)
    weights = np.ones(N) if weights_s is None else np.asarray(weights_s, float)
    names = ["rec"] * N if recordings is None else list(recordings)
    ids = tuple(dict.fromkeys(names)) or ("rec",)
    ends = np.zeros(N)
    for name in ids:
        own = np.array([n == name for n in names], bool)
        ends[own] = np.cumsum(weights[own])
    starts = ends - weights

    def load(picked: Sequence[int]) -> list[Carrier]:
        return [
            Carrier(
                names[i], (TimeSpan(starts[i], ends[i]),), (starts[i] + ends[i]) / 2, float(weights[i]),
                np.zeros((1, 2), np.float16), rows[i],
            )
            for i in picked
        ]  # fmt: skip

    last = {name: max([e for e, n in zip(ends, names, strict=True) if n == name], default=1.0) for name in ids}
    horizons = {name: TimeSpan(0.0, end_s) for name, end_s in last.items()}
    which = np.array([ids.index(n) for n in names], np.int32)
    gaps = {name: () for name in ids}
    return MemoryView(
        f"{encoder_id}+test", encoder_id, version, ids, horizons, gaps, which, starts, ends, (starts + ends) / 2,
        weights, rows, load,
    )  # fmt: skip


def make_query(embed: Sequence[float] | AnyArray, *, encoder_id: str = "color@1", text: str = "what?") -> Query:
    return Query(Question(text), encoder_id, np.asarray(embed, np.float32))
