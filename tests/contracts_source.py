"""What every decoder and every source must do, whatever the file."""

from collections.abc import Sequence

import numpy as np
from films import number_in

from footage.protocols import Source
from footage.recordings import Gap
from ingest.decode import Decoder
from ingest.packets import PacketTable


def gives_the_frame_asked_for(decoder: Decoder, table: PacketTable, indices: Sequence[int]) -> None:
    """Every wanted display index, in ascending order, with the picture that carries its number."""
    got = [(index, number_in(pixels)) for index, pixels in decoder.frames(table, indices, 400)]
    assert got == [(i, i) for i in sorted(indices)]


def clips_tile_their_segments(source: Source) -> None:
    """Segments tile the recording; clips and gaps tile each segment; anchors lie inside."""
    at = 0.0
    for segment in source.segments():
        assert segment.span.start_s == at
        for item in source.clips(segment):
            assert abs(item.span.start_s - at) < 1e-6
            at = item.span.end_s
            if not isinstance(item, Gap):
                assert np.all(item.anchors_s >= item.starts_s - 1e-9)
                assert np.all(item.anchors_s < item.ends_s)
                assert np.allclose(item.starts_s[1:], item.ends_s[:-1])
        assert abs(at - segment.span.end_s) < 1e-6
        at = segment.span.end_s
    assert abs(at - source.recording.duration_s) < 1e-6
