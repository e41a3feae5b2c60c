"""Recording: sources to committed segments, on one core or several; consistent at every moment, resumed by running again."""

import logging
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from footage.carriers import SegmentMemory
from footage.errors import ConfigError, FootageError, SourceError, SourceNotFound, StoreError
from footage.protocols import Source
from footage.recordings import Recording, Segment
from ingest.synthetic import PREFIX
from memory.local_store import LocalStore
from workers.config import Settings
from workers.remember import SegmentWorker, Tools, open_source, remember, subtitles_of

log = logging.getLogger(__name__)

SUFFIXES = frozenset(
    """
    .3g2 .3gp .asf .avi .divx .dv .f4v .flv .gif .h264 .hevc .m2t .m2ts .m2v .m4v .mjpeg .mjpg .mkv .mov .mp4 .mpe .mpeg .mpg .mts
    .mxf .nut .ogm .ogv .qt .rm .rmvb .ts .vob .webm .wmv .y4m
    """.split()
)  # which files of a folder are taken for video; a file named by itself is always tried


@dataclass(frozen=True, slots=True)
class Done:
    """One finished recording: a JSON line of `footage index`."""

    recording: str
    name: str
    duration_s: float
    frames_seen: int
    frames_kept: int
    carriers: int
    text_rows: int
    bytes: int
    """On disk, thumbnails included."""
    gaps: list[dict[str, Any]]
    seconds: dict[str, float]
    """Work by stage, over all processes, for the segments made now."""
    wall_s: float
    """From the beginning of its first segment made now to its last commit."""
    x_realtime: float | None
    """Seconds of footage made now per second of wall time; None when nothing was left to do."""
    late_by_s: float
    """How long something can be on screen before a sample shows it."""
    segments_made: int
    segments_kept: int
    """Made earlier and left as they were."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A source that could not be indexed; the others go on."""

    location: str
    error: FootageError


class Listener(Protocol):
    """Hears how far indexing is; a progress bar, or nobody."""

    def found(self, name: str, recording: Recording, todo_s: float) -> None: ...
    def advanced(self, name: str, seconds: float) -> None: ...
    def finished(self, name: str) -> None: ...


class Silent:
    def found(self, name: str, recording: Recording, todo_s: float) -> None: ...
    def advanced(self, name: str, seconds: float) -> None: ...
    def finished(self, name: str) -> None: ...


def expand(targets: Iterable[str]) -> list[str | Refused]:
    """Files, folders (all videos below them, by suffix) and globs to locations, sorted within each, none twice."""
    found: dict[str, str | Refused] = {}
    for target in targets:
        try:
            found |= {place: place for place in _places(target)}
        except FootageError as error:
            found[target] = Refused(target, error)
    return list(found.values())


def _places(target: str) -> list[str]:
    """Raises SourceNotFound where the target names nothing."""
    from glob import glob

    path = Path(target)
    if target.startswith(PREFIX) or "://" in target:
        return [target]
    if path.is_dir():
        inside = sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not inside:
            raise SourceNotFound(f"folder {target!r} holds no video files", hint="name a file itself to try it whatever its suffix")
        return inside
    matches = [target] if path.exists() else sorted(p for p in glob(target, recursive=True) if Path(p).is_file())
    if not matches:
        raise SourceNotFound(f"there is no file, folder or match for {target!r}", hint="check the path; quote names that hold spaces")
    return matches


@dataclass(slots=True)
class _Job:
    """One recording on its way into the library."""

    location: str
    name: str
    source: Source
    pending: list[Segment]
    kept: int
    begun: float = math.inf
    """When work on its first segment began; waiting behind other recordings does not count."""
    is_refused: bool = False
    made: int = 0
    made_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)


