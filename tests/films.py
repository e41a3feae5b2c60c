"""Films with known truth, made at test time: every frame carries its number as a strip of black and white cells."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

WIDTH, HEIGHT, BITS, CELL = 192, 112, 10, 16
TICK = Fraction(1, 90000)


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A drifting gradient, stamped with a number below 1024."""
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([(x + 2 * number) % 200, (y + number) % 180, np.full_like(x, 90)], axis=2).astype(np.uint8)
    for bit in range(BITS):
        base[:CELL, bit * CELL : (bit + 1) * CELL] = 240 if number >> bit & 1 else 12
    base[CELL : CELL + 8] = 128
    return base


def number_in(pixels: np.ndarray) -> int:
    """The number in a picture of any size, upright."""
    scale = pixels.shape[1] / WIDTH
    y = int(CELL / 2 * scale)
    return sum((int(pixels[y, int((bit + 0.5) * CELL * scale)].mean()) > 126) << bit for bit in range(BITS))


def write(
    path: Path, *, frames: int = 60, rate: int = 10, codec: str = "libx264", times_s: Sequence[float] | None = None,
    options: dict[str, str] | None = None, pix_fmt: str = "yuv420p", start_s: float = 0.0, time_base: Fraction = TICK,
) -> Path:  # fmt: skip
    """Encode `frames` numbered pictures at the given times (default: evenly at `rate`), the first one at start_s."""
    times = list(times_s) if times_s is not None else [n / rate for n in range(frames)]
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        stream.codec_context.time_base = time_base
        for number, time_s in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = round((start_s + time_s) / time_base), time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


X264 = {"preset": "ultrafast", "tune": "zerolatency"}


def constant(path: Path) -> Path:
    """10 fps, key frame each second, no B-frames: 6 s."""
    return write(path, options={**X264, "g": "10"})


def b_frames(path: Path) -> Path:
    """Pyramid of B-frames, key frame each 2.5 s."""
    return write(path, options={"preset": "medium", "g": "25", "bf": "3", "b-pyramid": "normal"})


def open_gop(path: Path) -> Path:
    """Frames shown before their own key frame lean on the group before it."""
    return write(path, options={"preset": "medium", "x264-params": "keyint=20:min-keyint=20:bframes=3:open-gop=1:scenecut=0"})


def variable_rate(path: Path) -> Path:
    """10 fps for 2 s, nothing new for 3.5 s, then 4 fps: 60 frames."""
    times = [n / 10 for n in range(20)] + [5.5 + n / 4 for n in range(40)]
    return write(path, times_s=times, options={"preset": "medium", "g": "30", "bf": "2"})


def starts_late(path: Path) -> Path:
    """The first frame has time stamp 10 s."""
    return write(path, start_s=10.0, options={"preset": "medium", "g": "25", "bf": "2"})


def hevc(path: Path) -> Path:
    return write(path, codec="libx265", options={"preset": "ultrafast", "x265-params": "keyint=20:bframes=3:log-level=none"})


def mpeg4_avi(path: Path) -> Path:
    """No presentation times in the container, and B-frames."""
    return write(path, codec="mpeg4", options={"g": "12", "bf": "2"}, time_base=Fraction(1, 10))


def vp9(path: Path) -> Path:
    """With hidden alternate reference frames."""
    return write(
        path,
        codec="libvpx-vp9",
        options={"deadline": "realtime", "cpu-used": "8", "g": "20", "auto-alt-ref": "1", "lag-in-frames": "10"},
        time_base=Fraction(1, 1000),
    )


def raw_h264(path: Path) -> Path:
    """An elementary stream: no time stamps at all."""
    return write(path, options={**X264, "g": "10"}, rate=10)


def transport_stream(path: Path) -> Path:
    return write(path, options={"preset": "medium", "g": "20", "bf": "2"})


def matroska(path: Path) -> Path:
    return write(path, options={"preset": "medium", "g": "20", "bf": "2"}, time_base=Fraction(1, 1000))


FILMS = {
    "constant.mp4": constant,
    "b_frames.mp4": b_frames,
    "open_gop.mp4": open_gop,
    "variable_rate.mkv": variable_rate,
    "starts_late.mp4": starts_late,
    "hevc.mp4": hevc,
    "vp9.webm": vp9,
    "ts.ts": transport_stream,
    "matroska.mkv": matroska,
    "mpeg4.avi": mpeg4_avi,
    "raw.h264": raw_h264,
}  # fmt: skip


def true_times(name: str) -> list[float]:
    """When each numbered frame goes on screen, from the first one."""
    if name == "variable_rate.mkv":
        return [n / 10 for n in range(20)] + [5.5 + n / 4 for n in range(40)]
    return [n / 10 for n in range(60)]
