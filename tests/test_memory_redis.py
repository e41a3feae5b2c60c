"""RedisStore on a real server: the contract of every store, many writers, readers that keep up, and what lies where."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis_server import RedisServer, Wire, running

pytest.register_assert_rewrite("contracts_store")

from contracts_store import (  # noqa: E402
    ENCODER,
    GENERATION,
    StoreContract,
    carriers_of,
    put,
    recording_of,
    segment_of,
    text_of,
)

from footage import Carrier, ConfigError, Gap, NothingRecorded, Segment, SegmentMemory, StoreError, TimeSpan  # noqa: E402
from memory.local_store import LocalStore  # noqa: E402
from memory.redis.address import Address  # noqa: E402
from memory.redis.config import RedisConfig  # noqa: E402
from memory.redis.scripts import CHUNK_BYTES  # noqa: E402
from memory.redis.store import RedisStore  # noqa: E402
from memory.stores import LibraryStore, folder_of, open_store, shown  # noqa: E402


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def place(server: RedisServer) -> str:
    """A library of a server that holds nothing."""
    client(server).flushall()
    return server.location()


@pytest.fixture
def store(place: str) -> Iterator[RedisStore]:
    with RedisStore(place) as opened:
        yield opened


@pytest.fixture
def another_store(server: RedisServer) -> Iterator[RedisStore]:
    with RedisStore(server.location("another")) as opened:
        yield opened


def client(server: RedisServer) -> Any:
    from redis import Redis

    return Redis(port=server.port, decode_responses=True)


def large(recording_id: str = "door", index: int = 0, tokens: int = 2000) -> SegmentMemory:
    """Of several chunks: two carriers of so many random tokens, 64 numbers each."""
    rng = np.random.default_rng(index)
    carriers = tuple(
        Carrier(c.recording_id, c.spans, c.anchor_s, c.weight_s, rng.standard_normal((tokens, 64)).astype(np.float16), c.embed)
        for c in carriers_of(recording_id, index)
    )
    return SegmentMemory(Segment(recording_id, index, TimeSpan(index * 10.0, index * 10.0 + 10)), carriers)


class TestRedisStore(StoreContract):
    pass


# Content


def test_it_holds_the_same_content_as_a_directory(store: RedisStore, tmp_path: Path) -> None:
    with LocalStore(tmp_path / "local") as local:
        both: tuple[LibraryStore, ...] = (local, store)
        for each in both:
            each.add(recording_of(), "door.mp4", location="/a")
            texts = (text_of("hello", 1, 2), text_of("hello", 2, 3), text_of("caf\xe9 \u51fa\u53e3", 3, 4))
            put(each, segment_of(rows=3, texts=texts, gaps=(Gap(TimeSpan(4, 5), "damaged"),), level=2, novelty=0.5))
            put(each, segment_of(index=1, rows=0))
            each.keep_note("encoders", {ENCODER: "made-up"})
        assert json.dumps(list(local.dump())) == json.dumps(list(store.dump()))
        assert local.texts() == store.texts()
        assert local.search_texts("hello") == store.search_texts("hello")
        assert local.fingerprints(GENERATION).keys() == store.fingerprints(GENERATION).keys()
        assert local.note("encoders") == store.note("encoders") == {ENCODER: "made-up"}
        assert local.note("other") is store.note("other") is None
        assert local.sizes("door") == store.sizes("door") == store.accounting()["payload_bytes"]
        assert store.verify() == []


def test_libraries_of_one_server_do_not_see_each_other(store: RedisStore, another_store: RedisStore, server: RedisServer) -> None:
    for each in (store, another_store):
        each.add(recording_of(), "door.mp4")
        put(each, segment_of(seed=1 if each is store else 2))
    store.forget("door")
    assert [r.recording_id for r in another_store.recordings()] == ["door"]
    assert len(another_store.view(generation=GENERATION).load([0, 1])) == 2
    assert {key.partition("}")[0] for key in client(server).scan_iter()} == {"footage:{test", "footage:{another"}


def test_keys_are_read_without_tokens(place: str, server: RedisServer) -> None:
    with RedisStore(place) as store:
        store.add(recording_of(), "door.mp4")
        put(store, large())
    with RedisStore(place, read_only=True) as reader:
        assert reader.sizes("door") > 7 * CHUNK_BYTES
        before = client(server).info("stats")["total_net_output_bytes"]
        view = reader.view(generation=GENERATION)
        sent = client(server).info("stats")["total_net_output_bytes"] - before
        assert sent < 2 * CHUNK_BYTES
        assert np.array_equal(view.load([1])[0].tokens, large().carriers[1].tokens)


def test_payloads_take_hardly_more_room_than_they_are_long(store: RedisStore, server: RedisServer) -> None:
    store.add(recording_of(), "door.mp4")
    before = int(store.accounting()["server_bytes"])
    for index in range(6):
        put(store, large(index=index))
    held = store.accounting()
    assert int(held["server_bytes"]) - before < 1.1 * int(held["payload_bytes"])
    assert max(client(server).strlen(key) for key in client(server).scan_iter("*payload*")) < 65_536


def test_a_payload_that_left_can_be_read_for_a_while_and_one_that_is_kept_never_expires(place: str, server: RedisServer) -> None:
    for grace_s in (60.0, 0.001):
        with RedisStore(place, config=RedisConfig(grace_s=grace_s)) as store, RedisStore(place, read_only=True) as reader:
            store.add(recording_of(), "door.mp4")
            put(store, large(index=0))
            put(store, large(index=1))
            view = reader.view(generation=GENERATION)
            store.drop_segment("door", GENERATION, 0)
            assert {client(server).ttl(key) for key in client(server).scan_iter("*payload*/000001-*")} == {-1}
            if grace_s > 1:
                assert len(view.load(range(4))) == 4
                assert {client(server).ttl(key) for key in client(server).scan_iter("*payload*/000000-*")} <= {59, 60}
                client(server).flushall()
                continue
            time.sleep(0.05)
            assert len(view.load([2, 3])) == 2
            with pytest.raises(StoreError, match="no longer holds"):
                view.load([0, 1])


# Writers


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from contracts_store import put, recording_of, segment_of
from memory.redis.store import RedisStore
with RedisStore(sys.argv[2]) as store:
    store.add(recording_of(duration_s=400), sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    print(sum(put(store, segment_of(index=index)) for index in range(40)))
"""


