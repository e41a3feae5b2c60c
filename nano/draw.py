"""Pictures of the world: shapes, letters and backgrounds as small arrays, painted into one frame.

Letters: S the side of a frame (128), p a diameter in pixels. Masks are float32 in 0..1, pictures float32 in 0..255.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nano.words import COLOURS

SIDE = 128
GLYPH_PX = 17
FONTS = ("DejaVuSans-Bold", "DejaVuSansMono-Bold", "DejaVuSerif-Bold", "STIXGeneralBol", "DejaVuSans")
_FINE = 6  # masks are drawn this much larger and averaged down

Picture = np.ndarray[Any, np.dtype[np.float32]]


@lru_cache(maxsize=4096)
def shape_mask(shape: str, px: int) -> Picture:
    """(p, p) coverage of a shape that fills its box."""
    from PIL import Image, ImageDraw

    side = px * _FINE
    image = Image.new("L", (side, side))
    draw = ImageDraw.Draw(image)
    if shape == "circle":
        draw.ellipse((0, 0, side - 1, side - 1), fill=255)
    elif shape == "ring":
        draw.ellipse((0, 0, side - 1, side - 1), fill=255)
        draw.ellipse((side * 0.27, side * 0.27, side * 0.73, side * 0.73), fill=0)
    elif shape == "moon":
        draw.ellipse((0, 0, side - 1, side - 1), fill=255)
        draw.ellipse((side * 0.36, -side * 0.06, side * 1.26, side * 0.84), fill=0)
    elif shape == "heart":
        draw.ellipse((0, side * 0.03, side * 0.52, side * 0.55), fill=255)
        draw.ellipse((side * 0.48, side * 0.03, side - 1, side * 0.55), fill=255)
        draw.polygon([(side * x, side * y) for x, y in ((0.03, 0.38), (0.97, 0.38), (0.5, 0.99))], fill=255)
    else:
        draw.polygon([(side * x, side * y) for x, y in _outline(shape)], fill=255)
    return np.asarray(image.resize((px, px), Image.Resampling.BOX), np.float32) / np.float32(255)


def _outline(shape: str) -> list[tuple[float, float]]:
    """Corners in a unit square."""
    if shape == "star":
        radii = np.where(np.arange(10) % 2 == 0, 0.54, 0.22)
        turns = np.arange(10) * np.pi / 5 - np.pi / 2
        return [(0.5 + r * np.cos(a), 0.54 + r * np.sin(a)) for r, a in zip(radii, turns, strict=True)]
    cross = [(0.34, 0), (0.66, 0), (0.66, 0.34), (1, 0.34), (1, 0.66), (0.66, 0.66),
             (0.66, 1), (0.34, 1), (0.34, 0.66), (0, 0.66), (0, 0.34), (0.34, 0.34)]  # fmt: skip
    return {
        "square": [(0.06, 0.06), (0.94, 0.06), (0.94, 0.94), (0.06, 0.94)],
        "triangle": [(0.5, 0.02), (1, 0.95), (0, 0.95)],
        "diamond": [(0.5, 0), (0.86, 0.5), (0.5, 1), (0.14, 0.5)],
        "arrow": [(0, 0.32), (0.5, 0.32), (0.5, 0.05), (1, 0.5), (0.5, 0.95), (0.5, 0.68), (0, 0.68)],
        "cross": cross,
    }[shape]


@lru_cache(maxsize=4096)
def shape_paint(colour: str, texture: str, px: int) -> Picture:
    """(p, p, 3) what a shape is filled with: its colour, plain or with darker (for black: lighter) stripes or dots."""
    y, x = np.mgrid[:px, :px]
    marked = {"plain": np.zeros((px, px), bool), "striped": (x + y) % 8 < 3, "dotted": (x % 7 < 3) & (y % 7 < 3)}[texture]
    rgb = np.asarray(COLOURS[colour], np.float32)
    other = rgb * 0.72 if colour != "black" else rgb + 26
    return np.where(marked[..., None], other, rgb).astype(np.float32)


@lru_cache(maxsize=1024)
def glyph_mask(letter: str, font: str, px: int = GLYPH_PX) -> Picture:
    """(p, p) coverage of one letter, centred in its box."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (px * 2, px * 2))
    face = ImageFont.truetype(str(_font_folder() / f"{font}.ttf"), px)
    ImageDraw.Draw(image).text((px, px), letter, fill=255, font=face, anchor="mm")
    left, upper, right, lower = image.getbbox() or (0, 0, px, px)
    x, y = (left + right - px) // 2, (upper + lower - px) // 2
    return np.asarray(image.crop((x, y, x + px, y + px)), np.float32) / np.float32(255)


@lru_cache(maxsize=1)
def _font_folder() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def background(rng: np.random.Generator) -> Picture:
    """(2 S, 2 S, 3) one texture that repeats after S in both directions, so that any S x S window of it drifts for ever."""
    from PIL import Image

    cells = int(rng.integers(3, 9))
    seed = rng.random((cells, cells, 1)).astype(np.float32)
    tiled = np.tile(seed, (3, 3, 1))[..., 0]
    smooth = Image.fromarray(tiled).resize((3 * SIDE, 3 * SIDE), Image.Resampling.BICUBIC)
    texture = np.asarray(smooth, np.float32)[SIDE : 2 * SIDE, SIDE : 2 * SIDE]
    if rng.random() < 0.3:
        y, x = np.mgrid[:SIDE, :SIDE]
        period = SIDE // int(rng.integers(4, 12))
        texture = texture * 0.6 + 0.4 * (((x if rng.random() < 0.5 else y) % period) < period // 2)
    mean, swing = rng.uniform(85, 165), rng.uniform(8, 34)
    tint = 1 + rng.uniform(-0.09, 0.09, 3)
    tile = ((mean + swing * (texture - 0.5))[..., None] * tint).astype(np.float32)
    for _ in range(int(rng.integers(0, 6))):
        _clutter(tile, rng)
    return np.tile(tile, (2, 2, 1))


def _clutter(tile: Picture, rng: np.random.Generator) -> None:
    """One dull bar, box or blob, a little lighter or darker than what it lies on."""
    w, h = int(rng.integers(3, 40)), int(rng.integers(3, 16))
    if rng.random() < 0.5:
        w, h = h, w
    x, y = int(rng.integers(0, SIDE - w)), int(rng.integers(0, SIDE - h))
    mask = np.ones((h, w), np.float32)
    if rng.random() < 0.4:
        v, u = np.mgrid[:h, :w]
        mask = (((u - w / 2) / (w / 2)) ** 2 + ((v - h / 2) / (h / 2)) ** 2 <= 1).astype(np.float32)
    tile[y : y + h, x : x + w] += mask[..., None] * np.float32(rng.uniform(10, 24) * rng.choice([-1, 1]))


def paint(frame: Picture, mask: Picture, fill: Any, x: float, y: float) -> None:
    """Lay a mask, centred at (x, y) pixels, over a (S, S, 3) frame in place; what lies outside is cut off."""
    h, w = mask.shape
    left, upper = round(x - w / 2), round(y - h / 2)
    u0, v0, u1, v1 = max(0, -left), max(0, -upper), min(w, SIDE - left), min(h, SIDE - upper)
    if u0 >= u1 or v0 >= v1:
        return
    part = mask[v0:v1, u0:u1, None]
    fill = fill[v0:v1, u0:u1] if isinstance(fill, np.ndarray) and fill.ndim == 3 else np.asarray(fill, np.float32)
    spot = frame[upper + v0 : upper + v1, left + u0 : left + u1]
    spot += part * (fill - spot)
