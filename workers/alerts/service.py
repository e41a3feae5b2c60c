"""Standing questions over a watch: matched, kept and told by a thread of their own, so that nothing they do makes a stream wait."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from footage.carriers import SegmentMemory
from footage.errors import FootageError
from workers.alerts.alert import Alert
from workers.alerts.evidence import clip_path, try_clip
from workers.alerts.ledger import Ledger
from workers.alerts.part import Part
from workers.alerts.replay import Recorded, confirming
from workers.alerts.sinks import Sink, lines_file, tell
from workers.alerts.standing import Standing
from workers.alerts.tracker import Event, Tracker
from workers.alerts.webhook import Courier, Receiver

if TYPE_CHECKING:
    from workers.engine import Library

log = logging.getLogger(__name__)
WAITING = 64  # closed segments of all streams; of an open one only the newest state waits
CLOSE_S = 20.0
CLIP_S = 10.0  # until the archive holds the beginning of an event, and some of what follows


class Alerts:
    """Segments are offered as they grow and close; what they show is told to the sinks, once an event."""

    def __init__(self, library: "Library", questions: Sequence[str], *, sinks: Sequence[Sink] = ()) -> None:
        """sinks: beside the file and the webhook of settings.

        Raises:
            ConfigError: a question that nothing could match, or a file or address that cannot be used. StoreError: see Ledger.
        """
        self._library, config = library, library.settings.alerts
        self.standing = [Standing.of(question, library.tools.encoder) for question in dict.fromkeys(questions)]
        self._sinks = [*sinks, *([lines_file(Path(config.file).expanduser())] if config.file else [])]
        receiver = Receiver.of(config)
        self._ledger = Ledger(library.directory, keep=config.keep)
        self._courier = Courier(self._ledger, receiver) if receiver else None
        self._confirm = confirming(library)
        self._trackers: dict[str, list[Tracker]] = {}
        self._closed: deque[Part] = deque(maxlen=WAITING)
        self._open: dict[str, Part] = {}
        self._clips: deque[tuple[float, Alert]] = deque(maxlen=WAITING)
        self.missed = 0
        """Closed segments that were never matched, because the model could not keep up."""
        self._changed, self._ends = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def offer(self, memory: SegmentMemory, is_closed: bool) -> None:
        """What a segment holds now, after it was committed. Never blocks."""
        tools = self._library.tools
        part = Part.of(memory, generation=tools.generation, encoder_id=tools.encoder.id, is_closed=is_closed)
        with self._changed:
            if is_closed:
                self._open.pop(part.recording_id, None)
                self.missed += len(self._closed) == WAITING
                self._closed.append(part)
            else:
                self._open[part.recording_id] = part
            self._changed.notify()

    def close(self, wait_s: float = CLOSE_S) -> None:
        """After what was offered is matched, or so long."""
        with self._changed:
            self._ends = True
            self._changed.notify()
        self._thread.join(wait_s)
        if self._courier is not None:
            self._courier.close()
        if not self._thread.is_alive():
            self._ledger.close()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except Exception as error:  # one segment, one stream or a full disk must not end the others
                log.warning("standing questions missed a segment: %s", error)

    def _next(self) -> Callable[[], None] | None:
        """A clip that is due, the oldest closed segment, or what an open one has come to; None at the end."""
        with self._changed:
            while True:
                wait_s = self._clips[0][0] - time.monotonic() if self._clips else None
                if wait_s is not None and (wait_s <= 0 or (self._ends and not self._closed)):
                    return partial(try_clip, self._library, self._clips.popleft()[1])
                if self._closed:
                    return partial(self._match, self._closed.popleft())
                if self._ends:
                    return None
                if self._open:
                    return partial(self._match, self._open.pop(next(iter(self._open))))
                self._changed.wait(wait_s)

    def _match(self, part: Part) -> None:
        for tracker in self._trackers_of(part):
            before, question = tracker.seen_until_s, tracker.standing.text
            begun = tracker.take(part)
            for event in begun:
                self._fire(event)
            if not begun and tracker.seen_until_s is not None and tracker.seen_until_s != before:
                self._ledger.goes_on(question, part.recording_id, tracker.seen_until_s)

    def _trackers_of(self, part: Part) -> list[Tracker]:
        """Those of a recording; new ones know from the library what was usual and which event was on."""
        known = self._trackers.get(part.recording_id)
        if known is None:
            config, ledger = self._library.settings.alerts, self._ledger
            seen = {s.text: ledger.seen_until(s.text, part.recording_id) for s in self.standing}
            known = [Tracker(s, config, confirm=self._confirm, seen_until_s=seen[s.text]) for s in self.standing]
            try:
                recorded = Recorded.of(self._library, part.recording_id, part.span, config.past)
                for tracker in known:
                    recorded.prime(tracker, part.span.start_s, config.past)
            except FootageError as error:  # such as a past that another encoder wrote
                log.info("nothing is known to be usual in %s: %s", part.recording_id, error)
            self._trackers[part.recording_id] = known
        return known

    def _fire(self, event: Event) -> None:
        library, moment = self._library, event.moment
        at = library.wall_clock(moment.recording_id, moment.span.start_s)
        alert = Alert.of(event, library.name_of(moment.recording_id), at)
        if library.settings.alerts.clips_mib:
            alert = replace(alert, clip=str(clip_path(library.directory, alert)))
        if self._ledger.add(alert, waits=self._courier is not None):
            tell(self._sinks, alert)
            if alert.clip:
                self._clips.append((time.monotonic() + CLIP_S, alert))
        if self._courier is not None:
            self._courier.wake()
