"""Settings of live streams."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class LiveConfig:
    transport: Literal["tcp", "udp"] = "tcp"
    """Of RTSP."""
    open_s: float = 5.0
    """Longest wait for a server's first answer."""
    read_s: float = 3.0
    """Longest wait for the next packet; a read may take twice as long before it fails."""
    watchdog_s: float = 15.0
    """A reader that decoded nothing and said nothing for so long is killed and started again."""
    back_off_s: float = 0.8
    """Longest pause between two attempts to connect; the first is a quarter of it."""
    segment_s: float = 60.0
    refresh_s: float = 3.0
    """How often what an open segment holds is made readable."""
    backlog: int = 8
    """Sampled frames that wait to be looked at; older ones are dropped, and counted."""
    recycle_h: float = 12.0
    """A reader is replaced after so long."""
    max_rss_mib: int = 1024
    """A reader that grew beyond this is replaced."""
    archive_gib: float = 10.0
    """Most of the packets of all streams that are kept on disk; 0: none."""
    archive_h: float = 24.0

    def __post_init__(self) -> None:
        for name in ("open_s", "read_s", "watchdog_s", "back_off_s", "segment_s", "refresh_s", "recycle_h", "archive_h"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0")
        if self.backlog < 1 or self.max_rss_mib < 64 or self.archive_gib < 0:
            raise ValueError("backlog must be 1 or more, max_rss_mib 64 or more, archive_gib 0 or more")
        if self.watchdog_s < 2 * self.read_s + 1:
            raise ValueError("watchdog_s must be above twice read_s, since a read may take that long to fail")
