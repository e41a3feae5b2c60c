"""Segments made coarser: the steps of memory.retention carried out on carriers. No time is lost, and no row of text."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from footage.arrays import Embeds
from footage.carriers import Carrier, SegmentMemory, detailed
from footage.errors import StoreError
from footage.nested import nested
from footage.recordings import Gap, TextRow
from footage.timespan import TimeSpan, union
from memory.merge import alike_runs, join
from memory.novelty import rarest, usual
from memory.quantized import quantized
from memory.retention import RARE_TOKENS, RetentionConfig, Rewrite, Row, carriers_in, plan, tokens_each
from memory.text_search import join_rows
from memory.view import SegmentFacts, SegmentKeys

MOST_RARE = 32  # moments of one segment that can be kept for their rarity
RELEARN = 1 / 16  # what is usual is learnt again when a recording has grown by that share

Pictured = tuple[Carrier, bytes]
"""A carrier and its thumbnail."""


class AgingStore(Protocol):
    """What aging needs of a store."""

    def segment_facts(self, recording_id: str, generation: str) -> list[SegmentFacts]: ...
    def encoder_id(self, generation: str) -> str: ...
    def keys(self, recording_id: str, generation: str, index: int) -> SegmentKeys | None: ...
    def read_segment(self, recording_id: str, generation: str, index: int) -> SegmentMemory: ...
    def replace(
        self, recording_id: str, memories: Sequence[SegmentMemory], *, gone: Sequence[int], generation: str, encoder_id: str
    ) -> None: ...


@dataclass(slots=True)
class Aging:
    """One recording in one generation, made coarser step by step; every step is one change for readers."""

    store: AgingStore
    recording_id: str
    generation: str
    config: RetentionConfig
    unix_s: Callable[[], float] = time.time
    _scenes: Embeds | None = None
    _learnt_s: float = 0.0
    _novelties: dict[tuple[int, TimeSpan, int, int], tuple[float, ...]] = field(default_factory=dict)
    _stuck: set[int] = field(default_factory=set)

    def steps(self) -> list[Rewrite]:
        """What is to be done next; empty when nothing is."""
        every = self.store.segment_facts(self.recording_id, self.generation)
        facts = [each for each in every if each.segment.index not in self._stuck]
        now_s = max((each.segment.span.end_s for each in every), default=0.0)
        if not plan(map(Row.of, facts), now_s, self.config):
            return []  # rare moments only spare what would be lost: without them nothing would be either
        self._learn(facts, now_s)
        recent_s = 0.0 if self.config.recording_mib else self.config.recent_h * 3600
        rows = [Row.of(each, self._rare_in(each) if now_s - each.segment.span.end_s >= recent_s else ()) for each in facts]
        return plan(rows, now_s, self.config)

    def apply(self, step: Rewrite) -> SegmentMemory:
        """Carries out one step; returns what has come. Raises StoreError where a segment is damaged, or the disk refuses."""
        parts = [self.store.read_segment(self.recording_id, self.generation, index) for index in step.indices]
        scenes = np.empty((0, 0), np.float32) if self._scenes is None else self._scenes
        memory = aged(parts, step, scenes, self.unix_s())
        encoder_id = self.store.encoder_id(self.generation)
        self.store.replace(self.recording_id, [memory], gone=step.indices, generation=self.generation, encoder_id=encoder_id)
        return memory

    def leave(self, step: Rewrite) -> None:
        """Its segments cannot be read: leave them as they are, and let the others age."""
        self._stuck.update(step.indices)

    def _learn(self, facts: Sequence[SegmentFacts], now_s: float) -> None:
        if self._scenes is not None and now_s < self._learnt_s + max(self.config.recent_h * 3600, RELEARN * now_s):
            return
        keys = [found for each in facts if (found := self._keys(each)) is not None and len(found.embeds)]
        embeds = np.concatenate([each.embeds for each in keys]) if keys else np.empty((0, 0), np.float32)
        weights_s = np.concatenate([each.weights_s for each in keys]) if keys else np.empty(0)
        self._scenes, self._learnt_s = usual(embeds, weights_s), now_s
        self._novelties.clear()

    def _keys(self, facts: SegmentFacts) -> SegmentKeys | None:
        try:
            return self.store.keys(self.recording_id, self.generation, facts.segment.index)
        except StoreError:  # it is damaged, which others tell
            return None

    def _rare_in(self, facts: SegmentFacts) -> tuple[float, ...]:
        key = facts.segment.index, facts.segment.span, facts.carriers, facts.tokens
        if key not in self._novelties:
            keys = self._keys(facts)
            assert self._scenes is not None
            found = rarest(keys.embeds, self._scenes, MOST_RARE)[1] if keys is not None and len(keys.embeds) else []
            self._novelties[key] = tuple(found)
        return self._novelties[key]


def aged(parts: Sequence[SegmentMemory], step: Rewrite, scenes: Embeds, unix_s: float) -> SegmentMemory:
    """Touching segments, in time order, as one that keeps what the step leaves.

    Args:
        scenes: what is usual, (K, E); see memory.novelty.
        unix_s: the wall clock now, for the record.
    """
    first, last = parts[0].segment, parts[-1].segment
    segment = replace(first, span=TimeSpan(first.span.start_s, last.span.end_s))
    carriers = [pair for part in parts for pair in _pictured(part)]
    embeds = np.stack([carrier.embed for carrier, _ in carriers]) if carriers else np.empty((0, 0), np.float32)
    order, novelties = rarest(embeds, scenes, max(1, step.rare)) if carriers else ([], [])
    rare = order[: step.rare]
    kept = _coarser(carriers, rare, step.level, segment.span.duration_s) if step.level else carriers
    kept = sorted(_with_fewer_pictures(kept, step.thumbnails), key=lambda pair: pair[0].spans[0])
    seconds = {stage: round(sum(p.seconds.get(stage, 0.0) for p in parts), 3) for stage in sorted({s for p in parts for s in p.seconds})}
    level = max(step.level, *(part.level for part in parts))
    memory = SegmentMemory(
        segment, tuple(carrier for carrier, _ in kept), tuple(jpeg for _, jpeg in kept) if any(jpeg for _, jpeg in kept) else (),
        _texts(parts), _gaps(parts), sum(part.frames_seen for part in parts), sum(part.frames_kept for part in parts), seconds,
        level=level, novelty=max([*novelties[:1], *(part.novelty for part in parts)]),
        forgotten=_forgotten(parts, unix_s) if level else {},
    )  # fmt: skip
    return quantized(memory) if level else memory


def _coarser(carriers: Sequence[Pictured], rare: Sequence[int], level: int, duration_s: float) -> list[Pictured]:
    """The rare ones stay single; the others are joined with the most alike neighbours in time."""
    single = [(detailed(carriers[row][0], RARE_TOKENS), carriers[row][1]) for row in rare]
    rest = [pair for row, pair in enumerate(carriers) if row not in set(rare)]
    each, count = tokens_each(level), carriers_in(duration_s, level)
    assert each is not None
    runs = [slice(row, row + 1) for row in range(len(rest))]
    if count is not None and len(rest) > count:
        embeds, weights_s = np.stack([carrier.embed for carrier, _ in rest]), np.array([carrier.weight_s for carrier, _ in rest])
        runs = alike_runs(embeds, weights_s, count)
    return [*single, *(_joined(rest[run], each) for run in runs)]


def _joined(pairs: Sequence[Pictured], most_tokens: int) -> Pictured:
    """One carrier of at most so many tokens, with the picture of the part that it is anchored in."""
    if len(pairs) == 1:
        return detailed(pairs[0][0], most_tokens), pairs[0][1]
    keep = min(most_tokens, *(len(carrier.tokens) for carrier, _ in pairs))
    whole = join([_ordered(carrier, keep) for carrier, _ in pairs])
    return whole, next(jpeg for carrier, jpeg in pairs if carrier.anchor_s == whole.anchor_s)


def _ordered(carrier: Carrier, keep: int) -> Carrier:
    """In so many tokens, of which any beginning can be read: only such carriers can be joined with each other."""
    tokens = carrier.tokens[:keep] if carrier.is_nested or not keep else nested(carrier.tokens, keep).astype(np.float16)
    return replace(carrier, tokens=tokens, is_nested=True)


def _with_fewer_pictures(pairs: Sequence[Pictured], most: int) -> list[Pictured]:
    """Of those with the most tokens, as rare ones have, then of those that stand for the longest time."""
    ranked = sorted((row for row, (_, jpeg) in enumerate(pairs) if jpeg), key=lambda row: _worth(pairs[row][0]), reverse=True)
    stay = set(ranked[:most])
    return [(carrier, jpeg if row in stay else b"") for row, (carrier, jpeg) in enumerate(pairs)]


def _worth(carrier: Carrier) -> tuple[int, float]:
    return len(carrier.tokens), carrier.weight_s


def _pictured(memory: SegmentMemory) -> list[Pictured]:
    return list(zip(memory.carriers, memory.thumbnails or (b"",) * len(memory.carriers), strict=True))


def _texts(parts: Sequence[SegmentMemory]) -> tuple[TextRow, ...]:
    """Equal rows joined where they go on over the edge of a segment."""
    rows = sorted((row for part in parts for row in part.texts), key=lambda row: (row.span, row.kind, row.text))
    return tuple(join_rows(rows))


def _gaps(parts: Sequence[SegmentMemory]) -> tuple[Gap, ...]:
    by_reason: dict[str, list[TimeSpan]] = {}
    for part in parts:
        for gap in part.gaps:
            by_reason.setdefault(gap.reason, []).append(gap.span)
    return tuple(sorted(Gap(span, reason) for reason, spans in by_reason.items() for span in union(spans)))


def _forgotten(parts: Sequence[SegmentMemory], unix_s: float) -> dict[str, float]:
    """What there was before anything was made coarser."""
    carriers = sum(part.forgotten.get("carriers", len(part.carriers)) for part in parts)
    tokens = sum(part.forgotten.get("tokens", sum(len(carrier.tokens) for carrier in part.carriers)) for part in parts)
    return {"carriers": carriers, "tokens": tokens, "unix_s": unix_s}