def test_of_two_writers_at_once_each_segment_is_committed_by_one(place: str) -> None:
    command = [sys.executable, "-c", WRITER, str(Path(__file__).parent), place]
    writers = [subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in ("a", "b")]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    counts = [int(writer.communicate(timeout=120)[0]) for writer in writers]
    assert sum(counts) == 40
    with RedisStore(place, read_only=True) as reader:
        assert len(reader.committed("door", GENERATION)) == 40
        assert set(reader.names("door")) == {"a", "b"}
        assert reader.verify() == []


CRASH = """
import os, sys
sys.path.insert(0, sys.argv[1])
from contracts_store import put, recording_of, segment_of
from memory.redis.store import RedisStore
store = RedisStore(sys.argv[2])
store.add(recording_of(), "door.mp4")
put(store, segment_of(index=0))
store._change = lambda *asked: os._exit(9)  # between payload and row
put(store, segment_of(index=1))
"""


def test_a_writer_that_dies_between_payload_and_row_leaves_nothing_that_counts(place: str, server: RedisServer) -> None:
    done = subprocess.run([sys.executable, "-c", CRASH, str(Path(__file__).parent), place], capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    [left] = client(server).keys("*payload*/000001-*")
    assert 0 < client(server).ttl(left) <= 900
    with RedisStore(place) as store:
        assert set(store.committed("door", GENERATION)) == {0}
        assert store.verify() == []
        assert put(store, segment_of(index=1)) is True  # takes the payload that is there
        assert client(server).ttl(left) == -1
        assert len(store.view(generation=GENERATION).load(range(4))) == 4


def test_a_payload_that_is_gone_before_its_row_is_written_again(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(recording_of(), "door.mp4")
    written, write = list[str](), store._payloads.write

    def forgetful(name: str, data: bytes) -> None:
        written.append(name)
        if len(written) > 1:
            write(name, data)

    monkeypatch.setattr(store._payloads, "write", forgetful)
    assert put(store, segment_of()) is True
    assert len(written) == 2
    assert store.verify() == []


def test_a_change_whose_reply_was_lost_is_made_once(server: RedisServer, place: str) -> None:
    with Wire(server.port) as wire, RedisStore(place.replace(str(server.port), str(wire.port))) as store:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of(index=0))
        log = client(server).xlen("footage:{test}:log")
        wire.cut_reply_to = b"commit"
        assert put(store, segment_of(index=1)) is True
        wire.cut_reply_to = b"commit"
        assert put(store, segment_of(index=1, seed=5)) is False
        wire.cut_reply_to = b"replace"
        store.replace("door", [segment_of(index=0, rows=1)], gone=[1], generation=GENERATION, encoder_id=ENCODER)
        assert wire.cuts == 3
        assert client(server).xlen("footage:{test}:log") == log + 2
        assert set(store.committed("door", GENERATION)) == {0}


# Readers


def test_a_reader_sees_each_commit_at_once_and_never_a_part_of_a_replacement(place: str, store: RedisStore) -> None:
    store.add(recording_of(), "door.mp4")
    with RedisStore(place, read_only=True) as reader:
        for index in range(4):
            put(store, segment_of(index=index, texts=(text_of(f"line {index}", index * 10, index * 10 + 1),)))
            assert set(reader.committed("door", GENERATION)) == set(range(index + 1))
            assert reader.version == store.version
        store.replace("door", [segment_of(index=1, rows=1)], gone=[1, 2, 3], generation=GENERATION, encoder_id=ENCODER)
        assert set(reader.committed("door", GENERATION)) == {0, 1}
        assert [row.text for row in reader.texts(match="line")] == ["line 0"]
        store.forget("door")
        store.add(recording_of(), "again.mp4")
        assert (reader.names("door"), reader.committed("door", GENERATION)) == (("again.mp4",), {})
        with pytest.raises(StoreError, match="reading only"):
            reader.forget("door")


def test_a_reader_that_is_behind_the_log_reads_all_rows(place: str, server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with RedisStore(place) as store, RedisStore(place, read_only=True, config=RedisConfig(folder="elsewhere")) as reader:
        store.add(recording_of(duration_s=400), "door.mp4")
        put(store, segment_of(index=0))
        assert set(reader.committed("door", GENERATION)) == {0}
        for index in range(1, 6):
            put(store, segment_of(index=index))
        store.drop_segment("door", GENERATION, 0)
        client(server).xtrim("footage:{test}:log", maxlen=2, approximate=False)
        caplog.clear()
        assert set(reader.committed("door", GENERATION)) == {1, 2, 3, 4, 5}
        assert "reading all rows" in caplog.text
        caplog.clear()
        put(store, segment_of(index=6))
        assert set(reader.committed("door", GENERATION)) == {1, 2, 3, 4, 5, 6}
        assert "reading all rows" not in caplog.text
        assert json.dumps(list(reader.dump())) == json.dumps(list(store.dump()))


def test_a_library_that_was_emptied_and_made_anew_is_read_anew(place: str, server: RedisServer) -> None:
    with RedisStore(place) as store, RedisStore(place, read_only=True) as reader:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of())
        version = reader.version
        client(server).flushall()
        with pytest.raises(NothingRecorded, match="no library"):
            reader.recordings()
        with pytest.raises(StoreError, match="emptied while it was open"):
            put(store, segment_of(index=1))
        with RedisStore(place) as new:
            new.add(recording_of("yard"), "yard.mp4")
            assert [r.recording_id for r in reader.recordings()] == ["yard"]
            assert reader.version == new.version > version


def test_a_mirror_that_is_damaged_or_gone_is_made_again(place: str) -> None:
    with RedisStore(place) as store:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of())
    [mirror] = store.directory.glob("mirror-*.sqlite")
    mirror.write_bytes(b"no database at all" * 500)
    for _ in range(2):
        with RedisStore(place, read_only=True) as reader:
            assert set(reader.committed("door", GENERATION)) == {0}
        for path in store.directory.glob("mirror-*"):
            path.unlink()


