"""The weightless encoder: which of the eleven basic colours fill the picture; it knows no other words."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from footage import Clip, EncodedClip
from footage.arrays import AnyArray, Embeds, Pixels
from footage.colours import NAMES, name_ids, names_in

GRID = 4  # cells a side, so P = 16 tokens
SAMPLE_PX = 40_000  # pixels looked at per frame: a share of 0.3 % is 120 of them


@cache
def _names_by_rgb() -> AnyArray:
    """(32768,) uint8: index into NAMES for every colour cut to five bits a channel, red in the highest bits."""
    centres = np.arange(32, dtype=np.uint8) * 8 + 4
    return name_ids(np.stack(np.meshgrid(centres, centres, centres, indexing="ij"), axis=-1)).astype(np.uint8).ravel()


def _sampled(length: int, step: int) -> AnyArray:
    """Every step-th of `length` pixels; repeated where there are fewer than GRID."""
    count = max(GRID, -(-length // step))
    return np.arange(count) * length // count


def colour_shares(pixels: Pixels) -> AnyArray:
    """Share of the pixels of every grid cell per colour name, (T, GRID * GRID, 11) float32, cells row by row, sums 1.

    Counted on at most SAMPLE_PX pixels, evenly spaced. A picture thinner than the grid is stretched to it.
    """
    T, H, W, _ = pixels.shape
    step = math.ceil(math.sqrt(H * W / SAMPLE_PX))
    rows, cols = _sampled(H, step), _sampled(W, step)
    red, green, blue = np.moveaxis(pixels[:, rows[:, None], cols] >> 3, -1, 0).astype(np.uint16)
    names = _names_by_rgb()[red << 10 | green << 5 | blue]
    cells = (np.arange(len(rows)) * GRID // len(rows))[:, None] * GRID + np.arange(len(cols)) * GRID // len(cols)
    bins = (np.arange(T)[:, None, None] * GRID**2 + cells) * len(NAMES) + names
    counts = np.bincount(bins.ravel(), minlength=T * GRID**2 * len(NAMES)).reshape(T, GRID**2, len(NAMES))
    shares: AnyArray = counts / counts.sum(-1, keepdims=True)
    return shares.astype(np.float32)


class ColorEncoder:
    """Embeds a frame as the square roots of its colour shares (D = E = 11), a text as its colour words.

    Roots make every row unit length (Hellinger), so the cosine with a query of one colour is the root of that colour's
    share: score ** 2 is the share of the picture that has it. Two colours in one text ask for their mean root.
    """

    # In 22 real clips colours that nobody would name stay below 0.2 % of the picture (edges, chroma noise), while blue
    # bottle caps, a true small thing, fill 0.55 %.
    floor = 0.003**0.5

    @property
    def id(self) -> str:
        return "color@1"

    def encode(self, clip: Clip) -> EncodedClip:
        """Tokens (T, 16, 11): the same roots for each cell of a 4 x 4 grid, row by row."""
        shares = colour_shares(clip.pixels)
        tokens = np.sqrt(shares).astype(np.float16)
        whole = shares.mean(axis=1)  # cells are equal parts of the picture, up to one row of pixels
        return EncodedClip(self.id, clip, tokens, np.sqrt(whole))

    def embed_text(self, texts: Sequence[str]) -> Embeds:
        rows = np.zeros((len(texts), len(NAMES)), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[[NAMES.index(name) for name in names_in(text)]] = 1.0
        unit: Embeds = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1.0)
        return unit
