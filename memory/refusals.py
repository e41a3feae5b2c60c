"""What every store refuses, in the same words."""

from collections.abc import Container, Iterable, Sequence

from footage.carriers import SegmentMemory
from footage.errors import NothingRecorded, StoreError


def nothing_recorded(recording_ids: Iterable[str], generation: str) -> NothingRecorded:
    of = ", ".join(recording_ids) or "any recording"
    return NothingRecorded(f"nothing is kept of {of} in generation {generation!r}", hint="index it first: footage index")


def not_kept(recording_id: str, index: int) -> StoreError:
    return StoreError(f"segment {index} of {recording_id} is not kept", hint="index that recording again")


def refuse_unkept(recording_id: str, gone: Iterable[int], kept: Container[int]) -> None:
    """Raises StoreError where a segment is to leave that is not there."""
    for index in gone:
        if index not in kept:
            raise not_kept(recording_id, index)


def check_replacement(recording_id: str, memories: Sequence[SegmentMemory]) -> None:
    """Raises ValueError for a memory of another recording, or two of one index."""
    if strangers := {memory.segment.recording_id for memory in memories} - {recording_id}:
        raise ValueError(f"segments of {recording_id} cannot be replaced by those of {sorted(strangers)}")
    if len({memory.segment.index for memory in memories}) < len(memories):
        raise ValueError(f"two segments of {recording_id} come with one index")
