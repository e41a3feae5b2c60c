"""Videos behind http(s), and what may be reached: real sockets, real files, real faults."""

import io
import ipaddress
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from films import FILMS, number_in
from web_server import WebServer, serving

from footage.addresses import is_live, name_of, without_credentials
from footage.errors import ConfigError, FootageError, NotVideo, SourceError, SourceNotFound, SourceStalled
from footage.recordings import Gap
from ingest.file_source import FileSource
from ingest.net.config import NetConfig
from ingest.net.kept_tables import keep_table, kept_table
from ingest.net.nested import OPTIONS, Opener
from ingest.net.policy import Policy, check_path, kind_of
from ingest.net.remote import BLOCK_BYTES, RemoteFile
from ingest.packets import scan

QUICK = Policy(NetConfig(read_s=0.5, connect_s=2, retries=1))
SERVING = Policy(NetConfig(serving=True, retries=0))


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FILMS["b_frames.mp4"](tmp_path_factory.mktemp("net") / "b.mp4")


@pytest.fixture
def server(film: Path) -> Iterator[WebServer]:
    with serving({"/a/film.mp4": film.read_bytes()}) as running:
        yield running


# Addresses


@pytest.mark.parametrize(
    ("address", "shown", "name"),
    [
        ("rtsp://u:p@h:554/a?x=1&password=abc#f", "rtsp://h:554/a?x=1&password=***", "a"),
        ("rtsp://admin:p@ss@cam:554/x", "rtsp://cam:554/x", "x"),
        ("rtsp://admin:pa/s?s#x@cam/x", "rtsp://cam/x", "x"),
        ("https://h/a%20b.mp4?X-Amz-Signature=1&b&c=%2F+d", "https://h/a%20b.mp4?X-Amz-Signature=***&b&c=%2F+d", "a b.mp4"),
        ("https://h/f.mp4?%70assword=x", "https://h/f.mp4?%70assword=***", "f.mp4"),
        ("http://[::1]:80/a@b", "http://[::1]:80/a@b", "a@b"),
        ("http://h:80/@me/film.mp4?q=/x/y", "http://h:80/@me/film.mp4?q=/x/y", "film.mp4"),
        ("http://h", "http://h", "http://h"),
        ("http://u:p@[bad/x", "http://[bad/x", "x"),
        ("a folder/film.mp4", "a folder/film.mp4", "a folder/film.mp4"),
    ],
)
def test_an_address_is_shown_and_named_without_its_secrets(address: str, shown: str, name: str) -> None:
    assert (without_credentials(address), name_of(address)) == (shown, name)
    assert without_credentials(shown) == shown


def test_what_is_live_is_told_by_its_address() -> None:
    for address in ("rtsp://h/x", "http://h/live.m3u8?a=b", "/dev/video0", "srt://h:9", "https://h/cam.mjpg"):
        assert is_live(address), address
    for address in ("http://h/film.mp4?x=.m3u8", "film.mp4", "rtsp.mp4", "/dev/videos"):
        assert not is_live(address), address


# The policy


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("8.8.8.8", ""), ("2606:4700::1111", ""), ("127.0.0.1", "loopback"), ("::1", "loopback"), ("10.0.0.1", "private"),
        ("192.168.1.7", "private"), ("100.64.0.1", "private"), ("fd12::1", "private"), ("169.254.7.7", "link-local"),
        ("fe80::1", "link-local"), ("224.0.0.1", "multicast"), ("ff02::1", "multicast"), ("0.0.0.0", "unspecified"),
        ("::", "unspecified"), ("240.0.0.1", "reserved"), ("255.255.255.255", "reserved"), ("169.254.169.254", "metadata"),
        ("100.100.100.200", "metadata"), ("168.63.129.16", "metadata"), ("fd00:ec2::254", "metadata"),
        ("::ffff:127.0.0.1", "loopback"), ("::ffff:169.254.169.254", "metadata"), ("64:ff9b::a9fe:a9fe", "metadata"),
        ("64:ff9b::808:808", ""), ("2002:7f00:1::", "loopback"), ("::7f00:1", "reserved"), ("2001:db8::1", "private"),
        ("fec0::1", "reserved"),
    ],
)  # fmt: skip
def test_every_kind_of_address_is_known(address: str, kind: str) -> None:
    assert kind_of(ipaddress.ip_address(address)) == kind


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names ending in .test resolve to each answer in turn, the last one from then on; returns the names that were asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if not str(host).rstrip(".").endswith(".test"):
            return real(host, port, *args, **more)
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(ConfigError, match=r"cdn\.test \(10\.0\.0\.1\) is a private address") as error:
        Policy().check("https://cdn.test/f.mp4", is_named=False)
    assert "net.allow_hosts" in error.value.hint


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:7f00:1]", "0.0.0.0", "169.254.169.254"])
def test_a_server_reaches_no_private_address_however_it_is_written(host: str) -> None:
    with pytest.raises(ConfigError, match=r"which is not reached from here"):
        SERVING.check(f"http://{host}:8000/latest/meta-data")


