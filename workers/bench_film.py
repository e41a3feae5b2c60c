"""Test films whose every frame carries its number in its pixels, so that a decoder's frame can be told from its neighbour."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from footage.arrays import AnyArray, Pixels

BITS, CELL_PX = 16, 32  # a strip of black and white cells along the top


@dataclass(frozen=True, slots=True)
class Film:
    """How a film is encoded."""

    name: str
    codec: str
    width: int
    height: int
    gop: int
    is_static: bool = False
    bframes: int = 3

    def halved(self) -> "Film":
        """Half the width and height, for a quick look."""
        return replace(self, width=self.width // 2, height=self.height // 2)


FILMS = (
    Film("short-gop", "libx264", 1280, 720, 30),
    Film("long-gop", "libx264", 1280, 720, 250),
    Film("hevc", "libx265", 1920, 1080, 250),
    Film("static", "libx264", 1280, 720, 250, is_static=True),
)
FPS = 30


def make(film: Film, folder: Path, seconds: int) -> Path:
    """Encode a film once; the same name and length is the same film."""
    import av

    path = folder / f"{film.name}-{seconds}s.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part.mp4")
    options = {"preset": "veryfast", "crf": "23", "g": str(film.gop), "bf": str(film.bframes)}
    if film.codec == "libx265":
        options = {
            "preset": "ultrafast",
            "crf": "26",
            "x265-params": f"keyint={film.gop}:bframes={film.bframes}:log-level=none",
        }
    with av.open(str(half), "w") as out:
        stream: Any = out.add_stream(film.codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, "yuv420p"
        for picture in pictures(film, seconds * FPS):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    half.rename(path)
    return path


def pictures(film: Film, count: int) -> Iterator[Pixels]:
    """A textured world seen by a drifting camera, or by a fixed one with something moving; stamped with the frame's number."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(40, 216, (24, 40, 3)).astype(np.float32)
    world = _enlarged(coarse, film.height + 256, film.width + 256) + rng.normal(0, 6, (film.height + 256, film.width + 256, 1))
    ground: Pixels = np.clip(world, 0, 255).astype(np.uint8)
    for n in range(count):
        x, y = (64, 64) if film.is_static else (int(128 + 120 * np.sin(n / 90)), int(128 + 120 * np.cos(n / 130)))
        picture = ground[y : y + film.height, x : x + film.width].copy()
        left = (n * 5) % (film.width - 120)
        picture[film.height // 2 : film.height // 2 + 90, left : left + 90] = (200, 60, 40)
        if film.is_static:
            noise = rng.integers(0, 3, (film.height // 8, film.width // 8, 1), dtype=np.uint8)
            picture[: film.height // 8 * 8, : film.width // 8 * 8] |= noise.repeat(8, 0).repeat(8, 1)
        yield stamped(picture, n)


def _enlarged(coarse: AnyArray, height: int, width: int) -> AnyArray:
    from PIL import Image

    channels = [Image.fromarray(coarse[..., c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(3)]
    return np.stack([np.asarray(c) for c in channels], axis=2)


def stamped(picture: Pixels, number: int) -> Pixels:
    for bit in range(BITS):
        picture[:CELL_PX, bit * CELL_PX : (bit + 1) * CELL_PX] = 235 if number >> bit & 1 else 16
    return picture


def number_of(pixels: Pixels, full_width: int) -> int:
    """The number in a frame of any size."""
    scale = pixels.shape[1] / full_width
    centres = [(int((bit + 0.5) * CELL_PX * scale), int(CELL_PX / 2 * scale)) for bit in range(BITS)]
    return sum((int(pixels[y, x].mean()) > 128) << bit for bit, (x, y) in enumerate(centres))
