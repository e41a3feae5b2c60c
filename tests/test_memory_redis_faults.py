"""A Redis server that dies, forgets, is full, refuses, or is none that could be used: what a library on it makes of that."""

import json
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis_server import RedisServer, Wire, running

pytest.register_assert_rewrite("contracts_store")

from contracts_store import ENCODER, GENERATION, put, recording_of, segment_of  # noqa: E402

from footage import NothingRecorded, StoreError  # noqa: E402
from memory.ram_store import RamStore  # noqa: E402
from memory.redis import connection  # noqa: E402
from memory.redis.config import RedisConfig  # noqa: E402
from memory.redis.store import RedisStore  # noqa: E402
from workers.config import load_settings  # noqa: E402
from workers.engine import open_library  # noqa: E402

COUNT = 30
QUICK = RedisConfig(patience_s=0.3)
PATIENT = RedisConfig(patience_s=120)  # the machine may be busy; what is waited for takes seconds


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(tmp_path_factory.mktemp("redis")) as started:
        yield started


def client(server: RedisServer, **options: Any) -> Any:
    from redis import Redis

    return Redis(port=server.port, decode_responses=True, **options)


def expected(count: int) -> str:
    """The content of a library of so many segments."""
    store = RamStore()
    store.add(recording_of(duration_s=count * 10.0), "door.mp4")
    for index in range(count):
        put(store, segment_of(index=index))
    return json.dumps(list(store.dump()))


# Away for a while


def committing(server: RedisServer, count: int, away_s: float, pause_s: float) -> None:
    """Commits while the server is killed and stays away; then everything is there, once."""
    told: list[bool] = []
    with RedisStore(server.location(), config=PATIENT) as store:
        store.add(recording_of(duration_s=count * 10.0), "door.mp4")

        def work() -> None:
            for index in range(count):
                told.append(put(store, segment_of(index=index)))
                time.sleep(pause_s)

        worker = threading.Thread(target=work)
        worker.start()
        while len(told) < count // 3:
            time.sleep(0.001)
        server.kill()
        time.sleep(away_s)
        server.start()
        worker.join(300)
        assert told == [True] * count
        assert json.dumps(list(store.dump())) == expected(count)
        assert store.verify() == []
    with RedisStore(server.location(), read_only=True) as reader:
        assert json.dumps(list(reader.dump())) == expected(count)
    assert client(server).xlen("footage:{test}:log") == 1 + 1 + count  # made, added, committed


def test_a_server_that_is_killed_and_comes_back_costs_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "redis", is_durable=True) as server:
        committing(server, COUNT, away_s=1.0, pause_s=0.005)


@pytest.mark.slow
def test_a_server_that_is_away_for_30_s_costs_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "redis", is_durable=True) as server:
        committing(server, 300, away_s=30.0, pause_s=0.01)


def test_indexing_goes_on_where_the_server_was_lost(tmp_path: Path) -> None:
    with running(tmp_path / "redis", is_durable=True) as server:
        library = open_library(server.location(), index={"ocr": "off"}, redis={"patience_s": 120}, sampling={"segment_s": 2})
        script, done = "synthetic:" + ",".join(f"{colour}=20" for colour in ("red", "blue", "green", "white") * 4), list[Any]()
        worker = threading.Thread(target=lambda: done.extend(library.index(script)))
        worker.start()
        deadline_s = time.monotonic() + 60
        while client(server).xlen("footage:{test}:log") < 6:
            assert time.monotonic() < deadline_s
        server.kill()
        time.sleep(0.5)
        server.start()
        worker.join(120)
        [made] = done
        assert made.gaps == []
        assert made.duration_s == 320
        assert library.store.verify() == []
        assert library.search("blue")[0].span.start_s == 20
        [again] = library.index(script)
        assert again.segments_made == 0
        library.close()


