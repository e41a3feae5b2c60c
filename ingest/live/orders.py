"""What a reader process is told, and what is known of a stream's watch when another one takes over."""

import math
from dataclasses import dataclass
from pathlib import Path

from ingest.live.clock import Wall
from ingest.live.config import LiveConfig
from ingest.live.events import Connected, Event, Health, Lost, Sampled
from ingest.net.policy import Policy


@dataclass(slots=True)
class Progress:
    """Of one stream's watch; a reader counts on from here."""

    seen_until_s: float
    """End of the newest frame; the beginning of the watch before the first. Every later frame comes after it."""
    epoch: int = -1
    sampled_s: float = -math.inf
    """Of the newest sampled frame."""
    is_connected: bool = False
    is_lost: bool = False
    """The outage that there is has been told."""
    frames: int = 0
    dropped: int = 0
    reconnects: int = 0
    bytes: int = 0

    def follow(self, event: Event) -> None:
        """Learn from what a reader told."""
        match event:
            case Connected():
                self.epoch, self.is_connected, self.is_lost = event.epoch, True, False
                self.seen_until_s = max(self.seen_until_s, event.time_s)
            case Sampled():
                self.sampled_s, self.seen_until_s = event.time_s, max(self.seen_until_s, event.time_s)
            case Lost():
                self.is_connected, self.is_lost = False, True
            case Health():
                self.seen_until_s = max(self.seen_until_s, event.seen_until_s)
                self.frames, self.dropped = event.frames, event.dropped
                self.reconnects, self.bytes = event.reconnects, event.bytes


@dataclass(frozen=True, slots=True)
class Order:
    """One stream to be read."""

    address: str
    wall: Wall
    config: LiveConfig
    fps: float
    """Slots a second, of which each gives its first frame."""
    max_side_px: int
    archive: Path | None
    """Folder for the recording's packets; None: they are not kept."""
    policy: Policy
    """Which addresses may be reached."""
    progress: Progress
