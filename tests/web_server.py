"""A real web server for tests: files with ranges, and every fault that we must live with. Its log says who asked for what."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WebServer:
    """Bodies by path. `faults` get the handler and may answer instead (True: they did)."""

    def __init__(self, bodies: dict[str, bytes]) -> None:
        self.bodies, self.etag, self.has_ranges, self.content_type = bodies, '"one"', True, "video/mp4"
        self.redirects: dict[str, str] = {}
        self.fault: Callable[[Any, int], bool] | None = None
        self.password = ""
        self.log: list[tuple[str, str, dict[str, str]]] = []
        """(path, range, headers in lower case)"""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def url(self, path: str, host: str = "127.0.0.1", user: str = "") -> str:
        return f"http://{user + '@' if user else ''}{host}:{self.port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None: ...

            def do_GET(self) -> None:
                server.log.append((self.path, self.headers.get("Range", ""), {k.lower(): v for k, v in self.headers.items()}))
                if server.fault is not None and server.fault(self, len(server.log)):
                    return
                server.answer(self)

        return Handler

    def answer(self, handler: Any) -> None:
        path = handler.path.partition("?")[0]
        if path in self.redirects:
            self.send(handler, 302, b"", {"Location": self.redirects[path]})
        elif self.password and handler.headers.get("Authorization") != self.password:
            self.send(handler, 401, b"who are you", {"WWW-Authenticate": "Basic"})
        elif path not in self.bodies:
            self.send(handler, 404, b"nothing here", {})
        else:
            self._file(handler, self.bodies[path])

    def _file(self, handler: Any, body: bytes) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", "")) if self.has_ranges else None
        facts = {"Content-Type": self.content_type} | ({"ETag": self.etag} if self.etag else {})
        if asked is None:
            self.send(handler, 200, body, facts)
        elif int(asked[1]) >= len(body):
            self.send(handler, 416, b"", {"Content-Range": f"bytes */{len(body)}"})
        else:
            part = body[int(asked[1]) : int(asked[2]) + 1]
            self.send(handler, 206, part, facts | {"Content-Range": f"bytes {asked[1]}-{int(asked[1]) + len(part) - 1}/{len(body)}"})

    @staticmethod
    def send(handler: Any, status: int, body: bytes, headers: dict[str, str], *, cut: int | None = None, pause_s: float = 0.0) -> None:
        """cut: break off after so many bytes; pause_s: before the last half."""
        handler.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            handler.send_header(name, value)
        handler.end_headers()
        try:
            handler.wfile.write(body[: len(body) // 2] if cut is None else body[:cut])
            if cut is not None:
                handler.close_connection = True
                return
            time.sleep(pause_s)
            handler.wfile.write(body[len(body) // 2 :])
        except OSError:  # the client has gone
            handler.close_connection = True


@contextmanager
def serving(bodies: dict[str, bytes]) -> Iterator[WebServer]:
    server = WebServer(bodies)
    try:
        yield server
    finally:
        server.close()
