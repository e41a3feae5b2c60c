"""Packets of a running stream to sampled pictures, over all its connections and epochs."""

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import av

from ingest.limits import DEFAULT_LIMITS
from ingest.live.clock import Stamped
from ingest.live.events import Connected, Event, Sampled
from ingest.live.orders import Progress
from ingest.packets import capped, geometry
from ingest.picture import fitted_px, upright

KEY_S = 20.0  # without a key frame for so long, decoding begins with any frame
RATE_S = 5.0  # frames a second are counted over so long
LONGEST_FRAME_S = 1.0


class Pictures:
    def __init__(self, progress: Progress, tell: Callable[[Event], None], *, fps: float, max_side_px: int) -> None:
        """progress: kept up to date here, for the pictures' part of it."""
        self._progress, self._tell, self._fps, self._max_side_px = progress, tell, fps, max_side_px
        self._shown_s = progress.seen_until_s  # of the newest frame
        self._slot = -math.inf if math.isinf(progress.sampled_s) else math.floor(progress.sampled_s * fps)
        self._shape: tuple[int, int, int, str] | None = None
        self._frame_s, self._recent = 0.04, deque[float]()
        self.decoded_s = 0.0
        """By the monotonic clock: the newest frame of this connection, or its beginning."""

    def begin(self, video: Any) -> None:
        """A connection, with its video stream."""
        self._video, self._context, self._shape = video, capped(video.codec_context, DEFAULT_LIMITS.frame_px), None
        self._context.thread_count, self._context.copy_opaque = 1, True  # threads would hold frames back
        self._needs_key, self.decoded_s = True, time.monotonic()

    @property
    def rate(self) -> float:
        """Decoded frames a second, over the last seconds."""
        while self._recent and self._recent[0] < time.monotonic() - RATE_S:
            self._recent.popleft()
        return len(self._recent) / RATE_S

    def take(self, stamped: Stamped[Any], *, is_behind: bool) -> bool:
        """Decode a packet; is_behind: only what begins a slot and stands alone. True: another size or codec than before."""
        packet = stamped.item
        if self._needs_key and not packet.is_keyframe and time.monotonic() - self.decoded_s < KEY_S:
            return False
        if is_behind and not (packet.is_keyframe and math.floor(stamped.time_s * self._fps) > self._slot):
            self._needs_key = True
            return False
        self._needs_key = False
        packet.opaque = stamped.time_s, stamped.epoch
        try:
            frames = self._context.decode(packet)
        except av.error.FFmpegError:  # a damaged packet costs itself
            return False
        return any([self._show(frame, *frame.opaque) for frame in frames if not frame.is_corrupt and frame.opaque])

    def _show(self, frame: Any, time_s: float, clock_epoch: int) -> bool:
        progress, now_s = self._progress, time.monotonic()
        self._recent.append(now_s)
        self.decoded_s = now_s
        progress.frames += 1
        if time_s <= self._shown_s:
            return False
        before, shape = self._shape, (clock_epoch, frame.width, frame.height, self._context.codec.canonical_name)
        if shape != before:
            self._connected(time_s, shape)
        elif time_s - self._shown_s < LONGEST_FRAME_S:
            self._frame_s = time_s - self._shown_s
        self._shown_s, progress.seen_until_s = time_s, round(time_s + self._frame_s, 3)
        if math.floor(time_s * self._fps) > self._slot:
            self._sample(frame, time_s)
        return before is not None and before[1:] != shape[1:]

    def _connected(self, time_s: float, shape: tuple[int, int, int, str]) -> None:
        progress = self._progress
        progress.reconnects += self._shape is None and progress.epoch >= 0
        progress.epoch, progress.is_connected, progress.is_lost = progress.epoch + 1, True, False
        self._shape = shape
        self._tell(Connected(time_s, progress.epoch, shape[1], shape[2], shape[3]))

    def _sample(self, frame: Any, time_s: float) -> None:
        found = geometry(frame, self._video)
        width_px, height_px = found["size"]
        pixels = upright(frame, fitted_px(width_px, height_px, self._max_side_px), found["rotation"])
        self._slot, self._progress.sampled_s = math.floor(time_s * self._fps), time_s
        self._tell(Sampled(time_s, self._progress.epoch, pixels))
