"""Live streams from a real RTSP server that is killed, stalled and restarted: times are checked against the clock in the pictures."""

import itertools
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import av
import clock_film
import pytest
from rtsp_server import Served
from watched import PATIENCE_S, QUICK, Watched

from footage.errors import ConfigError
from footage.questions import Redecode
from ingest.live.archive import ArchiveFetcher
from ingest.live.clock import Stamped
from ingest.live.config import LiveConfig
from ingest.live.events import Connected, Event, Health, Lost, Sampled
from ingest.live.orders import Progress
from ingest.live.pictures import Pictures
from ingest.live.stream import LiveStream


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clock_film.write(tmp_path_factory.mktemp("live") / "film.mp4")


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another size, with B-frames."""
    options = {"preset": "veryfast", "bf": "2", "g": "20"}
    return clock_film.write(tmp_path_factory.mktemp("live") / "other.mp4", seconds=3, size_px=(256, 144), options=options)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_have_their_true_times_one_a_slot(film: Path, transport: str) -> None:
    config = LiveConfig(transport=transport)  # type: ignore[arg-type]
    with Served(film) as server, Watched(server.address, config) as watched:
        watched.next_of(Sampled, 12)
        health = watched.next_of(Health)[-1]
        errors_s = watched.errors_s(server.loops)
    assert max(map(abs, errors_s)) < 0.5
    assert isinstance(next(e for e in watched.events if not isinstance(e, Health)), Connected)
    assert (health.is_connected, health.epoch, health.reconnects) == (True, 0, 0)
    assert health.bytes > 1000
    assert health.rss_mib > 10
    slots = [int(s.time_s * 10) for s in watched.all_of(Sampled)]
    assert slots == sorted(set(slots))
    assert watched.all_of(Sampled)[0].pixels.shape == (180, 320, 3)


def restarts(film: Path, times: int, within_s: float) -> list[float]:
    """Kill and restart the server; seconds from each return to the first frame."""
    server = Served(film)
    returns_s, loops, port = list[float](), list[float](), server.port
    with Watched(server.address) as watched:
        watched.next_of(Sampled, 3)
        for _ in range(times):
            killed_s = server.kill() - watched.began_unix_s
            lost = watched.outage()
            assert abs(lost.time_s - killed_s) < 1
            assert lost.reason == "it ended the stream" or "broke the connection" in lost.reason
            time.sleep(random.uniform(0, 2 if times > 3 else 0.5))
            loops += server.loops
            server = Served(film, port=port)
            ready_s = server.ready_unix_s - watched.began_unix_s
            connected = watched.next_of(Connected)[0]
            returns_s.append(watched.told_s[watched.events.index(connected)] - ready_s)
            assert connected.time_s - ready_s < within_s
            watched.next_of(Sampled, 3)
        loops += server.loops
        server.kill()
    assert max(map(abs, watched.errors_s(loops))) < 0.5
    assert [e.epoch for e in watched.all_of(Connected)] == list(range(times + 1))
    assert len(watched.all_of(Lost)) == times
    times_s = [s.time_s for s in watched.all_of(Sampled)]
    assert all(b > a for a, b in itertools.pairwise(times_s))
    for lost, back in zip(watched.all_of(Lost), watched.all_of(Connected)[1:], strict=True):
        assert not any(lost.time_s <= t < back.time_s for t in times_s)
    return returns_s


def test_a_server_that_is_killed_and_comes_back_is_found_again(film: Path) -> None:
    assert max(restarts(film, 3, within_s=6)) < 8


@pytest.mark.slow
def test_ten_times_within_two_seconds(film: Path) -> None:
    returns_s = restarts(film, 10, within_s=2)
    print("seconds until it was told:", [round(s, 2) for s in returns_s])
    assert max(returns_s) < 3


def test_a_server_that_comes_late_and_later_sends_other_pictures(film: Path, other: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Watched(f"rtsp://127.0.0.1:{port}/cam") as watched:
        begun_s = watched.now_s()
        lost = watched.outage()
        assert lost.reason == "the server refused the connection"
        assert lost.time_s <= begun_s
        watched.next_of(Health, 2)
        with Served(film, port=port) as server:
            first = watched.next_of(Connected)[0]
            watched.next_of(Sampled, 2)
            loops = server.loops
        watched.outage()
        with Served(other, port=port) as server:
            second = watched.next_of(Connected)[0]
            watched.next_of(Sampled, 5)
            loops += server.loops
        assert max(map(abs, watched.errors_s(loops))) < 0.5
    assert (first.width_px, first.height_px, first.codec) == (320, 180, "h264")
    assert (second.width_px, second.height_px, second.epoch) == (256, 144, 1)


def test_a_size_that_changes_and_a_clock_that_jumps_and_wraps_without_a_new_connection(film: Path, other: Path, tmp_path: Path) -> None:
    short = clock_film.write(tmp_path / "short.mp4", seconds=1)
    with Served(short, other, flags=("--wrap-after", "1.5")) as server, Watched(server.address) as watched:
        sizes = [(e.width_px, e.height_px) for e in watched.next_of(Connected, 3)]
        server.tell("jump -300")
        watched.next_of(Connected)
        watched.next_of(Sampled, 3)
        assert not watched.all_of(Lost)
        seen = watched.all_of(Sampled)
    assert sizes[0] != sizes[1] != sizes[2]
    assert all(b.time_s > a.time_s and b.epoch >= a.epoch for a, b in itertools.pairwise(seen))
    shown_s = [clock_film.ms_in(s.pixels) / 1000 + (s.pixels.shape[1] == 256) for s in seen]  # of a pass of four seconds
    off_s = [(s.time_s + watched.began_unix_s - server.loops[0] - at_s + 2) % 4 - 2 for s, at_s in zip(seen, shown_s, strict=True)]
    assert max(map(abs, off_s)) < 0.7


def test_what_is_wrong_is_told_in_words_without_credentials(film: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        Served(film, flags=("--user", "me", "--password", "hush")) as locked,
        socket.create_server(("127.0.0.1", 0)) as silent,
        Watched(locked.address.replace("//", "//me:wrong-word@")) as wrong,
        Watched(locked.address.replace("//", "//me:hush@")) as right,
        Watched(f"rtsp://me:hush@127.0.0.1:{silent.getsockname()[1]}/cam") as unanswered,
        Watched("rtsp://me:hush@no-such-host.invalid/cam") as unknown,
    ):
        assert wrong.outage().reason == "401: the user or password is wrong"
        assert unanswered.outage().reason == "no answer within 2 s"
        assert "there is no host 'no-such-host.invalid'" in unknown.outage().reason
        right.next_of(Sampled)
        readers = [Path("/proc", str(w.stream.pid)) for w in (wrong, right, unanswered, unknown)]
        processes = "".join((reader / name).read_text() for reader in readers for name in ("cmdline", "environ"))
        begun_s = time.monotonic()
        unanswered.stream.stop()  # while it waits for an answer
        assert time.monotonic() - begun_s < 5
        assert "ingest.live.child" in processes
        told = processes + caplog.text + "".join(repr(w.events) for w in (wrong, right, unanswered, unknown))
    assert "hush" not in told
    assert "wrong-word" not in told


def test_a_stall_is_an_outage_once_and_ends_with_it(film: Path) -> None:
    with Served(film) as server, Watched(server.address) as watched:
        watched.next_of(Sampled, 2)
        stalled_s = watched.now_s()
        server.tell("stall 3.5")
        lost = watched.outage()
        assert lost.reason.startswith("no data for ")
        assert abs(lost.time_s - stalled_s) < 1
        back = watched.next_of(Connected)[0]
        watched.next_of(Sampled, 3)
        assert back.time_s - stalled_s > 1.5
        assert len(watched.all_of(Lost)) == 1
        assert max(map(abs, watched.errors_s(server.loops))) < 0.5


def test_a_reader_that_hangs_or_dies_is_replaced(film: Path) -> None:
    with Served(film) as server, Watched(server.address) as watched:
        watched.next_of(Sampled, 2)
        for sign, words in ((signal.SIGSTOP, "the reader did not answer for"), (signal.SIGKILL, "the reader was killed by signal 9")):
            before = watched.stream.pid
            assert before
            os.kill(before, sign)
            assert watched.outage().reason.startswith(words)
            watched.next_of(Sampled, 2)
            assert watched.stream.pid != before
            assert not Path(f"/proc/{before}").exists()
        assert max(map(abs, watched.errors_s(server.loops))) < 0.5
        assert [e.epoch for e in watched.all_of(Connected)] == [0, 1, 2]


def test_an_old_reader_is_replaced_by_one_that_is_ready(film: Path) -> None:
    config = LiveConfig(recycle_h=1 / 3600)
    with Served(film) as server, Watched(server.address, config) as watched:
        watched.next_of(Sampled, 2)
        before = watched.stream.pid
        lost = watched.outage()
        back = watched.next_of(Connected)[0]
        watched.next_of(Sampled, 2)
        assert lost.reason == "the reader was replaced by a fresh one"
        assert 0 < back.time_s - lost.time_s < 6
        assert watched.stream.pid != before
        frames = [h.frames for h in watched.all_of(Health)]
        assert frames == sorted(frames)
        assert max(map(abs, watched.errors_s(server.loops))) < 0.5


def test_frames_that_nobody_takes_are_dropped_oldest_first_and_counted(film: Path) -> None:
    with Served(film) as server, Watched(server.address, LiveConfig(backlog=2), fps=20) as watched:
        watched.next_of(Sampled)
        time.sleep(1.5)
        watched.until(lambda: watched.all_of(Health)[-1:] and watched.all_of(Health)[-1].dropped, "drops")
        until_s = watched.now_s()
        watched.next_of(Sampled, 3)
        assert watched.all_of(Sampled)[-1].time_s > until_s - 2  # the present, not the past
        assert max(map(abs, watched.errors_s(server.loops))) < 0.5


def test_packets_are_kept_so_that_a_sampled_frame_can_be_fetched_again(film: Path, tmp_path: Path) -> None:
    with Served(film) as server, Watched(server.address, archive=tmp_path / "kept") as watched:
        seen = watched.next_of(Sampled, 8)
    frames = ArchiveFetcher(tmp_path / "kept").fetch([Redecode("cam", s.time_s, 320) for s in seen])
    assert [clock_film.ms_in(f.pixels) for f in frames] == [clock_film.ms_in(s.pixels) for s in seen]


@pytest.mark.slow
def test_nothing_grows_in_a_reader_whose_server_hangs_up_again_and_again(film: Path, tmp_path: Path) -> None:
    sizes = []
    with Served(film) as server, Watched(server.address, fps=2, archive=tmp_path / "kept") as watched:
        for _ in range(40):
            watched.next_of(Sampled, 2)
            process = Path("/proc", str(watched.stream.pid))
            pages = int((process / "statm").read_text().split()[1])
            sizes.append((pages / 256, len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))))
            server.tell("drop 0")
            watched.outage()
        assert max(map(abs, watched.errors_s(server.loops))) < 0.5
    mib, files, threads = zip(*sizes[5:], strict=True)
    print("MiB", [round(m, 1) for m in mib], "files", set(files), "threads", set(threads))
    assert max(mib[-5:]) < max(mib[:5]) + 4
    assert max(files[-5:]) <= max(files[:5])
    assert max(threads[-5:]) <= max(threads[:5])


PARENT = """
import sys, time
from ingest.live.config import LiveConfig
from ingest.live.stream import LiveStream
stream = LiveStream(sys.argv[1], began_unix_s=time.time(), config=LiveConfig(), fps=1)
stream.start()
print(stream.pid, flush=True)
time.sleep(600)
"""


def test_a_reader_ends_when_its_parent_is_killed_and_knows_no_torch(film: Path) -> None:
    with Served(film) as server:
        parent = subprocess.Popen([sys.executable, "-c", PARENT, server.address], stdout=subprocess.PIPE, text=True)
        assert parent.stdout is not None
        reader = Path("/proc", parent.stdout.readline().strip())
        deadline_s = time.monotonic() + PATIENCE_S
        while "libavformat" not in (libraries := (reader / "maps").read_text()):
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        parent.kill()
        parent.wait()
        parent.stdout.close()
        while reader.exists():
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
    assert "torch" not in libraries
    code = "import sys, ingest.live.child; print([m for m in ('torch', 'transformers', 'PIL', 'faiss') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_decoder_that_cannot_keep_up_takes_key_frames_that_begin_a_slot(film: Path) -> None:
    events, progress = list[Event](), Progress(0.0)
    pictures = Pictures(progress, events.append, fps=1, max_side_px=64)
    with av.open(str(film)) as container:
        pictures.begin(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.size:
                time_s = 100 + float(packet.pts * packet.time_base)
                pictures.take(Stamped(packet, time_s, 0), is_behind=110 <= time_s < 120)
    assert [e.time_s for e in events if isinstance(e, Sampled)] == pytest.approx([100 + n for n in range(30)])
    assert progress.frames == 20 * 20 + 10


def test_a_file_is_no_stream() -> None:
    with pytest.raises(ConfigError, match="not the address of a stream"):
        LiveStream("/films/talk.mp4", began_unix_s=0.0, config=QUICK)
