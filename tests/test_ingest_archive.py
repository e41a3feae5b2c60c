"""The rolling archive of a stream: its packets in chunks, and every frame of them back as it was, at the time that it had."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import clock_film
import films
import numpy as np
import pytest
from films import number_in
from played import numbers, play
from rtsp_server import Served

from footage import DecodeError, Redecode, SourceNotFound, TimeSpan
from footage.errors import SourceError
from ingest.live.archive import ArchiveFetcher
from ingest.live.archive_cut import cut_archive
from ingest.live.archive_writer import ArchiveWriter
from ingest.live.chunks import chunk_path, chunks, grid_ms, prune
from ingest.live.config import LiveConfig
from ingest.live.events import Sampled
from ingest.live.stream import LiveStream
from ingest.packets import scan
from memory.local_store import LocalStore

BEGIN_S = 1234.56789  # no whole millisecond


def fast_open_gop(path: Path) -> Path:
    """30 fps, so that no frame begins on a whole millisecond; 60 frames, a key frame each 20."""
    return films.write(
        path, rate=30, options={"preset": "medium", "x264-params": "keyint=20:min-keyint=20:bframes=3:open-gop=1:scenecut=0"}
    )


def av1(path: Path) -> Path:
    return films.write(path, codec="libsvtav1", options={"preset": "12", "g": "20", "svtav1-params": "log-level=0"})


def mjpeg(path: Path) -> Path:
    return films.write(path, codec="mjpeg", pix_fmt="yuvj420p", options={"q": "3"})


STREAMS: dict[str, Callable[[Path], Path]] = {
    "fast_open_gop.mp4": fast_open_gop, "b_frames.mp4": films.b_frames, "hevc.mp4": films.hevc, "vp9.webm": films.vp9, "av1.mp4": av1,
    "mjpeg.mkv": mjpeg, "transport.ts": films.transport_stream, "raw.h264": films.raw_h264, "constant.mp4": films.constant,
    "variable_rate.mkv": films.variable_rate,
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("films")
    return lambda name: path if (path := folder / name).exists() else STREAMS[name](path)


def fetched(folder: Path, times_s: Sequence[float]) -> list[int]:
    return [number_in(frame.pixels) for frame in ArchiveFetcher(folder).fetch([Redecode("door", t, 400) for t in times_s])]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[ArchiveWriter]:
    """Chunks of at least a second and a half."""
    made = ArchiveWriter(tmp_path / "door", LiveConfig(segment_s=1.5))
    yield made
    made.close()


@pytest.mark.parametrize("name", STREAMS)
def test_every_frame_comes_back_at_its_own_time(name: str, made: Callable[[str], Path], tmp_path: Path) -> None:
    writer = ArchiveWriter(tmp_path / "door", LiveConfig(segment_s=0.5))
    shown = play(made(name), writer, BEGIN_S)
    writer.close()
    times = [time_s for time_s, _ in shown]
    assert len(shown) == 60
    assert len(chunks(tmp_path / "door")) >= 2
    assert fetched(tmp_path / "door", times) == list(range(60))
    before_next = [b - 0.0021 for b in times[1:]]
    assert fetched(tmp_path / "door", before_next) == list(range(59))
    frames = ArchiveFetcher(tmp_path / "door").fetch([Redecode("door", t, 64) for t in times])
    assert [f.span.start_s for f in frames] == [grid_ms(t) / 1000 for t in times]
    assert all(a.span.end_s == b.span.start_s for a, b in pairwise(frames))
    extent = ArchiveFetcher(tmp_path / "door").extent("door")
    assert extent == TimeSpan(frames[0].span.start_s, frames[-1].span.end_s)


def test_chunks_begin_with_a_key_frame_and_end_with_the_next_ones(
    made: Callable[[str], Path], writer: ArchiveWriter, tmp_path: Path
) -> None:
    play(made("b_frames.mp4"), writer, BEGIN_S)  # a key frame each 2.5 s
    writer.close()
    found = chunks(tmp_path / "door")
    assert [c.start_ms for c in found] == [1234567, 1237067, 1239567]
    assert found[0].path.name == "000001234567.mkv"
    assert [numbers(c.path) for c in found] == [list(range(26)), list(range(25, 51)), list(range(50, 60))]


def test_packets_before_the_first_key_frame_are_dropped(made: Callable[[str], Path], writer: ArchiveWriter, tmp_path: Path) -> None:
    play(made("raw.h264"), writer, BEGIN_S, first=13)  # a key frame each second
    writer.close()
    assert numbers(chunks(tmp_path / "door")[0].path)[:3] == [20, 21, 22]


def test_a_hole_is_told_in_words(made: Callable[[str], Path], writer: ArchiveWriter, tmp_path: Path) -> None:
    folder = tmp_path / "door"
    archive = ArchiveFetcher(folder)
    assert archive.extent("door") is None
    with pytest.raises(SourceNotFound, match="nothing of the stream door is kept"):
        archive.fetch([Redecode("door", 1.0, 64)])
    play(made("raw.h264"), writer, 100.0)  # 6 s
    play(made("b_frames.mp4"), writer, 110.0)  # another codec configuration: a chunk of its own anyway
    writer.close()
    assert archive.extent("door") == TimeSpan(100.0, 116.0)
    assert fetched(folder, [105.95, 110.0]) == [59, 0]
    for time_s, words in (
        (99.9, "kept from its beginning to 00:01:40.000"), (106.0, "asked for 00:01:46.000, .* kept from 00:01:46.000 to 00:01:50.000"),
        (109.99, "to 00:01:50.000"), (116.0, "kept from 00:01:56.000 to now"),
    ):  # fmt: skip
        with pytest.raises(DecodeError, match=words):
            archive.fetch([Redecode("door", 101.0, 64), Redecode("door", time_s, 64)])


def test_a_clock_that_goes_back_begins_a_chunk_with_the_next_key_frame(
    made: Callable[[str], Path], writer: ArchiveWriter, tmp_path: Path
) -> None:
    with av.open(str(made("constant.mp4"))) as container:  # a key frame each second
        writer.begin(container.streams.video[0])
        for n, packet in enumerate(p for p in container.demux(video=0) if p.size):
            writer.write(packet, 100.0 + n / 10 - (0.5 if n >= 15 else 0.0))
    writer.close()
    assert [(c.start_ms, numbers(c.path)) for c in chunks(tmp_path / "door")] == [
        (100000, list(range(15))), (101500, list(range(20, 41))), (103500, list(range(40, 60))),
    ]  # fmt: skip


def test_what_is_there_already_is_never_written_over(made: Callable[[str], Path], writer: ArchiveWriter, tmp_path: Path) -> None:
    play(made("raw.h264"), writer, 100.0)
    writer.close()
    before = {c.path: c.path.read_bytes() for c in chunks(tmp_path / "door")}
    play(made("mjpeg.mkv"), writer, 100.0)
    writer.close()
    assert {path: path.read_bytes() for path in before} == before


def test_a_chunk_under_way_is_read_again_when_it_has_grown(made: Callable[[str], Path], tmp_path: Path) -> None:
    writer, archive = ArchiveWriter(tmp_path / "door", LiveConfig()), ArchiveFetcher(tmp_path / "door")
    with av.open(str(made("b_frames.mp4"))) as container:
        writer.begin(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.size:
                writer.write(packet, 50.0 + float(packet.pts * packet.time_base))
                if packet.pts * packet.time_base == 3:
                    middle = archive.extent("door")
                    assert middle is not None
                    assert 1.0 < middle.duration_s <= 3.1
                    with pytest.raises(DecodeError, match="to now"):
                        archive.fetch([Redecode("door", 55.0, 64)])
    writer.close()
    assert [number_in(f.pixels) for f in archive.fetch([Redecode("door", t, 400) for t in (55.0, 50.5)])] == [50, 5]


def run_script(text: str, *words: str) -> "subprocess.Popen[str]":
    root = Path(__file__).parents[1]
    env = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}
    return subprocess.Popen([sys.executable, "-c", text, *words], stdout=subprocess.PIPE, text=True, env=env)


KILLED = """
import sys, time, av
from pathlib import Path
from ingest.live.archive_writer import ArchiveWriter
from ingest.live.config import LiveConfig
writer = ArchiveWriter(Path(sys.argv[2]), LiveConfig())
container = av.open(sys.argv[1])
writer.begin(container.streams.video[0])
for packet in container.demux(video=0):
    if packet.size:
        writer.write(packet, 7.0 + float(packet.pts * packet.time_base))
