"""What the catalogue says of a segment, as bytes inside the segment's own file: a damaged catalogue is checked against it and made again.

Compact JSON. The work by stage is left out: it is a clock's, and equal footage must make equal files.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from footage.carriers import SegmentMemory
from footage.recordings import Gap, Segment, TextRow
from footage.timespan import TimeSpan


def rows_of(memory: SegmentMemory) -> bytes:
    """Equal for memories whose rows are equal, whatever the order of their texts and gaps."""
    rows = {
        "index": memory.segment.index,
        "span": _edges(memory.segment.span),
        "frames": [memory.frames_seen, memory.frames_kept],
        "age": [memory.level, float(memory.novelty), dict(memory.forgotten)],
        "texts": sorted((_text(row) for row in memory.texts), key=repr),
        "gaps": sorted([*_edges(gap.span), gap.reason] for gap in memory.gaps),
    }
    return json.dumps(rows, separators=(",", ":"), sort_keys=True, default=float).encode()


def with_rows(memory: SegmentMemory, data: bytes) -> SegmentMemory:
    """The same carriers and pictures with the rows of `rows_of`."""
    rows, recording_id = json.loads(data), memory.segment.recording_id
    level, novelty, forgotten = rows["age"]
    return replace(
        memory,
        segment=Segment(recording_id, rows["index"], TimeSpan(*rows["span"])),
        texts=tuple(_text_row(recording_id, *values) for values in rows["texts"]),
        gaps=tuple(Gap(TimeSpan(start_s, end_s), reason) for start_s, end_s, reason in rows["gaps"]),
        frames_seen=rows["frames"][0], frames_kept=rows["frames"][1], level=level, novelty=novelty, forgotten=forgotten,
    )  # fmt: skip


def _edges(span: TimeSpan) -> list[float]:
    """As floats, also where a caller gave whole numbers."""
    return [float(span.start_s), float(span.end_s)]


def _text(row: TextRow) -> list[Any]:
    colours = [None if colour is None else list(colour) for colour in (row.ink, row.ground)]
    box = None if row.box is None else [float(share) for share in row.box]
    return [*_edges(row.span), row.kind, row.text, float(row.score), box, *colours, row.track]


def _text_row(
    recording_id: str, start_s: float, end_s: float, kind: str, text: str, score: float,
    box: Sequence[float] | None, ink: Sequence[int] | None, ground: Sequence[int] | None, track: str,
) -> TextRow:  # fmt: skip
    span = TimeSpan(start_s, end_s)
    return TextRow(recording_id, span, kind, text, score, _tuple(box), _tuple(ink), _tuple(ground), track)


def _tuple(values: Sequence[float] | None) -> Any:
    return None if values is None else tuple(values)
