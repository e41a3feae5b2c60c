"""Pixels of the past, wherever they lie: files, archives of streams, synthetic scripts."""

from functools import lru_cache, partial
from typing import Any

from footage.addresses import is_live
from footage.protocols import Fetcher
from footage.timespan import TimeSpan
from ingest.file_source import FileFetcher
from ingest.live.archive import ArchiveFetcher
from ingest.synthetic import PREFIX, SyntheticSource
from memory.stores import LibraryStore
from workers.config import Settings
from workers.tables import table_at


def archive_of(store: LibraryStore, recording_id: str) -> ArchiveFetcher | None:
    """Of the recording of a stream."""
    is_stream = any(map(is_live, store.locations(recording_id)))
    return ArchiveFetcher(store.archive_folder(recording_id)) if is_stream else None


class Fetchers:
    """Files, archives of streams and synthetic scripts behind one Fetcher."""

    def __init__(self, store: LibraryStore, settings: Settings) -> None:
        self._store, self._files = store, FileFetcher(store.locations, table_at=partial(table_at, settings=settings))
        self._archive = lru_cache(maxsize=None)(partial(archive_of, store))

    def _of(self, recording_id: str) -> Fetcher:
        archive = self._archive(recording_id)
        if archive is not None:
            return archive
        scripts = [place for place in self._store.locations(recording_id) if place.startswith(PREFIX)]
        return SyntheticSource.parse(scripts[0]) if scripts else self._files

    def extent(self, recording_id: str) -> TimeSpan | None:
        return self._of(recording_id).extent(recording_id)

    def fetch(self, requests: Any) -> Any:
        if len({r.recording_id for r in requests}) == 1:
            return self._of(requests[0].recording_id).fetch(requests)
        return [frame for r in requests for frame in self._of(r.recording_id).fetch([r])]
