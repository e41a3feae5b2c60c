"""A packed segment: what eight bits and one lose, planes that are read alone, maps, old files and newer ones."""

import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors import safe_open
from safetensors.numpy import save

from footage import Carrier, Recording, Segment, SegmentMemory, StoreError, TimeSpan
from footage.carriers import detailed, pooled
from memory.local_store import LocalStore
from memory.quantized import from_int8, from_signs, quantized, signs_only, to_int8, to_signs
from memory.ram_store import RamStore
from memory.segment_file import MappedBytes, SegmentFile
from memory.segment_format import VERSION, pack

WIDTH, EMBED = 24, 16
GENERATION, ENCODER = "made-up@1+details", "made-up@1"
DOOR = Recording("door", 60.0, 320, 240)


class Counted:
    """Bytes in RAM that counts what was read of them."""

    def __init__(self, data: bytes, name: str = "library/000000-abc.safetensors") -> None:
        self.name, self.size, self._data = name, len(data), memoryview(data)
        self.read_bytes = 0

    def read(self, start: int, end: int) -> memoryview:
        self.read_bytes += end - start
        return self._data[start:end]


def made(tokens: int = 32, rows: int = 6, *, nests: bool = True, seed: int = 0) -> SegmentMemory:
    """One carrier a second, nested ones of fewer tokens from row to row."""
    rng, carriers = np.random.default_rng(seed), []
    for row in range(rows):
        embed = rng.normal(size=EMBED).astype(np.float32)
        carrier = Carrier(
            "door",
            (TimeSpan(row, row + 1.0),),
            row + 0.5,
            1.0,
            rng.normal(size=(tokens, WIDTH)).astype(np.float16),
            embed / np.linalg.norm(embed),
        )
        carriers.append(detailed(carrier, max(1, tokens - 1 - row)) if nests else carrier)
    return SegmentMemory(Segment("door", 0, TimeSpan(0, 60)), tuple(carriers), (b"jpeg",) * rows)


def opened(memory: SegmentMemory) -> SegmentFile:
    return SegmentFile(Counted(pack(memory)), "door")


def dtypes(data: bytes) -> dict[str, str]:
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return {name: entry["dtype"] for name, entry in header.items() if name != "__metadata__"}


