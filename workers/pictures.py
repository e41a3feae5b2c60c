"""What a library's footage looked like, for models that read pictures: decoded again, or its thumbnails where the file is away."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from footage.errors import FootageError, SourceNotFound
from footage.questions import Budget, Redecode
from workers.remember import jpeg

if TYPE_CHECKING:
    from workers.engine import Library


class Pictures:
    """The `Looks` of qa.answerers.openai. Reads the library at each call: it may be indexed on between two questions."""

    def __init__(self, library: "Library") -> None:
        self._library = library
        self._side_px = Budget(0).max_side_px

    def pictures(self, recording_id: str, times_s: Sequence[float]) -> list[bytes]:
        """A JPEG of each time, none wider or higher than Budget.max_side_px; b"" where not even a thumbnail is kept."""
        try:
            return self._decoded(recording_id, times_s)
        except FootageError:
            return [self._thumbnail(recording_id, time_s) for time_s in times_s]

    def duration_s(self, recording_id: str) -> float:
        return next(r.duration_s for r in self._library.store.recordings() if r.recording_id == recording_id)

    def _decoded(self, recording_id: str, times_s: Sequence[float]) -> list[bytes]:
        fetcher = self._library.fetcher()
        extent = fetcher.extent(recording_id)
        if extent is None:
            raise SourceNotFound(f"the file of recording {recording_id} is away")
        frames = fetcher.fetch([Redecode(recording_id, min(t, extent.end_s - 1e-3), self._side_px) for t in times_s])
        return [jpeg(frame.pixels, self._side_px) for frame in frames]

    def _thumbnail(self, recording_id: str, time_s: float) -> bytes:
        store = self._library.store
        kept = (store.thumbnail(recording_id, time_s, generation=g) for g in store.generations(recording_id))
        return next((picture for picture in kept if picture), b"")