def index(
    targets: Sequence[str],
    store: LocalStore,
    settings: Settings,
    *,
    tools: Tools | None = None,
    jobs: int = 1,
    listener: Listener | None = None,
) -> Iterator[Done | Refused]:
    """Index every target; yields each recording as it is finished. Interrupt at will: committed segments stay.

    jobs > 1 works on segments in that many processes; commits are made here, by the one writer.
    """  # fmt: skip
    tools, listener = tools or Tools.build(settings), listener or Silent()
    locations = expand(targets)
    if jobs > 1:
        yield from _in_processes(locations, store, settings, tools, jobs, listener)
        return
    for location in locations:
        job = _begin(location, store, settings, tools, listener)
        if isinstance(job, Refused):
            yield job
            continue
        try:
            subtitles = job.source.texts() if job.pending else ()
            for segment in job.pending:
                _commit(job, remember(job.source, segment, tools, subtitles), store, tools, listener)
        except FootageError as error:
            listener.finished(job.name)
            yield Refused(job.location, error)
            continue
        yield _finish(job, store, tools, listener)


def _begin(location: str | Refused, store: LocalStore, settings: Settings, tools: Tools, listener: Listener) -> _Job | Refused:
    if isinstance(location, Refused):
        return location
    try:
        source = open_source(location, settings)
    except FootageError as error:
        return Refused(location, error)
    recording = source.recording
    is_file = "://" not in location and not location.startswith(PREFIX)
    name = Path(location).name if is_file else location
    store.add(recording, name, location=str(Path(location).resolve()) if is_file else location)
    have = _sound(recording.recording_id, store, tools.generation)
    _add_subtitles(source, have, store, tools)
    segments = list(source.segments())
    pending = [s for s in segments if s.index not in have]
    listener.found(name, recording, sum(s.span.duration_s for s in pending))
    return _Job(location, name, source, pending, len(segments) - len(pending))


def _sound(recording_id: str, store: LocalStore, generation: str) -> dict[int, SegmentMemory]:
    """The segments that are kept and can be read; damaged ones are dropped, to be made again."""
    sound: dict[int, SegmentMemory] = {}
    for index in store.committed(recording_id, generation):
        try:
            sound[index] = replace(store.read_segment(recording_id, generation, index), carriers=(), thumbnails=())
        except StoreError as error:
            log.warning("segment is damaged and made again: %s", error)
            store.drop_segment(recording_id, generation, index)
    return sound


def _add_subtitles(source: Source, have: dict[int, SegmentMemory], store: LocalStore, tools: Tools) -> None:
    """Lines that came after the picture was indexed, such as a file laid beside it later, join the segments they belong to."""
    known = {(row.span, row.text) for memory in have.values() for row in memory.texts if row.kind == "subtitle"}
    new = [row for row in source.texts() if (row.span, row.text) not in known] if have else []
    for index, memory in have.items():
        rows = subtitles_of(memory.segment, new, source.recording.duration_s)
        if rows:
            whole = store.read_segment(memory.segment.recording_id, tools.generation, index)
            more = replace(whole, texts=(*whole.texts, *rows))
            store.rewrite(more, generation=tools.generation, encoder_id=tools.encoder.id)


def _commit(job: _Job, memory: SegmentMemory, store: LocalStore, tools: Tools, listener: Listener) -> None:
    store.commit(memory, generation=tools.generation, encoder_id=tools.encoder.id)
    job.begun = min(job.begun, time.perf_counter() - sum(memory.seconds.values()))
    job.made, job.made_s = job.made + 1, job.made_s + memory.segment.span.duration_s
    for stage, seconds in memory.seconds.items():
        job.seconds[stage] = round(job.seconds.get(stage, 0.0) + seconds, 3)
    listener.advanced(job.name, memory.segment.span.duration_s)


