"""Less room for the same: leftovers of crashes, pages of what was forgotten, worn indexes, generations that another one stands in for."""

from footage.timespan import subtract, union
from memory.recall.index import RecallIndex
from memory.stores import LibraryStore


def prune(store: LibraryStore, generation: str) -> int:
    """Drops what other generations hold of recordings that this one holds as well and as far; how many segments went."""
    dropped = 0
    for known in store.known():
        recording_id = known.recording.recording_id
        mine = union(store.committed(recording_id, generation).values())
        for other in known.generations:
            theirs = store.committed(recording_id, other)
            if other != generation and mine and not any(subtract(span, mine) for span in union(theirs.values())):
                for index in theirs:
                    store.drop_segment(recording_id, other, index)
                dropped += len(theirs)
    return dropped


def compact(store: LibraryStore) -> None:
    """Opening it for writing has swept leftovers already."""
    for generation in sorted({facts.generation for facts in store.all_segments()}):
        RecallIndex.open(store, generation).compact()
    store.compact()
