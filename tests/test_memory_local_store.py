"""The library on the disk: crashes, damage, other processes, old catalogues."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.register_assert_rewrite("contracts_store")

from contracts_store import ENCODER, GENERATION, carriers_of, put, recording_of, segment_of, text_of  # noqa: E402
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from footage import (  # noqa: E402
    Carrier,
    NothingRecorded,
    Segment,
    SegmentMemory,
    StoreError,
    TimeSpan,
)
from memory.durable import WriterLock  # noqa: E402
from memory.local_store import LocalStore  # noqa: E402
from memory.schema import MIGRATIONS  # noqa: E402
from memory.segment_file import MappedBytes, SegmentFile  # noqa: E402
from memory.segment_format import pack  # noqa: E402
from memory.stores import open_store  # noqa: E402

HERE = Path(__file__).parent


def library(directory: Path, segments: int = 2) -> Path:
    """A closed library with one recording."""
    with LocalStore(directory) as store:
        store.add(recording_of(), "door.mp4")
        for index in range(segments):
            put(store, segment_of(index=index, texts=(text_of(f"line {index}", index * 10.0, index * 10.0 + 1),)))
    return directory


def segment_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("segments/*/*/*.safetensors"))


def assert_whole(store: LocalStore, index: int, seed: int = 0) -> None:
    """Segment `index` reads back as it was made."""
    back = store.read_segment("door", GENERATION, index)
    for a, b in zip(back.carriers, carriers_of("door", index, seed=seed), strict=True):
        assert a.spans == b.spans
        assert np.array_equal(a.tokens, b.tokens)
        assert np.array_equal(a.embed, b.embed)


# The segment file


def test_the_same_segment_gives_the_same_bytes(tmp_path: Path) -> None:
    assert pack(segment_of(seed=3)) == pack(segment_of(seed=3))
    files = [segment_files(library(tmp_path / name)) for name in ("a", "b")]
    assert [f.name for f in files[0]] == [f.name for f in files[1]]
    assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]


@st.composite
def memories(draw: st.DrawFn) -> SegmentMemory:
    rows, width = draw(st.integers(0, 4)), draw(st.integers(1, 5))
    carriers, at_s = [], draw(st.floats(0, 1e6))
    for _ in range(rows):
        lengths = draw(st.lists(st.floats(0.01, 100), min_size=1, max_size=3))
        parts = []
        for length_s in lengths:
            parts.append(TimeSpan(at_s, at_s + length_s))
            at_s += length_s + draw(st.sampled_from([0.0, 1.5]))
        bits = draw(st.binary(min_size=2 * width * 3, max_size=2 * width * 3))  # any bits, NaN too
        tokens = np.frombuffer(bits, np.float16).reshape(3, width)[: draw(st.integers(0, 3))]
        embed = np.array(draw(st.lists(st.floats(width=32), min_size=2, max_size=2)), np.float32)
        carriers.append(Carrier("door", tuple(parts), parts[0].middle_s, sum(p.duration_s for p in parts), tokens, embed))
    jpegs = draw(st.one_of(st.just(()), st.tuples(*[st.binary(max_size=9)] * rows)))
    return SegmentMemory(Segment("door", 0, TimeSpan(0, 2e6)), tuple(carriers), jpegs)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(memory=memories())
def test_any_segment_comes_back_bit_for_bit(memory: SegmentMemory, tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    path.write_bytes(pack(memory))
    file = SegmentFile(MappedBytes(path), "door")
    assert file.thumbnails() == memory.thumbnails
    for a, b in zip(file.carriers(), memory.carriers, strict=True):
        assert (a.spans, a.anchor_s, a.weight_s) == (b.spans, b.anchor_s, b.weight_s)
        assert (a.tokens.shape, a.tokens.tobytes()) == (b.tokens.shape, b.tokens.tobytes())
        assert a.embed.tobytes() == b.embed.tobytes()


def test_a_flipped_bit_is_an_error_and_never_another_answer(tmp_path: Path) -> None:
    data = pack(segment_of(rows=3))
    path = tmp_path / "one.safetensors"
    for at in range(0, len(data), 5):
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        with pytest.raises(StoreError, match=r"one\.safetensors"):
            read_all(path)


def read_all(path: Path) -> None:
    file = SegmentFile(MappedBytes(path), "door")
    file.keys()
    file.rows()
    file.codes()
    file.thumbnails()
    file.carriers()


# Damage


@pytest.mark.parametrize("damage", ["deleted", "truncated", "emptied", "flipped"])
def test_a_damaged_segment_is_named_dropped_and_made_again(tmp_path: Path, damage: str) -> None:
    victim = segment_files(library(tmp_path))[1]
    data = victim.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
    victim.unlink() if damage == "deleted" else victim.write_bytes({"truncated": data[:-7], "emptied": b"", "flipped": flipped}[damage])
    with LocalStore(tmp_path) as store:
        (problem,) = store.verify()
        assert victim.name in problem
        with pytest.raises(StoreError, match=victim.name) as caught:
            store.view(generation=GENERATION).load(range(4))
        assert "index" in caught.value.hint
        assert_whole(store, 0)
        for facts, _ in store.damaged_segments():
            store.drop_segment("door", facts.generation, facts.segment.index)
        assert put(store, segment_of(index=1)) is True
        assert store.verify() == []
        assert_whole(store, 1)


def test_what_a_crash_left_behind_is_ignored_and_then_swept(tmp_path: Path) -> None:
    library(tmp_path)
    folder = segment_files(tmp_path)[0].parent
    torn, orphan, note = folder / "000002-ab.safetensors.tmp", folder / "000002-ab.safetensors", folder / "note.txt"
    for path in (torn, orphan, note):
        path.write_bytes(b"half")
    with LocalStore(tmp_path, read_only=True) as reader:
        assert len(reader.view(generation=GENERATION)) == 4
        assert torn.exists()
    with LocalStore(tmp_path) as store:
        assert store.verify() == []
    assert not torn.exists()
    assert not orphan.exists()
    assert note.exists()


@pytest.mark.parametrize("damage", [b"not a database" * 100, b"\xff" * 9000])
def test_a_damaged_catalogue_is_a_store_error(tmp_path: Path, damage: bytes) -> None:
    library(tmp_path)
    with (tmp_path / "catalogue.sqlite").open("r+b") as file:
        file.seek(0 if damage.startswith(b"not") else 4096)
        file.write(damage)
    with pytest.raises(StoreError, match=r"catalogue\.sqlite"), LocalStore(tmp_path, read_only=True) as store:
        list(store.dump())
    with pytest.raises(StoreError, match=r"catalogue\.sqlite"), LocalStore(tmp_path) as store:
        list(store.dump())


def test_a_disk_that_refuses_loses_only_that_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with LocalStore(tmp_path) as store:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of(index=0))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(StoreError, match="No space left"):
                put(store, segment_of(index=1))
        assert list(store.committed("door", GENERATION)) == [0]
        assert put(store, segment_of(index=1)) is True
        assert store.verify() == []


# Crashes

WRITER = """
import sys
from pathlib import Path
from contracts_store import put, recording_of, segment_of, text_of
from memory.local_store import LocalStore
store = LocalStore(Path(sys.argv[1]))
store.add(recording_of(), "door.mp4")
for index in range(100_000):
    put(store, segment_of(index=index, texts=(text_of(f"line {index}", index * 10.0, index * 10.0 + 1),)))
    print(index, flush=True)
