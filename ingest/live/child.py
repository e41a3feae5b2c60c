"""The reader process, `python -m ingest.live.child FD`. Its order comes through the socket: the list of processes shows no address."""

import logging
import os
import resource
import select
import socket
import sys
import threading
import time
import traceback
from pathlib import Path

from ingest.live.archive_writer import ArchiveWriter
from ingest.live.orders import Order
from ingest.live.outbox import BROKEN, STUCK, Outbox, Ready, Said, packed, received
from ingest.live.reader import Reader

PULSE_S = 1.0
GRACE_S = 0.7  # a loop that is blocked in a read when it is time to stop is not waited for any longer


def main(fd: int) -> None:
    sock = socket.socket(fileno=fd)
    sock.setblocking(True)
    try:
        sock.sendall(packed(Ready()))
        order: Order = received(sock)
    except (EOFError, OSError):  # not needed any more
        return
    outbox, stopping = Outbox(sock, order.config.backlog), threading.Event()
    logging.getLogger().addHandler(Teller(outbox))
    sink = None if order.archive is None else ArchiveWriter(order.archive, order.config)
    reader = Reader(order, outbox.put, stopping, sink)
    threading.Thread(target=_control, args=(sock, reader, outbox, stopping), daemon=True).start()
    status = 0
    try:
        reader.run()
    except Exception as error:  # its own words may hold the address
        place = traceback.extract_tb(error.__traceback__)[-1]
        outbox.put(Said(logging.ERROR, f"a reader broke: {type(error).__name__} at {Path(place.filename).name}:{place.lineno}"))
        status = BROKEN
    _leave(reader, outbox, status)


def _control(sock: socket.socket, reader: Reader, outbox: Outbox, stopping: threading.Event) -> None:
    """Tells health, notices that the loop is stuck, and ends the process when its parent says so or is gone."""
    while not select.select([sock], [], [], PULSE_S)[0]:
        if time.monotonic() - reader.moved_s > reader.patience_s:
            os._exit(STUCK)
        outbox.put(reader.health(outbox.dropped, rss_mib()))
    stopping.set()
    time.sleep(GRACE_S)  # by then the loop has ended the process, unless a read blocks it
    _leave(reader, outbox, 0)


def _leave(reader: Reader, outbox: Outbox, status: int) -> None:
    reader.close_sink()
    outbox.put(reader.health(outbox.dropped, rss_mib()))
    outbox.flush(GRACE_S)
    os._exit(status)


def rss_mib() -> float:
    """Of this process."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


class Teller(logging.Handler):
    """Logs are told to the parent."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(logging.WARNING)
        self._outbox = outbox

    def emit(self, record: logging.LogRecord) -> None:
        self._outbox.put(Said(record.levelno, record.getMessage()))


if __name__ == "__main__":
    main(int(sys.argv[1]))