def test_changes_that_a_server_took_and_lost_are_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        running(tmp_path / "redis") as server,
        RedisStore(server.location(), config=PATIENT) as store,
        RedisStore(server.location(), read_only=True) as reader,
    ):
        store.add(recording_of(), "door.mp4")
        for index in range(2):
            put(store, segment_of(index=index, seed=9))
        client(server).save()
        for index in range(2):
            store.rewrite(segment_of(index=index), generation=GENERATION, encoder_id=ENCODER)
        for index in range(2, 5):
            put(store, segment_of(index=index))
        assert len(reader.committed("door", GENERATION)) == 5
        server.kill()
        server.start()
        assert set(reader.committed("door", GENERATION)) == {0, 1}  # as the server is, not as it was
        assert put(store, segment_of(index=5)) is True
        assert json.dumps(list(store.dump())) == json.dumps(list(reader.dump())) == expected(6)
        assert "lost changes=5" in caplog.text
        client(server).save()
        put(store, segment_of(index=6))
        server.kill()
        server.start()
        assert set(store.committed("door", GENERATION)) == set(range(7))  # found by reading alone


def test_what_is_lost_for_longer_than_patience_is_an_error_in_words(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as server, RedisStore(server.location(), config=QUICK) as store:
        store.add(recording_of(), "door.mp4")
        server.kill()
        for act in (lambda: put(store, segment_of()), lambda: store.recordings()):
            with pytest.raises(StoreError, match="cannot be reached") as caught:
                act()
            assert "running" in caught.value.hint


def test_a_server_that_restarted_without_its_data_is_told(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as server, RedisStore(server.location(), config=PATIENT) as store:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of())
        server.kill()
        server.start()
        with pytest.raises(StoreError, match="emptied while it was open") as caught:
            put(store, segment_of(index=1))
        assert "appendonly" in caught.value.hint


# Full


def test_a_full_server_says_so_and_keeps_what_is_committed(tmp_path: Path) -> None:
    limit = ("--maxmemory", "12mb", "--maxmemory-policy", "noeviction")
    with running(tmp_path / "redis", *limit) as server, RedisStore(server.location(), config=QUICK) as store:
        store.add(recording_of(duration_s=9000), "door.mp4")
        told: list[bool] = []
        with pytest.raises(StoreError, match="is full") as caught:
            filling(store, told)
        assert "maxmemory" in caught.value.hint
        assert 3 < len(told) == len(store.committed("door", GENERATION))
        assert store.verify() == []
        for index in range(3):
            store.drop_segment("door", GENERATION, index)
        store.forget("door")
        assert store.recordings() == []


def filling(store: RedisStore, told: list[bool]) -> None:
    thumbnail = bytes(range(256)) * 2000
    for index in range(100):
        told.append(put(store, replace(segment_of(index=index), thumbnails=(thumbnail, b""))))


def test_a_server_that_would_throw_away_what_is_kept_is_refused_unless_that_is_allowed(standing: RedisServer) -> None:
    place, allowed = standing.location("evicted"), RedisConfig(eviction="allow")
    asked = client(standing)
    try:
        asked.config_set("maxmemory", "100mb")
        for policy in ("noeviction", "volatile-lru"):  # of payloads only those without a row expire
            asked.config_set("maxmemory-policy", policy)
            RedisStore(place).close()
        asked.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(StoreError, match="allkeys-lru") as caught:
            RedisStore(place)
        assert "redis.eviction" in caught.value.hint
        RedisStore(place, config=allowed).close()
        RedisStore(place, read_only=True).close()
    finally:
        asked.config_set("maxmemory", 0)


# Refused


def test_who_may_not_come_in_is_told_so_without_credentials(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rules = "user default off\nuser bob on >s3cret ~footage:{test}:* +@all -@dangerous +info\nuser eve on >s3cret ~other:* +@all\n"
    (tmp_path / "users.acl").write_text(rules)
    with running(tmp_path / "redis", "--aclfile", str(tmp_path / "users.acl")) as server:
        with RedisStore(server.location(credentials="bob:s3cret@")) as store:
            store.add(recording_of(), "door.mp4")
            assert put(store, segment_of()) is True
        with RedisStore(server.location(), config=RedisConfig(username="bob", password="s3cret"), read_only=True) as reader:
            assert len(reader.view(generation=GENERATION)) == 2
        for location, said in (
            (server.location(), "refuses user or password"),
            (server.location(credentials="bob:s3cret1@"), "refuses user or password"),
            (server.location(password="s3cret1", username="bob"), "refuses user or password"),
            (server.location(credentials="eve:s3cret@"), "does not allow"),
            (server.location("other", credentials="bob:s3cret@"), "does not allow"),
        ):
            with pytest.raises(StoreError, match=said) as caught:
                RedisStore(location)
            assert "s3cret" not in f"{caught.value} {caught.value.hint} {caught.value!r} {caught.value.__cause__}"
    assert "s3cret" not in caplog.text
    assert not any(b"s3cret" in path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_credentials_come_from_settings_and_are_shown_by_none() -> None:
    resolved = load_settings({"library": "redis://bob:s3cret@h/0", "redis": {"password": "s3cret", "username": "bob"}})
    shown = {name: value for name, value, _ in resolved.rows()}
    assert (shown["library"], shown["redis.password"]) == ("redis://h/0", "***")
    assert "s3cret" not in str(shown)
    assert open_library("redis://bob:s3cret@h/0").location == "redis://h:6379/0?name=footage"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_encrypted_connections_are_held_against_their_certificate(standing: RedisServer, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *made.split(), "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Wire(standing.port, context) as wire:
        place = f"rediss://127.0.0.1:{wire.port}/0?name=tls"
        with RedisStore(f"{place}&ssl_ca_certs={certificate}") as store:
            store.add(recording_of(), "door.mp4")
            assert put(store, segment_of()) is True
            assert len(store.view(generation=GENERATION).load([0, 1])) == 2
        with pytest.raises(StoreError, match=r"cannot be reached.*CERTIFICATE_VERIFY_FAILED"):
            RedisStore(place)
        with pytest.raises(StoreError, match="cannot be reached"):
            RedisStore(place.replace("rediss", "redis"))


# Servers of other kinds


def test_a_replica_is_read_and_never_written(standing: RedisServer, tmp_path: Path) -> None:
    with RedisStore(standing.location("copied")) as store:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of())
        with running(tmp_path / "replica", "--replicaof", "127.0.0.1", str(standing.port)) as replica:
            deadline_s = time.monotonic() + 60
            while client(replica).info("replication")["master_link_status"] != "up":
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
            with RedisStore(replica.location("copied"), read_only=True) as reader:
                assert len(reader.view(generation=GENERATION).load([0, 1])) == 2
            with pytest.raises(StoreError, match="read-only replica") as caught:
                RedisStore(replica.location("copied"))
            assert "primary" in caught.value.hint


def test_a_node_of_a_cluster_holds_a_whole_library(tmp_path: Path) -> None:
    with running(tmp_path / "redis", "--cluster-enabled", "yes") as server:
        client(server).execute_command("CLUSTER ADDSLOTS", *range(16384))
        deadline_s = time.monotonic() + 60
        while client(server).cluster("info").get("cluster_state") != "ok":
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        with RedisStore(server.location()) as store:
            store.add(recording_of(), "door.mp4")
            put(store, segment_of(index=0))
            put(store, segment_of(index=1))
            store.replace("door", [segment_of(index=0, rows=1)], gone=[1], generation=GENERATION, encoder_id=ENCODER)
            assert len(store.view(generation=GENERATION).load([0])) == 1
            store.forget("door")


def test_versions_that_cannot_be_used_are_refused(standing: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    place = standing.location("newer")
    with RedisStore(place) as store:
        store.add(recording_of(), "door.mp4")
        client(standing).hset("footage:{newer}:library", "schema", 99)
        with pytest.raises(StoreError, match="newer footage"):
            put(store, segment_of())
    for read_only in (False, True):
        with pytest.raises(StoreError, match="schema version 99, this program knows 1") as caught:
            RedisStore(place, read_only=read_only)
        assert "update" in caught.value.hint
    monkeypatch.setattr(connection, "OLDEST", (99, 0))
    with pytest.raises(StoreError, match=r"expected 6\.2 or newer"):
        RedisStore(standing.location())


def test_a_server_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    with pytest.raises(StoreError, match="cannot be reached"):
        RedisStore("redis://bob:s3cret@127.0.0.1:1/0", config=PATIENT)
    assert time.monotonic() - begun_s < 60  # and not patience_s
    with running(tmp_path / "redis") as server, pytest.raises(NothingRecorded, match="no library") as caught:
        RedisStore(server.location(), read_only=True)
    assert "index" in caught.value.hint
