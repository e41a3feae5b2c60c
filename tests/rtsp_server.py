"""An RTSP camera for tests (RFC 2326, RTP of RFC 3550, H.264 in RTP of RFC 6184): H.264 films, looped for ever in real time.

Run it: `python rtsp_server.py FILM... [--port N] [--user NAME --password WORD] [--slow S] [--wrap-after S]`. Like a camera it has one time
line that all clients share, and they may join in the middle of a group of pictures. It says on stdout `ready ADDRESS` and, whenever
the film begins again, `loop UNIX_SECONDS`. Lines on stdin make trouble: `stall SECONDS` sends nothing, `jump SECONDS` moves its clock,
`drop 0` hangs up on everybody.
"""

import argparse
import base64
import bisect
import random
import re
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=cam\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track0\r\n"
)
VERBS = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"
PAYLOAD_BYTES = 1400


class Film:
    """Coded pictures of one pass over all files: when to send them, when to show them, their NAL units."""

    def __init__(self, paths: list[str]) -> None:
        self.pictures: list[tuple[float, float, list[bytes]]] = []
        self.duration_s = 0.0
        for path in paths:
            with av.open(path) as container:
                self._add(container, container.streams.video[0], self.duration_s)
        self.sent_s = [dts for dts, _, _ in self.pictures]

    def _add(self, container: Any, stream: Any, start_s: float) -> None:
        annex_b: Any = av.BitStreamFilterContext("h264_mp4toannexb", stream)
        for packet in container.demux(stream):
            for p in annex_b.filter(packet if packet.size else None):
                pts, dts = (start_s + float(t * stream.time_base) for t in (p.pts, p.pts if p.dts is None else p.dts))
                nals = [n.rstrip(b"\0") for n in bytes(p).split(b"\0\0\1")]
                self.pictures.append((dts, pts, [n for n in nals if n]))
                self.duration_s = max(self.duration_s, pts + float((p.duration or 0) * stream.time_base))

    def place(self, time_s: float) -> int:
        """How many pictures have been sent, over all passes, at that time."""
        passes, rest_s = divmod(time_s, self.duration_s)
        return int(passes) * len(self.pictures) + bisect.bisect_left(self.sent_s, rest_s)

    def picture(self, place: int) -> tuple[float, float, list[bytes]]:
        passes, index = divmod(place, len(self.pictures))
        dts, pts, nals = self.pictures[index]
        return passes * self.duration_s + dts, passes * self.duration_s + pts, nals


@dataclass
class Camera:
    film: Film
    password: str = ""
    """Basic credentials as they are sent, base64; empty: open to all."""
    slow_s: float = 0.0
    rtp_offset: int = field(default_factory=lambda: random.getrandbits(32))
    began_s: float = field(default_factory=time.monotonic)
    shift_s: float = 0.0
    stalled_until_s: float = 0.0
    clients: set[socket.socket] = field(default_factory=set)

    def rtp_time(self, time_s: float) -> int:
        return (self.rtp_offset + round((time_s + self.shift_s) * 90000)) & 0xFFFFFFFF

    def obey(self, line: str) -> None:
        verb, seconds = line.split()
        if verb == "stall":
            self.stalled_until_s = time.monotonic() + float(seconds)
        elif verb == "jump":
            self.shift_s += float(seconds)
        elif verb == "drop":
            for client in list(self.clients):
                client.shutdown(socket.SHUT_RDWR)


def rtp_payloads(nal: bytes) -> list[bytes]:
    """A NAL unit whole, or in FU-A fragments (RFC 6184, 5.8)."""
    if len(nal) <= PAYLOAD_BYTES:
        return [nal]
    pieces = [nal[i : i + PAYLOAD_BYTES] for i in range(1, len(nal), PAYLOAD_BYTES)]
    edge = {0: 0x80, len(pieces) - 1: 0x40}
    return [bytes([nal[0] & 0xE0 | 28, nal[0] & 0x1F | edge.get(k, 0)]) + piece for k, piece in enumerate(pieces)]


