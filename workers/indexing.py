"""Recording: sources to committed segments, on one core or several; consistent at every moment, resumed by running again."""

import os
from collections.abc import Iterator, Sequence

from footage.addresses import without_credentials
from footage.errors import ConfigError, DecodeError, FootageError
from memory.stores import LibraryStore
from workers.config import Settings
from workers.in_processes import InProcesses
from workers.places import find
from workers.recording_job import Done, Job, Listener, Refused, Silent, Writer
from workers.remember import Tools, open_source, remember
from workers.segment_worker import Opened

__all__ = ["Done", "Listener", "Refused", "Silent", "index", "processes"]


def index(
    targets: Sequence[str],
    store: LibraryStore,
    settings: Settings,
    *,
    tools: Tools | None = None,
    jobs: int | None = None,
    listener: Listener | None = None,
) -> Iterator[Done | Refused]:
    """Index every target; yields each recording as it is finished. Interrupt at will: committed segments stay.

    jobs: sources are read in that many worker processes, which may crash, hang or grow on a file; None: in this process.
    Commits are made here, by the one writer.
    """
    found = find(targets)
    writer = Writer(store, tools or Tools.build(settings), listener or Silent())
    if found.note:
        writer.listener.told(f"skipped: {found.note}")
    locations: list[str | Refused] = [*found.locations, *(Refused(*each) for each in found.refused)]
    if jobs is not None:
        yield from InProcesses(locations, settings, writer, jobs).run()
        return
    for location in locations:
        yield location if isinstance(location, Refused) else _index_here(location, settings, writer)


def _index_here(location: str, settings: Settings, writer: Writer) -> Done | Refused:
    try:
        source = open_source(location, settings)
        opened = Opened.of(source)
    except FootageError as error:
        return Refused(without_credentials(location), error)
    job = Job.begin(location, opened, writer)
    try:
        for segment in job.pending:
            try:
                job.commit(remember(source, segment, writer.tools, job.texts(segment)), writer)
            except DecodeError as error:
                job.give_up(segment, str(error), error.hint, writer)
    except FootageError as error:
        return job.refuse(error, writer)
    return job.finish(writer)


def processes(asked: int) -> int:
    """How many: as asked, or one a core for 0. Raises ConfigError below 0."""
    if asked < 0:
        raise ConfigError(f"jobs is {asked}", hint="expected 0 (one a core) or more")
    return asked or os.cpu_count() or 1
