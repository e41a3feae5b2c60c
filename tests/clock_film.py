"""A film that shows its own time: a row of black and white cells holds the milliseconds since its beginning."""

import functools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

BITS = 16
MS_TICK = Fraction(1, 1000)


def picture(ms: int, width: int, height: int) -> np.ndarray:
    """(height, width, 3): the clock above, the inverse of each bit below it, something that moves under both."""
    rgb = np.roll(_ground(width, height), ms // 20, axis=1)
    cell, row = width // BITS, height // 8
    for bit in range(BITS):
        is_set, left = ms >> bit & 1, bit * cell
        rgb[:row, left : left + cell] = 235 if is_set else 20
        rgb[row : 2 * row, left : left + cell] = 20 if is_set else 235
    return rgb


@functools.cache
def _ground(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x % 200, y % 180, np.full_like(x, 90)], axis=2).astype(np.uint8)


def ms_in(pixels: np.ndarray) -> int:
    """The clock in a picture of any size.

    Raises:
        ValueError: a bit and its inverse look alike: the picture is damaged.
    """
    height, width = pixels.shape[:2]
    cell, row = width / BITS, height / 8
    ms = 0
    for bit in range(BITS):
        x = slice(int((bit + 0.3) * cell), int((bit + 0.7) * cell) + 1)
        upper, lower = (float(pixels[int((k + 0.3) * row) : int((k + 0.7) * row) + 1, x].mean()) for k in (0, 1))
        if abs(upper - lower) < 80:
            raise ValueError(f"bit {bit} cannot be read: {upper:.0f} against {lower:.0f}")
        ms |= (upper > lower) << bit
    return ms


def write(
    path: Path, *, seconds: float = 30, rate: int = 20, size_px: tuple[int, int] = (320, 180), gop: int = 10, codec: str = "libx264",
    options: dict[str, str] | None = None, start_s: float = 0.0, container: dict[str, str] | None = None,
) -> Path:  # fmt: skip
    """At most 65 s; time stamps begin at start_s."""
    width, height = size_px
    with av.open(str(path), "w", options=container or {}) as out:
        stream: Any = out.add_stream(codec, rate=rate, options=options or {"preset": "ultrafast", "bf": "0", "g": str(gop)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = MS_TICK
        for number in range(round(seconds * rate)):
            ms = round(number * 1000 / rate)
            frame = av.VideoFrame.from_ndarray(picture(ms, width, height), format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = ms + round(start_s * 1000), MS_TICK
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