class Client(socketserver.StreamRequestHandler):
    camera: Camera

    def handle(self) -> None:
        self.lock, self.gone, self.ports = threading.Lock(), threading.Event(), (0, 0)
        self.camera.clients.add(self.connection)
        try:
            while line := self.rfile.readline():
                if line[:1] == b"$":  # a report of the client: '$', channel, length in two bytes, payload
                    head = line[1:] + self.rfile.read(max(0, 4 - len(line)))
                    self.rfile.read(max(0, struct.unpack(">H", head[1:3])[0] - (len(head) - 3)))
                elif len(words := line.decode("latin1").split()) >= 3 and not self.answer(words[0], words[1]):
                    break
        except OSError:
            pass
        finally:
            self.gone.set()
            self.camera.clients.discard(self.connection)

    def answer(self, verb: str, url: str) -> bool:
        """False: the client is done."""
        headers = {}
        while text := self.rfile.readline().decode("latin1").strip():
            key, _, value = text.partition(":")
            headers[key.lower()] = value.strip()
        status, extra, body = "200 OK", "Session: 1234ABCD;timeout=60\r\n", ""
        if self.camera.password and headers.get("authorization") != f"Basic {self.camera.password}" and verb != "OPTIONS":
            status, extra = "401 Unauthorized", 'WWW-Authenticate: Basic realm="cam"\r\n'
        elif verb == "OPTIONS":
            extra = f"Public: {VERBS}\r\n"
        elif verb == "DESCRIBE":
            time.sleep(self.camera.slow_s)
            body, extra = SDP, f"Content-Base: {url}/\r\nContent-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n"
        elif verb == "SETUP":
            extra += self.set_up(headers["transport"])
        self.write(f"RTSP/1.0 {status}\r\nCSeq: {headers.get('cseq', '0')}\r\n{extra}\r\n{body}".encode())
        if verb == "PLAY" and status == "200 OK":
            threading.Thread(target=self.send, daemon=True).start()
        return verb != "TEARDOWN"

    def set_up(self, transport: str) -> str:
        found = re.search(r"client_port=(\d+)-(\d+)", transport)
        if not found:
            return "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        self.ports = int(found[1]), int(found[2])
        self.udp = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for s in self.udp:
            s.bind(("127.0.0.1", 0))
        ours = "-".join(str(s.getsockname()[1]) for s in self.udp)
        return f"Transport: RTP/AVP;unicast;client_port={found[1]}-{found[2]};server_port={ours}\r\n"

    def write(self, data: bytes) -> None:
        with self.lock:
            self.wfile.write(data)

    def emit(self, channel: int, packets: list[bytes]) -> None:
        """channel 0: media, 1: reports."""
        if self.ports[0]:
            for p in packets:
                self.udp[channel].sendto(p, ("127.0.0.1", self.ports[channel]))
        else:
            self.write(b"".join(b"$" + struct.pack(">BH", channel, len(p)) + p for p in packets))

    def send(self) -> None:
        camera, number, reported_s = self.camera, random.getrandbits(16), -9.0
        place = camera.film.place(time.monotonic() - camera.began_s)
        try:
            while not self.gone.is_set():
                due_s, shown_s, nals = camera.film.picture(place)
                time.sleep(max(0.0, camera.began_s + due_s - time.monotonic()))
                while time.monotonic() < camera.stalled_until_s:
                    time.sleep(0.05)
                if due_s - reported_s > 5:
                    reported_s = due_s
                    self.emit(1, [self.report()])
                payloads = [p for nal in nals for p in rtp_payloads(nal)]
                packets = []
                for k, payload in enumerate(payloads):
                    marker = 0x80 if k == len(payloads) - 1 else 0
                    packets.append(struct.pack(">BBHII", 0x80, 96 | marker, number, camera.rtp_time(shown_s), 1) + payload)
                    number = number + 1 & 0xFFFF
                self.emit(0, packets)
                place += 1
        except (OSError, ValueError):  # the client went away
            pass

    def report(self) -> bytes:
        """A sender report: which RTP time is which wall-clock time (RFC 3550, 6.4.1)."""
        ntp = time.time() + self.camera.shift_s + 2208988800
        rtp = self.camera.rtp_time(time.monotonic() - self.camera.began_s)
        return struct.pack(">BBHIIIIII", 0x80, 200, 6, 1, int(ntp), int(ntp % 1 * 2**32), rtp, 0, 0)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("films", nargs="+")
    flags.add_argument("--port", type=int, default=0)
    flags.add_argument("--user", default="")
    flags.add_argument("--password", default="")
    flags.add_argument("--slow", type=float, default=0.0)
    flags.add_argument("--wrap-after", type=float)
    args = flags.parse_args()
    camera = Client.camera = Camera(Film(args.films), slow_s=args.slow)
    if args.user:
        camera.password = base64.b64encode(f"{args.user}:{args.password}".encode()).decode()
    if args.wrap_after is not None:
        camera.rtp_offset = 2**32 - round(args.wrap_after * 90000)
    with Server(("127.0.0.1", args.port), Client) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        camera.began_s, began_unix_s, passes = time.monotonic(), time.time(), 0
        print(f"ready rtsp://127.0.0.1:{server.server_address[1]}/cam", flush=True)
        threading.Thread(target=lambda: [camera.obey(line) for line in sys.stdin], daemon=True).start()
        while True:
            print(f"loop {began_unix_s + passes * camera.film.duration_s:.6f}", flush=True)
            passes += 1
            time.sleep(max(0.0, camera.began_s + passes * camera.film.duration_s - time.monotonic()))


class Served:
    """The server as a process of its own, for a `with` block."""

    def __init__(self, *films: Path, port: int = 0, flags: Sequence[str] = ()) -> None:
        command = [sys.executable, __file__, *map(str, films), "--port", str(port), *flags]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.loops: list[float] = []
        """Wall-clock times at which the film began."""
        self.address = self.process.stdout.readline().split()[1]
        self.ready_unix_s = time.time()
        self.port = int(self.address.rpartition(":")[2].split("/")[0])
        self.listener = threading.Thread(target=self._listen, args=(self.process.stdout,), daemon=True)
        self.listener.start()

    def _listen(self, lines: Any) -> None:
        for line in lines:
            self.loops.append(float(line.split()[1]))

    def tell(self, line: str) -> None:
        """`stall 5`, `jump 100`, `drop 0`."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self) -> float:
        """SIGKILL; the wall-clock time of it."""
        killed_unix_s = time.time()
        self.process.kill()
        self.process.wait()
        self.listener.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return killed_unix_s

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


if __name__ == "__main__":
    main()
