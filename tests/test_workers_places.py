"""What people name: folders, globs, odd names, links, pipes, half-written files, addresses; and folders that are followed."""

import os
import shutil
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from films import FILMS
from web_server import WebServer, serving

import footage
from footage.addresses import printable
from footage.errors import ConfigError, FootageError, SourceError, SourceNotFound
from workers.cli_flags import print_table
from workers.engine import Library
from workers.export import export_clip
from workers.follow import STILL_S, Follower
from workers.indexing import Done, Refused
from workers.places import find, grew
from workers.recording_job import Silent

NO_TEXT = {"index": {"ocr": "off"}}


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FILMS["constant.mp4"](tmp_path_factory.mktemp("film") / "c.mp4")


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FILMS["b_frames.mp4"](tmp_path_factory.mktemp("film") / "b.mp4")


@pytest.fixture
def lib(tmp_path: Path) -> Iterator[Library]:
    with footage.open(str(tmp_path / "lib"), **NO_TEXT) as library:
        yield library


def touch(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(found: list[str], root: Path) -> list[str]:
    return [os.path.relpath(path, root) for path in found]


# Folders and globs


def test_a_folder_gives_its_videos_and_counts_what_it_skips(tmp_path: Path) -> None:
    for name in ("b.mp4", "a/A.MKV", "a/notes.txt", ".hidden.mp4", ".git/x.mp4", "c.mp4.part", "d.webm", "d.webm.crdownload", "e.mov.!qB"):
        touch(tmp_path / name)
    (tmp_path / "broken.mp4").symlink_to(tmp_path / "gone.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    found = find([str(tmp_path)])
    assert names(found.locations, tmp_path) == ["a/A.MKV", "b.mp4"]
    assert found.note == "1 broken links, 1 hidden files, 1 hidden folders, 1 pipes and devices, 4 unfinished downloads"


def test_loops_of_links_are_walked_once_and_folders_that_may_not_be_read_are_counted(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.mp4")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a" / "x.mp4")
    (shut := tmp_path / "shut").mkdir()
    shut.chmod(0)
    try:
        found = find([str(tmp_path)])
        assert len(found.locations) == 2  # the file under one of its folders' names, and the link with a name of its own
        assert found.skipped["links to folders that were looked at already"] == 2
        assert found.skipped["folders that cannot be read"] == (0 if os.access(shut, os.R_OK) else 1)
        matched = find([str(tmp_path / "**" / "x.mp4")])
        assert len(matched.locations) == 1
    finally:
        shut.chmod(0o700)


def test_what_is_there_is_meant_before_what_a_pattern_matches(tmp_path: Path) -> None:
    touch(tmp_path / "cam[1].mp4")
    touch(tmp_path / "cam1.mp4")
    assert names(find([str(tmp_path / "cam[1].mp4")]).locations, tmp_path) == ["cam[1].mp4"]
    assert names(find([str(tmp_path / "cam[12].mp4")]).locations, tmp_path) == ["cam1.mp4"]
    assert names(find([str(tmp_path / "*.mp4"), str(tmp_path / "cam1.mp4")]).locations, tmp_path) == ["cam1.mp4", "cam[1].mp4"]


def test_accents_are_found_in_either_form(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        kept, typed = (unicodedata.normalize(f, f"caf\u00e9-{form}.mp4") for f in (form, "NFD" if form == "NFC" else "NFC"))
        touch(tmp_path / kept)
        assert [os.path.basename(path) for path in find([str(tmp_path / typed)]).locations] == [kept]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("gone.mp4", "there is no file, folder or match"), ("x" * 300 + ".mp4", "there is no file"), ("a\0b.mp4", "there is no file"),
        ("empty", "holds no video files, and 1 files or folders that are skipped"), ("*.nothing", "there is no file"),
    ],
)  # fmt: skip
def test_what_names_nothing_is_told_and_the_rest_goes_on(tmp_path: Path, target: str, says: str) -> None:
    touch(tmp_path / "empty" / ".hidden.mp4")
    there = touch(tmp_path / "there.mp4")
    found = find([str(tmp_path / target), str(there)])
    [(_, error)] = found.refused
    assert isinstance(error, SourceNotFound)
    assert says in str(error)
    assert error.hint
    assert found.locations == [str(there)]


def test_addresses_are_taken_as_they_are_and_refused_ones_shown_without_credentials() -> None:
    assert find(["synthetic:red=3", "https://u:p@h/a.mp4"]).locations == ["synthetic:red=3", "https://u:p@h/a.mp4"]


# Odd names, odd files


ODD = [
    "line\nbreak.mp4",
    "quote'\".mp4",
    "\U0001f3ac.mp4",
    "-dash.mp4",
    "[bold]x.mp4",
    "n" * 251 + ".mp4",
    "a:b.mp4",
    os.fsdecode(b"\xff.mp4"),
]


def test_any_name_is_indexed_listed_found_again_and_exported(
    tmp_path: Path, film: Path, lib: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(ODD):  # each of other bytes
        touch(tmp_path / "odd" / name, film.read_bytes() + (9).to_bytes(4, "big") + b"free" + bytes([number]))
    done = lib.index(tmp_path / "odd")
    assert sorted(d.name for d in done) == sorted(ODD)
    for name in ODD:
        assert lib.name_of(lib.resolve(name)) == name
        assert lib.name_of(lib.resolve(str(tmp_path / "odd" / name))) == name
    print_table([("name",), *((printable(name),) for name in ODD)])
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(ODD)
    recording = lib.resolve("-dash.mp4")
    assert export_clip(lib, recording, footage.TimeSpan(1, 2), tmp_path / "out.mp4").span.start_s == 1.0


def test_one_name_in_two_folders_is_two_recordings_and_which_is_asked_back_with_paths(
    tmp_path: Path, film: Path, other: Path, lib: Library
) -> None:
    for folder, source in (("a", film), ("b", other)):
        (tmp_path / folder).mkdir()
        shutil.copy(source, tmp_path / folder / "cam.mp4")
    assert len({done.recording for done in lib.index(tmp_path / "a", tmp_path / "b")}) == 2
    with pytest.raises(ConfigError, match="is the name of 2 recordings") as error:
        lib.resolve("cam.mp4")
    assert str(tmp_path / "a" / "cam.mp4") in str(error.value)
    assert str(tmp_path / "b" / "cam.mp4") in str(error.value)
    assert lib.resolve(str(tmp_path / "a" / "cam.mp4")) != lib.resolve(str(tmp_path / "b" / "cam.mp4"))


def test_the_same_file_twice_is_one_recording_with_two_names(tmp_path: Path, film: Path, lib: Library) -> None:
    shutil.copy(film, tmp_path / "one.mp4")
    shutil.copy(film, tmp_path / "two.mp4")
    first, second = lib.index(tmp_path / "one.mp4", tmp_path / "two.mp4")
    assert first.recording == second.recording
    [(_, both)] = lib.recordings()
    assert sorted(both) == ["one.mp4", "two.mp4"]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_refused_and_never_opened(tmp_path: Path, lib: Library, kind: str) -> None:
    path = tmp_path / "pipe.mp4" if kind == "pipe" else Path("/dev/zero")
    if kind == "pipe":
        os.mkfifo(path)  # opening it would wait for a writer
    with pytest.raises(SourceError, match="is a device, pipe or socket"):
        lib.index(path)


def test_a_file_that_grows_while_it_is_read_is_not_remembered_by_half(tmp_path: Path, film: Path, lib: Library) -> None:
    path = tmp_path / "growing.mp4"
    shutil.copy(film, path)

    class Appending(Silent):
        def found(self, *facts: object) -> None:
            with path.open("ab") as file:
                file.write(b"more")

    [result] = lib.indexing([str(path)], listener=Appending())
    assert isinstance(result, Refused)
    assert "is still being written" in str(result.error)
    assert "--follow" in result.error.hint
    assert lib.recordings() == []
    [done] = lib.index(path)
    assert done.frames_seen == 6
    assert grew(str(path), 1)
    assert not grew("synthetic:red=3", 1)


def test_skipped_files_are_told(tmp_path: Path, film: Path, lib: Library) -> None:
    shutil.copy(film, touch(tmp_path / "in" / "a.mp4"))
    touch(tmp_path / "in" / "b.mp4.part")
    heard: list[str] = []

    class Hearing(Silent):
        def told(self, text: str) -> None:
            heard.append(text)

    assert [type(r) for r in lib.indexing([str(tmp_path / "in")], listener=Hearing())] == [Done]
    assert heard == ["skipped: 1 unfinished downloads"]


# Videos behind http(s), end to end


@pytest.fixture
def server(film: Path) -> Iterator[WebServer]:
    with serving({"/cam/film.mp4": film.read_bytes()}) as running:
        yield running


def test_an_address_is_indexed_asked_and_exported_like_its_file(server: WebServer, film: Path, tmp_path: Path, lib: Library) -> None:
    address = server.url("/cam/film.mp4")
    [done] = lib.index(address)
    assert done.name == "film.mp4"
    assert lib.store.locations(done.recording) == (address,)
    assert lib.resolve(address) == lib.resolve("film.mp4") == done.recording
    assert lib.ask("What is shown?", address).gaps == ()
    shown = export_clip(lib, done.recording, footage.TimeSpan(1, 2), tmp_path / "out.mp4").span
    assert (shown.start_s, shown.end_s) == (1.0, 2.0)
    [again] = lib.index(film)
    assert (again.recording, again.segments_made) == (done.recording, 0)
    before = len(server.log)
    assert lib.fetcher().extent(done.recording) == footage.TimeSpan(0, 6)
    assert len(server.log) == before  # the file on this machine comes first


def test_the_packets_of_a_remote_film_are_read_over_the_network_once(tmp_path: Path, lib: Library) -> None:
    path = FILMS["vp9.webm"](tmp_path / "v.webm")
    with serving({"/v.webm": path.read_bytes()}) as server:
        lib.index(server.url("/v.webm"))
        assert len(list((tmp_path / "lib" / "remote").iterdir())) == 1
        [recording] = [r.recording_id for r, _ in lib.recordings()]
        server.log.clear()
        assert lib.fetcher().extent(recording) is not None
        assert len(server.log) == 1


def test_credentials_are_used_and_kept_nowhere(server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.password = "Basic bWU6c2VjcmV0"  # me:secret
    address = server.url("/cam/film.mp4?token=t0psecret", user="me:secret")
    with footage.open(str(tmp_path / "lib"), **NO_TEXT) as library:
        [done] = library.index(address)
        assert library.fetcher().extent(done.recording) == footage.TimeSpan(0, 6)  # this process still knows them
        library.ask("What is shown?", address)
    for path in (tmp_path / "lib").rglob("*"):
        assert not path.is_file() or b"secret" not in path.read_bytes(), path
    monkeypatch.setattr("workers.tables._whole", {})  # as in another process
    with footage.open(str(tmp_path / "lib"), **NO_TEXT) as library, pytest.raises(SourceNotFound, match="without its secret") as error:
        export_clip(library, done.recording, footage.TimeSpan(1, 2), tmp_path / "out.mp4")
    assert "t0psecret" not in str(error.value)


def test_a_password_may_lie_in_netrc(server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lib: Library) -> None:
    server.password = "Basic bWU6c2VjcmV0"
    with pytest.raises(SourceError, match=r"401") as error:
        lib.index(server.url("/cam/film.mp4"))
    assert ".netrc" in error.value.hint
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert lib.index(server.url("/cam/film.mp4"))


def test_while_serving_neither_private_addresses_nor_paths_outside_are_read(server: WebServer, film: Path, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    inside = shutil.copy(film, tmp_path / "root" / "in.mp4")
    net = {"serving": True, "roots": [str(tmp_path / "root")]}
    with footage.open(str(tmp_path / "lib"), net=net, **NO_TEXT) as library:
        assert library.index(inside)
        for target in (server.url("/cam/film.mp4"), str(film)):
            with pytest.raises(FootageError, match=r"not reached|folders that are served"):
                library.index(target)
        assert server.log == []


# Following


def test_a_file_is_taken_once_it_has_stopped_growing_and_again_when_it_changed(tmp_path: Path) -> None:
    old = touch(tmp_path / "old.mp4")
    os.utime(old, (1, 1))
    fresh = touch(tmp_path / "fresh.mp4")
    touch(tmp_path / "half.mp4.part")
    follower, now_s = Follower([str(tmp_path)]), 100.0
    assert follower.ready(now_s) == [str(old)]  # what lay there before is not waited for
    assert follower.growing == 1
    fresh.write_bytes(b"xx")
    assert follower.ready(now_s + 1.5) == []
    assert follower.ready(now_s + 1.5 + STILL_S - 0.1) == []
    assert follower.ready(now_s + 1.5 + STILL_S) == [str(fresh)]
    assert follower.ready(now_s + 100) == []
    old.write_bytes(b"other")
    (tmp_path / "half.mp4.part").rename(tmp_path / "half.mp4")
    assert follower.ready(now_s + 200) == []
    assert follower.ready(now_s + 200 + STILL_S) == [str(tmp_path / "half.mp4"), str(old)]
    fresh.write_bytes(b"grows")
    assert follower.ready(now_s + 300) == []
    fresh.unlink()
    assert follower.ready(now_s + 400) == []
    assert follower.growing == 0


def test_a_folder_is_followed_while_files_arrive(tmp_path: Path) -> None:
    stop, got = threading.Event(), list[str]()
    follower = Follower([str(tmp_path)])

    def follow() -> None:
        for ready in follower.batches(stop):
            got.extend(ready)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        with touch(tmp_path / "new" / "a.mp4").open("ab") as file:
            for _ in range(6):  # longer than a file must be still
                file.write(b"more")
                file.flush()
                time.sleep(0.5)
                assert got == []
        until = time.monotonic() + 30
        while not got and time.monotonic() < until:
            time.sleep(0.1)
        assert got == [str(tmp_path / "new" / "a.mp4")]
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def test_only_folders_are_followed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        Follower([str(touch(tmp_path / "a.mp4"))])


@pytest.mark.skipif(sys.platform == "darwin", reason="signals to a console script differ")
def test_index_follow_prints_each_recording_and_ends_with_ctrl_c(tmp_path: Path, film: Path) -> None:
    import signal
    import subprocess

    (inbox := tmp_path / "inbox").mkdir()
    command = [sys.executable, "-m", "workers.cli", "index", str(inbox), "--follow", "--ocr", "off", "-j", "1", "-l", str(tmp_path / "lib")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    killer = threading.Timer(120, process.kill)
    killer.start()
    try:
        said = process.stderr.readline()
        assert said.startswith("watching"), said
        shutil.copy(film, inbox / "late.mp4")
        said = process.stderr.readline()
        assert said.startswith("late.mp4  00:00:06.000  "), said
        process.send_signal(signal.SIGINT)
        assert "no longer watching" in process.stderr.read()
        assert process.wait(30) == 0
    finally:
        killer.cancel()
        process.kill()
        process.stderr.close()
        process.wait()
