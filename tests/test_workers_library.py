"""`footage library`: damage is found and named, what can be mended is, and copies hold the same."""

import contextlib
import io
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.register_assert_rewrite("contracts_store")

from acknowledged import RECORDINGS, Op, Part, memory_of, perform  # noqa: E402
from contracts_store import ENCODER, GENERATION, put, recording_of, segment_of  # noqa: E402
from redis_server import running  # noqa: E402

from footage import NothingRecorded, StoreError  # noqa: E402
from footage.errors import FootageError  # noqa: E402
from memory.durable import path_part  # noqa: E402
from memory.local_store import LocalStore  # noqa: E402
from memory.recall.index import RecallIndex  # noqa: E402
from memory.recall.vectors import has_faiss  # noqa: E402
from memory.stores import open_store  # noqa: E402
from workers.cli import app  # noqa: E402
from workers.library.compacting import compact, prune  # noqa: E402
from workers.library.copying import compare, copy  # noqa: E402
from workers.library.damage import Damage, examine  # noqa: E402
from workers.library.facts import facts_of  # noqa: E402
from workers.library.repair import mend, mended_catalogue, to_index_again  # noqa: E402

SEGMENTS = 6  # of each recording
PAGE_BYTES = 4096


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of three recordings with names, places, texts and gaps, and its index."""
    directory = tmp_path_factory.mktemp("sound") / "library"
    with LocalStore(directory) as store:
        for recording in RECORDINGS:
            perform(store, Op("add", recording))
            for index in range(SEGMENTS):
                perform(store, Op("commit", recording, (Part(index, 2, 7 * index + 3),)))
        store.keep_note("encoders", {ENCODER: "made-up"})
        RecallIndex.open(store, GENERATION)
    return directory


@pytest.fixture
def library(sound: Path, tmp_path: Path) -> Path:
    """A copy of it, to be broken."""
    return Path(shutil.copytree(sound, tmp_path / "library"))


def content(directory: Path | str) -> str:
    with open_store(directory, read_only=True) as store:
        return json.dumps(list(store.dump()))


def damages(directory: Path) -> list[Damage]:
    """None is the only good answer; a library that cannot even be opened is one damage."""
    try:
        with LocalStore(directory, read_only=True) as store:
            return list(examine(store))
    except StoreError as error:
        return [Damage("catalogue", str(error))]


def mended(directory: Path) -> list[tuple[Damage, str]]:
    mended_catalogue(directory)
    with LocalStore(directory) as store:
        return list(mend(store))


def flip(path: Path, rng: random.Random) -> int:
    """One bit of it, anywhere; returns where."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    data[at] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return at