print("written", flush=True)
time.sleep(600)
"""


def test_a_kill_costs_the_last_seconds_at_most(made: Callable[[str], Path], tmp_path: Path) -> None:
    process = run_script(KILLED, str(made("b_frames.mp4")), str(tmp_path / "door"))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        under_way = ArchiveFetcher(tmp_path / "door").extent("door")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    extent = ArchiveFetcher(tmp_path / "door").extent("door")
    assert under_way == extent
    assert extent is not None
    assert (extent.start_s, extent.end_s > 13.0 - 1.5) == (7.0, True)
    whole = round((extent.end_s - 7.0) * 10)
    assert fetched(tmp_path / "door", [7.0 + n / 10 for n in range(whole)]) == list(range(whole))


@pytest.mark.parametrize("name", ["fast_open_gop.mp4", "b_frames.mp4", "hevc.mp4", "vp9.webm"])
def test_of_a_chunk_that_is_cut_off_only_what_is_settled_is_shown(name: str, made: Callable[[str], Path], tmp_path: Path) -> None:
    """Packets stand in the order of decoding: behind a cut, frames between those that are there are missing."""
    writer = ArchiveWriter(tmp_path / "whole", LiveConfig())
    times = [time_s for time_s, _ in play(made(name), writer, 5.0)]
    writer.close()
    [chunk] = chunks(tmp_path / "whole")
    data, cut_off, shown = chunk.path.read_bytes(), tmp_path / "cut", set()
    cut_off.mkdir()
    for size in range(400, len(data), len(data) // 50):
        (cut_off / chunk.path.name).write_bytes(data[:size])
        extent = ArchiveFetcher(cut_off).extent("door")
        for looked in (times, [t - 0.0021 for t in times[1:]]):
            seen = [t for t in looked if extent is not None and t < extent.end_s]
            assert fetched(cut_off, seen) == list(range(len(seen)))
            shown.add(len(seen))
    assert len(shown) > 10


def test_a_bad_packet_stops_the_archive_for_a_minute(made: Callable[[str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = ArchiveWriter(tmp_path / "door", LiveConfig())
    with av.open(str(made("av1.mp4"))) as container:
        writer.begin(container.streams.video[0])
        for n, packet in enumerate(p for p in container.demux(video=0) if p.size):
            bad = av.Packet(bytes([255] * 50))
            bad.stream, bad.time_base, bad.pts, bad.dts = packet.stream, packet.time_base, packet.pts, packet.dts
            writer.write(bad if n == 30 else packet, 100.0 + n / 10)
    play(made("av1.mp4"), writer, 163.1)
    writer.close()
    assert fetched(tmp_path / "door", [100.0, 102.9, 163.1]) == [0, 29, 0]
    assert [c.start_ms for c in chunks(tmp_path / "door")] == [100000, 163100]
    [said] = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert said.startswith("the archive of door pauses: ")
    assert "Invalid data" in said


FULL = """
import json, logging, resource, sys, av
from pathlib import Path
from ingest.live.archive_writer import ArchiveWriter
from ingest.live.chunks import chunks
from ingest.live.config import LiveConfig
said = []
logging.getLogger().addHandler(type("Said", (logging.Handler,), {"emit": lambda self, record: said.append(record.getMessage())})())
writer = ArchiveWriter(Path(sys.argv[2]), LiveConfig(segment_s=2.0))
def play(begin_s):
    with av.open(sys.argv[1]) as container:
        writer.begin(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.size:
                writer.write(packet, begin_s + float(packet.pts * packet.time_base))
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, resource.RLIM_INFINITY))  # a file that the disk does not take whole
for begin_s in (0.0, 10.0, 62.0):
    play(begin_s)
