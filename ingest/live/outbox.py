"""Messages between a reader process and its parent: length and pickle on a socket pair. The reader never waits for its parent."""

import pickle
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Any

from ingest.live.events import Health, Sampled

LENGTH = struct.Struct("!I")
READ_BYTES = 1 << 20
BROKEN, STUCK = 70, 75  # exit codes of a reader


@dataclass(frozen=True, slots=True)
class Said:
    """A line of the reader's log."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The process has loaded what it needs and waits for its order."""


def packed(message: Any) -> bytes:
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


def received(sock: socket.socket) -> Any:
    """The next message; blocks.

    Raises:
        EOFError: the other end is gone.
    """
    (length,) = LENGTH.unpack(_exactly(sock, LENGTH.size))
    return pickle.loads(_exactly(sock, length))


def _exactly(sock: socket.socket, size_bytes: int) -> bytes:
    data = bytearray()
    while len(data) < size_bytes:
        piece = sock.recv(size_bytes - len(data))
        if not piece:
            raise EOFError("the other end is gone")
        data += piece
    return bytes(data)


class Inbox:
    """The parent's end: takes what is there, also half a message of a process that was stopped in the middle of it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock, self.is_closed, self._data = sock, False, bytearray()

    def taken(self) -> list[Any]:
        """Messages that are complete; never blocks."""
        while not self.is_closed:
            try:
                piece = self.sock.recv(READ_BYTES)
            except BlockingIOError:
                break
            except OSError:  # reset: it was killed
                piece = b""
            self.is_closed = not piece
            self._data += piece
        messages = []
        while len(self._data) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._data)[0]
            if len(self._data) < end:
                break
            messages.append(pickle.loads(memoryview(self._data)[LENGTH.size : end].tobytes()))
            del self._data[:end]
        return messages


class Outbox:
    """The reader's end: newest wins among sampled frames and health, nothing else is ever left out."""

    def __init__(self, sock: socket.socket, backlog: int) -> None:
        self.dropped = 0
        """Sampled frames that made room for newer ones."""
        self._sock, self._backlog, self._waiting = sock, backlog, list[Any]()
        self._changed, self._is_sending = threading.Condition(), False
        threading.Thread(target=self._send, daemon=True).start()

    def put(self, message: Any) -> None:
        with self._changed:
            if isinstance(message, Health) and self._waiting and isinstance(self._waiting[-1], Health):
                self._waiting.pop()
            self._waiting.append(message)
            frames = [i for i, m in enumerate(self._waiting) if isinstance(m, Sampled)]
            if len(frames) > self._backlog:
                del self._waiting[frames[0]]
                self.dropped += 1
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> None:
        """Waits until everything is sent, or the parent does not take it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._is_sending, timeout_s)

    def _send(self) -> None:
        while True:
            with self._changed:
                self._is_sending = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting))
                message, self._is_sending = self._waiting.pop(0), True
            try:
                self._sock.sendall(packed(message))
            except OSError:  # the parent is gone; the control thread ends this process
                return