def footage(*args: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """As `workers.cli.main` runs it, without the second that a process takes to start."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        try:
            ended = app([str(arg) for arg in args], standalone_mode=False) or 0
        except FootageError as error:
            ended, hint = error.exit_code, error.hint
            print(error, hint, file=err)
    assert ended == code, err.getvalue()
    return subprocess.CompletedProcess(args, ended, out.getvalue(), err.getvalue())


# Payloads


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_of_a_payload_is_named_refused_and_mended(library: Path, seed: int) -> None:
    rng = random.Random(seed)
    victim = rng.choice(sorted(library.glob("segments/*/*/*")))
    recording, index = victim.parent.parent.name, int(victim.name[:6])
    flip(victim, rng)
    [damage] = damages(library)
    assert (damage.name, damage.segment, damage.why) == (f"{recording}.mp4", index, "damaged")
    assert f"{recording}.mp4, segment {index}, " in str(damage)
    with LocalStore(library) as store:
        [(_, done)] = list(mend(store))
        assert "until it is indexed again" in done
        assert list(examine(store)) == []
        view = store.view(generation=GENERATION)
        assert len(view) == 2 * (len(RECORDINGS) * SEGMENTS - 1)
        assert "not decoded: what was remembered of it was damaged" in {gap.reason for gap in view.gaps[recording]}
        assert len(store.texts()) == len(RECORDINGS) * SEGMENTS  # what the catalogue still knew
        [again] = to_index_again(store)
        assert (again.name, again.location, again.is_there, again.encoder) == (f"{recording}.mp4", f"/{recording}.mp4", False, "made-up")
        store.drop_segment(recording, GENERATION, index)  # as the next index run does
        put(store, memory_of(recording, (Part(index, 2, 7 * index + 3),)))


def test_a_bit_flipped_in_what_is_read_is_never_another_answer(library: Path) -> None:
    before = content(library)
    rng = random.Random(5)
    files = sorted(library.glob("segments/*/*/*"))
    for _ in range(60):
        victim = rng.choice(files)
        sound_bytes = victim.read_bytes()
        flip(victim, rng)
        with contextlib.suppress(StoreError):  # which names the file
            assert content(library) == before  # only where the bit was in what nobody reads
        victim.write_bytes(sound_bytes)


def test_a_payload_that_is_gone_is_missing(library: Path) -> None:
    sorted(library.glob("segments/yard/*/*"))[2].unlink()
    [damage] = damages(library)
    assert (damage.name, damage.segment, damage.why) == ("yard.mp4", 2, "missing")


# The catalogue


def test_bits_flipped_anywhere_in_the_catalogue_are_found_and_mended(sound: Path, tmp_path: Path) -> None:
    """Unless nothing is changed by them; what is told of a recording itself is there once, and may come back as less."""
    rng, before, found = random.Random(3), content(sound), 0
    for number in range(40):
        library = Path(shutil.copytree(sound, tmp_path / str(number)))
        at = flip(library / "catalogue.sqlite", rng)
        if not damages(library):
            assert segments(content(library)) == segments(before), at
            continue
        found += 1
        mended(library)
        assert damages(library) == [], at
        assert segments(content(library)) == segments(before), at
    assert found > 2


def segments(text: str) -> list[Any]:
    return [row for row in json.loads(text) if "segment" in row]


def test_whichever_page_of_the_catalogue_is_lost_no_segment_is(sound: Path, tmp_path: Path) -> None:
    before, pages = content(sound), (sound / "catalogue.sqlite").stat().st_size // PAGE_BYTES
    wholly = 0
    for page in range(0, pages, 3):
        library = Path(shutil.copytree(sound, tmp_path / str(page)))
        with (library / "catalogue.sqlite").open("r+b") as file:
            file.seek(page * PAGE_BYTES)
            file.write(bytes(PAGE_BYTES))
        mended(library)
        assert damages(library) == []
        assert segments(content(library)) == segments(before)
        wholly += content(library) == before
    assert wholly > pages // 6


@pytest.mark.parametrize("field", ["start_s", "end_s", "frames_seen", "level"])
def test_a_row_that_says_otherwise_than_its_file_is_found_and_set_right(library: Path, field: str) -> None:
    before = content(library)
    connection = sqlite3.connect(library / "catalogue.sqlite")
    connection.execute(f"UPDATE segments SET {field} = {field} + 1 WHERE recording_id = 'door' AND idx = 3")
    connection.execute("UPDATE texts SET end_s = end_s + 0.5 WHERE recording_id = 'yard' AND start_s = 20.0")
    connection.commit()
    connection.close()
    assert [(damage.name, damage.segment, damage.why) for damage in damages(library)] == [
        ("door.mp4", 3, "not what the catalogue says"), ("yard.mp4", 2, "not what the catalogue says"),
    ]  # fmt: skip
    assert [done for _, done in mended(library)] == ["the catalogue says again what the file says"] * 2
    assert content(library) == before


def test_a_lost_catalogue_is_refused_by_writers_and_made_again_from_the_segments(library: Path) -> None:
    before = content(library)
    for path in library.glob("catalogue.sqlite*"):
        path.unlink()
    with pytest.raises(StoreError, match="it is gone") as caught:
        LocalStore(library)
    assert "footage library repair" in caught.value.hint
    assert len(list(library.glob("segments/*/*/*"))) == len(RECORDINGS) * SEGMENTS
    mended(library)
    assert segments(content(library)) == segments(before)
    with LocalStore(library, read_only=True) as store:
        assert store.encoder_id(GENERATION) == ENCODER
        assert store.names("door") == ("door",)


def test_the_damaged_catalogue_is_kept_and_one_of_a_newer_version_is_left_alone(library: Path) -> None:
    with (library / "catalogue.sqlite").open("r+b") as file:
        file.write(b"not a database")
    assert mended_catalogue(library) == library / "catalogue.sqlite.damaged-1"
    assert mended_catalogue(library) is None
    connection = sqlite3.connect(library / "catalogue.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="version 99"):
        mended_catalogue(library)
    with pytest.raises(NothingRecorded):
        mended_catalogue(library / "missing")


def test_what_was_replaced_does_not_come_back_with_a_new_catalogue(library: Path) -> None:
    """A crash may leave the file of an older state of a segment."""
    old = sorted(library.glob("segments/door/*/000001-*"))[0]
    data = old.read_bytes()
    with LocalStore(library) as store:
        wide = memory_of("door", (Part(0, 2, 11), Part(1, 2, 12)))
        store.replace("door", [wide], gone=[0, 1], generation=GENERATION, encoder_id=ENCODER)
    before = content(library)
    old.write_bytes(data)
    with (library / "catalogue.sqlite").open("r+b") as file:
        file.write(b"not a database")
    mended(library)
    assert content(library) == before


# Indexes


@pytest.mark.skipif(not has_faiss(), reason="nothing is saved without FAISS")
@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_of_an_index_is_found_and_the_index_made_again(library: Path, seed: int) -> None:
    rng = random.Random(seed)
    asked = np.random.default_rng(seed).standard_normal(16).astype(np.float32)
    with LocalStore(library, read_only=True) as store:
        before = RecallIndex.open(store, GENERATION).search(asked, 8)
    folder = library / "index" / path_part(GENERATION)
    victim = rng.choice(sorted(path for path in folder.iterdir() if path.stat().st_size))
    flip(victim, rng)
    assert [damage.part for damage in damages(library)] == ["index"]
    [(damage, done)] = mended(library)
    assert (damage.generation, done) == (GENERATION, "made again")
    assert damages(library) == []
    with LocalStore(library, read_only=True) as store:
        assert RecallIndex.open(store, GENERATION).search(asked, 8) == before


# Copies


def test_a_copy_holds_the_same_and_is_not_made_twice(sound: Path, tmp_path: Path) -> None:
    with LocalStore(sound, read_only=True) as source, LocalStore(tmp_path / "copy") as target:
        done = copy(source, target)
        assert (done.recordings, done.segments, done.there) == (3, len(RECORDINGS) * SEGMENTS, 0)
        compare(source, target)
        again = copy(source, target)
        assert (again.segments, again.there) == (0, done.segments)
        assert target.note("encoders") == {ENCODER: "made-up"}
        assert target.locations("door") == source.locations("door")
    assert content(tmp_path / "copy") == content(sound)


def test_a_copy_of_one_recording_keeps_its_names_and_places_in_order(sound: Path, tmp_path: Path) -> None:
    with LocalStore(tmp_path / "first") as source, LocalStore(tmp_path / "copy") as target:
        for name, place in (("b", "/2"), ("a", "/1"), ("b", "/3"), ("c", "/2")):
            source.add(recording_of(), name, location=place)
        source.add(recording_of("yard"), "yard")
        put(source, segment_of())
        copy(source, target, ["door"])
        assert target.names("door") == source.names("door") == ("b", "a", "c")
        assert target.locations("door") == source.locations("door") == ("/2", "/3", "/1")
        assert [recording.recording_id for recording in target.recordings()] == ["door"]


def test_a_target_that_holds_something_else_is_named(sound: Path, tmp_path: Path) -> None:
    with LocalStore(sound, read_only=True) as source, LocalStore(tmp_path) as target:
        perform(target, Op("add", "yard"))
        perform(target, Op("commit", "yard", (Part(2, 3, 1),)))
        copy(source, target)
        with pytest.raises(StoreError, match=r"yard\.mp4, segment 2, "):
            compare(source, target)


def test_there_and_back_over_redis_nothing_is_lost(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with running(tmp_path / "server") as server:
        address = server.location("copied")
        footage("library", "copy", "-l", sound, "--to", address)
        assert content(address) == content(sound)
        footage("library", "verify", "-l", address)
        [done] = map(json.loads, footage("library", "copy", "-l", address, "--to", tmp_path / "back", "--json").stdout.splitlines())
        assert done["segments"] == len(RECORDINGS) * SEGMENTS
    assert content(tmp_path / "back") == content(sound)


def test_a_copy_that_was_killed_goes_on(tmp_path: Path) -> None:
    many = 200
    with LocalStore(tmp_path / "source") as store:
        perform(store, Op("add", "door"))
        for index in range(many):
            perform(store, Op("commit", "door", (Part(index, 1, index % 999),)))
    command = [
        sys.executable,
        "-m",
        "workers.cli",
        "library",
        "copy",
        "-l",
        str(tmp_path / "source"),
        "--to",
        str(tmp_path / "copy"),
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:
        deadline_s = time.monotonic() + 60
        while not list(tmp_path.glob("copy/segments/*/*/*-*.safetensors"))[9:] and time.monotonic() < deadline_s:
            time.sleep(0.005)
        victim.send_signal(signal.SIGKILL)
    [done] = map(json.loads, footage(*command[3:]).stdout.splitlines())
    assert done["there"] >= 9
    assert done["segments"] + done["there"] == many
    assert content(tmp_path / "copy") == content(tmp_path / "source")


def test_a_target_of_a_newer_version_or_the_library_itself_is_refused(sound: Path, library: Path, tmp_path: Path) -> None:
    assert "is the library itself" in footage("library", "copy", "-l", library, "--to", library, code=2).stderr
    connection = sqlite3.connect(library / "catalogue.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "newer footage" in footage("library", "copy", "-l", sound, "--to", library, code=10).stderr


# Less room


def test_what_was_forgotten_gives_its_room_back(tmp_path: Path) -> None:
    with LocalStore(tmp_path) as store:
        for recording in RECORDINGS:
            perform(store, Op("add", recording))
            for index in range(60):
                perform(store, Op("commit", recording, (Part(index, 4, index),)))
        compact(store)
        before = (tmp_path / "catalogue.sqlite").stat().st_size
        store.forget("yard")
        store.forget("gate")
        compact(store)
        assert (tmp_path / "catalogue.sqlite").stat().st_size < 0.8 * before
        assert len(RecallIndex.open(store, GENERATION)) == len(store.view(generation=GENERATION)) == 240
        assert store.verify() == []


def test_a_generation_goes_where_another_one_holds_as_much(tmp_path: Path) -> None:
    with LocalStore(tmp_path) as store:
        for recording, ours in (("door", 3), ("yard", 2)):
            perform(store, Op("add", recording))
            for index in range(3):
                put(store, segment_of(recording, index), "old")
            for index in range(ours):
                put(store, segment_of(recording, index), "new")
        assert prune(store, "new") == 3
        assert store.generations("door") == ("new",)
        assert store.generations("yard") == ("new", "old")  # of its last ten seconds there is nothing else


# As a user meets it


def test_info_counts_what_there_is(sound: Path) -> None:
    [facts] = map(json.loads, footage("library", "info", "-l", sound, "--json").stdout.splitlines())
    count = len(RECORDINGS) * SEGMENTS
    assert (facts["recordings"], facts["seconds"], facts["problems"], facts["leftovers"]) == (3, 10.0 * count, [], 0)
    [kept] = facts["kept"]
    assert (kept["generation"], kept["level"], kept["segments"], kept["carriers"], kept["tokens"]) == (
        GENERATION,
        0,
        count,
        2 * count,
        3 * count,
    )
    assert kept["size_bytes"] == facts["bytes"] == sum(path.stat().st_size for path in sound.glob("segments/*/*/*"))
    with LocalStore(sound, read_only=True) as store:
        assert json.loads(json.dumps(facts_of(store, str(sound)).json())) == facts


def test_damage_is_told_repaired_and_indexed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTAGE_INDEX__OCR", "off")
    place = tmp_path / "library"
    footage("index", "synthetic:red=90,blue=45", "-l", place)
    before = content(place)
    footage("library", "verify", "-l", place)
    victim = sorted(place.glob("segments/*/*/*"))[1]
    flip(victim, random.Random(1))
    told = footage("library", "verify", "-l", place, "--json", code=1)
    [damage] = map(json.loads, told.stdout.splitlines())
    assert (damage["name"], damage["segment"], damage["part"]) == ("synthetic:red=90,blue=45", 1, "segment")
    assert (damage["start_s"], damage["why"]) == (60.0, "damaged")
    repaired = footage("library", "repair", "-l", place).stdout
    assert "segment 1, " in repaired
    assert "footage index 'synthetic:red=90,blue=45' --encoder color -l" in repaired
    assert content(place) != before
    footage("library", "repair", "--reindex", "-l", place)
    assert content(place) == before
    footage("library", "verify", "-l", place)


def test_a_place_without_a_library_is_told(tmp_path: Path) -> None:
    for verb in ("info", "verify", "repair", "compact", "age"):
        assert "there is no library" in footage("library", verb, "-l", tmp_path / "nothing", code=7).stderr
    assert list(tmp_path.iterdir()) == []