"""


def child(script: str, *arguments: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_killing_a_writer_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    last = -1
    for more in (1, 4, 9):  # after each kill the next writer passes over what is there
        with child(WRITER, tmp_path) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                if int(line) >= last + more:
                    break
            writer.send_signal(signal.SIGKILL)
            printed = [int(rest) for rest in writer.stdout.read().split("\n")[:-1]]
        last = max([last + more, *printed])
        with LocalStore(tmp_path, read_only=True) as reader:
            committed = sorted(reader.committed("door", GENERATION))
            assert committed == list(range(len(committed)))
            assert last < len(committed) <= last + 2  # one may be committed and not yet printed
            for index in committed:
                assert_whole(reader, index)
            assert len(reader.view(generation=GENERATION)) == 2 * len(committed)
            assert reader.texts(match=f"{last}")[0].text == f"line {last}"
        last = len(committed) - 1
    with LocalStore(tmp_path) as store:
        assert store.verify() == []
        assert len(segment_files(tmp_path)) == len(committed)


DIES = """
import os, signal, sys
from pathlib import Path
from contracts_store import ENCODER, GENERATION, put, segment_of
from memory.catalogue import Catalogue
from memory.local_store import LocalStore
from memory.segment_folder import SegmentFolder

def deadly(owner, name, countdown):
    step = getattr(owner, name)
    def counted(*arguments, **named):
        countdown[0] -= 1
        if countdown[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*arguments, **named)
    setattr(owner, name, counted)

def die(directory, verb, step):
    store, countdown = LocalStore(directory), [step]
    for owner, name in ((os, "fsync"), (Path, "replace"), (Catalogue, "keep"), (Catalogue, "replace"), (SegmentFolder, "remove")):
        deadly(owner, name, countdown)
    if verb == "commit":
        put(store, segment_of(index=1))
    elif verb == "replace":
        store.replace("door", [segment_of(index=0, seed=1)], gone=(0,), generation=GENERATION, encoder_id=ENCODER)
    else:
        store.rewrite(segment_of(index=0, seed=1), generation=GENERATION, encoder_id=ENCODER)

