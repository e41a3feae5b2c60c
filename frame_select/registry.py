"""Selectors by name: what `--selector` takes."""

from collections.abc import Callable
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from footage import ConfigError
from footage.protocols import Selector
from frame_select.top_k import TopKSelector
from frame_select.uniform import UniformSelector

SELECTORS: dict[str, Callable[..., Selector]] = {"top-k": TopKSelector, "uniform": UniformSelector}


def selector(name: str, **options: Any) -> Selector:
    """The selector of that name, made with its options.

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
        return SELECTORS[name](**options)
    except (TypeError, ValueError) as error:
        known = ", ".join(field.name for field in fields(SELECTORS[name]))  # type: ignore[arg-type]
        raise ConfigError(f"selector {name!r} cannot be made with {options}: {error}", hint=f"it takes {known}") from error
