"""Mergers by name: what `index.merger` takes. A new way to shorten a frame or a segment is one function in
memory/tokens and one line here."""

from difflib import get_close_matches

import numpy as np

from footage import ConfigError
from footage.arrays import AnyArray, halved, is_square_grid
from footage.coverage import mmtok
from footage.nested import nested
from footage.protocols import Merger
from memory.merge import KeepAll, MeanMerger, ToMeMerger
from memory.over_time import OverTime
from memory.per_frame import Operator, PerFrame, Shorter
from memory.slots import Slots
from memory.tokens.complexity import dymu
from memory.tokens.coverage import farthest_first, least_alike
from memory.tokens.density import dpc_knn
from memory.tokens.dominant import visionzip
from memory.tokens.fastvid import fastvid
from memory.tokens.holitom import holitom
from memory.tokens.matching import halving, pitome
from memory.tokens.news import dtd, evs, pvc
from memory.tokens.reduced import Chosen, taken
from memory.tokens.thumbnail import ts_llava
from memory.tokens.unique import vidcom2


def _pooled(tokens: AnyArray, keep: int) -> AnyArray:
    """The finest level of the grid that fits; what is no grid stays."""
    while tokens.shape[1] > keep and is_square_grid(tokens.shape[1]):
        tokens = halved(tokens)
    return tokens


def _evenly(tokens: AnyArray, keep: int) -> AnyArray:
    return tokens[:, np.linspace(0, tokens.shape[1] - 1, keep).round().astype(int)]


def _vidcom2(tokens_TND: AnyArray, budget: int, times_s: AnyArray) -> Chosen:
    return Chosen.where(vidcom2(tokens_TND, budget / tokens_TND[..., 0].size), tokens_TND)


OPERATORS: dict[str, Operator] = {
    "pool": _pooled,
    "pitome": lambda tokens, keep: pitome(tokens, keep).tokens,
    "aim": lambda tokens, keep: halving(tokens, keep).tokens,
    "dpc-knn": lambda tokens, keep: dpc_knn(tokens, keep).tokens,
    "divprune": lambda tokens, keep: taken(tokens, np.sort(farthest_first(tokens, keep))),
    "todre": lambda tokens, keep: taken(tokens, np.sort(least_alike(tokens, keep))),
    "mmtok": lambda tokens, keep: taken(tokens, mmtok(tokens, keep)),
    "visionzip": visionzip,
    "strided": _evenly,
}
"""Every one knows no question; "strided" is what they are held against."""

OVER_TIME = {
    "evs": OverTime("evs", evs), "dtd": OverTime("dtd", dtd), "pvc": OverTime("pvc", pvc),
    "vidcom2": OverTime("vidcom2", _vidcom2), "dymu": OverTime("dymu", dymu), "ts-llava": OverTime("ts-llava", ts_llava),
    "holitom": OverTime("holitom", holitom, each=2), "fastvid": OverTime("fastvid", fastvid, each=2),
}  # fmt: skip
PER_FRAME = {"details": PerFrame("details", nested, nests=True), **{name: PerFrame(name, made) for name, made in OPERATORS.items()}}
SHORTER: dict[str, Shorter] = {name: made.shorter for name, made in PER_FRAME.items()}
MERGERS: dict[str, Merger] = {"keep": KeepAll(), "mean": MeanMerger(), "tome": ToMeMerger(), "slots": Slots(), **PER_FRAME, **OVER_TIME}


def merger(name: str) -> Merger:
    """The merger of that name. Raises ConfigError, which lists the known ones."""
    if name not in MERGERS:
        near = get_close_matches(name.replace("_", "-"), MERGERS, n=1, cutoff=0.5)
        raise ConfigError(
            f"there is no merger {name!r}; known: {', '.join(sorted(MERGERS))}", hint=f"did you mean {near[0]}?" if near else ""
        )
    return MERGERS[name]
