"""The recall index of a large library: sealed parts, by the same code with small numbers."""

import json
import logging
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from footage import TimeSpan
from footage.arrays import AnyArray
from memory.recall import nearest
from memory.recall.growth import Tuning
from memory.recall.index import Hit, RecallIndex
from memory.recall.one_bit import rotation
from memory.recall.part_files import BLOCKS, HALVES, LISTS, MANIFEST, ROWS
from memory.recall.runs import centroids, explained, runs, strays_apart
from memory.view import SegmentKeys

pytest.importorskip("faiss")
WIDTH, SEGMENT_ROWS, SEGMENTS, GENERATION = 96, 50, 25, "made-up@1"
RECORDINGS = ("door", "gate", "hall", "yard")
ROWS_IN_ALL = len(RECORDINGS) * SEGMENTS * SEGMENT_ROWS
SMALL = Tuning(exact_rows=1000, tail_rows=300, shard_rows=1500, list_rows=32, probes=24)
Place: TypeAlias = tuple[str, float]  # recording and start of a row


class Keys:
    """A store of keys alone: a scene a segment, each row near its middle."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        self.index_directory, self.read_only, self.version = directory, read_only, 0
        self.kept: dict[tuple[str, int], int] = {}
        """Segment to the seed of its rows."""
        self.read = 0

    def put(self, recording_id: str, indices: Sequence[int], seed: int = 0) -> "Keys":
        self.kept |= {(recording_id, index): seed for index in indices}
        self.version += 1
        return self

    def drop(self, recording_id: str, indices: Sequence[int]) -> None:
        for index in indices:
            del self.kept[recording_id, index]
        self.version += 1

    def content(self, generation: str) -> str:
        return repr(sorted(self.fingerprints(generation).items()))

    def fingerprints(self, generation: str) -> dict[tuple[str, int], str]:
        return {(recording_id, index): f"{recording_id}-{index}-{seed}" for (recording_id, index), seed in self.kept.items()}

    def keys(self, recording_id: str, generation: str, index: int) -> SegmentKeys | None:
        self.read += 1
        seed = self.kept[recording_id, index]
        starts_s = index * SEGMENT_ROWS + np.arange(SEGMENT_ROWS, dtype=float)
        times = starts_s, starts_s + 1, starts_s + 0.5, np.ones(SEGMENT_ROWS)
        return SegmentKeys(f"{recording_id}-{index}-{seed}", *times, rows_of(recording_id, index, seed).copy())


@cache
def rows_of(recording_id: str, index: int, seed: int = 0) -> AnyArray:
    rng = np.random.default_rng([*recording_id.encode(), index, seed])
    rows = rng.normal(size=WIDTH) + 0.5 * rng.normal(size=(SEGMENT_ROWS, WIDTH))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def large(directory: Path) -> Keys:
    """5,000 rows of four recordings: three full shards and a rest."""
    store = Keys(directory)
    for recording_id in RECORDINGS:
        store.put(recording_id, range(SEGMENTS))
    return store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The saved index of `large`."""
    directory = tmp_path_factory.mktemp("made")
    opened(large(directory))
    return directory


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Keys:
    """`large` with its index."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return large(tmp_path)


def questions(store: Keys, count: int = 20) -> list[AnyArray]:
    """Near a scene that is kept, each near another."""
    rng = np.random.default_rng(3)
    chosen = [list(store.kept)[i] for i in rng.permutation(len(store.kept))[:count]]
    near = [rows_of(*segment)[0] + 0.05 * rng.normal(size=WIDTH) for segment in chosen]
    return [(each / np.linalg.norm(each)).astype(np.float32) for each in near]


def scores_of(store: Keys, embed: AnyArray) -> tuple[list[tuple[str, float]], AnyArray]:
    """Recording and start of all rows that are kept, and their scores, by brute force."""
    rows = np.concatenate([rows_of(*segment, seed) for segment, seed in store.kept.items()]).astype(np.float16)
    where = [(recording_id, float(index * SEGMENT_ROWS + i)) for recording_id, index in store.kept for i in range(SEGMENT_ROWS)]
    return where, rows.astype(np.float32) @ embed


def exact(store: Keys, embed: AnyArray, k: int, recording_ids: Sequence[str] | None = None, span: TimeSpan | None = None) -> list[Place]:
    """The k best of those that the filters let through."""
    where, scores = scores_of(store, embed)
    order = [where[i] for i in np.argsort(-scores, kind="stable").tolist()]
    inside = (
        (recording_id, start_s)
        for recording_id, start_s in order
        if (recording_ids is None or recording_id in recording_ids)
        and (span is None or (span.start_s < start_s + 1 and start_s < span.end_s))
    )
    return list(islice(inside, k))


def check_scores(store: Keys, embed: AnyArray, hits: Sequence[Hit]) -> None:
    where, scores = scores_of(store, embed)
    true = dict(zip(where, scores.tolist(), strict=True))
    assert [hit.score for hit in hits] == pytest.approx([true[place_of(hit)] for hit in hits], abs=2e-6)


def place_of(hit: Hit) -> Place:
    return hit.recording_id, hit.span.start_s


def places(hits: Sequence[Hit]) -> set[Place]:
    return {place_of(hit) for hit in hits}


def shared(found: Sequence[Hit], expected: Sequence[Place]) -> float:
    return len(places(found) & set(expected)) / len(expected)


def sealed(index: RecallIndex) -> list[Any]:
    return [part for part in index._shelves["frame"].parts if part.lists is not None]


def opened(store: Keys) -> RecallIndex:
    return RecallIndex.open(store, GENERATION, tuning=SMALL)


def test_a_large_library_is_sealed_and_found_again(tmp_path: Path) -> None:
    index = opened(store := large(tmp_path))
    assert len(index) == ROWS_IN_ALL
    assert sum(len(part) for part in sealed(index)) >= ROWS_IN_ALL - SMALL.tail_rows
    again = opened(store)
    assert store.read == len(store.kept)  # by the first alone
    recalls = []
    for embed in questions(store):
        found = index.search(embed, 10)
        recalls.append(shared(found, exact(store, embed, 10)))
        assert again.search(embed, 10) == found
        check_scores(store, embed, found)  # a score is exact, whatever was missed
    assert np.mean(recalls) >= 0.98


def test_looking_into_every_list_finds_what_an_exact_search_finds(store: Keys) -> None:
    index = RecallIndex.open(store, GENERATION, tuning=replace(SMALL, probes=1000))
    far = np.random.default_rng(9).normal(size=WIDTH).astype(np.float32)
    for embed in (*questions(store, 5), far / np.linalg.norm(far)):
        assert shared(index.search(embed, 10), exact(store, embed, 10)) >= 0.9  # one bit a number still chooses the rows


@pytest.mark.parametrize("few_rows", [0, nearest.FEW_ROWS])
@pytest.mark.parametrize(
    ("recording_ids", "span"),
    [
        (["gate"], None),
        (["gate", "yard", "nowhere"], None),
        (None, TimeSpan(120, 240)),
        (["hall"], TimeSpan(120.5, 999.5)),
        (["nowhere"], None),
    ],
)
def test_recall_holds_under_filters(
    store: Keys, recording_ids: list[str] | None, span: TimeSpan | None, few_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "FEW_ROWS", few_rows)  # with 0 the lists are asked however few rows may be found
    index = opened(store)
    recalls = []
    for embed in questions(store):
        found, expected = index.search(embed, 10, recording_ids, span=span), exact(store, embed, 10, recording_ids, span)
        assert len(found) == len(expected)
        assert all((recording_ids is None or h.recording_id in recording_ids) and (span is None or h.span.overlap_s(span)) for h in found)
        recalls.append(shared(found, expected) if expected else 1.0)
    assert np.mean(recalls) >= 0.98


def test_what_left_the_store_is_never_found(store: Keys) -> None:
    index = opened(store)
    before = len(sealed(index))
    store.drop("door", range(10))
    store.put("gate", range(5), seed=1)  # rewritten
    assert index.refresh() is True
    index.save()
    assert len(index) == ROWS_IN_ALL - 500
    for same in (index, opened(store)):
        for embed in (*questions(store, 10), rows_of("gate", 2, 1)[7]):
            assert shared(same.search(embed, 10), exact(store, embed, 10)) >= 0.9
        gone = rows_of("door", 3)[0]
        assert not places(same.search(gone, 500, ["door"])) & {("door", float(t)) for t in range(500)}
    index.compact()
    assert all(part.stale is None for part in sealed(index))
    assert len(sealed(index)) <= before
    assert len(opened(store)) == ROWS_IN_ALL - 500
    assert index.verify() == []


def test_a_part_that_lost_a_third_of_its_rows_is_made_again(store: Keys) -> None:
    index = opened(store)
    store.drop("door", range(SEGMENTS))
    store.drop("gate", range(9))
    index.refresh()
    assert all(3 * part.live >= 2 * len(part) for part in sealed(index))
    assert len(index) == ROWS_IN_ALL - (SEGMENTS + 9) * SEGMENT_ROWS


def test_a_library_that_grew_by_and_by_has_few_parts_and_finds_the_same(tmp_path: Path) -> None:
    store = Keys(tmp_path / "grown")
    index = opened(store)
    for first in range(0, SEGMENTS, 2):
        for recording_id in RECORDINGS:
            store.put(recording_id, range(first, min(first + 2, SEGMENTS)))
        index.refresh()
        index.save()
    assert len(index._shelves["frame"].parts) <= 10
    at_once = opened(large(tmp_path / "at once"))
    for embed in questions(store):
        assert shared(index.search(embed, 10), [place_of(hit) for hit in at_once.search(embed, 10)]) >= 0.9
    named = {part.name for shelf in index._shelves.values() for part in shelf.parts}
    folder = tmp_path / "grown" / GENERATION
    assert {path.name.split(".")[0] for path in folder.iterdir()} == named | {"manifest"}  # what was joined is swept


def damaged_at(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at if at >= 0 else path.stat().st_size + at)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0x40]))


def files_of(store: Keys) -> tuple[Path, dict[str, Any]]:
    folder = store.index_directory / GENERATION
    part = json.loads(json.loads((folder / MANIFEST).read_text())["body"])["kinds"]["frame"][0]
    return folder / part["name"], part


@pytest.mark.parametrize(("suffix", "at"), [(BLOCKS, 40), (LISTS, 40), (LISTS, 5_000), (LISTS, 15_000)])
def test_damage_that_opening_finds_heals_at_once(store: Keys, suffix: str, at: int, caplog: pytest.LogCaptureFixture) -> None:
    name, _ = files_of(store)
    damaged_at(name.with_name(name.name + suffix), at)
    with caplog.at_level(logging.INFO, "memory.recall.index"):
        index = opened(store)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert (len(index), index.verify()) == (ROWS_IN_ALL, [])


@pytest.mark.parametrize("at", [-1, -9, -1000])
def test_damaged_codes_never_crash_and_never_give_a_wrong_score(store: Keys, at: int) -> None:
    name, part = files_of(store)
    lists = name.with_name(name.name + LISTS)
    for i in range(200):
        damaged_at(lists, at - 37 * i)
    assert part["structure_bytes"] + 9_000 < lists.stat().st_size
    index = opened(store)
    for embed in questions(store, 8):
        check_scores(store, embed, index.search(embed, 10))
    assert index.verify() == [f"{lists} is damaged: its checksum differs"]


@pytest.mark.parametrize("suffix", [HALVES, ROWS])
def test_a_damaged_row_is_never_a_hit_and_is_made_again(store: Keys, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    name, _ = files_of(store)
    path = name.with_name(name.name + suffix)
    for row in range(100):
        damaged_at(path, 1 + row * (2 * WIDTH if suffix == HALVES else 28) + 6)
    index = opened(store)
    with caplog.at_level(logging.WARNING, "memory.recall.index"):
        for segment in range(2):
            found = index.search(rows_of("door", segment)[1], 10)
            assert all(hit.recording_id != "door" or hit.span.start_s >= 100 for hit in found)
    assert "is damaged" in caplog.text
    assert index.refresh() is True  # though the store did not change
    assert places(index.search(rows_of("door", 1)[1], 1)) == {("door", 51.0)}
    index.save()
    assert index.verify() == []


def test_a_reader_changes_no_file_and_is_up_to_date(store: Keys) -> None:
    before = {path.name: path.read_bytes() for path in (store.index_directory / GENERATION).iterdir()}
    store.put("cellar", range(20))
    store.drop("yard", range(10))
    store.read_only = True
    index = opened(store)
    index.save()
    index.compact()
    assert len(index) == ROWS_IN_ALL + 500
    assert places(index.search(rows_of("cellar", 4)[9], 1)) == {("cellar", 209.0)}
    assert {path.name: path.read_bytes() for path in (store.index_directory / GENERATION).iterdir()} == before


def test_what_a_crash_left_is_not_opened_and_is_swept(store: Keys) -> None:
    folder = store.index_directory / GENERATION
    kept = sorted(path.name for path in folder.iterdir())
    (folder / "ab.halves.npy.tmp").write_bytes(b"half a file")
    (folder / f"0123456789abcdef{LISTS}").write_bytes(b"a part that no manifest names")
    index = opened(store)
    assert store.read == 0
    index.save()
    assert sorted(path.name for path in folder.iterdir()) == kept


def test_a_first_build_that_was_cut_off_goes_on_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memory.recall.index.BLOCK_ROWS", 500)

    class Dying(Keys):
        def keys(self, recording_id: str, generation: str, index: int) -> SegmentKeys | None:
            if self.read == 70:
                raise KeyboardInterrupt
            return super().keys(recording_id, generation, index)

    (store := Dying(tmp_path)).kept = large(tmp_path).kept
    with pytest.raises(KeyboardInterrupt):
        RecallIndex.open(store, GENERATION, tuning=SMALL)
    index = opened(again := large(tmp_path))
    assert len(index) == ROWS_IN_ALL
    assert again.read <= 100 - 30


def test_searches_of_several_threads_go_on_while_the_index_grows(store: Keys) -> None:
    index = opened(store)
    embeds = questions(store, 8)
    expected = [index.search(embed, 1) for embed in embeds]
    wrong: list[object] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                wrong.extend(hits for embed, right in zip(embeds, expected, strict=True) if (hits := index.search(embed, 1)) != right)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for first in range(0, 40, 8):
        store.put("cellar", range(first, first + 8))
        index.refresh()
        index.save()
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(index) == ROWS_IN_ALL + 40 * SEGMENT_ROWS


def test_rows_that_are_all_the_same_or_nothing_are_sealed_too(tmp_path: Path) -> None:
    class Same(Keys):
        def keys(self, recording_id: str, generation: str, index: int) -> SegmentKeys | None:
            keys = super().keys(recording_id, generation, index)
            assert keys is not None
            keys.embeds[:] = 0.0 if recording_id == "door" else np.eye(WIDTH)[0]
            return keys

    store = Same(tmp_path)
    store.kept = large(tmp_path).kept
    index = opened(store)
    found = index.search(np.eye(WIDTH, dtype=np.float32)[0], 10)
    assert [(hit.recording_id, hit.score) for hit in found if hit.recording_id != "door"] == [(h.recording_id, 1.0) for h in found]


def test_rows_that_follow_each_other_and_are_alike_are_one_run() -> None:
    scenes = np.concatenate([rows_of("door", index)[: 10 + 7 * index] for index in range(6)])  # 10, 17, 24, 31, 38, 45 rows
    numbers = runs(scenes, 30)
    assert (np.flatnonzero(np.diff(numbers)) + 1).tolist() == [10, 27, 51, 82, 120]
    assert centroids(scenes, numbers)[0] == pytest.approx(scenes[:10].mean(axis=0), abs=1e-6)
    assert np.bincount(runs(np.ones((1000, 8), np.float32), 25)).tolist() == [100] * 10  # nothing changes: cut evenly
    assert explained(centroids(scenes, numbers), numbers) > 0.5


def test_what_is_seen_for_three_rows_is_a_group_of_its_own() -> None:
    rng = np.random.default_rng(3)
    scenes = np.repeat(rng.normal(size=(40, WIDTH)), 50, axis=0) + 0.5 * rng.normal(size=(2000, WIDTH))
    scenes[1020:1023] = rng.normal(size=WIDTH)
    rows = (scenes / np.linalg.norm(scenes, axis=1, keepdims=True)).astype(np.float32)
    numbers = np.repeat(np.arange(40), 50)
    means, apart = strays_apart(rows, centroids(rows, numbers), numbers)
    assert len(set(apart[1020:1023].tolist())) == 1
    assert float(means[apart[1021]] @ rows[1021]) == pytest.approx(1, abs=1e-5)
    assert sorted(set(apart.tolist())) == list(range(len(means)))
    for group in (0, int(apart[1000])):
        np.testing.assert_allclose(means[group], rows[apart == group].mean(axis=0), atol=1e-5)


def test_rows_in_no_order_are_grouped_by_what_they_are(tmp_path: Path) -> None:
    class Shuffled(Keys):
        def keys(self, recording_id: str, generation: str, index: int) -> SegmentKeys | None:
            """The same rows, one of each scene in each segment."""
            keys = super().keys(recording_id, generation, index)
            assert keys is not None
            keys.embeds[:] = [rows_of(recording_id, at % SEGMENTS)[index + 25 * (at // SEGMENTS)] for at in range(SEGMENT_ROWS)]
            return keys

    (store := Shuffled(tmp_path)).kept = large(tmp_path).kept
    index = opened(store)
    for embed in questions(store):
        best = np.sort(np.concatenate([rows_of(*segment) for segment in store.kept]) @ embed)[-10:]
        assert [hit.score for hit in index.search(embed, 10)] == pytest.approx(best[::-1].tolist(), abs=2e-3)


@pytest.mark.parametrize("width", [1, 8, 96, 768])
def test_the_rotation_keeps_lengths_and_angles(width: int) -> None:
    np.testing.assert_allclose(rotation(width) @ rotation(width).T, np.eye(width), atol=1e-5)
    assert np.abs(rotation(width)).max() <= 1 if width < 96 else np.abs(rotation(width)).max() < 0.5  # every number is spread over all
