"""What the tower is taught: the truth of every patch and of every frame, known because we drew it.

Letters: P patches a side (8), N = P x P patches, S pixels a side, B frames.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nano import draw
from nano.phrases import Sight
from nano.scene import PITCH, Event, cell
from nano.words import COLOURS, LETTERS, SHAPES, kinds

P = 8
PATCH = draw.SIDE // P
COLOUR_IDS = {name: n + 1 for n, name in enumerate(COLOURS)}
SHAPE_IDS = {name: n + 1 for n, name in enumerate(SHAPES)}
LETTER_IDS = {name: n + 1 for n, name in enumerate(LETTERS)}
UNSURE = -100
PATCH_SIZES = {
    "colour": len(COLOURS) + 1, "shape": len(SHAPES) + 1, "letter": len(LETTERS) + 1, "centre": 2, "edge": 4, "alike": 6,
    "column": P + 1, "row": P + 1,
}  # fmt: skip
"""Classes of each patch label; 0 is none. edge: first letter of a sign, one inside, last; alike: how many of this kind are there,
up to five; column, row: where the thing's centre, or the letter, lies, from 1. So reading, counting and following are one look each."""
LETTER_LABELS = ("letter", "edge", "column", "row")
KINDS = len(COLOURS) * len(SHAPES)
PLACES = 8
POOLED = KINDS + (len(COLOURS) + len(SHAPES)) * 2 * PLACES + len(COLOURS) * 5
"""Yes-or-no facts of a region: kinds, colour and shape by column and row, colour by count."""


def pooled_mask() -> Any:
    """(POOLED,) bool: which facts are taught; held-out kinds are not, or the tower would learn that they never are."""
    mask = np.ones(POOLED, bool)
    seen = set(kinds("train"))
    for c, colour in enumerate(COLOURS):
        for s, shape in enumerate(SHAPES):
            mask[c * len(SHAPES) + s] = (colour, shape) in seen
    return mask


@dataclass(slots=True)
class Labels:
    patches: dict[str, Any]
    """Each (N,) int64; UNSURE where a patch is neither clearly the one nor the other."""
    pooled: Any
    """(5, POOLED) float32: of the whole frame, then of its four quarters."""
    sight: Sight


def labels_of(event: Event | None, at_s: float, sway: tuple[float, float]) -> Labels:
    patches = {name: np.zeros((P, P), np.int64) for name in PATCH_SIZES}
    pooled = np.zeros((5, POOLED), np.float32)
    if event is None:
        return Labels({k: v.ravel() for k, v in patches.items()}, pooled, Sight.of(None))
    owner = np.zeros((draw.SIDE, draw.SIDE), np.uint8)
    here = [t for t in event.things if t.start_s <= at_s < t.end_s]
    for n, thing in enumerate(here, 1):
        _own(owner, draw.shape_mask(thing.shape, thing.px(at_s)), thing.place(at_s), sway, n)
    by_patch = owner.reshape(P, PATCH, P, PATCH).swapaxes(1, 2).reshape(P, P, -1)
    cover = np.stack([(by_patch == n).mean(-1) for n in range(1, len(here) + 1)] or [np.zeros((P, P))])
    best, most = cover.argmax(0), cover.max(0)
    ids = np.array([(COLOUR_IDS[t.colour], SHAPE_IDS[t.shape]) for t in here] or [(0, 0)])
    for column, name in enumerate(("colour", "shape")):
        patches[name] = np.where(most >= 0.2, ids[best, column], np.where(most > 0.02, UNSURE, 0))
    counts = {thing.kind: sum(other.kind == thing.kind for other in here) for thing in here}
    more = np.zeros((max(1, len(here)), 3), np.int64)
    for n, thing in enumerate(here):
        x, y = thing.place(at_s)
        more[n] = min(counts[thing.kind], 5), *_facts(pooled, patches, thing, x + sway[0], y + sway[1])
    for column, name in enumerate(("alike", "column", "row")):
        patches[name] = np.where(most >= 0.2, more[best, column], np.where(most > 0.02, UNSURE, 0))
    for c in COLOURS:  # how many of a colour, up to five
        count = sum(t.colour == c for t in here)
        if count:
            pooled[0, KINDS + (len(COLOURS) + len(SHAPES)) * 2 * PLACES + (COLOUR_IDS[c] - 1) * 5 + min(count, 5) - 1] = 1
    sign = event.sign
    if sign is not None and sign.start_s <= at_s < sign.end_s:
        for k, letter in enumerate(sign.text):
            column, row = int((sign.x + k * PITCH) // PATCH), int(sign.y // PATCH)
            if 0 <= column < P and 0 <= row < P:
                edge = 1 if k == 0 else 3 if k == len(sign.text) - 1 else 2
                for name, label in zip(LETTER_LABELS, (LETTER_IDS[letter], edge, column + 1, row + 1), strict=True):
                    patches[name][row, column] = label
    return Labels({k: v.ravel() for k, v in patches.items()}, pooled, Sight.of(event, at_s))


def _own(owner: Any, mask: Any, place: tuple[float, float], sway: tuple[float, float], number: int) -> None:
    h, w = mask.shape
    left, upper = round(place[0] + sway[0] - w / 2), round(place[1] + sway[1] - h / 2)
    u0, v0, u1, v1 = max(0, -left), max(0, -upper), min(w, draw.SIDE - left), min(h, draw.SIDE - upper)
    if u0 < u1 and v0 < v1:
        owner[upper + v0 : upper + v1, left + u0 : left + u1][mask[v0:v1, u0:u1] > 0.5] = number


def _facts(pooled: Any, patches: dict[str, Any], thing: Any, x: float, y: float) -> tuple[int, int]:
    """Mark one thing in the whole frame and in its quarter; returns its column and row, from 1."""
    column, row = cell(x, y)
    patches["centre"][row, column] = 1
    c, s = COLOUR_IDS[thing.colour] - 1, SHAPE_IDS[thing.shape] - 1
    quarter = 1 + 2 * (row >= P // 2) + (column >= P // 2)
    for region in (0, quarter):
        pooled[region, c * len(SHAPES) + s] = 1
        for base, place in ((0, column), (PLACES, row)):
            pooled[region, KINDS + c * 2 * PLACES + base + place] = 1
            pooled[region, KINDS + (len(COLOURS) + s) * 2 * PLACES + base + place] = 1
    return column + 1, row + 1