def test_what_the_owner_names_may_be_private_and_what_others_say_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Policy().check("http://127.0.0.1/f.mp4").addresses == ("127.0.0.1",)
    with pytest.raises(ConfigError, match="loopback"):
        Policy().check("http://127.0.0.1/f.mp4", is_named=False)
    with pytest.raises(ConfigError, match="metadata"):
        Policy().check("http://169.254.169.254/f.mp4")
    assert Policy(NetConfig(allow_private=True)).check("http://127.0.0.1/f.mp4", is_named=False)
    assert Policy(NetConfig(serving=True, allow_hosts=("127.0.0.0/8",))).check("http://127.0.0.1/f.mp4")
    resolving(monkeypatch, ["192.168.0.4"])
    assert Policy(NetConfig(serving=True, allow_hosts=("NAS.test",))).check("http://nas.test./f.mp4")
    with pytest.raises(ConfigError, match="private"):
        Policy(NetConfig(serving=True, allow_hosts=("nas.test",))).check("http://evil-nas.test/f.mp4")


def test_cameras_are_private_and_a_server_reaches_those_of_its_list_only() -> None:
    for address in ("rtsp://u:p@127.0.0.1/x", "rtmp://10.0.0.1/x", "udp://239.0.0.1:1234", "mjpeg+http://127.0.0.1/x"):
        assert Policy().check(address).port
    for address in ("rtsp://8.8.8.8/x", "rtsp://192.168.1.2/x"):
        with pytest.raises(ConfigError, match="not reached"):
            SERVING.check(address)
    assert Policy(NetConfig(serving=True, allow_hosts=("192.168.1.0/24",))).check("rtsp://192.168.1.2/x").port == 554
    with pytest.raises(ConfigError, match="metadata"):
        Policy().check("rtsp://169.254.169.254/x")


@pytest.mark.parametrize(
    "url", ["ftp://h/x", "file:///etc/passwd", "/etc/passwd", "http:///x", "http://h:99999/", "http://u:secret@[x/", "udp://h/"]
)
def test_what_is_no_address_is_refused_in_words(url: str) -> None:
    with pytest.raises(ConfigError) as error:
        Policy().check(url)
    assert "secret" not in str(error.value)


def test_paths_are_restricted_while_serving_whatever_they_look_like(tmp_path: Path) -> None:
    (root := tmp_path / "root").mkdir()
    inside, outside = root / "in.mp4", tmp_path / "root-secret.mp4"
    inside.write_bytes(b"x")
    outside.write_bytes(b"x")
    (root / "link.mp4").symlink_to(outside)
    config = NetConfig(serving=True, roots=(str(root),))
    assert check_path(inside, config) == inside.resolve()
    for path in (outside, root / "link.mp4", root / ".." / "root-secret.mp4", root / "gone.mp4", Path("/etc/passwd")):
        with pytest.raises(SourceNotFound, match="in the folders that are served"):
            check_path(path, config)
    assert check_path(outside, NetConfig()) == outside
    with pytest.raises(SourceNotFound):
        check_path(inside, NetConfig(serving=True))


# Connections


def test_a_name_is_resolved_once_and_connected_to_where_it_was_checked(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch, ["127.0.0.1"], ["8.8.8.8"])
    remote = RemoteFile(server.url("/a/film.mp4", "film.test"), QUICK)
    remote._blocks.clear()
    assert remote.read_at(0, 4)
    assert asked == ["film.test"]
    assert {headers["host"] for _, _, headers in server.log} == {f"film.test:{server.port}"}


