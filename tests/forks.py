"""Processes that are forked from a warm one, and lines that outlive them."""

import json
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Journal:
    """A write that returned is the kernel's: no SIGKILL takes it back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, value: Any) -> None:
        os.write(self._handle, json.dumps(value).encode() + b"\n")

    def close(self) -> None:
        os.close(self._handle)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


def forked(work: Callable[[], None], wrong: Journal) -> int:
    """Its process id; what it raises is told in `wrong`."""
    if pid := os.fork():
        return pid
    try:
        work()
    except BaseException:
        wrong.write(traceback.format_exc())
    os._exit(0)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
