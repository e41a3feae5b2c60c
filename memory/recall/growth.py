"""How the parts of a shelf come about: new rows in RAM, small parts joined to larger ones, what is enough sealed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from footage.arrays import AnyArray
from memory.recall.part import Block, Part, gather, live_blocks, rows_of
from memory.recall.vectors import BLOCK_ROWS, flat
from memory.view import SegmentKeys

Seal = Callable[[Sequence[Part], int], Part]
"""The live rows of some parts as one sealed part, with lists of about so many rows."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Row counts, measured (docs/search-index.md)."""

    exact_rows: int = 131_072
    """Up to here all is in RAM and exact: one and a half days at one a second."""
    tail_rows: int = 32_768
    """Above: as many, the newest, stay in RAM and exact before they are sealed."""
    shard_rows: int = 131_072
    """Of a sealed part that grows no more."""
    list_rows: int = 48
    probes: int = 128
    """Lists that a question looks into, over all sealed parts."""


@dataclass(frozen=True, slots=True)
class NewRows:
    """Rows of one kind that one segment gives."""

    block: Block
    times: AnyArray
    """(N, 3) start, end, anchor."""
    halves: AnyArray
    """(N, W) float16"""


def frames_of(recording_id: str, index: int, keys: SegmentKeys) -> NewRows:
    """One row a carrier."""
    block = Block(recording_id, index, keys.fingerprint, len(keys.embeds))
    return NewRows(block, np.stack([keys.starts_s, keys.ends_s, keys.anchors_s], axis=1), keys.embeds.astype(np.float16))


def scene_of(recording_id: str, index: int, keys: SegmentKeys) -> NewRows:
    """One row a segment: the mean of its carriers by the time they stand for, at the carrier that is most like it."""
    if not len(keys.embeds):
        return NewRows(Block(recording_id, index, keys.fingerprint, 0), np.empty((0, 3)), np.empty((0, 0), np.float16))
    mean = keys.weights_s.astype(np.float32) @ keys.embeds
    mean /= max(float(np.linalg.norm(mean)), 1e-9)
    anchor_s = keys.anchors_s[int(np.argmax(keys.embeds @ mean))]
    times = np.array([[keys.starts_s.min(), keys.ends_s.max(), anchor_s]])
    return NewRows(Block(recording_id, index, keys.fingerprint, 1), times, mean[None].astype(np.float16))


def part_of(new: Sequence[NewRows]) -> Part:
    """In RAM."""
    filled = [each for each in new if each.block.rows]
    blocks = tuple(each.block for each in new)
    if not filled:
        return _flat(blocks, np.empty((0, 3)), np.empty((0, 0), np.float16))
    return _flat(blocks, np.concatenate([each.times for each in filled]), np.concatenate([each.halves for each in filled]))


def _flat(blocks: tuple[Block, ...], times: AnyArray, halves: AnyArray) -> Part:
    vectors = flat(halves) if len(halves) else None
    return Part(blocks, rows_of(times, halves), vectors, halves if vectors is None else vectors.halves)


def joined(parts: Sequence[Part]) -> Part:
    """Their live rows as one part in RAM."""
    filled = [part for part in parts if part.live]
    blocks = live_blocks(parts)
    if not filled:
        return part_of([NewRows(block, np.empty((0, 3)), np.empty((0, 0), np.float16)) for block in blocks])
    vectors = flat(np.concatenate(list(gather(filled, "halves", BLOCK_ROWS))))
    return Part(blocks, np.concatenate(list(gather(filled, "rows", BLOCK_ROWS))), vectors, vectors.halves)


def tidied(parts: Sequence[Part], can_seal: bool) -> list[Part]:
    """Without those that are stale as a whole; those that are stale by a third are read into RAM, without the stale rows."""
    kept = [part for part in parts if not part.is_gone]
    return [joined([p]) if 3 * p.live < 2 * len(p) and (can_seal or p.lists is None) else p for p in kept]


def grown(parts: Sequence[Part], tuning: Tuning, seal: Seal | None, *, is_last: bool = True) -> list[Part]:
    """Small parts in RAM are joined as digits carry, so that there are few; from enough rows on they are sealed.

    seal: None where nothing can be. is_last: no more rows are about to come.
    """
    sealed, tail = [p for p in parts if p.lists is not None], [p for p in parts if p.lists is None]
    while len(tail) > 1 and tail[-2].live <= 2 * tail[-1].live:
        tail[-2:] = [joined(tail[-2:])]
    rows = sum(part.live for part in tail)
    most = (tuning.tail_rows if sealed else tuning.exact_rows) if is_last else tuning.shard_rows
    if seal is None or rows <= most:
        return [*sealed, *tail]
    while is_last and sealed and sealed[-1].live <= min(2 * rows, tuning.shard_rows - rows):
        tail.insert(0, sealed.pop())
        rows += tail[0].live
    return [*sealed, seal(tail, tuning.list_rows)]


def compacted(parts: Sequence[Part], tuning: Tuning, seal: Seal) -> list[Part]:
    """Sealed parts that lost rows, or could hold more, made again together; the rest as it was."""
    groups: list[list[Part]] = []
    for part in parts:
        if part.lists is None:
            continue
        if groups and sum(p.live for p in groups[-1]) + part.live <= tuning.shard_rows:
            groups[-1].append(part)
        else:
            groups.append([part])
    again = [g[0] if len(g) == 1 and g[0].stale is None else seal(g, tuning.list_rows) for g in groups]
    return [*again, *(part for part in parts if part.lists is None)]
