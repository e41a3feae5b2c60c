"""Streams over HLS, MJPEG in HTTP, RTMP and UDP, from real servers; what a playlist may name; addresses to what FFmpeg is told."""

import contextlib
import http.server
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import clock_film
import imageio_ffmpeg
import pytest
from watched import Watched

from footage.errors import ConfigError
from ingest.live.clock import WRAP_S
from ingest.live.config import LiveConfig
from ingest.live.connect import Refused, connect, route
from ingest.live.events import Connected, Health, Lost, Sampled
from ingest.net.policy import Policy

BOUNDARY = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"


class Handler(http.server.SimpleHTTPRequestHandler):
    jpegs: list[bytes]
    began_s: float

    def do_GET(self) -> None:
        if not self.path.endswith(".mjpg"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with contextlib.suppress(OSError):
            for n, jpeg in enumerate(self.jpegs):
                time.sleep(max(0.0, self.began_s + n / 20 - time.monotonic()))
                if self.began_s + n / 20 > time.monotonic() - 0.2:  # a camera sends what it sees now
                    self.wfile.write(BOUNDARY % (len(jpeg), jpeg))

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def web(folder: Path) -> Iterator[str]:
    class Here(Handler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Here) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextlib.contextmanager
def playlist(film: Path, folder: Path, start_s: float) -> Iterator[float]:
    """Segments of a second, written in real time; the film's first time stamp is start_s. Gives the wall-clock time of its beginning."""
    began_s, stopping = time.monotonic(), threading.Event()

    def write() -> None:
        options = {"hls_time": "1", "hls_list_size": "4", "hls_flags": "delete_segments"}
        with av.open(str(film)) as source, av.open(str(folder / "live.m3u8"), "w", format="hls", options=options) as out:
            stream = out.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is None or stopping.wait(max(0.0, began_s + float(packet.dts * packet.time_base) - time.monotonic())):
                    return
                packet.pts, packet.dts = (t + round(start_s / packet.time_base) for t in (packet.pts, packet.dts))
                packet.stream = stream
                out.mux(packet)

    began_unix_s, writer = time.time(), threading.Thread(target=write)
    writer.start()
    yield began_unix_s
    stopping.set()
    writer.join()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clock_film.write(tmp_path_factory.mktemp("live") / "film.mp4")


def test_a_playlist_whose_clock_wraps(film: Path, tmp_path: Path) -> None:
    with web(tmp_path) as address, playlist(film, tmp_path, WRAP_S - 4) as began_unix_s, Watched(f"{address}/live.m3u8") as watched:
        wrapped_s = began_unix_s - watched.began_unix_s + 5
        watched.until(lambda: [s for s in watched.all_of(Sampled) if s.time_s > wrapped_s + 2], "frames after the wrap")
        errors_s = watched.errors_s([began_unix_s])
        assert len(watched.all_of(Connected)) == 1
        assert watched.all_of(Health)[-1].is_connected
        assert max(errors_s) - min(errors_s) < 1.5
        assert 0 < min(errors_s) < 2.5  # later than what they show by a segment, which nobody can know
    assert all("404" in e.reason for e in watched.all_of(Lost))  # before the first segment was there


def test_pictures_over_http(film: Path, tmp_path: Path) -> None:
    clock_film.write(tmp_path / "film.avi", codec="mjpeg", options={"q:v": "3"}, seconds=20)
    with av.open(str(tmp_path / "film.avi")) as container:
        Handler.jpegs = [bytes(p) for p in container.demux(video=0) if p.size]
    Handler.began_s = time.monotonic()
    began_unix_s = time.time()
    with web(tmp_path) as address, Watched(f"mjpeg+{address}/cam.mjpg") as watched:
        watched.next_of(Sampled, 8)
        assert max(map(abs, watched.errors_s([began_unix_s]))) < 0.7
        assert watched.all_of(Connected)[0].codec == "mjpeg"


def ffmpeg(film: Path, *out: str) -> "subprocess.Popen[bytes]":
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", str(film), "-c", "copy", *out]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("scheme", ["rtmp", "udp"])
def test_what_ffmpeg_sends(film: Path, scheme: str) -> None:
    with socket.socket(type=socket.SOCK_STREAM if scheme == "rtmp" else socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"{scheme}://127.0.0.1:{port}" + ("/live/cam" if scheme == "rtmp" else "")
    flags = ("-f", "flv", "-listen", "1") if scheme == "rtmp" else ("-f", "mpegts")
    process = ffmpeg(film, *flags, address)
    try:
        with Watched(address, LiveConfig(open_s=5.0)) as watched:
            seen = watched.next_of(Sampled, 8)
            process.kill()
            ended_s = watched.now_s()
            assert abs(watched.outage().time_s - ended_s) < 1.5
    finally:
        process.kill()
        process.wait()
    shown_s = [clock_film.ms_in(s.pixels) / 1000 for s in seen]
    offsets_s = [s.time_s - at_s for s, at_s in zip(seen, shown_s, strict=True)]
    assert max(offsets_s) - min(offsets_s) < 0.5  # when FFmpeg began to send is not known exactly


def test_a_playlist_reaches_no_file(tmp_path: Path, film: Path) -> None:
    with av.open(str(film)) as source, av.open(str(tmp_path / "secret.ts"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    for name in (f"file://{tmp_path}/secret.ts", f"{tmp_path}/secret.ts", f"concat:{tmp_path}/secret.ts", "data:video/mp2t;base64,AAAA"):
        (tmp_path / "evil.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:5,\n{name}\n")
        with web(tmp_path) as address, pytest.raises(Refused):
            connect(f"{address}/evil.m3u8", LiveConfig(open_s=1), Policy()).close()
    (tmp_path / "good.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:5,\nsecret.ts\n")
    with web(tmp_path) as address:
        connect(f"{address}/good.m3u8", LiveConfig(), Policy()).close()


@pytest.mark.parametrize(
    ("address", "url", "kind"),
    [
        ("rtsp://cam/1", "rtsp://cam/1", "rtsp"),
        ("rtsps://cam/1", "rtsps://cam/1", "rtsp"),
        ("https://tv/live.m3u8?token=1", "https://tv/live.m3u8?token=1", "hls"),
        ("mjpeg+http://cam/video", "http://cam/video", "mpjpeg"),
        ("http://cam/video.mjpg", "http://cam/video.mjpg", "mpjpeg"),
        ("rtmp://host/app/key", "rtmp://host/app/key", "flv"),
        ("udp://239.0.0.1:5000", "udp://239.0.0.1:5000", None),
        ("/dev/video0", "/dev/video0", "v4l2"),
        ("v4l2:///dev/video1", "/dev/video1", "v4l2"),
    ],
)
def test_routes(address: str, url: str, kind: str | None) -> None:
    found = route(address, LiveConfig())
    assert (found.url, found.format) == (url, kind)
    assert ("file" in found.protocols) == (kind == "v4l2")
    with pytest.raises(ConfigError, match="not the address of a stream"):
        route("talk.mp4", LiveConfig())


def test_devices_that_are_not_there_and_addresses_that_are_not_allowed() -> None:
    with pytest.raises(Refused, match="no such device"):
        connect("/dev/video63", LiveConfig(), Policy())
    with pytest.raises(Refused, match="not reached from here"):
        connect("rtsp://me:hush@169.254.169.254/cam", LiveConfig(), Policy())
