"""Indexing in worker processes: every file is opened and decoded there, so that what a file breaks is a process that can be replaced."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from footage.addresses import without_credentials
from footage.carriers import SegmentMemory
from footage.errors import DecodeError, FootageError
from footage.recordings import Segment
from ingest.limits import Limits
from workers.config import Settings
from workers.guard import Guard, Lost, Task
from workers.recording_job import DAMAGED, Done, Job, Refused, Writer
from workers.segment_worker import Opened, SegmentWorker

UNKNOWN_BYTES = 10 << 30  # of a source whose size nobody tells
SLOW = 2  # segments of a file that take too long before the rest is not tried


class InProcesses:
    """One run over many recordings. Segments go where their file is open already; a free process opens the next file."""

    worker = SegmentWorker

    def __init__(self, locations: Iterable[str | Refused], settings: Settings, writer: Writer, count: int) -> None:
        threads = settings.sampling.threads or (1 if count > 1 else 0)
        settings = settings.model_copy(update={"sampling": replace(settings.sampling, threads=threads)})
        self._guard = Guard(partial(self.worker, settings), count, settings.limits)
        self._locations, self._writer, self._limits, self._count = iter(locations), writer, settings.limits, count
        self._jobs: dict[str, Job] = {}
        self._waiting: dict[str, deque[Task]] = {}
        """Segments that nobody works on yet, by location."""
        self._again: deque[Task] = deque()
        self._twins: list[tuple[str, Opened]] = []
        """Files that hold what is being made from another one."""

    def run(self) -> Iterator[Done | Refused]:
        with _threads_shared(self._count), self._guard:
            yield from self._filled()
            while self._guard.is_busy:
                for task, outcome in self._guard.ended():
                    if isinstance(outcome, SegmentMemory):  # committing can wait until everybody has something to do
                        yield from self._filled()
                    yield from self._opened(task, outcome) if task.method == "open" else self._made(task, outcome)
                    yield from self._filled()

    def _filled(self) -> Iterator[Refused]:
        """Give every idle process something to do; yields the targets that were refused before."""
        while self._guard.idle:
            task = self._next(self._guard.idle)
            if task is None:
                return
            if isinstance(task, Refused):
                yield task
            else:
                self._guard.start(task)

    def _next(self, idle: list[str]) -> Task | Refused | None:
        if self._again:
            return self._again.popleft()
        at_hand = next((key for key in idle if key in self._waiting), None)
        if at_hand is None:
            location = next(self._locations, None)
            if isinstance(location, Refused):
                return location
            if location is not None:
                return Task("open", (location,), location, _allowed_s(self._limits, 0.0, _bytes_of(location)))
            at_hand = next(iter(self._waiting), None)
        if at_hand is None:
            return None
        tasks = self._waiting[at_hand]
        task = tasks.popleft()
        if not tasks:
            del self._waiting[at_hand]
        return task

    def _tried_again(self, task: Task, outcome: Any) -> bool:
        """After a crash once more, alone: it may have been the fault of what the process did before, or of somebody else."""
        if not (isinstance(outcome, Lost) and outcome.is_crash and not task.is_alone):
            return False
        self._again.append(replace(task, is_alone=True))
        return True

    def _opened(self, task: Task, outcome: Opened | FootageError | Lost) -> Iterator[Done | Refused]:
        if self._tried_again(task, outcome):
            return
        if isinstance(outcome, Lost):
            outcome = DecodeError(f"{task.key!r} cannot be opened: {outcome.reason}", hint=outcome.hint or DAMAGED)
        if isinstance(outcome, FootageError):
            yield Refused(without_credentials(task.key), outcome)
        else:
            yield from self._begun(task.key, outcome)

    def _begun(self, location: str, opened: Opened) -> Iterator[Done | Refused]:
        if any(job.opened.recording.recording_id == opened.recording.recording_id for job in self._jobs.values()):
            self._twins.append((location, opened))
            return
        job = self._jobs[location] = Job.begin(location, opened, self._writer)
        if job.pending:
            self._waiting[location] = deque(self._making(job, segment) for segment in job.pending)
        else:
            yield from self._over(job, job.finish(self._writer))

    def _making(self, job: Job, segment: Segment) -> Task:
        may_take_s = _allowed_s(self._limits, job.work_s(segment), job.opened.recording.size_bytes)
        return Task("make", (job.location, segment, job.texts(segment)), job.location, may_take_s)

    def _made(self, task: Task, outcome: SegmentMemory | FootageError | Lost) -> Iterator[Done | Refused]:
        job, segment = self._jobs.get(task.key), task.args[1]
        if job is None or self._tried_again(task, outcome):  # None: refused meanwhile
            return
        try:
            self._taken(job, segment, outcome)
        except FootageError as error:
            yield from self._over(job, job.refuse(error, self._writer))
            return
        if job.slow >= SLOW:
            for waiting in self._waiting.pop(task.key, ()):
                job.give_up(waiting.args[1], "other parts of the file took too long", "", self._writer)
        if job.is_over:
            yield from self._over(job, job.finish(self._writer))

    def _taken(self, job: Job, segment: Segment, outcome: SegmentMemory | FootageError | Lost) -> None:
        """Raises what ends the whole file."""
        if isinstance(outcome, SegmentMemory):
            job.commit(outcome, self._writer)
        elif isinstance(outcome, Lost):
            job.give_up(segment, outcome.reason, outcome.hint, self._writer)
            job.slow += outcome.is_slow
        elif isinstance(outcome, DecodeError):
            job.give_up(segment, str(outcome), outcome.hint, self._writer)
        else:
            raise outcome

    def _over(self, job: Job, result: Done | Refused) -> Iterator[Done | Refused]:
        del self._jobs[job.location]
        self._waiting.pop(job.location, None)
        yield result
        twins, self._twins = self._twins, []
        for location, opened in twins:
            yield from self._begun(location, opened)


def _allowed_s(limits: Limits, footage_s: float, size_bytes: int) -> float:
    return limits.decode_s + limits.decode_x * (footage_s + size_bytes / 40e6)


def _bytes_of(location: str) -> int:
    try:
        return os.stat(location).st_size
    except OSError:
        return UNKNOWN_BYTES


@contextmanager
def _threads_shared(count: int) -> Iterator[None]:
    """Each process takes its part of the cores; read by each as it starts."""
    is_set = "OMP_NUM_THREADS" in os.environ
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    try:
        yield
    finally:
        if not is_set:
            os.environ.pop("OMP_NUM_THREADS", None)
