"""The recall index: exact, deterministic, and never more than a cache of its store."""

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.register_assert_rewrite("contracts_store")

from contracts_store import EMBED_DIM, ENCODER, GENERATION, carriers_of, put, recording_of, segment_of  # noqa: E402

from footage import Carrier, EncoderMismatch, Segment, SegmentMemory, TimeSpan  # noqa: E402
from memory.durable import path_part  # noqa: E402
from memory.local_store import LocalStore  # noqa: E402
from memory.ram_store import RamStore  # noqa: E402
from memory.recall.index import Hit, RecallIndex  # noqa: E402
from memory.recall.part_files import BLOCKS, HALVES, MANIFEST, ROWS  # noqa: E402
from memory.view import SegmentKeys  # noqa: E402


def fill(store: Any) -> Any:
    """Three segments of "door" and two of "yard", of two carriers each."""
    for recording_id, segments in (("door", 3), ("yard", 2)):
        store.add(recording_of(recording_id), recording_id)
        for index in range(segments):
            put(store, segment_of(recording_id, index))
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path) as store:
        yield fill(store)


@pytest.fixture(params=["faiss", "numpy"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "faiss":
        pytest.importorskip("faiss")
    else:
        monkeypatch.setattr("memory.recall.vectors.find_spec", lambda name: None)
    return str(request.param)


@pytest.fixture
def needs_faiss() -> None:
    pytest.importorskip("faiss")


class Watched:
    """A store that counts the segments whose keys are read."""

    def __init__(self, store: LocalStore) -> None:
        self._store, self.read = store, list[tuple[str, int]]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def keys(self, recording_id: str, generation: str, index: int) -> SegmentKeys | None:
        self.read.append((recording_id, index))
        return self._store.keys(recording_id, generation, index)


def query(seed: int = 0) -> Any:
    embed = np.random.default_rng(seed).standard_normal(EMBED_DIM).astype(np.float32)
    return embed / np.linalg.norm(embed)


def exact(store: Any, embed: Any, k: int) -> list[Hit]:
    """By brute force over a view."""
    view = store.view(generation=GENERATION)
    scores = view.embeds.astype(np.float16).astype(np.float32) @ embed
    rows = sorted(range(len(view)), key=lambda row: -scores[row])[:k]
    return [Hit(view.recording_of(r), view.span(r), float(view.anchors_s[r]), float(scores[r])) for r in rows]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def places(hits: list[Hit]) -> list[tuple[str, float]]:
    return [(hit.recording_id, hit.span.start_s) for hit in hits]


def test_the_nearest_carriers_are_found_best_first(store: LocalStore, backend: str) -> None:
    index = RecallIndex.open(store, GENERATION)
    assert len(index) == 10
    for seed in range(5):
        found, expected = index.search(query(seed), 4), exact(store, query(seed), 4)
        assert places(found) == places(expected)
        assert [hit.anchor_s for hit in found] == [hit.anchor_s for hit in expected]
        assert np.allclose([hit.score for hit in found], [hit.score for hit in expected], atol=1e-5)
    (best,) = index.search(carriers_of("yard", 1)[0].embed, 1)
    assert (best.recording_id, best.span, best.anchor_s) == ("yard", TimeSpan(10, 15), 10.5)
    assert best.score == pytest.approx(1, abs=1e-3)


def test_more_hits_than_there_are_carriers_are_all_of_them(store: LocalStore, backend: str) -> None:
    assert len(RecallIndex.open(store, GENERATION).search(query(), 99)) == 10


def test_a_search_stays_within_the_recordings_named(store: LocalStore, backend: str) -> None:
    index = RecallIndex.open(store, GENERATION)
    assert {hit.recording_id for hit in index.search(query(), 99, ["yard"])} == {"yard"}
    assert len(index.search(query(), 99, ["yard"])) == 4
    assert len(index.search(query(), 99, ["yard", "door"])) == 10
    assert index.search(query(), 99, ["nowhere"]) == []
    assert index.search(query(), 99, []) == []


def test_a_search_stays_within_a_span(store: LocalStore, backend: str) -> None:
    index = RecallIndex.open(store, GENERATION)
    found = index.search(query(), 99, span=TimeSpan(10, 12))
    assert sorted(places(found)) == [("door", 10), ("yard", 10)]
    assert places(index.search(query(), 99, ["yard"], span=TimeSpan(4.9, 5.1))) in ([("yard", 0), ("yard", 5)], [("yard", 5), ("yard", 0)])
    assert index.search(query(), 99, span=TimeSpan(30, 99)) == []


def test_a_scene_is_the_mean_of_its_carriers_by_their_time(store: LocalStore, backend: str) -> None:
    short, long = carriers_of("door", 3)
    short = replace(short, spans=(TimeSpan(30, 31),), anchor_s=30.5, weight_s=1.0)
    long = replace(long, spans=(TimeSpan(31, 40),), weight_s=9.0, anchor_s=32.0)
    put(store, SegmentMemory(segment_of("door", 3).segment, (short, long)))
    mean = 0.1 * short.embed + 0.9 * long.embed
    index = RecallIndex.open(store, GENERATION)
    assert len(index.search(query(), 99, kind="scene")) == 6  # one a segment
    (best,) = index.search(mean / np.linalg.norm(mean), 1, kind="scene")
    assert (best.recording_id, best.span, best.anchor_s) == ("door", TimeSpan(30, 40), 32.0)
    assert best.score == pytest.approx(1, abs=2e-3)
    assert {hit.recording_id for hit in index.search(query(), 99, ["yard"], kind="scene")} == {"yard"}


def test_a_query_without_words_finds_nothing(store: LocalStore, backend: str) -> None:
    index = RecallIndex.open(store, GENERATION)
    assert index.search(np.zeros(EMBED_DIM, np.float32), 5) == []
    assert index.search(query(), 0) == []


def test_a_query_of_another_encoder_is_a_mismatch(store: LocalStore, backend: str) -> None:
    with pytest.raises(EncoderMismatch, match="3 wide"):
        RecallIndex.open(store, GENERATION).search(np.ones(3, np.float32), 5)


def test_a_generation_without_rows_finds_nothing(store: LocalStore, backend: str) -> None:
    assert RecallIndex.open(store, "another").search(query(), 5) == []
    blind = SegmentMemory(Segment("door", 0, TimeSpan(0, 10)), ())
    store.commit(blind, generation="blind", encoder_id=ENCODER)
    assert RecallIndex.open(store, "blind").search(query(), 5) == []


def test_ties_are_broken_by_recording_and_time_however_the_index_grew(backend: str) -> None:
    embed = query()

    def same(recording_id: str, index: int) -> SegmentMemory:
        rows = carriers_of(recording_id, index, rows=5)
        rows = tuple(Carrier(recording_id, c.spans, c.anchor_s, c.weight_s, c.tokens, embed) for c in rows)
        return SegmentMemory(segment_of(recording_id, index).segment, rows)

    hits = []
    for order in ((("a", 0), ("a", 1), ("b", 0)), (("b", 0), ("a", 1), ("a", 0))):
        store = RamStore()
        index = RecallIndex.open(store, GENERATION)
        for recording_id, at in order:
            store.add(recording_of(recording_id), recording_id)
            put(store, same(recording_id, at))
            index.refresh()
        hits.append(index.search(embed, 12))
    assert hits[0] == hits[1]
    assert places(hits[0]) == [("a", 2.0 * i) for i in range(10)] + [("b", 0.0), ("b", 2.0)]


def test_an_index_follows_its_store(store: LocalStore, backend: str) -> None:
    index = RecallIndex.open(store, GENERATION)
    assert index.refresh() is False
    put(store, segment_of("door", 3))
    store.rewrite(segment_of("door", 1, rows=1, seed=1), generation=GENERATION, encoder_id=ENCODER)
    store.drop_segment("door", GENERATION, 0)
    store.forget("yard")
    assert index.refresh() is True
    assert sorted(places(index.search(query(), 99))) == [("door", start_s) for start_s in (10, 20, 25, 30, 35)]
    assert index.search(query(), 3) == RecallIndex.open(fresh(store), GENERATION).search(query(), 3)


def fresh(store: LocalStore) -> RamStore:
    """The same content, in RAM."""
    copy = RamStore()
    for recording in store.recordings():
        copy.add(recording, "copy")
        for index in store.committed(recording.recording_id, GENERATION):
            put(copy, store.read_segment(recording.recording_id, GENERATION, index))
    return copy


@pytest.mark.usefixtures("needs_faiss")
def test_a_saved_index_is_opened_without_reading_the_segments(store: LocalStore) -> None:
    hits = RecallIndex.open(store, GENERATION).search(query(), 5)
    watched = Watched(store)
    assert RecallIndex.open(watched, GENERATION).search(query(), 5) == hits
    assert watched.read == []


@pytest.mark.usefixtures("needs_faiss")
def test_a_stale_index_takes_in_only_what_is_new(store: LocalStore) -> None:
    RecallIndex.open(store, GENERATION)
    put(store, segment_of("yard", 2))
    store.rewrite(segment_of("door", 1, seed=1), generation=GENERATION, encoder_id=ENCODER)
    watched = Watched(store)
    hits = RecallIndex.open(watched, GENERATION).search(query(), 5)
    assert watched.read == [("door", 1), ("yard", 2)]
    assert places(hits) == places(exact(store, query(), 5))
    watched.read.clear()
    RecallIndex.open(watched, GENERATION)
    assert watched.read == []  # it was saved again


def files_of(store: LocalStore) -> dict[str, Path]:
    """What was saved, frames before scenes, by kind of file."""
    folder = store.directory / "index" / path_part(GENERATION)
    frames, _ = (parts[0]["name"] for parts in json.loads(json.loads((folder / MANIFEST).read_text())["body"])["kinds"].values())
    return {MANIFEST: folder / MANIFEST, **{suffix: folder / (frames + suffix) for suffix in (HALVES, ROWS, BLOCKS)}}


@pytest.mark.usefixtures("needs_faiss")
@pytest.mark.parametrize("suffix", [MANIFEST, HALVES, ROWS, BLOCKS])
@pytest.mark.parametrize("damage", ["deleted", "truncated", "emptied", "flipped"])
def test_a_damaged_index_heals_itself(store: LocalStore, suffix: str, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    hits = RecallIndex.open(store, GENERATION).search(query(), 5)
    file = files_of(store)[suffix]
    data = file.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 0x80]) + data[middle + 1 :]
    file.unlink() if damage == "deleted" else file.write_bytes({"truncated": data[:-5], "emptied": b"", "flipped": flipped}[damage])
    with caplog.at_level(logging.INFO, "memory.recall.index"):
        index = RecallIndex.open(store, GENERATION)
    assert index.search(query(), 5) == hits
    assert [r.levelname for r in caplog.records] == ["INFO" if damage == "deleted" else "WARNING"]
    assert index.verify() == []
    watched = Watched(store)
    assert RecallIndex.open(watched, GENERATION).search(query(), 5) == hits
    assert watched.read == []


@pytest.mark.usefixtures("needs_faiss")
def test_verify_names_the_file_that_is_damaged(store: LocalStore) -> None:
    index = RecallIndex.open(store, GENERATION)
    assert index.verify() == []
    files = files_of(store)
    files[HALVES].write_bytes(files[HALVES].read_bytes()[:-1] + b"?")
    files[ROWS].unlink()
    assert index.verify() == [f"{files[HALVES]} is damaged: its checksum differs", f"{files[ROWS]} is missing"]
    files[MANIFEST].write_bytes(b"{}")
    assert [MANIFEST in line for line in index.verify()] == [True]


@pytest.mark.usefixtures("needs_faiss")
def test_files_of_the_layout_before_are_ignored_and_removed_by_a_writer(store: LocalStore) -> None:
    folder = store.directory / "index"
    folder.mkdir()
    before = [folder / (path_part(GENERATION) + suffix) for suffix in (".faiss", ".times.npy", ".json")]
    for path in before:
        path.write_bytes(b"{}")
    assert len(RecallIndex.open(store, GENERATION)) == 10
    assert not any(path.exists() for path in before)


@pytest.mark.usefixtures("needs_faiss")
def test_the_index_of_another_library_is_not_believed(store: LocalStore, tmp_path: Path) -> None:
    with LocalStore(tmp_path / "another") as another:
        another.add(recording_of("door"), "door")
        put(another, segment_of("door", 0, seed=9))
        while another.version < store.version:
            another.add(recording_of("door"), f"name {another.version}")
        RecallIndex.open(another, GENERATION)
        shutil.copytree(another.directory / "index", store.directory / "index")
    assert places(RecallIndex.open(store, GENERATION).search(query(), 99)) == places(exact(store, query(), 99))


@pytest.mark.usefixtures("needs_faiss")
def test_a_reader_brings_a_stale_index_up_to_date_in_ram_alone(store: LocalStore) -> None:
    RecallIndex.open(store, GENERATION)
    before = contents(store.directory / "index")
    put(store, segment_of("yard", 2))
    with LocalStore(store.directory, read_only=True) as reader:
        index = RecallIndex.open(reader, GENERATION)
        index.save()
    assert len(index) == 12
    assert contents(store.directory / "index") == before


@pytest.mark.usefixtures("needs_faiss")
def test_an_index_that_cannot_be_saved_still_answers(store: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    (store.directory / "index").write_text("in the way")
    assert len(RecallIndex.open(store, GENERATION).search(query(), 5)) == 5
    assert "not saved" in caplog.text


def test_nothing_is_saved_for_a_store_in_ram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(RecallIndex.open(fill(RamStore()), GENERATION)) == 10
    assert list(tmp_path.iterdir()) == []
