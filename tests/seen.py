"""A store as a question sees it: everything under the generation "g" that the tests write."""

from collections.abc import Sequence
from dataclasses import dataclass

from footage.carriers import MemoryView
from footage.recordings import TextRow
from memory.ram_store import RamStore


@dataclass(frozen=True)
class Seen:
    store: RamStore

    def view(self, recording_ids: Sequence[str] | None = None) -> MemoryView:
        return self.store.view(recording_ids, generation="g")

    def texts(self, recording_ids: Sequence[str] | None = None, *, match: str = "", limit: int = 0) -> list[TextRow]:
        return self.store.texts(recording_ids, match=match, limit=limit)