for case in sys.argv[2:]:
    if os.fork() == 0:
        verb, step = case.split()
        die(Path(sys.argv[1], case), verb, int(step))
    _, status = os.wait()
    print(status, flush=True)
"""
CRASHES = {"commit 1": 0, "commit 2": 0, "commit 3": 0, "commit 4": 0, "rewrite 3": 0, "rewrite 4": 0, "rewrite 5": 1}
"""The step before which it dies: 1 data to the disk, 2 rename, 3 folder to the disk, 4 catalogue, 5 old file removed;
and the seed of the segment that is there afterwards: 0 the old one, 1 the new one."""
CRASHES |= {"replace 4": 0, "replace 5": 1}


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library for every crash."""
    directory = tmp_path_factory.mktemp("crashed")
    for case in CRASHES:
        library(directory / case, segments=1)
    with child(DIES, directory, *CRASHES) as writers:
        assert writers.stdout is not None
        assert [int(status) for status in writers.stdout] == [signal.SIGKILL] * len(CRASHES)
    return directory


@pytest.mark.parametrize(("case", "seed"), CRASHES.items())
def test_a_crash_between_any_two_steps_leaves_the_old_or_the_new(crashed: Path, case: str, seed: int) -> None:
    with LocalStore(crashed / case, read_only=True) as reader:
        assert sorted(reader.committed("door", GENERATION)) == [0]
        assert_whole(reader, 0, seed=seed)
    with LocalStore(crashed / case) as store:
        assert store.verify() == []
        assert len(segment_files(crashed / case)) == 1
        assert not list((crashed / case).glob("segments/**/*.tmp"))


# Other processes and threads


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    with LocalStore(tmp_path), pytest.raises(StoreError, match=f"process {os.getpid()}") as caught:
        LocalStore(tmp_path)
    assert "--library" in caught.value.hint
    LocalStore(tmp_path).close()


def test_a_writer_that_is_in_another_process_is_named_until_it_dies(tmp_path: Path) -> None:
    with child(WRITER, tmp_path) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(StoreError, match=f"process {writer.pid}"):
            LocalStore(tmp_path)
        LocalStore(tmp_path, read_only=True).close()
        writer.kill()
    LocalStore(tmp_path).close()


def test_a_reader_follows_a_writer_and_never_sees_half_a_change(tmp_path: Path) -> None:
    library(tmp_path)
    failures: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            with LocalStore(tmp_path, read_only=True) as reader:
                while not done.is_set():
                    view = reader.view(generation=GENERATION)
                    assert [c.tokens.shape for c in view.load(range(2))] == [(1, 4), (2, 4)]
                    assert np.array_equal(view.load([1])[0].embed, view.embeds[1])
        except BaseException as error:
            failures.append(error)

    with LocalStore(tmp_path) as store:
        thread = threading.Thread(target=read)
        thread.start()
        for seed in range(1, 25):
            store.rewrite(segment_of(seed=seed), generation=GENERATION, encoder_id=ENCODER)
        done.set()
        thread.join()
    assert failures == []


def test_threads_may_share_a_store(tmp_path: Path) -> None:
    with LocalStore(tmp_path) as store:
        store.add(recording_of(duration_s=120), "door.mp4")
        failures: list[BaseException] = []

        def work(first: int) -> None:
            try:
                for index in range(first, 12, 3):
                    put(store, segment_of(index=index))
                    store.view(generation=GENERATION).load([0])
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(first,)) for first in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert sorted(store.committed("door", GENERATION)) == list(range(12))


def test_a_view_outlives_its_store_and_its_files(tmp_path: Path) -> None:
    library(tmp_path)
    with LocalStore(tmp_path, read_only=True) as reader:
        view = reader.view(generation=GENERATION)
    with LocalStore(tmp_path) as store:
        store.forget("door")
    assert segment_files(tmp_path) == []
    assert [c.span.start_s for c in view.load(range(4))] == [0, 5, 10, 15]


def test_the_same_view_is_given_again_while_nothing_changes(tmp_path: Path) -> None:
    with LocalStore(library(tmp_path)) as store:
        view = store.view(generation=GENERATION)
        assert store.view(generation=GENERATION) is view
        put(store, segment_of(index=2))
        assert len(store.view(generation=GENERATION)) == 6


# Places