def _finish(job: _Job, store: LocalStore, tools: Tools, listener: Listener) -> Done:
    listener.finished(job.name)
    recording = job.source.recording
    facts = store.segment_facts(recording.recording_id, tools.generation)
    view = store.view([recording.recording_id], generation=tools.generation)
    wall_s = time.perf_counter() - job.begun if job.made else 0.0
    return Done(
        recording.recording_id, job.name, round(recording.duration_s, 6),
        sum(f.frames_seen for f in facts), sum(f.frames_kept for f in facts), sum(f.carriers for f in facts),
        len(store.texts([recording.recording_id])), store.sizes(recording.recording_id),
        [{"start_s": g.span.start_s, "end_s": g.span.end_s, "reason": g.reason} for g in view.gaps[recording.recording_id]],
        job.seconds, round(wall_s, 3), round(job.made_s / wall_s, 2) if job.made else None,
        round(job.source.worst_lateness_s, 3), job.made, job.kept,
    )  # fmt: skip


_worker: SegmentWorker | None = None


def _start_worker(settings: Settings) -> None:
    """In each worker process: leave Ctrl-C to the parent, and build the tools once."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker = SegmentWorker(settings)


def _run_segment(location: str, segment: Segment) -> SegmentMemory:
    assert _worker is not None
    return _worker(location, segment)


def _in_processes(
    locations: Sequence[str | Refused], store: LocalStore, settings: Settings, tools: Tools, jobs: int, listener: Listener
) -> Iterator[Done | Refused]:
    """Segments of all recordings through one pool; at most two a process wait, so memory stays bounded."""
    context = multiprocessing.get_context("spawn")  # fork and native threads do not mix
    single = settings.model_copy(update={"sampling": _one_thread(settings)})
    own_threads = "OMP_NUM_THREADS" in os.environ
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))  # read by each process as it starts
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(single,))
    running: dict[Future[SegmentMemory], _Job] = {}
    try:
        for job, segment in _tasks(locations, store, settings, tools, listener):
            if isinstance(job, Refused):
                yield job
            elif segment is None:
                yield _finish(job, store, tools, listener)
            else:
                running[pool.submit(_run_segment, job.location, segment)] = job
                while len(running) >= 2 * jobs:
                    yield from _collect(running, store, tools, listener)
        while running:
            yield from _collect(running, store, tools, listener)
    except BrokenProcessPool as error:
        raise SourceError("a worker process died (out of memory, or killed)", hint="run again: it resumes; try --jobs 1") from error
    finally:
        _stop(pool)
        if not own_threads:
            os.environ.pop("OMP_NUM_THREADS", None)


def _one_thread(settings: Settings) -> Any:
    return replace(settings.sampling, threads=settings.sampling.threads or 1)


def _tasks(
    locations: Sequence[str | Refused], store: LocalStore, settings: Settings, tools: Tools, listener: Listener
) -> Iterator[tuple[_Job | Refused, Segment | None]]:
    """(job, segment to make), or (job, None) when nothing of it is left to do, or (refusal, None)."""
    for location in locations:
        job = _begin(location, store, settings, tools, listener)
        if isinstance(job, Refused) or not job.pending:
            yield job, None
            continue
        for segment in job.pending:
            yield job, segment


def _collect(running: dict[Future[SegmentMemory], _Job], store: LocalStore, tools: Tools, listener: Listener) -> Iterator[Done | Refused]:
    """Commit what is ready; waits for at least one."""
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        job = running.pop(future)
        if job.is_refused:
            continue
        try:
            _commit(job, future.result(), store, tools, listener)
        except FootageError as error:
            job.is_refused = True
            listener.finished(job.name)
            yield Refused(job.location, error)
            continue
        if job.made == len(job.pending):
            yield _finish(job, store, tools, listener)


def _stop(pool: ProcessPoolExecutor) -> None:
    """At once, also after Ctrl-C: what is not committed is made again next time."""
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.join(0.2 if process.is_alive() else 0)
        if process.is_alive():
            process.terminate()


def processes(asked: int) -> int:
    """How many: as asked, or one a core for 0. Raises ConfigError below 0."""
    if asked < 0:
        raise ConfigError(f"jobs is {asked}", hint="expected 0 (one a core) or more")
    return asked or os.cpu_count() or 1
