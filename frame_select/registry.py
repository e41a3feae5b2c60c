"""Selectors by name: what `--selector` takes. A new method is one file in frame_select/methods and one line here."""

from collections.abc import Callable
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from footage import ConfigError
from footage.protocols import Selector
from frame_select.curve import Method
from frame_select.methods.aks import Aks
from frame_select.methods.clips import F2C
from frame_select.methods.diverse import Mdp3, Mmr
from frame_select.methods.peaks import Peaks
from frame_select.methods.sampling import AdaQ, Bolt
from frame_select.methods.tiers import QFrame, Quota
from frame_select.methods.top_k import TopK
from frame_select.selector import CurveSelector
from frame_select.uniform import UniformSelector

METHODS: dict[str, tuple[Callable[..., Method], float]] = {
    "peaks": (Peaks, 0.0), "top-k": (TopK, 0.25), "bolt": (Bolt, 0.0), "adaq": (AdaQ, 0.0), "aks": (Aks, 0.0), "f2c": (F2C, 0.0),
    "mdp3": (Mdp3, 0.0), "mmr": (Mmr, 0.0), "q-frame": (QFrame, 0.0), "quota": (Quota, 0.0),
}  # fmt: skip
"""By name: the method, and the share of the budget spread over time unless asked otherwise; published methods as published.
Peaks covers by itself: of rows worth the same it takes those far from all others."""
SELECTORS = ("uniform", *METHODS)


def selector(name: str, *, tokens_per_carrier: int = 16, **options: Any) -> Selector:
    """The selector of that name. options: of its method, and `coverage`.

    Raises:
        ConfigError: no such name, no such option, or a value that cannot be used.
    """
    if name not in SELECTORS:
        near = get_close_matches(name.replace("_", "-"), SELECTORS, n=1, cutoff=0.5)
        raise ConfigError(
            f"there is no selector {name!r}; known: {', '.join(sorted(SELECTORS))}",
            hint=f"did you mean {near[0]}?" if near else "",
        )
    try:
        if name == "uniform":
            return UniformSelector(tokens_per_carrier, **options)
        method, coverage = METHODS[name]
        coverage = options.pop("coverage", coverage)
        return CurveSelector(method(**options), coverage, tokens_per_carrier)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"selector {name!r} cannot be made with {options}: {error}", hint=f"it takes {_options(name)}") from error


def _options(name: str) -> str:
    if name == "uniform":
        return "tokens_per_carrier"
    own = [field.name for field in fields(METHODS[name][0])]  # type: ignore[arg-type]
    return ", ".join(["coverage", *own, "tokens_per_carrier"])
