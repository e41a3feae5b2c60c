"""Which segments of a recording are made coarser as they age, so that memory grows with the logarithm of time. Pure: a table in, steps out.

Ages are measured from the recording's newest moment. The youngest `recent_h` hours keep all detail; then come octaves, each twice as
long as the one before it and of the same budget of tokens. What an octave holds beyond its budget loses, oldest first and one level
after the other, tokens of each carrier and then carriers; a share of the budget is set aside for its rarest moments, which lose neither.
The steps of levels are halvings, so that a second is written anew about once each time its age doubles.

(The pyramidal time frame of "A Framework for Clustering Evolving Data Streams", Aggarwal et al., VLDB 2003, with carriers for snapshots.)
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, Self

from footage.timespan import TimeSpan
from memory.view import SegmentFacts

RARE_TOKENS = 16  # of a carrier that is kept for its rarity
TOKENS = (RARE_TOKENS, 4, 1)  # of each carrier at levels 1 to 3
LAST = 30  # the level at which a segment is one carrier, beside its rare ones; at level 30 one stands for two years and more
BARE = LAST + 1  # one carrier, and nothing rare or to be looked at
JOINED = 8  # segments that become one in a step, which bounds its work
TOUCH_S = 1e-6


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """How memory fades."""

    streams: Literal["age", "keep"] = "age"
    """Of streams: make what is old coarser, or keep everything."""
    files: Literal["age", "keep"] = "keep"
    """The same for files."""
    recent_h: float = 24.0
    """Hours of full detail; the first octave is as long again."""
    octave_tokens: int = 65536
    """Most tokens of each octave."""
    octave_segments: int = 256
    """Each octave is kept in about so many segments, at most twice as many."""
    rare: float = 0.25
    """Share of an octave's tokens for its rarest moments."""
    octave_thumbnails: int = 512
    """About so many pictures are kept of each octave, one a segment at the least."""
    recording_mib: float = 0.0
    """Most bytes of one recording's segments: what is older fades faster; 0: no limit."""
    library_mib: float = 0.0
    """The same for the library: its largest recordings fade first."""

    def __post_init__(self) -> None:
        if not (self.recent_h > 0 and self.octave_segments >= 1 and self.octave_thumbnails >= 0):
            raise ValueError("recent_h must be above 0, octave_segments 1 or more, octave_thumbnails 0 or more")
        if self.octave_tokens < 4 * (least := self.octave_segments + JOINED):
            raise ValueError(f"octave_tokens must be at least {4 * least}: four for each of octave_segments")
        if not (0 <= self.rare <= 0.5 and self.recording_mib >= 0 and self.library_mib >= 0):
            raise ValueError("rare must lie in 0..0.5, recording_mib and library_mib must be 0 or more")


@dataclass(frozen=True, slots=True)
class Row:
    """What the policy sees of one segment."""

    index: int
    span: TimeSpan
    level: int
    carriers: int
    tokens: int
    size_bytes: int
    novelties: tuple[float, ...] = ()
    """How unlike the usual its rarest moments are, rarest first (memory.novelty); none where nobody has looked."""

    @classmethod
    def of(cls, facts: SegmentFacts, novelties: tuple[float, ...] = ()) -> Self:
        return cls(facts.segment.index, facts.segment.span, facts.level, facts.carriers, facts.tokens, facts.size_bytes, novelties)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One step: a segment is made coarser, or touching segments become one."""

    indices: tuple[int, ...]
    """In time order."""
    level: int
    """The caps that hold afterwards; 0: what is joined stays as it is."""
    rare: int
    """Carriers that stay single, in RARE_TOKENS at most."""
    thumbnails: int
    """Pictures that stay."""


def tokens_each(level: int) -> int | None:
    """Most tokens of a carrier at a level; None: as many as it has."""
    return None if level < 1 else TOKENS[min(level, len(TOKENS)) - 1]


def carriers_in(duration_s: float, level: int) -> int | None:
    """Most carriers of a segment at a level, rare ones aside; None: as many as it has."""
    if level <= len(TOKENS):
        return None
    return 1 if level >= LAST else max(1, math.ceil(duration_s / 2.0 ** (level - len(TOKENS))))


def octave_of(age_s: float, recent_s: float) -> int:
    """0 while all detail is kept, 1 for an age in [recent, 2 recent), 2 for [2 recent, 4 recent) ..."""
    return 0 if age_s < recent_s else 1 + math.floor(math.log2(age_s / recent_s))


def length_s(octave: int, config: RetentionConfig) -> float:
    return config.recent_h * 3600 * 2.0 ** max(0, octave - 1)


def plan(table: Iterable[Row], now_s: float, config: RetentionConfig) -> list[Rewrite]:
    """The next steps, independent of each other; none where all budgets hold. Done, read and asked again, it comes to none.

    Lossless joins of segments come after an octave fits, the cap on bytes after all octaves fit. The newest segment is never touched.

    Args:
        table: the segments of one recording in one generation; their spans do not overlap.
        now_s: the recording's newest moment.
    """
    rows = sorted(table, key=lambda row: row.span.start_s)
    octaves = {k: list(group) for k, group in groupby(rows, key=lambda row: octave_of(now_s - row.span.end_s, config.recent_h * 3600))}
    steps = [step for k, own in octaves.items() if k > 0 for step in _octave_steps(own, k, config)]
    excess = sum(row.size_bytes for row in rows) - config.recording_mib * 2**20
    if steps or not config.recording_mib or excess <= 0:
        return steps
    newest = rows.pop().index
    return _capped({k: [row for row in own if row.index != newest] for k, own in octaves.items()}, excess, config)


def _octave_steps(rows: Sequence[Row], octave: int, config: RetentionConfig) -> list[Rewrite]:
    rare = rare_of(rows, config)
    levels = _squeezed(rows, rare, sum(row.tokens for row in rows) - config.octave_tokens, lambda row: 1.0)
    if levels:
        return [_coarser(row, levels[row.index], rare, octave, config) for row in rows if row.index in levels]
    groups = joins(rows, length_s(octave, config) / config.octave_segments)
    return [Rewrite(tuple(row.index for row in group), 0, 0, _pictures(group, octave, config)) for group in groups]


def rare_of(rows: Sequence[Row], config: RetentionConfig) -> dict[int, int]:
    """By segment: how many of the octave's rarest moments lie in it. On a tie the older one is kept."""
    slots = int(config.octave_tokens * config.rare) // RARE_TOKENS
    ranked = sorted((-novelty, row.span.start_s, row.index) for row in rows for novelty in row.novelties[: row.carriers])
    counts = dict.fromkeys((row.index for row in rows), 0)
    for _, _, index in ranked[:slots]:
        counts[index] += 1
    return counts