def assert_same(found: Sequence[Carrier], expected: Sequence[Carrier]) -> None:
    """Bit for bit."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.spans, a.anchor_s, a.weight_s, a.is_nested) == (b.spans, b.anchor_s, b.weight_s, b.is_nested)
        assert (a.tokens.shape, a.tokens.tobytes(), a.embed.tobytes()) == (b.tokens.shape, b.tokens.tobytes(), b.embed.tobytes())


# Fewer bits

finite = arrays(
    np.float16,
    st.tuples(st.integers(0, 4), st.sampled_from([0, 1, 9, 64, 70])),
    elements=st.floats(width=16, allow_nan=False, allow_infinity=False),
)


@given(tokens=finite)
def test_eight_bits_are_off_by_half_a_step_and_then_by_nothing(tokens: np.ndarray) -> None:
    short = to_int8(tokens)
    assert short is not None
    back = from_int8(*short)
    exact, peaks = tokens.astype(np.float64), np.repeat(short[1].astype(np.float64), 64, 1)[:, : tokens.shape[1]]
    half_a_place = np.maximum(np.abs(back.astype(np.float64)) * 2.0**-11, 2.0**-25)  # of float16
    assert (np.abs(exact - back) <= peaks / 254 * (1 + 1e-6) + half_a_place).all()
    again = to_int8(back)
    assert again is not None
    assert [part.tobytes() for part in again] == [part.tobytes() for part in short]
    assert np.array_equal(np.abs(back).max(-1, initial=0), np.abs(tokens).max(-1, initial=0))


@given(embeds=arrays(np.float32, (3, 8), elements=st.floats(-1e6, 1e6, width=32)))
def test_one_bit_keeps_signs_and_length_and_then_everything(embeds: np.ndarray) -> None:
    once = signs_only(embeds)
    np.testing.assert_allclose(
        np.linalg.norm(once.astype(np.float64), axis=1), np.linalg.norm(embeds.astype(np.float64), axis=1), rtol=1e-5, atol=1e-37
    )
    lived = np.abs(once) > 0
    assert ((once > 0) == (embeds > 0))[lived].all()
    assert signs_only(once).tobytes() == once.tobytes()
    assert from_signs(*to_signs(once), 8).tobytes() == once.tobytes()


def test_what_is_not_finite_keeps_its_sixteen_bits() -> None:
    memory = made()
    odd = replace(memory.carriers[1], tokens=np.full_like(memory.carriers[1].tokens, np.inf))
    memory = quantized(replace(memory, carriers=(memory.carriers[0], odd, *memory.carriers[2:])))
    assert np.isinf(memory.carriers[1].tokens).all()
    assert_same(opened(memory).carriers(), memory.carriers)
    assert dtypes(pack(memory))["tokens"] == "F16"


# The smallest form that loses nothing


def test_a_store_keeps_bit_for_bit_what_it_is_given_in_the_smallest_form() -> None:
    whole = made()
    short = quantized(whole)
    cold = quantized(replace(whole, carriers=tuple(pooled(c, 1) for c in whole.carriers)), one_bit=True)
    for memory, tokens, embeds in ((whole, "F16", "F32"), (short, "I8", "F16"), (cold, "I8", None)):
        data = pack(memory)
        file = opened(memory)
        assert (dtypes(data)["tokens"], dtypes(data).get("embeds")) == (tokens, embeds)
        assert_same(file.carriers(), memory.carriers)
        assert file.keys().embeds.tobytes() == np.stack([c.embed for c in memory.carriers]).tobytes()
        assert pack(SegmentMemory(memory.segment, tuple(file.carriers()), file.thumbnails())) == data
        assert np.array_equal(file.codes()[0], np.packbits(file.keys().embeds > 0, axis=1))
    sizes = [len(pack(memory)) for memory in (whole, short, cold)]
    assert sizes == sorted(sizes, reverse=True)
    error = np.abs(np.concatenate([a.tokens - b.tokens for a, b in zip(whole.carriers, short.carriers, strict=True)]))
    assert 0 < error.max() < 0.02


def test_any_store_tells_the_same_of_what_was_made_shorter(tmp_path: Path) -> None:
    ram = RamStore()
    with LocalStore(tmp_path) as disk:
        for store in (ram, disk):
            store.add(DOOR, "door.mp4")
            store.commit(quantized(made()), generation=GENERATION, encoder_id=ENCODER)
        assert list(disk.dump()) == list(ram.dump())
        (file,) = tmp_path.glob("segments/*/*/*")
        assert dtypes(file.read_bytes())["tokens"] == "I8"


# Planes


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("at_most", [1, 3, 4, 16, 20, 99])
def test_a_level_reads_as_if_the_whole_had_been_pooled(at_most: int, short: bool) -> None:
    for memory in (made(), made(nests=False, tokens=16), made(tokens=1), made(rows=0)):
        memory = quantized(memory) if short else memory
        assert_same(opened(memory).carriers(at_most=at_most), [pooled(c, at_most) for c in memory.carriers])
    mixed = replace(made(), carriers=(*made(rows=3).carriers, *made(nests=False).carriers[3:]))
    assert_same(opened(mixed).carriers([4, 1], at_most), [pooled(mixed.carriers[4], at_most), pooled(mixed.carriers[1], at_most)])


def test_a_coarse_level_reads_its_own_bytes_alone() -> None:
    memory = made(64, 20)
    source, beside = Counted(pack(memory)), []
    file = SegmentFile(source, "door")
    file.carriers()
    for at_most in (1, 4, 16, 64):
        before = source.read_bytes
        tokens = sum(carrier.tokens.nbytes for carrier in file.carriers(at_most=at_most))
        beside.append(source.read_bytes - before - tokens)
    assert len(set(beside)) == 1, "times and embeds, whatever the level"


def test_damage_in_a_fine_plane_leaves_the_coarse_ones() -> None:
    memory = made(64, 5)
    data = pack(memory)
    at = data.index(memory.carriers[2].tokens[20:].tobytes())
    file = SegmentFile(Counted(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]), "door")
    assert_same(file.carriers(at_most=16), [pooled(c, 16) for c in memory.carriers])
    assert len(file.carriers([0, 1, 3, 4])) == 4
    with pytest.raises(StoreError, match="tokens do not match"):
        file.carriers([2])


# Maps


def test_tokens_point_into_the_map_which_outlives_the_file_and_needs_no_handle(tmp_path: Path) -> None:
    memory = made(nests=False)
    handles = len(os.listdir("/proc/self/fd"))
    files = []
    for n in range(40):
        path = tmp_path / f"{n}.safetensors"
        path.write_bytes(pack(memory))
        files.append(SegmentFile(MappedBytes(path), "door"))
        path.unlink()
    assert len(os.listdir("/proc/self/fd")) == handles
    kept = [file.carriers([1])[0] for file in files]
    del files
    assert Path("/proc/self/maps").read_text().count(str(tmp_path)) == 40
    for carrier in kept:
        assert not carrier.tokens.flags.owndata
        with pytest.raises(ValueError, match="read-only"):
            carrier.tokens[0] = 0
    assert_same(kept, [memory.carriers[1]] * 40)
    del kept, carrier  # the last that point into them
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_a_file_that_is_not_there_or_empty_or_a_folder_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name, message in (("none", "is missing"), ("empty", "is damaged"), ("", "cannot be mapped")):
        with pytest.raises(StoreError, match=message):
            SegmentFile(MappedBytes(tmp_path / name), "door")


# Old files, newer files, damaged headers


def old_pack(memory: SegmentMemory) -> bytes:
    """As version 1 wrote it."""
    carriers = memory.carriers

    def offsets(lengths: list[int]) -> np.ndarray:
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])

    parts = {
        "tokens": np.concatenate([c.tokens for c in carriers]), "token_offsets": offsets([len(c.tokens) for c in carriers]),
        "token_crc32": np.array([zlib.crc32(c.tokens.tobytes()) for c in carriers], np.uint32),
        "embeds": np.stack([c.embed for c in carriers]), "anchors_s": np.array([c.anchor_s for c in carriers]),
        "weights_s": np.array([c.weight_s for c in carriers]),
        "spans_s": np.array([(s.start_s, s.end_s) for c in carriers for s in c.spans]),
        "span_offsets": offsets([len(c.spans) for c in carriers]),
        "thumbnails": np.frombuffer(b"".join(memory.thumbnails), np.uint8), "thumbnail_offsets": offsets([*map(len, memory.thumbnails)]),
    }  # fmt: skip
    if any(c.is_nested for c in carriers):
        parts["nested"] = np.array([c.is_nested for c in carriers], np.uint8)
    checks = {name: zlib.crc32(array.tobytes()) for name, array in parts.items() if name != "tokens"}
    return bytes(save(parts, metadata={"crc32": json.dumps(checks)}))


@pytest.mark.parametrize("nests", [True, False])
def test_a_library_of_before_reads_as_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nests: bool) -> None:
    memory = made(nests=nests)
    with LocalStore(tmp_path) as store, monkeypatch.context() as patch:
        store.add(DOOR, "door.mp4")
        patch.setattr("memory.segment_folder.pack", old_pack)
        store.commit(memory, generation=GENERATION, encoder_id=ENCODER)
    (path,) = tmp_path.glob("segments/*/*/*")
    assert "embed_signs" not in dtypes(path.read_bytes())
    with LocalStore(tmp_path) as store:
        assert store.verify() == []
        view = store.view(generation=GENERATION)
        assert_same(view.load(range(len(view))), memory.carriers)
        assert store.read_segment("door", GENERATION, 0).thumbnails == memory.thumbnails
    file = SegmentFile(MappedBytes(path), "door")
    assert_same(file.carriers(at_most=4), [pooled(c, 4) for c in memory.carriers])
    assert file.codes()[0].shape == (len(memory.carriers), EMBED // 8)
    assert path.read_bytes() == old_pack(memory)


def test_a_file_of_a_newer_footage_is_refused_by_name() -> None:
    newer = pack(made()).replace(f'\\"version\\": {VERSION}'.encode(), f'\\"version\\": {VERSION + 1}'.encode())
    with pytest.raises(StoreError, match=r"000000-abc\.safetensors was written by a newer footage") as caught:
        SegmentFile(Counted(newer), "door")
    assert "update" in caught.value.hint


def test_others_can_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    path.write_bytes(pack(quantized(made())))
    with safe_open(path, framework="numpy") as file:
        assert file.get_tensor("tokens").dtype == np.int8
        assert json.loads(file.metadata()["footage"])["version"] == VERSION


def headed(header: object) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(64)


@pytest.mark.parametrize("data", [
    b"", b"short", (1 << 62).to_bytes(8, "little") + b"x" * 99, b"\x04" + bytes(7) + b"\xff{}\x00", headed([]), headed({}),
    headed({"__metadata__": {"footage": "[]"}}), headed({"__metadata__": {"footage": json.dumps({"version": 2, "crc32": {"spans_s": 0}})}}),
])  # fmt: skip
def test_a_header_that_is_none_is_damage(data: bytes) -> None:
    with pytest.raises(StoreError, match=r"000000-abc\.safetensors is damaged"):
        SegmentFile(Counted(data), "door")


@pytest.mark.parametrize("entry", [
    {}, {"dtype": "F64", "shape": [2, 2], "data_offsets": [0, 31]}, {"dtype": "F64", "shape": [99, 2], "data_offsets": [0, 1584]},
    {"dtype": "X", "shape": [2], "data_offsets": [0, 2]}, {"dtype": "U8", "shape": "ab", "data_offsets": [0, 2]},
    {"dtype": "F64", "shape": [2, 2], "data_offsets": [0, 32]},
])  # fmt: skip
def test_an_array_that_does_not_fit_is_damage(entry: dict[str, object]) -> None:
    metadata = {"footage": json.dumps({"version": VERSION, "crc32": {"spans_s": 1}})}
    rest = {"dtype": "U8", "shape": [64], "data_offsets": [0, 64]}
    with pytest.raises(StoreError, match=r"000000-abc\.safetensors is damaged"):
        SegmentFile(Counted(headed({"__metadata__": metadata, "spans_s": entry, "tokens": rest})), "door").keys()


def test_a_source_that_goes_away_says_so_itself() -> None:
    class Away(Counted):
        is_gone = False

        def read(self, start: int, end: int) -> memoryview:
            if self.is_gone:
                raise StoreError("the server is away")
            return super().read(start, end)

    source = Away(pack(made()))
    file = SegmentFile(source, "door")
    source.is_gone = True
    with pytest.raises(StoreError, match="the server is away"):
        file.carriers()