# Damage


def test_a_flipped_byte_is_found_and_refused_and_the_segment_can_be_made_again(store: RedisStore, server: RedisServer) -> None:
    store.add(recording_of(), "door.mp4")
    put(store, large(index=0))
    put(store, large(index=1))
    [chunk] = client(server).keys("*payload*/000000-*:3")
    client(server).setrange(chunk, 100, "!!!!")
    [missing] = client(server).keys("*payload*/000001-*:2")
    client(server).delete(missing)
    assert [(facts.segment.index, why) for facts, why in store.damaged_segments()] == [(0, "damaged"), (1, "missing")]
    view = store.view(generation=GENERATION)
    with pytest.raises(StoreError, match="checksum"):
        view.load([0, 1])
    with pytest.raises(StoreError, match="no longer holds"):
        view.load([2, 3])
    for index in (0, 1):
        store.drop_segment("door", GENERATION, index)
        assert put(store, large(index=index)) is True
    assert store.verify() == []


# Addresses


def test_an_address_names_server_database_and_library_and_hides_credentials(cache: Path) -> None:
    address = Address.parse("rediss://bob:s3c%2Fret@example.org:6400/3?name=cams&ssl_ca_certs=/ca.pem&password=s3cret")
    assert (address.name, address.place) == ("cams", "example.org:6400/3")
    assert str(address) == "rediss://example.org:6400/3?name=cams"
    assert "s3c" not in f"{address!r} {address.folder()} {shown(address.url)}"
    assert "ssl_ca_certs=%2Fca.pem" in address.url
    assert "name=" not in address.url
    assert Address.parse("redis://localhost").place == "localhost:6379/0"
    assert Address.parse("unix:///tmp/redis.sock?db=2&name=a").place == "/tmp/redis.sock/2"
    assert folder_of("redis://h/1?name=a").is_relative_to(cache)
    assert folder_of("redis://h/1?name=a", RedisConfig(folder="here")) == Path("here/h%3A6379%2F1/a")
    assert folder_of("some/where") == Path("some/where")


@pytest.mark.parametrize(
    "location", ["redis://h/0?name=a/b", "redis://h/0?name=", "redis://h:x/0", "redis://h/zero", "redis://u:s3/cret@h:1/0"]
)
def test_an_address_that_names_no_library_is_refused_without_credentials(location: str) -> None:
    with pytest.raises(ConfigError, match="names no Redis library") as caught:
        open_store(location)
    assert "cret" not in str(caught.value)


def test_a_store_is_opened_by_its_address(place: str, tmp_path: Path) -> None:
    with open_store(place) as on_server, open_store(tmp_path / "lib") as on_disk:
        assert isinstance(on_server, RedisStore)
        assert isinstance(on_disk, LocalStore)
        assert on_server.archive_folder("door").is_relative_to(on_server.directory)
        assert on_server.index_directory == on_server.directory / "index"
    with pytest.raises(NothingRecorded):
        open_store(place.replace("name=test", "name=other"), read_only=True)