def test_reading_a_library_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    for directory in (tmp_path / "missing", tmp_path):
        with pytest.raises(NothingRecorded) as caught:
            LocalStore(directory, read_only=True)
        assert "footage index" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    with LocalStore(library(tmp_path), read_only=True) as reader:
        writes: list[Any] = [
            lambda: reader.add(recording_of("yard"), "yard"),
            lambda: put(reader, segment_of(index=5)),
            lambda: reader.rewrite(segment_of(), generation=GENERATION, encoder_id=ENCODER),
            lambda: reader.drop_segment("door", GENERATION, 0),
            lambda: reader.forget("door"),
        ]
        for write in writes:
            with pytest.raises(StoreError, match="reading only"):
                write()


def test_a_place_that_cannot_be_a_library_says_why(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    with pytest.raises(StoreError, match="is a file"):
        LocalStore(file)
    with pytest.raises(StoreError, match="cannot be written") as caught:
        LocalStore(file / "library")
    assert "--library" in caught.value.hint


def test_no_name_leads_out_of_the_library(tmp_path: Path) -> None:
    names = ["..", "../../up", "/root", "a/b", ".hidden", "ünï cödé", "%2E%2E", "a:b?*"]
    with LocalStore(tmp_path / "library") as store:
        for name in names:
            store.add(recording_of(name), name)
            assert store.commit(segment_of(name), generation=name, encoder_id=ENCODER)
        assert store.verify() == []
        assert all(len(store.view([name], generation=name)) == 2 for name in names)
    assert [path.name for path in tmp_path.iterdir()] == ["library"]
    assert len(segment_files(tmp_path / "library")) == len(names)


def test_forgetting_a_recording_removes_its_folders(tmp_path: Path) -> None:
    with LocalStore(library(tmp_path)) as store:
        store.forget("door")
    assert list(tmp_path.glob("segments/*")) == []


# Old and new catalogues


def old_library(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    connection = sqlite3.connect(directory / "catalogue.sqlite")
    connection.executescript((HERE / "catalogue_v1.sql").read_text())
    connection.close()
    return directory


def schema_version(directory: Path) -> int:
    connection = sqlite3.connect(directory / "catalogue.sqlite")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(version)


def test_a_catalogue_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    with LocalStore(old_library(tmp_path)) as store:
        assert store.names("door") == ("door.mp4",)
        assert store.committed("door", "g@1") == {0: TimeSpan(0, 10)}
        assert [row.text for row in store.texts(match="emergency")] == ["EMERGENCYEXIT"]  # parts came with version 2
        assert [row.text for row in store.texts(match="cafe")] == ["Café"]
        store.forget("door")
        assert store.texts(match="emergency") == []
    assert schema_version(tmp_path) == len(MIGRATIONS)


def test_an_old_library_is_brought_up_to_date_where_it_is_only_read(tmp_path: Path) -> None:
    with open_store(old_library(tmp_path), read_only=True) as store:
        assert store.names("door") == ("door.mp4",)
        assert store.read_only
    assert schema_version(tmp_path) == len(MIGRATIONS)


def test_an_old_library_that_another_process_writes_is_refused(tmp_path: Path) -> None:
    lock = WriterLock(old_library(tmp_path) / "writer.lock")
    with pytest.raises(StoreError, match="schema version 1, this program knows"):
        open_store(tmp_path, read_only=True)
    lock.release()
    open_store(tmp_path, read_only=True).close()


def test_a_migrated_catalogue_has_the_schema_of_a_new_one(tmp_path: Path) -> None:
    schemas = []
    for directory in (old_library(tmp_path / "old"), tmp_path / "new"):
        LocalStore(directory).close()
        connection = sqlite3.connect(directory / "catalogue.sqlite")
        schemas.append(sorted(row[0] for row in connection.execute("SELECT sql FROM sqlite_schema") if row[0]))
        connection.close()
    assert schemas[0] == schemas[1]


def test_an_old_catalogue_is_not_changed_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="version 1") as caught:
        LocalStore(old_library(tmp_path), read_only=True)
    assert "footage library compact" in caught.value.hint
    assert schema_version(tmp_path) == 1


def test_a_catalogue_from_the_future_is_refused(tmp_path: Path) -> None:
    library(tmp_path)
    connection = sqlite3.connect(tmp_path / "catalogue.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for read_only in (True, False):
        with pytest.raises(StoreError, match="version 99") as caught:
            LocalStore(tmp_path, read_only=read_only)
        assert "newer" in caught.value.hint
    LocalStore(tmp_path / "another").close()


def test_a_failed_migration_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library(tmp_path)
    broken = (*MIGRATIONS, "CREATE TABLE later (x); SELECT * FROM nowhere;")
    with monkeypatch.context() as patch:
        patch.setattr("memory.database.MIGRATIONS", broken)
        with pytest.raises(StoreError):
            LocalStore(tmp_path)
    with LocalStore(tmp_path) as store:
        assert_whole(store, 1)
    assert schema_version(tmp_path) == len(MIGRATIONS)
