"""LiveMemory: what one running stream leaves behind. Events go in, segments come out; at every moment all time is either seen or a gap."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from footage.carriers import SegmentMemory
from footage.frames import Clip
from footage.recordings import Gap, Recording, Segment
from footage.timespan import TimeSpan
from ingest.live.events import Connected, Event, Health, Lost, Sampled
from memory.stores import LibraryStore
from workers.live.draft import LiveDraft
from workers.live.resume import Resumed
from workers.live.status import Tally
from workers.remember import Tools

NOT_YET = "not connected yet"
BUSY = "not looked at: the machine could not keep up"
NO_PICTURE = "no picture came that could be decoded"
TICK_S = 1e-3  # a frame stands at least for so long
LIVELY = 1.5  # a stream of so many frames a slot leaves no slot empty by itself

Grown = Callable[[SegmentMemory, bool], None]
"""(what a segment holds now, it is closed), at each commit; the last one of a watch is closed, and may go on in the next watch."""


class LiveMemory:
    """One recording that grows.

    Time is told up to `edge_s`: before it everything is a carrier's or a gap's. Of the open segment that is what readers see,
    refreshed whenever another refresh_s of recording time has been told.
    """

    def __init__(
        self, recording: Recording, name: str, store: LibraryStore, tools: Tools, *, begin_s: float, grown: Grown | None = None
    ) -> None:
        """begin_s: recording time at which this watch begins.

        Raises StoreError when the library cannot be written.
        """
        live = tools.settings.live
        self._fps, self._segment_s, self._refresh_s = tools.settings.sampling.fps, live.segment_s, live.refresh_s
        self._store, self._tools, self._name = store, tools, name
        self._grown: Grown = grown or (lambda memory, is_closed: None)
        self.recording, self.tally = recording, Tally()
        resumed = Resumed.of(recording.recording_id, store, tools.generation, begin_s=begin_s, segment_s=live.segment_s)
        self._index, self._start_s, self.edge_s = resumed.index, resumed.start_s, resumed.edge_s
        self._draft = LiveDraft(recording.recording_id, tools, resumed.base)
        self._is_kept, self._committed_s, self._is_dirty = False, self.edge_s, False
        self._is_connected, self._why, self._epoch = False, NOT_YET, -1
        self._slot_end_s = -math.inf
        """End of the slot of the frame that is on screen; -inf when there is none that could go on."""
        self._stream_fps, self._missed = 0.0, 0
        self._seen_s, self._missing = float(recording.facts.get("seen_until_s", -math.inf)), ""
        self.looked_s = -math.inf
        """The newest frame that was looked at; -inf before the first."""
        if resumed.gap is not None:
            self._add_gap(resumed.gap)
            self.tally.gap_s = 0.0

    # Events

    def feed(self, event: Event) -> None:
        """Take in what happened next. Raises StoreError when the disk refuses."""
        match event:
            case Sampled():
                self._sampled(event)
            case Health():
                self._health(event)
            case Connected():
                self._connected(event)
            case Lost():
                self._lost(event)
        if self.edge_s - self._committed_s >= self._refresh_s:
            self.refresh()

    def missed(self, count: int = 1) -> None:
        """So many sampled frames were dropped before anybody looked at them; to be told before the frame that follows them."""
        self._missed += count

    def _connected(self, event: Connected) -> None:
        if self._is_connected:
            self._bridge(event.time_s)
        else:
            self._trim_gap(event.time_s)
            self._hole(event.time_s)
        self._is_connected, self._epoch, self._slot_end_s = True, event.epoch, -math.inf
        self._draft.begin_anew()
        size = {"width_px": event.width_px, "height_px": event.height_px, "codec": event.codec}
        self.recording = replace(self.recording, **size)  # type: ignore[arg-type]

    def _sampled(self, event: Sampled) -> None:
        slot = math.floor(event.time_s * self._fps + 1e-9)
        slot_s, slot_end_s = slot / self._fps, (slot + 1) / self._fps
        self._bridge(slot_s)
        start_s = max(slot_s, self.edge_s)
        if start_s >= slot_end_s - TICK_S:  # of a time that was told already
            return
        self._roll(start_s)
        anchor_s = min(max(event.time_s, start_s), slot_end_s - TICK_S)
        times = (np.array([start_s]), np.array([anchor_s + TICK_S]), np.array([anchor_s]))
        before = self._draft.kept
        self._draft.add(Clip(self.recording.recording_id, event.pixels[None], *times))
        self.tally.seen, self.tally.kept = self.tally.seen + 1, self.tally.kept + self._draft.kept - before
        self.edge_s = self._seen_s = anchor_s + TICK_S
        self._slot_end_s, self._missing, self.looked_s = slot_end_s, "", event.time_s

    def _lost(self, event: Lost) -> None:
        if self._is_connected:
            self._bridge(event.time_s)
        else:
            self._rename_gap(event.time_s, event.reason)
        self._is_connected, self._why, self._slot_end_s = False, event.reason, -math.inf

    def _health(self, event: Health) -> None:
        self._stream_fps = event.fps or self._stream_fps
        if not self._is_connected:
            self._hole(event.now_s)
        elif self._slot_end_s > self.edge_s:
            self._see(min(event.seen_until_s, self._slot_end_s))

    # Time

    def _see(self, until_s: float) -> None:
        """The frame on screen stays there."""
        if until_s > self.edge_s + 1e-6:
            self._draft.prolong(until_s)
            self.edge_s = self._seen_s = until_s

    def _bridge(self, until_s: float) -> None:
        """Connected all the while: the last frame fills its slot, and after it either nothing was shown or nothing was looked at."""
        if self._slot_end_s > -math.inf:
            self._see(min(until_s, self._slot_end_s))
        missing_s = until_s - self.edge_s
        if missing_s <= 1e-6:
            return
        slots = round(missing_s * self._fps)
        if slots and self._missed:
            self._missed = max(0, self._missed - slots)
            self._hole(until_s, BUSY)
        elif self._slot_end_s == -math.inf or (slots and self._stream_fps >= LIVELY * self._fps):
            self._hole(until_s, NO_PICTURE)
        else:
            self._see(until_s)

    def _hole(self, until_s: float, reason: str = "") -> None:
        """Nothing was seen until then; segments end in it as they do elsewhere."""
        while until_s > self.edge_s + 1e-6:
            self._roll(self.edge_s)
            end_s = min(until_s, self._grid_end_s)
            self._add_gap(Gap(TimeSpan(self.edge_s, end_s), reason or self._why))
        if reason:
            self._draft.look_afresh()

    def _add_gap(self, gap: Gap) -> None:
        self._draft.add(gap)
        self.edge_s, self._slot_end_s, self._missing = gap.span.end_s, -math.inf, gap.reason
        self.tally.gap_s += gap.span.duration_s

    def _trim_gap(self, end_s: float) -> None:
        """The gap that was growing ends earlier than it was told to: frames came in late."""
        gaps = self._draft.gaps
        if gaps and gaps[-1].span.end_s == self.edge_s and gaps[-1].span.start_s + TICK_S < end_s < self.edge_s:
            self.tally.gap_s -= self.edge_s - end_s
            gaps[-1] = replace(gaps[-1], span=TimeSpan(gaps[-1].span.start_s, end_s))
            self.edge_s, self._is_dirty = end_s, True

    def _rename_gap(self, since_s: float, reason: str) -> None:
        """Why there is no connection is known only now."""
        gaps = self._draft.gaps
        if gaps and gaps[-1].reason == self._why and gaps[-1].span.start_s >= since_s - TICK_S:
            gaps[-1] = replace(gaps[-1], reason=reason)
            self._is_dirty, self._missing = True, reason

    # Segments

    @property
    def _grid_end_s(self) -> float:
        return (self._index + 1) * self._segment_s

    def _roll(self, start_s: float) -> None:
        """What comes next begins then: in a new segment when the open one has had its time."""
        if start_s < self._grid_end_s - 1e-6:
            return
        self._end_segment()
        self._draft = LiveDraft(self.recording.recording_id, self._tools)
        self._index, self._start_s = math.floor(start_s / self._segment_s + 1e-9), self.edge_s
        self._slot_end_s = -math.inf

    def _end_segment(self) -> None:
        if self.edge_s > self._start_s:
            self._commit(is_closed=True)
            self.tally.segments += 1
        self.tally.unread += self._draft.unread + self._draft.is_behind

    def refresh(self) -> None:
        """Make readable what is there; does nothing when nothing changed."""
        if self.edge_s > max(self._committed_s, self._start_s) or self._is_dirty:
            self._commit()

    def _commit(self, *, is_closed: bool = False) -> None:
        segment = Segment(self.recording.recording_id, self._index, TimeSpan(self._start_s, self.edge_s))
        memory = self._draft.whole(segment) if is_closed else self._draft.memory(segment)
        generation, encoder_id = self._tools.generation, self._tools.encoder.id
        if not self._is_kept:
            self._keep_recording()
        if not self._store.commit(memory, generation=generation, encoder_id=encoder_id):
            self._store.rewrite(memory, generation=generation, encoder_id=encoder_id)
        self._keep_recording()  # after it: what a recording says of itself is there
        self._is_kept, self._committed_s, self._is_dirty = True, self.edge_s, False
        self._grown(memory, is_closed)

    def _keep_recording(self) -> None:
        facts = self.recording.facts | {"missing": self._missing}
        if self._seen_s > -math.inf:
            facts["seen_until_s"] = f"{self._seen_s:.3f}"
        self.recording = replace(self.recording, duration_s=max(self.edge_s, self.recording.duration_s), facts=facts)
        self._store.add(self.recording, self._name, location=self.recording.facts["address"])

    @property
    def is_behind(self) -> bool:
        """A picture waits for its text to be read."""
        return self._draft.is_behind

    def read_text(self) -> bool:
        """Read the picture that waits for it; False when none does. Slow: for when no frame waits."""
        if not self.is_behind:
            return False
        self._draft.catch_up()
        self._is_dirty = True
        return True

    def close(self, now_s: float) -> None:
        """The watch ends: all that was seen is committed; another watch goes on from there."""
        if self._is_connected and self._slot_end_s > self.edge_s:
            self._see(min(now_s, self._slot_end_s))
        elif not self._is_connected:
            self._hole(now_s)
        self.read_text()
        self._end_segment()
