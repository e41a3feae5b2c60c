"""Details: a frame's tokens in an order of which any beginning can be read, through merging, joining and the file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contracts_encode import carrier

from footage import Carrier, SegmentMemory, TimeSpan
from footage.carriers import detailed, pooled
from footage.nested import nested
from footage.recordings import Segment
from memory.merge import join
from memory.mergers import MERGERS
from memory.segment_file import MappedBytes, SegmentFile
from memory.segment_format import pack


def frames(count: int, tokens: int = 64) -> list[Carrier]:
    rng = np.random.default_rng(0)
    return [carrier(n, n + 1, rng.normal(size=(tokens, 3)), rng.normal(size=4)) for n in range(count)]


@pytest.mark.parametrize("each", [64, 63, 16, 5, 1])
def test_every_frame_keeps_its_time_and_its_first_details(each: int) -> None:
    merged = MERGERS["details"].merge(frames(6), max_tokens=6 * each)
    assert [len(c.tokens) for c in merged] == [each] * 6
    assert [c.spans for c in merged] == [c.spans for c in frames(6)]
    assert all(c.is_nested == (each < 64) for c in merged)
    if each < 64:
        np.testing.assert_allclose(merged[3].tokens, nested(frames(6)[3].tokens, each), atol=2e-3)


def test_a_shorter_reading_of_a_short_reading_is_its_beginning() -> None:
    [frame] = frames(1)
    twice, once = detailed(detailed(frame, 16), 4), detailed(frame, 4)
    np.testing.assert_array_equal(twice.tokens, once.tokens)
    assert twice.is_nested
    assert detailed(frame, 64) is frame
    np.testing.assert_array_equal(pooled(detailed(frame, 16), 4).tokens, once.tokens)  # no grid, though 16 is a square


def test_fewer_tokens_than_frames_fuse_neighbours_and_lose_no_time() -> None:
    merged = MERGERS["details"].merge(frames(6), max_tokens=4)
    assert sum(len(c.tokens) for c in merged) <= 4
    assert sum(c.weight_s for c in merged) == 6
    assert MERGERS["details"].merge([], max_tokens=4) == []


def test_joined_details_are_those_of_both_that_are_least_alike() -> None:
    one, other = (detailed(c, 8) for c in frames(2))
    both = join([one, other])
    assert both.is_nested
    np.testing.assert_allclose(both.tokens[0], (one.tokens[0] + other.tokens[0]) / 2, atol=2e-3)
    whole = {tuple(t) for c in (one, other) for t in c.tokens[1:].tolist()}
    assert {tuple(t) for t in both.tokens[1:].tolist()} <= whole
    same = join([one, replace(one, spans=other.spans, anchor_s=other.anchor_s)])
    assert len({tuple(t) for t in same.tokens[1:].tolist()} & {tuple(t) for t in one.tokens[1:].tolist()}) >= 6
    with pytest.raises(ValueError, match="can be joined"):
        join([one, frames(2)[1]])


def test_the_file_remembers_and_old_files_have_none(tmp_path: Path) -> None:
    plain = frames(3)
    for name, carriers in (("plain", plain), ("mixed", [detailed(plain[0], 4), *plain[1:]])):
        memory = SegmentMemory(Segment("rec", 0, TimeSpan(0.0, 3.0)), tuple(carriers))
        (tmp_path / name).write_bytes(pack(memory))
        assert [c.is_nested for c in SegmentFile(MappedBytes(tmp_path / name), "rec").carriers()] == [c.is_nested for c in carriers]
    assert b"nested" not in (tmp_path / "plain").read_bytes()
