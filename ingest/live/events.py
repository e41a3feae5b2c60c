"""What a running stream tells, in the order in which it happened. Times are recording time: seconds of wall clock since its beginning."""

from dataclasses import dataclass

from footage.arrays import Pixels


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection gave its first frame: a new epoch."""

    time_s: float
    """Of that frame."""
    epoch: int
    """0, 1, 2 ... over the life of the stream's watch; it also grows when the stream's clock jumped without a new connection."""
    width_px: int
    height_px: int
    codec: str


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """The first frame of a slot of 1 / fps seconds."""

    time_s: float
    epoch: int
    pixels: Pixels
    """(H, W, 3) uint8 sRGB, upright; longer side at most as asked."""


@dataclass(frozen=True, slots=True)
class Lost:
    """No frame after this one; or, before the first, a connection that was never there. Told once for each outage."""

    time_s: float
    """End of the last frame that was seen; the beginning of the watch when none was."""
    reason: str
    """In words, without credentials: "the server refused the connection"."""


@dataclass(frozen=True, slots=True)
class Health:
    """About once a second, also while there is no connection."""

    now_s: float
    seen_until_s: float
    """End of the newest decoded frame; the beginning of the watch before the first."""
    is_connected: bool
    epoch: int
    fps: float
    """Decoded frames a second, over the last seconds."""
    frames: int
    dropped: int
    """Sampled frames that nobody took in time."""
    reconnects: int
    bytes: int
    """Of packets that were read."""
    rss_mib: float
    """Of the reader process."""


Event = Connected | Sampled | Lost | Health
