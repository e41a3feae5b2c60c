"""Worker processes that may crash, hang or grow: each works on one task at a time, so it is known whose fault it was.

Own code, since pools of processes break as a whole (concurrent.futures), or know no memory cap and no clock that stands
still while models run. Processes keep a decoder's accidents away from the rest; they are no sandbox against one that is taken over.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from footage.errors import FootageError, SourceError
from ingest.limits import Limits

log = logging.getLogger(__name__)

TICK_S = 0.25
_SPAWN = multiprocessing.get_context("spawn")  # fork and native threads do not mix


@dataclass(frozen=True, slots=True)
class Task:
    """A call of one method of what the workers run."""

    method: str
    args: tuple[Any, ...]
    key: str = ""
    """What the worker will have at hand afterwards: a later task with the same key goes to the same worker when it is free."""
    may_take_s: float = float("inf")
    """Of the time in which its clock runs."""
    is_alone: bool = False
    """In a process of its own that has done nothing before."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A task that could not be ended; its worker was replaced where that was needed."""

    reason: str
    """In words, to follow "not decoded: "."""
    hint: str = ""
    is_crash: bool = False
    """Perhaps not its own fault: worth trying once more, alone."""
    is_slow: bool = False


class Clock:
    """Runs while foreign bytes are being read; time and memory are capped only then."""

    def __init__(self, tell: Callable[[tuple[Any, ...]], None]) -> None:
        self._tell, self.is_running = tell, False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Still running after an exception, which then came from what was read."""
        self._tell(("on", resident_bytes()))
        self.is_running = True
        yield
        self.is_running = False
        self._tell(("off",))


def resident_bytes(pid: int | None = None) -> int:
    """Physical memory of a process; 0 where it is over, or where there is no /proc (memory is then not capped)."""
    try:
        with open(f"/proc/{pid or 'self'}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _serve(connection: Connection, build: Callable[[], Any], log_level: int) -> None:
    """A worker process, until its parent closes the connection or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    logging.basicConfig(level=log_level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work = build()
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        outcome = _outcome(work, task, Clock(connection.send))
        connection.send(("ended", outcome, resident_bytes()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _outcome(work: Any, task: Task, clock: Clock) -> Any:
    try:
        return getattr(work, task.method)(clock, *task.args)
    except FootageError as error:
        return error
    except Exception as error:  # whatever a decoder thinks of; a fault of our own is told with its place
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if clock.is_running:
            return Lost(f"reading it failed with {said}")
        return SourceError(f"{task.key!r} could not be remembered: {said}", hint=traceback.format_exc(limit=-2).strip())


@dataclass(slots=True, eq=False)
class _Worker:
    process: Any
    connection: Connection
    task: Task | None = None
    key: str = ""
    ended: int = 0
    left_s: float = 0.0
    since: float | None = None
    """When its clock was started; None while it stands still."""
    grown_from: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    """Resident bytes after the first task of each method."""

    @classmethod
    def start(cls, build: Callable[[], Any]) -> "_Worker":
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_serve, args=(theirs, build, logging.getLogger().getEffectiveLevel()), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours)

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join(5)  # one that waits for a dead disk ends when that answers


class Guard:
    """At most `count` worker processes, started when they are needed. `build` makes what they run, once in each."""

    def __init__(self, build: Callable[[], Any], count: int, limits: Limits) -> None:
        self._build, self._count, self._limits = build, count, limits
        self._workers: list[_Worker] = []

    def __enter__(self) -> "Guard":
        return self

    def __exit__(self, *error: object) -> None:
        """At once: what is not ended is lost."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    @property
    def idle(self) -> list[str]:
        """The key of each worker that waits for a task; "" for one that is yet to be started."""
        waiting = [worker.key for worker in self._workers if worker.task is None]
        return waiting + [""] * (self._count - len(self._workers))

    @property
    def is_busy(self) -> bool:
        return any(worker.task for worker in self._workers)

    def start(self, task: Task) -> None:
        """Needs an idle worker."""
        waiting = [worker for worker in self._workers if worker.task is None]
        worker = next((w for w in waiting if w.key == task.key), waiting[0] if waiting else None)
        if worker is not None and task.is_alone:
            self._drop(worker)
            worker = None
        worker = worker or self._begin()
        try:
            worker.connection.send(task)
        except OSError:  # it died while it had nothing to do
            self._drop(worker)
            worker = self._begin()
            worker.connection.send(task)
        worker.task, worker.key, worker.left_s, worker.since = task, task.key, task.may_take_s, None

    def ended(self) -> list[tuple[Task, Any]]:
        """Tasks with what came of them (a result, a FootageError or Lost); waits until there is one, unless nothing is under way."""
        over: list[tuple[Task, Any]] = []
        while not over and self.is_busy:
            talking = {worker.connection: worker for worker in self._workers if worker.task}
            for connection in wait(list(talking), TICK_S):
                over += self._heard(talking[connection])  # type: ignore[index]
            for worker in [w for w in self._workers if w.since is not None]:
                over += self._checked(worker)
        return over

    def _begin(self) -> _Worker:
        self._workers.append(_Worker.start(self._build))
        return self._workers[-1]

    def _drop(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.stop()

    def _heard(self, worker: _Worker) -> list[tuple[Task, Any]]:
        """Takes one message; the task, when that was its end."""
        try:
            said, *facts = worker.connection.recv()
        except Exception:  # half a message of a process that died may be anything
            return [self._lost(worker, _death(worker.process))]
        if said == "on":
            worker.since, worker.grown_from = time.monotonic(), facts[0]
        elif worker.since is not None:
            worker.left_s -= time.monotonic() - worker.since
            worker.since = None
        return [self._released(worker, *facts)] if said == "ended" else []

    def _released(self, worker: _Worker, outcome: Any, size: int) -> tuple[Task, Any]:
        task, worker.task, worker.ended = worker.task, None, worker.ended + 1
        assert task is not None
        first = worker.sizes.setdefault(task.method, size)
        if worker.ended >= self._limits.tasks or size - first > self._limits.decode_mib << 20:
            log.info("worker process is replaced after %d tasks at %d MiB", worker.ended, size >> 20)
            self._drop(worker)
        return task, outcome

    def _checked(self, worker: _Worker) -> list[tuple[Task, Any]]:
        """Its task, when it took too long or too much; it is then killed."""
        assert worker.task is not None
        assert worker.since is not None
        if time.monotonic() - worker.since > worker.left_s:
            reason = f"it took longer than {worker.task.may_take_s:.0f} s (limits.decode_s and limits.decode_x)"
            return [self._lost(worker, Lost(reason, Limits.raised("decode_s"), is_slow=True))]
        if resident_bytes(worker.process.pid) - worker.grown_from > self._limits.decode_mib << 20:
            reason = f"it took more than {self._limits.decode_mib} MiB of memory (limits.decode_mib)"
            return [self._lost(worker, Lost(reason, Limits.raised("decode_mib")))]
        return []

    def _lost(self, worker: _Worker, lost: Lost) -> tuple[Task, Lost]:
        task = worker.task
        assert task is not None
        self._drop(worker)
        log.info("worker process is gone: %s %s", task.key, lost.reason)
        return task, lost


def _death(process: Any) -> Lost:
    process.join(5)
    code = process.exitcode
    if code == -signal.SIGKILL:
        return Lost("the process that read it was killed, by the system when memory ran out or by hand", is_crash=True)
    if code is not None and code < 0:
        return Lost(f"a decoder crashed on it ({signal.Signals(-code).name})", is_crash=True)
    return Lost(f"the process that read it ended by itself (exit code {code})", is_crash=True)
