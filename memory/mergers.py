"""Mergers by name: what `index.merger` takes. A new way to shorten a frame is one function in memory/tokens and one line here."""

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches

import numpy as np

from footage import Carrier, ConfigError
from footage.arrays import AnyArray
from footage.carriers import detailed, pooled
from footage.protocols import Merger
from memory.merge import KeepAll, MeanMerger, ToMeMerger
from memory.per_frame import PerFrame, Shorter
from memory.tokens.coverage import farthest_first, least_alike, mmtok
from memory.tokens.density import dpc_knn
from memory.tokens.matching import halving, pitome

Operator = Callable[[AnyArray, int], AnyArray]
"""(K, D) tokens of a frame and how many to keep, to (k, D) in the picture's order."""


def _evenly(tokens: AnyArray, keep: int) -> AnyArray:
    return tokens[np.linspace(0, len(tokens) - 1, keep).round().astype(int)]


OPERATORS: dict[str, Operator] = {
    "pitome": lambda tokens, keep: pitome(tokens, keep).tokens,
    "aim": lambda tokens, keep: halving(tokens, keep).tokens,
    "dpc-knn": lambda tokens, keep: dpc_knn(tokens, keep).tokens,
    "divprune": lambda tokens, keep: tokens[np.sort(farthest_first(tokens, keep))],
    "todre": lambda tokens, keep: tokens[np.sort(least_alike(tokens, keep))],
    "mmtok": lambda tokens, keep: tokens[mmtok(tokens, keep)],
    "strided": _evenly,
}
"""Every one knows no question; "strided" is what they are held against."""


def shortened_by(operator: Operator) -> Shorter:
    """An operator on tokens as one on carriers."""

    def shorter(carrier: Carrier, at_most: int) -> Carrier:
        if len(carrier.tokens) <= at_most:
            return carrier
        return replace(carrier, tokens=operator(carrier.tokens.astype(np.float32), at_most).astype(np.float16), is_nested=False)

    return shorter


SHORTER: dict[str, Shorter] = {
    "details": detailed, "pool": pooled, **{name: shortened_by(operator) for name, operator in OPERATORS.items()}
}  # fmt: skip
MERGERS: dict[str, Merger] = {
    "keep": KeepAll(), "mean": MeanMerger(), "tome": ToMeMerger(), **{name: PerFrame(name, shorter) for name, shorter in SHORTER.items()}
}  # fmt: skip


def merger(name: str) -> Merger:
    """The merger of that name. Raises ConfigError, which lists the known ones."""
    if name not in MERGERS:
        near = get_close_matches(name.replace("_", "-"), MERGERS, n=1, cutoff=0.5)
        raise ConfigError(
            f"there is no merger {name!r}; known: {', '.join(sorted(MERGERS))}", hint=f"did you mean {near[0]}?" if near else ""
        )
    return MERGERS[name]
