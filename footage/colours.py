"""Colour names that people use, and where they lie: the one vocabulary of the colour encoder and of text rows."""

import re

import numpy as np

from footage.arrays import AnyArray

# Anchors in sRGB, several a name where the name covers much ground; the eleven basic colour terms (Berlin and Kay, 1969).
ANCHORS: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("black", (0, 0, 0)), ("black", (28, 28, 30)),
    ("grey", (128, 128, 128)), ("grey", (85, 85, 88)), ("grey", (170, 170, 172)),
    ("white", (255, 255, 255)), ("white", (228, 228, 226)),
    ("red", (220, 30, 30)), ("red", (150, 20, 30)), ("red", (255, 70, 60)),
    ("orange", (255, 140, 0)), ("orange", (235, 110, 40)),
    ("yellow", (250, 220, 30)), ("yellow", (255, 245, 120)), ("yellow", (205, 180, 20)),
    ("green", (30, 160, 50)), ("green", (20, 90, 35)), ("green", (130, 215, 110)), ("green", (0, 255, 0)),
    ("blue", (30, 70, 215)), ("blue", (15, 25, 110)), ("blue", (90, 165, 240)), ("blue", (0, 0, 255)),
    ("purple", (130, 40, 160)), ("purple", (85, 30, 110)), ("purple", (180, 110, 215)),
    ("pink", (250, 150, 190)), ("pink", (235, 70, 150)),
    ("brown", (120, 72, 35)), ("brown", (75, 45, 25)), ("brown", (160, 110, 70)),
)  # fmt: skip
NAMES: tuple[str, ...] = tuple(dict.fromkeys(name for name, _ in ANCHORS))  # C = 11
SYNONYMS = {"gray": "grey", "violet": "purple", "silver": "grey", "golden": "yellow", "gold": "yellow",
            "magenta": "pink", "crimson": "red", "scarlet": "red", "navy": "blue", "turquoise": "blue", "cyan": "blue",
            "beige": "brown", "tan": "brown", "lilac": "purple", "lime": "green", "olive": "green"}  # fmt: skip


def names_in(text: str) -> tuple[str, ...]:
    """The colour names a text mentions, as basic terms, in order of mention, once each."""
    words = (SYNONYMS.get(word, word) for word in re.findall(r"[a-z]+", text.lower()))
    return tuple(dict.fromkeys(word for word in words if word in NAMES))


def lab(rgb: AnyArray) -> AnyArray:
    """sRGB 0..255 (..., 3) to CIE L*a*b* (D65) float32, in which distance is roughly what the eye sees."""
    scaled = rgb.astype(np.float32) / 255.0
    c = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    xyz = c @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]], np.float32)
    xyz = xyz / np.array([0.9505, 1.0, 1.089], np.float32)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


_ANCHOR_LAB = lab(np.array([rgb for _, rgb in ANCHORS], np.float32))
_ANCHOR_NAME = np.array([NAMES.index(name) for name, _ in ANCHORS])


def name_ids(rgb: AnyArray) -> AnyArray:
    """The index into NAMES of the nearest colour, for every pixel of (..., 3) sRGB 0..255; shape (...)."""
    flat = lab(rgb.reshape(-1, 3))
    square = (flat**2).sum(1)[:, None] - 2 * flat @ _ANCHOR_LAB.T + (_ANCHOR_LAB**2).sum(1)
    return _ANCHOR_NAME[square.argmin(1)].reshape(rgb.shape[:-1])


def name_of(rgb: tuple[int, int, int]) -> str:
    """The basic colour term nearest to one sRGB colour."""
    return NAMES[int(name_ids(np.array([rgb], np.uint8))[0])]
