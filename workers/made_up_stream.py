"""A camera made up without video: a yard by day and by night, a little noise, visitors that come again, and things that are seen once.

Letters: N carriers, E embedding width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from footage.arrays import AnyArray, Embeds
from footage.carriers import Carrier, SegmentMemory
from footage.recordings import Recording, Segment
from footage.timespan import TimeSpan

STREAM = "camera"
E, D, TOKENS = 32, 4, 24
SEEN_S = 20.0  # how long a visitor or a needle is seen
PARTS = 2  # carriers of that time
VISITORS, VISITS = 8, 0.03  # how many there are, and the share of segments in which one is seen
DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Needle:
    """Something seen once."""

    start_s: float
    embed: Embeds

    @property
    def middle_s(self) -> float:
        return self.start_s + SEEN_S / 2


@dataclass(frozen=True)
class MadeUpStream:
    """Equal settings make equal streams."""

    hours: float
    segment_s: float
    carriers: int
    """Of a segment in which nothing happens."""
    youngest_s: float
    """Age of the youngest needle; ages are evenly spread over their logarithm."""
    needles: int = 120
    seed: int = 0

    @property
    def recording(self) -> Recording:
        return Recording(STREAM, self.hours * 3600, 640, 360, facts={"live": "made up"})

    @property
    def segments(self) -> int:
        return int(self.hours * 3600 / self.segment_s)

    @cached_property
    def hidden(self) -> dict[int, Needle]:
        """By segment, one at most in each."""
        rng = np.random.default_rng([self.seed, 1])
        length_s = self.segments * self.segment_s
        found: dict[int, Needle] = {}
        while len(found) < self.needles:
            age_s = self.youngest_s * (length_s / self.youngest_s) ** rng.random()
            index = min(self.segments - 1, int((length_s - age_s) / self.segment_s))
            start_s = index * self.segment_s + rng.uniform(0.05, 0.95) * (self.segment_s - SEEN_S)
            found[index] = Needle(start_s, _unit(rng.standard_normal(E)))
        return found

    def query(self, needle: Needle) -> Embeds:
        """What one would search with: much like the needle, cosine 0.9."""
        rng = np.random.default_rng([self.seed, 2, int(needle.start_s)])
        aside = rng.standard_normal(E)
        aside -= (aside @ needle.embed) * needle.embed
        return _unit(0.9 * needle.embed + np.sqrt(1 - 0.9**2) * _unit(aside))

    def memories(self) -> Iterator[SegmentMemory]:
        """Segment by segment, as a watch would commit them."""
        rng = np.random.default_rng([self.seed, 3])
        looks = _unit(rng.standard_normal((3, E)))
        visitors = _unit(rng.standard_normal((VISITORS, E)))
        for index in range(self.segments):
            visitor = visitors[rng.integers(VISITORS)] if rng.random() < VISITS else None
            yield self._memory(index, looks, visitor, rng)

    def _memory(self, index: int, looks: AnyArray, visitor: AnyArray | None, rng: np.random.Generator) -> SegmentMemory:
        first_s, needle = index * self.segment_s, self.hidden.get(index)
        last_s, shown = first_s + self.segment_s, needle.embed if needle else visitor
        edges = np.linspace(first_s, last_s, self.carriers + 1)
        seen_s = needle.start_s if needle else first_s + rng.uniform(0.05, 0.95) * (self.segment_s - SEEN_S)
        if shown is not None:
            inside = np.linspace(seen_s, seen_s + SEEN_S, PARTS + 1)
            edges = np.concatenate([edges[edges < seen_s], inside, edges[edges > seen_s + SEEN_S]])
        starts_s, phase = edges[:-1], 2 * np.pi * edges[:-1] / DAY_S
        embeds = looks[0] + 0.5 * np.cos(phase)[:, None] * looks[1] + 0.5 * np.sin(phase)[:, None] * looks[2]
        if shown is not None:
            embeds[(starts_s >= seen_s - 1e-9) & (starts_s < seen_s + SEEN_S - 1e-9)] = shown
        embeds = _unit(embeds + 0.5 / np.sqrt(E) * rng.standard_normal(embeds.shape))
        tokens = rng.standard_normal((len(embeds), TOKENS, D), np.float32).astype(np.float16)
        carriers = (
            Carrier(STREAM, (TimeSpan(a, b),), a, b - a, own, embed, is_nested=True)
            for a, b, own, embed in zip(starts_s.tolist(), edges[1:].tolist(), tokens, embeds, strict=True)
        )
        return SegmentMemory(Segment(STREAM, index, TimeSpan(first_s, last_s)), tuple(carriers), frames_kept=len(embeds))


def _unit(rows: AnyArray) -> Embeds:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)
