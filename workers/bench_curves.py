"""Views of an hour with events planted in them: made of vectors alone, so that every selector can be held against a known truth.

Rows lie one a second in scenes of 5 to 60 s; a scene has a likeness to the question of its own (noise that lasts), every row a little
more (noise that does not), as cosines of image-text encoders have. An event adds to that over some seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from footage.arrays import AnyArray
from footage.carriers import MemoryView
from footage.questions import Query, Question
from footage.timespan import TimeSpan

WIDTH, SCENE_NOISE, ROW_NOISE, USUAL = 64, 0.02, 0.01, 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """One view, its query and where the answer lies."""

    case: str
    view: MemoryView
    query: Query
    events: tuple[slice, ...]
    """Rows of each; for a question about the whole: equal parts of the time."""


def one(rng: np.random.Generator, seconds: int) -> list[tuple[slice, float]]:
    return [_event(rng, seconds, 4, 13, float(rng.choice([2.0, 3.0, 5.0])))]


def several(rng: np.random.Generator, seconds: int) -> list[tuple[slice, float]]:
    return [_event(rng, seconds, 4, 13, strength) for strength in (2.0, 2.5, 3.0, 4.0, 6.0)]


def lure(rng: np.random.Generator, seconds: int) -> list[tuple[slice, float]]:
    """A long stretch that looks like it (it does not count), and a short event that looks a little more like it."""
    return [_event(rng, seconds, 120, 240, 3.0), _event(rng, seconds, 5, 11, 4.0)]


def lasting(rng: np.random.Generator, seconds: int) -> list[tuple[slice, float]]:
    """Stages of one long activity, each a minute."""
    begin = int(rng.integers(0, seconds - 5 * 90))
    return [(slice(begin + n * 90, begin + n * 90 + 60), float(rng.uniform(2, 4))) for n in range(5)]


def whole(rng: np.random.Generator, seconds: int) -> list[tuple[slice, float]]:
    """Nothing stands out; what counts is to have seen all parts."""
    return []


CASES: dict[str, Callable[[np.random.Generator, int], list[tuple[slice, float]]]] = {
    "one event": one, "five unequal events": several, "event beside a lure": lure, "stages": lasting, "the whole": whole,
}  # fmt: skip


def plant(case: str, seed: int, seconds: int = 3600) -> Planted:
    """The same view every time."""
    rng = np.random.default_rng([seed, list(CASES).index(case), 17])
    cuts = np.cumsum(rng.integers(5, 61, seconds))
    scene = np.searchsorted(cuts[cuts < seconds], np.arange(seconds), side="right")
    usual = rng.normal(USUAL, SCENE_NOISE, scene[-1] + 1)
    cosines = usual[scene] + rng.normal(0, ROW_NOISE, seconds)
    events = CASES[case](rng, seconds)
    for where, strength in events:
        cosines[where] += strength * SCENE_NOISE
    looks = rng.normal(size=(scene[-1] + 1, WIDTH - 1))
    rest = looks[scene] + 0.5 * rng.normal(size=(seconds, WIDTH - 1))
    rest /= np.linalg.norm(rest, axis=1, keepdims=True)
    cosines = np.clip(cosines, -0.99, 0.99)
    embeds = np.concatenate([cosines[:, None], np.sqrt(1 - cosines**2)[:, None] * rest], 1).astype(np.float32)
    query = np.zeros(WIDTH, np.float32)
    query[0] = 1
    counted = [where for where, _ in (events[1:] if case == "event beside a lure" else events)]
    parts = [slice(n * seconds // 16, (n + 1) * seconds // 16) for n in range(16)]
    return Planted(case, view_of(embeds), Query(Question(case), "bench@1", query), tuple(counted or parts))


def view_of(embeds: AnyArray) -> MemoryView:
    """One recording, one row a second."""
    N = len(embeds)
    starts = np.arange(N, dtype=float)
    return MemoryView(
        "bench@1", "bench@1", 1, ("bench",), {"bench": TimeSpan(0.0, float(N))}, {"bench": ()}, np.zeros(N, np.int32),
        starts, starts + 1, starts + 0.5, np.ones(N), embeds, lambda rows: [],
    )  # fmt: skip


def _event(rng: np.random.Generator, seconds: int, least: int, most: int, strength: float) -> tuple[slice, float]:
    length = int(rng.integers(least, most))
    begin = int(rng.integers(0, seconds - length))
    return slice(begin, begin + length), strength
