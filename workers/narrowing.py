"""Which part of a large library a question reads: hours are searched through their index, and looked at closely where something matched."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TypeVar

import numpy as np

from footage.arrays import Embeds
from footage.errors import ConfigError
from footage.recordings import Segment
from footage.timespan import TimeSpan
from memory.recall.index import Kind, RecallIndex
from qa.ask import Scope
from qa.parse import Asked
from qa.route import OVERALL
from workers.reading import Reading

WHOLE = 3000  # segments of a scope that are read whole: 50 hours of a minute each
RECORDINGS = 32  # looked at closely at the most
MATCHED = 48  # segments looked at because something in them matches, and as many again on each side
SPREAD = 64  # and for what is around: so many more, evenly over the scope
HITS, ROWS = 256, 512  # of the index for each of its kinds of keys, and of the text search
KINDS: tuple[Kind, ...] = ("frame", "scene")
EDGE_S = 1e-3

T = TypeVar("T")
Place = tuple[str, float]
"""A recording, and seconds in it."""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What is read of a scope."""

    scope: Scope
    reading: Reading
    read_s: float = 0.0
    kept_s: float = 0.0
    """Hours of which read_s are looked at closely; 0 where nothing of the scope is left out."""

    def warnings(self, asked: Asked, route: str) -> tuple[str, ...]:
        """What cannot be known from a part: numbers, first and last ones, the whole."""
        takes_all = asked.how_often or asked.how_many or asked.order is not None or route == OVERALL
        if not self.kept_s or not takes_all:
            return ()
        hours = f"{self.read_s / 3600:.3g} of {self.kept_s / 3600:,.4g} hours"
        return (f"looked closely at {hours}, where the index found the most alike: there may be more; --from and --to narrow it",)


class Narrowing:
    """Of one library and question. `indexes`: generation to the vector index of it."""

    def __init__(self, reading: Reading, scope: Scope, indexes: Callable[[str], RecallIndex], *, most: int = RECORDINGS) -> None:
        self._reading, self._store, self._scope, self._indexes, self._most = reading, reading.store, scope, indexes, most
        ids = scope.recording_ids or tuple(recording.recording_id for recording in self._store.recordings())
        self._ids = ids
        self._written = reading.by_generation(ids)
        self._generations = {name: generation for generation, names in self._written.items() for name in names}

    def narrowed(self, embeds: Callable[[], Sequence[Embeds] | Embeds], words: str = "", at_s: float | None = None) -> Narrowed:
        """embeds: what is sought, made only where it is needed. words: to search text rows for. at_s: a time that the question names."""
        whole, span = self._amount(None), self._scope.span
        is_few = self._scope.recording_ids is not None or len(self._ids) <= self._most
        is_whole = whole[0] <= WHOLE
        if is_whole and is_few:
            return Narrowed(self._scope, self._reading)
        inside = whole if span is None else self._amount(span)
        if span is not None and is_few and inside[0] <= WHOLE:
            return Narrowed(self._scope, replace(self._reading, part=self._within(span)))
        ranked = self._ranked(embeds(), words)
        near = dict.fromkeys([*(name for places in ranked for name, _ in places), *self._ids])
        viewed = self._scope.recording_ids or tuple(near)[: self._most]
        scope = Scope(viewed, span)
        if is_whole:
            return Narrowed(scope, self._reading)
        part = self._part(_taking_turns(ranked), viewed, at_s)
        read_s = sum(segment.span.duration_s for own in part.values() for segment in own)
        return Narrowed(scope, replace(self._reading, part=part), read_s, inside[1])

    def whole(self, what: str) -> Reading:
        """Everything between the scope's edges. Raises ConfigError where it is too much."""
        count, seconds = self._amount(self._scope.span)
        if count > WHOLE:
            raise ConfigError(
                f"{seconds / 3600:,.4g} hours in {count:,} segments are too many for one {what}: it reads {WHOLE:,} at the most",
                hint="name a part of it: --from 10:00:00 --to 22:00:00",
            )
        is_part = self._scope.span is not None and self._amount(None)[0] > WHOLE
        return replace(self._reading, part=self._within(self._scope.span)) if is_part and self._scope.span else self._reading

    def _amount(self, span: TimeSpan | None) -> tuple[int, float]:
        amounts = [self._store.amount(names, generation, span) for generation, names in self._written.items()]
        return sum(each.segments for each in amounts), sum(each.seconds for each in amounts)

    def _within(self, span: TimeSpan) -> dict[str, tuple[Segment, ...]]:
        return {name: tuple(self._store.segments_within(name, generation, span)) for name, generation in self._generations.items()}

    def _ranked(self, embeds: Sequence[Embeds] | Embeds, words: str) -> list[list[Place]]:
        """Best first: where text matches, then where each kind of keys does."""
        ids, span = self._scope.recording_ids, self._scope.span
        ranked = [self._store.text_places(words, ids, limit=ROWS, span=span) if words else []]
        indexes = [self._indexes(generation) for generation in self._written]
        for kind in KINDS:
            searches = [index.search(embed, HITS, ids, span=span, kind=kind) for index in indexes for embed in embeds]
            ranked.append([(hit.recording_id, hit.anchor_s) for hit in _taking_turns(searches)])
        return ranked

    def _part(self, places: Iterable[Place], viewed: Sequence[str], at_s: float | None) -> Mapping[str, tuple[Segment, ...]]:
        """By recording: where something matched and beside it, the edges, a time that was named, and some evenly over the rest."""
        matched = self._segments([(name, time_s) for name, time_s in places if name in viewed])[:MATCHED]
        beside = [(s.recording_id, time_s) for s in matched for time_s in (s.span.start_s - EDGE_S, s.span.end_s + EDGE_S)]
        around = [(name, time_s) for name in viewed for time_s in self._spread(name, max(3, SPREAD // len(viewed)), at_s)]
        part: dict[str, set[Segment]] = {name: set() for name in viewed}
        for segment in (*matched, *self._segments(beside), *self._segments(around)):
            part[segment.recording_id].add(segment)
        return {name: tuple(sorted(own)) for name, own in part.items()}

    def _spread(self, name: str, count: int, at_s: float | None) -> list[float]:
        seen, span = self._store.horizon(name, self._generations.get(name, "")), self._scope.span
        if seen is None:
            return []
        start_s = max(seen.start_s, span.start_s if span else seen.start_s)
        end_s = min(seen.end_s, span.end_s if span else seen.end_s)
        evenly = np.linspace(start_s, end_s, count, endpoint=False) + (end_s - start_s) / count / 2
        return [start_s, *evenly.tolist(), end_s - EDGE_S, *([] if at_s is None else [at_s])]

    def _segments(self, places: Sequence[Place]) -> list[Segment]:
        """Those that hold the places, in the order of the first in each."""
        times: dict[str, list[float]] = {}
        for name, time_s in places:
            times.setdefault(name, []).append(time_s)
        held = {name: iter(self._store.segments_at(name, self._generations.get(name, ""), own)) for name, own in times.items()}
        found = (next(held[name]) for name, _ in places)
        return list(dict.fromkeys(segment for segment in found if segment is not None))


def _taking_turns(ranked: Iterable[Sequence[T]]) -> list[T]:
    return [item for items in zip_longest(*ranked) for item in items if item is not None]