full = len(said)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
play(100.0)
play(130.0)
writer.close()
print(json.dumps([said, full, [c.start_ms for c in chunks(Path(sys.argv[2]))]]))
"""


def test_a_full_disk_is_said_once_and_tried_again_after_a_minute(made: Callable[[str], Path], tmp_path: Path) -> None:
    process = run_script(FULL, str(made("b_frames.mp4")), str(tmp_path / "door"))
    out, _ = process.communicate(timeout=120)
    said, full, begun = json.loads(out)
    assert process.returncode == 0
    assert (full, len(said)) == (1, 1)
    assert said[0].startswith("the archive of door pauses: ")
    assert not any(10_000 <= start_ms < 60_000 for start_ms in begun)
    assert begun[-3:] == [130000, 132500, 135000]
    assert fetched(tmp_path / "door", [130.0, 135.9]) == [0, 59]


def test_what_a_reader_sampled_is_what_the_archive_shows(tmp_path: Path) -> None:
    """Over RTSP, with B-frames, through a restart of the server; a clock is burnt into the pictures."""
    film = clock_film.write(tmp_path / "clock.mp4", seconds=10, options={"preset": "veryfast", "bf": "2", "g": "20", "sc_threshold": "0"})
    server, sampled = Served(film), list[Sampled]()
    stream = LiveStream(
        server.address, began_unix_s=time.time() - 1000, config=LiveConfig(segment_s=2.0), fps=4.0, max_side_px=320,
        archive=tmp_path / "door",
    )  # fmt: skip
    stream.start()
    try:
        for count in (14, 20):
            if sampled:
                server.kill()
                server = Served(film, port=server.port)
            end_s = time.monotonic() + 60
            while len(sampled) < count and time.monotonic() < end_s:
                sampled += [event for event in stream.poll() if isinstance(event, Sampled)]
                time.sleep(0.05)
    finally:
        stream.stop()
        server.kill()
    assert len(sampled) >= 20
    assert len(chunks(tmp_path / "door")) >= 3
    frames = ArchiveFetcher(tmp_path / "door").fetch([Redecode("door", event.time_s, 320) for event in sampled])
    assert [clock_film.ms_in(f.pixels) for f in frames] == [clock_film.ms_in(event.pixels) for event in sampled]
    assert [f.span.start_s for f in frames] == pytest.approx([event.time_s for event in sampled], abs=1e-6)


def with_sound(path: Path, codec: str) -> Path:
    """Numbered pictures and a tone."""
    tone = (np.sin(np.arange(48000 * 6) / 8) * 8000).astype(np.int16)
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=10, options={**films.X264, "g": "10"})
        video.width, video.height, video.pix_fmt = films.WIDTH, films.HEIGHT, "yuv420p"
        audio: Any = out.add_stream(codec, rate=48000, layout="mono")
        for n in range(60):
            frame = av.VideoFrame.from_ndarray(films.picture(n), format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 10)
            out.mux(video.encode(frame))
            piece = av.AudioFrame.from_ndarray(tone[None, n * 4800 : (n + 1) * 4800], format="s16", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = 48000, n * 4800, Fraction(1, 48000)
            out.mux(audio.encode(piece))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))
    return path


def test_sound_is_kept_and_comes_along_into_a_clip(writer: ArchiveWriter, tmp_path: Path) -> None:
    play(with_sound(tmp_path / "sound.mp4", "aac"), writer, 100.0, sound=True)
    writer.close()
    shown, note = cut_archive(ArchiveFetcher(tmp_path / "door"), TimeSpan(101.0, 105.0), tmp_path / "clip.mkv")
    assert (shown, note) == (TimeSpan(101.0, 105.0), "")
    assert numbers(tmp_path / "clip.mkv") == list(range(10, 50))
    with av.open(str(tmp_path / "clip.mkv")) as clip:
        assert [s.codec_context.name for s in clip.streams] == ["h264", "aac"]
        heard = [float(p.pts * p.time_base) for p in clip.demux(audio=0) if p.size]
    assert (heard[0], heard[-1]) == pytest.approx((0.0, 4.0), abs=0.1)
    assert max(b - a for a, b in pairwise(heard)) < 0.1


def test_sound_that_matroska_does_not_take_costs_the_sound_alone(
    writer: ArchiveWriter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film = with_sound(tmp_path / "sound.mov", "pcm_mulaw")  # what many cameras send
    for begin_s in (100.0, 110.0):
        play(film, writer, begin_s, sound=True)
    writer.close()
    assert fetched(tmp_path / "door", [100.0, 115.9]) == [0, 59]
    [said] = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert said.startswith("the sound is not archived: ")


def test_raw_video_is_not_archived_and_said_once(writer: ArchiveWriter, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    film = films.write(tmp_path / "raw.avi", codec="rawvideo", frames=3, time_base=Fraction(1, 10))
    for begin_s in (0.0, 10.0):
        play(film, writer, begin_s)
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == ["raw video is not archived (door)"]
    assert not (tmp_path / "door").exists()


def test_the_oldest_chunks_of_all_streams_go_first(tmp_path: Path) -> None:
    now = 1_900_000_000.0

    def put(stream: str, start_s: int, age_s: float, size: int = 1000) -> Path:
        path = chunk_path(tmp_path / stream, start_s * 1000)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(size))
        os.utime(path, (now - age_s, now - age_s))
        return path

    kept = put("yard", 300, 0)
    oldest, second, third = put("yard", 100, 7200), put("door", 900, 5000), put("yard", 200, 4000)
    lonely = put("gone", 5, 1000)
    assert _pruned(tmp_path, now, max_bytes=5000, max_age_s=7200) == 0
    assert _pruned(tmp_path, now, max_bytes=5000, max_age_s=7100) == 1
    assert [p.exists() for p in (oldest, second, third, lonely, kept)] == [False, True, True, True, True]
    assert _pruned(tmp_path, now, max_bytes=2500, max_age_s=7100) == 2
    assert [p.exists() for p in (second, third, lonely, kept)] == [False, False, True, True]
    assert not second.parent.exists()
    assert _pruned(tmp_path, now, max_bytes=0, max_age_s=7100) == 1  # the one that may be being written stays
    assert [p.exists() for p in (lonely, kept)] == [False, True]
    assert _pruned(tmp_path / "nothing", now, max_bytes=0, max_age_s=1) == 0


def _pruned(archive: Path, now: float, *, max_bytes: int, max_age_s: float) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: now)
        return prune(archive, max_bytes=max_bytes, max_age_s=max_age_s)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("name", ["fast_open_gop.mp4", "b_frames.mp4", "hevc.mp4"])
def test_one_clip_over_several_chunks(name: str, suffix: str, made: Callable[[str], Path], tmp_path: Path) -> None:
    folder, writer = tmp_path / "door", ArchiveWriter(tmp_path / "door", LiveConfig(segment_s=0.5))
    times = [time_s for time_s, _ in play(made(name), writer, 100.0)]
    writer.close()
    assert len(chunks(folder)) == 3
    archive = ArchiveFetcher(folder)
    shown, note = cut_archive(archive, TimeSpan(times[27], times[55]), tmp_path / f"clip{suffix}")
    begin = 20 if "b_frames" not in name else 25
    assert note == ""
    assert shown == TimeSpan(grid_ms(times[begin]) / 1000, grid_ms(times[55]) / 1000)
    assert numbers(tmp_path / f"clip{suffix}")[: 55 - begin] == list(range(begin, 55))
    clip = scan(tmp_path / f"clip{suffix}")
    assert np.allclose(clip.starts_s[: 55 - begin], np.array(times[begin:55]) - times[begin], atol=0.0021)
    shown, _ = cut_archive(archive, TimeSpan(times[27], times[55]), tmp_path / f"exact{suffix}", exact=True)
    assert shown.start_s == grid_ms(times[27]) / 1000
    assert numbers(tmp_path / f"exact{suffix}") == list(range(27, 55))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip" + suffix, "door", "exact" + suffix]


def test_a_clip_ends_where_the_archive_has_a_hole(made: Callable[[str], Path], writer: ArchiveWriter, tmp_path: Path) -> None:
    play(made("b_frames.mp4"), writer, 100.0)
    play(made("raw.h264"), writer, 110.0)
    writer.close()
    archive, clip = ArchiveFetcher(tmp_path / "door"), tmp_path / "clip.mp4"
    shown, note = cut_archive(archive, TimeSpan(104.0, 113.0), clip)
    assert shown == TimeSpan(102.5, 106.0)
    assert note == "not in the clip: from 00:01:46.000 to 00:01:53.000 (nothing is kept of it, or another kind of picture)"
    assert numbers(clip) == list(range(25, 60))
    shown, note = cut_archive(archive, TimeSpan(107.0, 113.0), clip)
    assert shown == TimeSpan(110.0, 113.0)
    assert note.startswith("not in the clip: from 00:01:47.000 to 00:01:50.000 (")
    assert numbers(clip) == list(range(30))
    with pytest.raises(SourceError, match=r"nothing of 00:01:46\.500-00:01:47\.500 is kept"):
        cut_archive(archive, TimeSpan(106.5, 107.5), clip)


def test_forgetting_a_recording_takes_its_archive_along(made: Callable[[str], Path], tmp_path: Path) -> None:
    with LocalStore(tmp_path) as store:
        for name in ("door", "yard"):
            writer = ArchiveWriter(store.archive_folder(name), LiveConfig())
            play(made("raw.h264"), writer, BEGIN_S)
            writer.close()
        store.forget("door")
        store.forget("")
        assert [path.name for path in (tmp_path / "archive").iterdir()] == ["yard"]
