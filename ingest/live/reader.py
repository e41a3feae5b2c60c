"""The loop of one stream: connect, read, decode, sample; and again, for ever. Runs in a process of its own (child.py)."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import av

from footage.errors import FootageError
from ingest.live.clock import EpochClock, Stamped
from ingest.live.connect import Connection, Refused, connect, interrupted
from ingest.live.events import Event, Health, Lost
from ingest.live.orders import Order
from ingest.live.pictures import KEY_S, Pictures

BEHIND_S, BUSY_S = 2.0, 4.0  # packets so late, and no wait for one for so long: decoding cannot keep up
WAIT_S = 0.005


class PacketSink(Protocol):
    """Where packets go besides the decoder. Never raises."""

    def begin(self, stream: Any, sound: Any = None) -> None:
        """A new epoch; PyAV's streams, valid until the next begin or close."""
        ...

    def write(self, packet: Any, time_s: float) -> None:
        """A packet that is shown at that recording time; it stays as it is."""
        ...

    def close(self) -> None:
        """The connection ended."""
        ...


class Reader:
    def __init__(self, order: Order, tell: Callable[[Event], None], stopping: threading.Event, sink: PacketSink | None = None) -> None:
        """tell: takes events in order and does not block. The loop ends soon after `stopping` is set, unless a read blocks it."""
        self._order, self._tell, self._stopping, self._sink = order, tell, stopping, sink
        self._using_sink = threading.Lock()  # another thread may close it
        self.progress = order.progress
        self._pictures = Pictures(self.progress, tell, fps=order.fps, max_side_px=order.max_side_px)
        self.moved_s = time.monotonic()
        """When the loop last moved."""
        self.patience_s = 0.0
        """How long it may stand still."""

    def run(self) -> None:
        tries = 0
        while not self._stopping.is_set():
            frames, self.patience_s = self.progress.frames, 2 * self._order.config.open_s + 30  # a name server may take its time
            try:
                reason = self._watch_once()
            except Refused as error:
                reason = str(error)
            if self._stopping.is_set():
                return
            self._lose(reason)
            tries = 0 if self.progress.frames > frames else tries + 1
            longest_s = self._order.config.back_off_s
            self._stopping.wait(min(longest_s, longest_s / 4 * 2 ** min(tries, 8)) * random.uniform(0.75, 1.0))
            self.moved_s = time.monotonic()

    def health(self, dropped: int, rss_mib: float) -> Health:
        """dropped: by this process."""
        p, now_s = self.progress, self._order.wall.now_s()
        fps, epoch = self._pictures.rate, max(p.epoch, 0)
        return Health(now_s, p.seen_until_s, p.is_connected, epoch, fps, p.frames, p.dropped + dropped, p.reconnects, p.bytes, rss_mib)

    def close_sink(self) -> None:
        if self._sink is not None and self._using_sink.acquire(timeout=0.5):
            try:
                self._sink.close()
            finally:
                self._using_sink.release()

    def _lose(self, reason: str) -> None:
        self.progress.is_connected = False
        if not self.progress.is_lost:
            self._tell(Lost(self.progress.seen_until_s, reason))
        self.progress.is_lost = True

    def _watch_once(self) -> str:
        """One connection, from its opening to its end: why it ended.

        Raises:
            Refused: there was none.
        """
        connection = connect(self._order.address, self._order.config, self._order.policy)
        self.moved_s, self.patience_s = time.monotonic(), 2 * connection.read_s + 10
        self._pictures.begin(connection.video)
        try:
            with contextlib.closing(connection):
                return self._read(connection)
        except FootageError as error:
            return str(error)
        except (av.error.FFmpegError, OSError) as error:
            return interrupted(error, time.monotonic() - self.moved_s)
        finally:
            self.close_sink()

    def _read(self, connection: Connection) -> str:
        """Until the stream ends, or it is time to stop: why."""
        clock, waited_s = EpochClock[Any](connection.route.opening, self.progress.seen_until_s), 0.0
        self._free_s, self._clock_epoch = time.monotonic(), -1
        try:
            for packet, wait_s in self._packets(connection):
                if self.moved_s - self._pictures.decoded_s > self._order.config.watchdog_s + (0 if self.progress.is_connected else KEY_S):
                    return "packets come, but no picture can be decoded"
                waited_s += wait_s
                if packet.stream.index != connection.video.index:
                    self._keep_sound(packet, connection, clock)
                    continue
                self._free_s = self.moved_s if waited_s > WAIT_S else self._free_s
                pts_s = float(packet.pts * packet.time_base) if packet.pts is not None and connection.route.has_stamps else None
                self._take(clock.push(packet, pts_s, self._order.wall.now_s(), waited_s), connection)
                waited_s = 0.0
            return "it ended the stream"
        finally:
            self._take(clock.flush(), connection)

    def _take(self, packets: Sequence[Stamped[Any]], connection: Connection) -> None:
        for stamped in packets:
            is_late = self._order.wall.now_s() - stamped.time_s > BEHIND_S
            is_changed = self._pictures.take(stamped, is_behind=is_late and time.monotonic() - self._free_s > BUSY_S)
            if self._sink is not None:
                with self._using_sink:
                    if is_changed or stamped.epoch != self._clock_epoch:
                        self._sink.begin(connection.video, connection.sound)
                    self._sink.write(stamped.item, stamped.time_s)
            self._clock_epoch = stamped.epoch

    def _packets(self, connection: Connection) -> Iterator[tuple[Any, float]]:
        """Of all streams, so that none can keep us waiting for another; with how long each was waited for."""
        demux = connection.container.demux()
        while not self._stopping.is_set():
            asked_s = time.monotonic()
            packet = next(demux, None)
            self.moved_s = time.monotonic()
            if packet is None or (not packet.size and packet.dts is None):
                return
            self.progress.bytes += packet.size
            yield packet, self.moved_s - asked_s

    def _keep_sound(self, packet: Any, connection: Connection, clock: EpochClock[Any]) -> None:
        if self._sink is None or connection.sound is None or packet.stream.index != connection.sound.index or packet.pts is None:
            return
        time_s = clock.beside(float(packet.pts * packet.time_base))
        if time_s is not None:
            with self._using_sink:
                self._sink.write(packet, time_s)
