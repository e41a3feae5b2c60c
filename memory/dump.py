"""The content of a library in canonical form: no clocks, paths or counters, so that two libraries can be compared."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np

from footage.arrays import AnyArray
from footage.carriers import SegmentMemory
from footage.recordings import Recording, TextRow
from footage.timespan import TimeSpan


class Listing(Protocol):
    """What a store must tell for its content to be written down."""

    def recordings(self) -> list[Recording]: ...

    def names(self, recording_id: str) -> tuple[str, ...]: ...

    def generations(self, recording_id: str) -> tuple[str, ...]: ...

    def committed(self, recording_id: str, generation: str) -> Mapping[int, TimeSpan]: ...

    def encoder_id(self, generation: str) -> str: ...

    def read_segment(self, recording_id: str, generation: str, index: int) -> SegmentMemory: ...


def dump(store: Listing) -> Iterator[dict[str, Any]]:
    """JSON-able: a recording, then its segments, and so on; order and values depend on the content alone."""
    for recording in sorted(store.recordings(), key=lambda r: r.recording_id):
        recording_id = recording.recording_id
        yield {"recording": asdict(recording), "names": sorted(store.names(recording_id))}
        for generation in store.generations(recording_id):
            encoder_id = store.encoder_id(generation)
            for index in sorted(store.committed(recording_id, generation)):
                memory = store.read_segment(recording_id, generation, index)
                yield {"generation": generation, "encoder_id": encoder_id, **segment_entry(memory)}


def segment_entry(memory: SegmentMemory) -> dict[str, Any]:
    carriers = memory.carriers
    times = [(c.anchor_s, c.weight_s, *(edge for s in c.spans for edge in (s.start_s, s.end_s))) for c in carriers]
    return {
        "segment": {**asdict(memory.segment), "span": _edges(memory.segment.span)},
        "frames_seen": memory.frames_seen,
        "frames_kept": memory.frames_kept,
        "level": memory.level,
        "novelty": memory.novelty,
        "forgotten": {name: count for name, count in sorted(memory.forgotten.items()) if name != "unix_s"},
        "carriers": len(carriers),
        "tokens_sha256": _sha256(c.tokens for c in carriers),
        "embeds_sha256": _sha256(c.embed for c in carriers),
        "times_sha256": _sha256(np.array(row, np.float64) for row in times),
        "thumbnails_sha256": _sha256(np.frombuffer(jpeg, np.uint8) for jpeg in memory.thumbnails),
        "texts": sorted((_text_entry(row) for row in memory.texts), key=repr),
        "gaps": [{"span": _edges(gap.span), "reason": gap.reason} for gap in sorted(memory.gaps)],
    }


def _text_entry(row: TextRow) -> dict[str, Any]:
    return {**asdict(row), "span": _edges(row.span), "score": float(row.score)}


def _edges(span: TimeSpan) -> list[float]:
    """As floats, also where a caller gave whole numbers: equal content must be equal JSON."""
    return [float(span.start_s), float(span.end_s)]


def _sha256(arrays: Iterable[AnyArray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