def most_tokens(row: Row, level: int, rare: int) -> int:
    """That a segment can have after a step; never more than it has."""
    each, count = tokens_each(level), carriers_in(row.span.duration_s, level)
    if each is None:
        return row.tokens
    rare, rest = min(rare, row.carriers), max(0, row.carriers - rare)
    singles = min(rare * RARE_TOKENS, max(rare, row.tokens - rest))
    return min(row.tokens, singles + min(rest, rest if count is None else count) * each)


def _squeezed(
    rows: Sequence[Row], rare: Mapping[int, int], excess: float, worth: Callable[[Row], float], levels: Iterable[int] = range(1, BARE)
) -> dict[int, int]:
    """Levels by segment that take the excess away, or as much of it as there are levels; the finest and the oldest segments first.

    worth: of one token of a segment, in the unit of the excess.
    """
    found: dict[int, int] = {}
    tokens = {row.index: row.tokens for row in rows}
    for level in levels:
        for row in rows:
            if excess <= 0:
                return found
            left = most_tokens(row, level, rare[row.index])
            if left < tokens[row.index]:
                found[row.index] = level
                excess -= (tokens[row.index] - left) * worth(row)
                tokens[row.index] = left
    return found


def joins(rows: Sequence[Row], width_s: float) -> list[list[Row]]:
    """Runs of touching segments that fit into one of that width. The newest run waits until it is full: more is to come."""
    groups: list[list[Row]] = [[]]
    for row in rows:
        last = groups[-1]
        touches = bool(last) and row.span.start_s - last[-1].span.end_s <= TOUCH_S
        if not touches or len(last) == JOINED or row.span.end_s - last[0].span.start_s > width_s:
            groups.append([])
        groups[-1].append(row)
    if len(groups[-1]) < JOINED and width_s < math.inf:
        groups.pop()
    return [group for group in groups if len(group) > 1]


def _capped(octaves: Mapping[int, Sequence[Row]], excess: float, config: RetentionConfig) -> list[Rewrite]:
    """Oldest octave first, a level at a time, recent ones last; then rare moments and pictures go; then all becomes one."""
    for octave, rows in octaves.items():
        rare = rare_of(rows, config)
        for level in range(1, BARE):
            if levels := _squeezed(rows, rare, excess, lambda row: row.size_bytes / max(1, row.tokens), [level]):
                return [_coarser(row, levels[row.index], rare, octave, config) for row in rows if row.index in levels]
    every = [row for rows in octaves.values() for row in rows]
    bare: list[Rewrite] = []
    for row in every:
        if row.level < BARE and excess > 0:
            bare.append(Rewrite((row.index,), BARE, 0, 0))
            excess -= row.size_bytes * (1 - 1 / max(1, row.tokens))
    return bare or [Rewrite(tuple(row.index for row in group), BARE, 0, 0) for group in joins(every, math.inf)]


def _coarser(row: Row, level: int, rare: Mapping[int, int], octave: int, config: RetentionConfig) -> Rewrite:
    return Rewrite((row.index,), level, rare[row.index], _pictures([row], octave, config))


def _pictures(rows: Sequence[Row], octave: int, config: RetentionConfig) -> int:
    share = sum(row.span.duration_s for row in rows) / length_s(octave, config)
    return max(1, math.floor(config.octave_thumbnails * share)) if config.octave_thumbnails else 0


def fair_caps(sizes: Mapping[str, int], most: float) -> dict[str, float]:
    """By recording, the bytes that it may keep so that all together keep `most`: the largest shrink first, to one size."""
    caps: dict[str, float] = {}
    left = most
    for count, (name, size) in zip(range(len(sizes), 0, -1), sorted(sizes.items(), key=lambda item: (item[1], item[0])), strict=True):
        caps[name] = min(size, max(0.0, left) / count)
        left -= caps[name]
    return caps