def test_the_next_address_is_tried_where_one_does_not_answer(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["::1", "127.0.0.1"])
    assert RemoteFile(server.url("/a/film.mp4", "film.test"), QUICK).size_bytes


def certified(tmp_path: Path, name: str) -> tuple[Path, Path]:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -addext subjectAltName=DNS:{name}"
    command = ["openssl", *made.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return key, certificate


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_a_certificate_is_checked_against_the_name_and_encryption_is_never_left(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, ["127.0.0.1"])
    key, certificate = certified(tmp_path, "film.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(server.bodies) as secure:
        secure._server.socket = context.wrap_socket(secure._server.socket, server_side=True)
        trusted, port = ssl.create_default_context(cafile=str(certificate)), secure.port
        assert RemoteFile(f"https://film.test:{port}/a/film.mp4", QUICK, verify=trusted).size_bytes == len(server.bodies["/a/film.mp4"])
        with pytest.raises(SourceStalled, match=r"(?i)mismatch|certificate"):
            RemoteFile(f"https://other.test:{port}/a/film.mp4", QUICK, verify=trusted)
        secure.redirects["/away"] = server.url("/a/film.mp4")
        with pytest.raises(SourceError, match="away from an encrypted connection"):
            RemoteFile(f"https://film.test:{port}/away", QUICK, verify=trusted)


def test_redirects_are_followed_remembered_and_told_the_password_of_nobody_else(server: WebServer) -> None:
    policy = Policy(NetConfig(allow_private=True))
    with serving(server.bodies) as other:
        server.redirects["/r"] = other.url("/a/film.mp4", "localhost")
        remote = RemoteFile(server.url("/r", user="me:secret"), policy)
        remote._blocks.clear()
        remote.read_at(0, 10)
        assert "authorization" in server.log[0][2]
        assert [path for path, _, _ in server.log] == ["/r"]
        assert [path for path, _, _ in other.log] == ["/a/film.mp4"] * 2
        assert not any("authorization" in headers for _, _, headers in other.log)


def test_a_redirect_leads_to_no_private_address(server: WebServer) -> None:
    with serving(server.bodies) as other:
        server.redirects["/r"] = other.url("/a/film.mp4")
        with pytest.raises(ConfigError, match="loopback address, which is not reached from here"):
            RemoteFile(server.url("/r"), QUICK)
        assert other.log == []
    server.redirects["/same"] = "/a/film.mp4"
    assert RemoteFile(server.url("/same"), QUICK).size_bytes
    for target, says in {"/loop": "more than 5 times", "file:///etc/passwd": "not followed", "//u:secret@h:x/": "no address"}.items():
        server.redirects["/loop"] = target
        with pytest.raises(SourceError, match=says) as error:
            RemoteFile(server.url("/loop"), QUICK)
        assert "secret" not in str(error.value)


# Files behind them


def test_a_film_is_the_same_recording_by_path_and_by_address(server: WebServer, film: Path) -> None:
    remote = RemoteFile(server.url("/a/film.mp4"))
    far, near = FileSource.open(remote), FileSource.open(film)
    assert far.recording == near.recording
    [ours], [theirs] = ([c for s in source.segments() for c in source.clips(s)] for source in (far, near))
    assert not isinstance(ours, Gap)
    assert not isinstance(theirs, Gap)
    assert np.array_equal(ours.pixels, theirs.pixels)
    assert [number_in(p) for p in ours.pixels] == [0, 10, 20, 30, 40, 50]
    assert far.texts() == []
    assert (remote.requests, remote.local) == (1, None)


def noise(size: int) -> bytes:
    return np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()


def test_bytes_are_those_of_the_file_wherever_one_reads_and_little_is_held() -> None:
    body = noise(9 * 2**20 + 77)
    with serving({"/f.mp4": body}) as server:
        remote = RemoteFile(server.url("/f.mp4"), Policy(NetConfig(cache_mib=4)))
        file, told = remote.open(), io.BytesIO(body)
        random = np.random.default_rng(1)
        for _ in range(200):
            at, length = int(random.integers(0, len(body) + 10)), int(random.integers(0, 70_000))
            assert file.seek(at) == told.seek(at)
            assert file.read(length) == told.read(length)
        assert sum(map(len, remote._blocks.values())) <= 4 * 2**20
        file.seek(-5, io.SEEK_END)
        assert file.read() == body[-5:]


def test_reading_on_asks_seldom(server: WebServer) -> None:
    body = server.bodies["/big.mp4"] = noise(12 * 2**20)
    remote = RemoteFile(server.url("/big.mp4"), Policy(NetConfig(cache_mib=32)))
    file = remote.open()
    while file.read(2**16):
        pass
    assert remote.bytes_read == len(body)
    assert remote.requests <= 7


def test_a_connection_that_breaks_off_is_resumed_where_it_broke(server: WebServer) -> None:
    body = server.bodies["/big.mp4"] = noise(BLOCK_BYTES * 2)

    def break_off(handler: Any, count: int) -> bool:
        if count not in (2, 3):
            return False
        if count == 3:
            server.send(handler, 503, b"busy", {})
            return True
        start, end = (int(x) for x in handler.headers["Range"].removeprefix("bytes=").split("-"))
        facts = {"ETag": server.etag, "Content-Range": f"bytes {start}-{end}/{len(body)}"}
        server.send(handler, 206, body[start : end + 1], facts, cut=1000)
        return True

    server.fault = break_off
    file = RemoteFile(server.url("/big.mp4"), Policy(NetConfig(retries=3))).open()
    assert file.read() == body
    begun = [int(span.removeprefix("bytes=").partition("-")[0]) for _, span, _ in server.log]
    assert begun == [0, BLOCK_BYTES, BLOCK_BYTES + 1000, BLOCK_BYTES + 1000]


def test_a_file_that_changes_while_it_is_read_is_an_error_and_never_a_mixture(server: WebServer) -> None:
    server.bodies["/big.mp4"] = noise(BLOCK_BYTES * 2)
    file = RemoteFile(server.url("/big.mp4"), QUICK).open()
    server.etag = '"two"'
    with pytest.raises(SourceError, match=r"big\.mp4 changed while it was being read"):
        file.read()
    file = RemoteFile(server.url("/big.mp4"), QUICK).open()
    server.bodies["/big.mp4"] = noise(BLOCK_BYTES)
    with pytest.raises(SourceError, match="changed"):
        file.read()


@pytest.mark.parametrize(
    ("path", "kind", "says"),
    [
        ("/none.mp4", SourceNotFound, r"there is nothing at .*none\.mp4.* \(HTTP 404\)"),
        ("/empty.mp4", NotVideo, r"empty\.mp4.* is empty"),
        ("/page.mp4", NotVideo, "is a web page, not a video"),
        ("/words.mp4", NotVideo, r"not a media file that we can read \(it begins with 'just some words"),
        ("/list.mp4", NotVideo, "not a media file"),
        ("/secret.mp4", SourceError, r"may not be read \(HTTP 401\)"),
        ("/broken.mp4", SourceStalled, "HTTP 500"),
        ("/silent.mp4", SourceStalled, "stopped sending"),
    ],
)
def test_what_cannot_be_read_is_told_in_words_without_credentials(
    server: WebServer, path: str, kind: type[FootageError], says: str
) -> None:
    server.bodies |= {
        "/empty.mp4": b"", "/page.mp4": b"\n<!DOCTYPE html><html>video</html>", "/words.mp4": b"just some words, no video\n" * 9,
        "/list.mp4": f"#EXTM3U\n#EXTINF:6,\n{server.url('/a/film.mp4')}\n#EXT-X-ENDLIST\n".encode(),
    }  # fmt: skip
    server.content_type = "text/html" if path == "/page.mp4" else "video/mp4"

    def fault(handler: Any, count: int) -> bool:
        if path == "/secret.mp4":
            server.send(handler, 401, b"", {})
        elif path == "/broken.mp4":
            server.send(handler, 500, b"", {})
        elif path == "/silent.mp4":
            server.send(handler, 206, noise(1000), {"Content-Range": "bytes 0-999/1000"}, pause_s=1.5)
        return path in ("/secret.mp4", "/broken.mp4", "/silent.mp4")

    server.fault = fault
    with pytest.raises(kind, match=says) as error:
        scan(RemoteFile(server.url(path + "?token=abcdef", user="me:secret"), QUICK))
    told = str(error.value) + error.value.hint
    assert "secret@" not in told
    assert ":secret" not in told
    assert "abcdef" not in told
    assert error.value.hint
    assert not any(asked == "/a/film.mp4" for asked, _, _ in server.log)  # what a list names is not opened


def test_without_ranges_a_file_is_downloaded_under_a_cap_and_left_nowhere(server: WebServer, film: Path) -> None:
    server.has_ranges = False
    heard: list[tuple[int, int]] = []
    remote = RemoteFile(server.url("/a/film.mp4"), QUICK, heard=lambda *said: heard.append(said))
    assert FileSource.open(remote).recording == FileSource.open(film).recording
    assert heard[-1] == (film.stat().st_size, film.stat().st_size)
    assert len(server.log) == 1
    local = remote.local
    assert local is not None
    assert local.exists()
    remote.close()
    assert not local.exists()
    with pytest.raises(SourceError, match="would have to be downloaded whole") as error:
        RemoteFile(server.url("/a/film.mp4"), Policy(NetConfig(download_gib=1e-6)))
    assert "net.download_gib" in error.value.hint


def test_a_table_is_read_again_only_when_the_file_changed(server: WebServer, tmp_path: Path) -> None:
    remote = RemoteFile(server.url("/a/film.mp4"), QUICK)
    assert kept_table(remote, tmp_path / "remote") is None
    (tmp_path / "remote").mkdir()
    table = scan(remote)
    keep_table(table, remote, tmp_path / "remote")
    again = kept_table(RemoteFile(server.url("/a/film.mp4"), QUICK), tmp_path / "remote")
    assert again is not None
    assert again.time_base == table.time_base
    assert np.array_equal(again.pts, table.pts)
    assert FileSource.of(again).recording == FileSource.of(table).recording
    server.etag = '"two"'
    assert kept_table(RemoteFile(server.url("/a/film.mp4"), QUICK), tmp_path / "remote") is None
    server.etag = '"one"'
    [kept] = (tmp_path / "remote").iterdir()
    kept.write_bytes(kept.read_bytes()[:500])
    assert kept_table(RemoteFile(server.url("/a/film.mp4"), QUICK), tmp_path / "remote") is None


# Lists of addresses


def playlist(*parts: str) -> bytes:
    return "\n".join(["#EXTM3U", "#EXT-X-TARGETDURATION:6", *[f"#EXTINF:6,\n{part}" for part in parts], "#EXT-X-ENDLIST", ""]).encode()


def frames_of(url: str, policy: Policy) -> int:
    opener = Opener(url, policy)
    with av.open(opener.address, io_open=opener, container_options=OPTIONS) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_playlist_is_played_through_the_policy_with_the_password_of_its_own_server(server: WebServer, tmp_path: Path) -> None:
    server.bodies["/live/part.ts"] = FILMS["ts.ts"](tmp_path / "p.ts").read_bytes()
    server.bodies["/live/a.m3u8"] = playlist("part.ts")
    server.redirects["/start.m3u8"] = "/live/a.m3u8"
    server.password = "Basic bWU6c2VjcmV0"  # me:secret
    assert frames_of(server.url("/start.m3u8", user="me:secret"), QUICK) == 60
    with pytest.raises(SourceError, match="401"):
        frames_of(server.url("/start.m3u8"), QUICK)


@pytest.mark.parametrize("part", ["http://127.0.0.1:{port}/x.ts", "file:///etc/passwd", "concat:/etc/passwd", "rtsp://127.0.0.1/x"])
def test_a_playlist_leads_nowhere_else(server: WebServer, part: str) -> None:
    with serving({"/x.ts": b"x" * 1000}) as other:
        server.bodies["/a.m3u8"] = playlist(part.format(port=other.port))
        with pytest.raises((FootageError, av.error.FFmpegError)):
            frames_of(server.url("/a.m3u8"), QUICK)
        assert other.log == []
