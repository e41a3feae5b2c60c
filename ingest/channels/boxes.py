"""What a detector finds in a picture: a label, a score and a box; and how boxes are compared.

Letters: N boxes, C labels. Boxes are left, top, right, bottom.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from footage.arrays import AnyArray, Pixels

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Detection:
    label: str
    score: float
    """0 to 1."""
    box: Box
    """Shares of width and height of the picture, (0, 0) top left."""


class Detector(Protocol):
    def detect(self, picture: Pixels) -> list[Detection]:
        """Of one picture, uint8 (H, W, 3) RGB; best first. Raises ModelError when it cannot be run."""
        ...


def iou(box: Sequence[float] | AnyArray, others: AnyArray) -> AnyArray:
    """(N,) intersection over union of one box with (N, 4)."""
    box = np.asarray(box)
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    both = sides.clip(0).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    shares: AnyArray = both / np.maximum(areas - both, 1e-9)
    return shares


def suppressed(boxes: AnyArray, scores: AnyArray, labels: AnyArray, max_iou: float) -> list[int]:
    """Greedy non-maximum suppression by label: the rows that stay, best first (Felzenszwalb et al., PAMI 2010, section 3.3)."""
    order, kept = np.argsort(-scores, kind="stable"), list[int]()
    while len(order):
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        order = rest[(labels[rest] != labels[best]) | (iou(boxes[best], boxes[rest]) <= max_iou)]
    return kept


def detections(boxes: AnyArray, scores: AnyArray, labels: AnyArray, names: Sequence[str]) -> Iterator[Detection]:
    """Boxes in shares, (N, 4); what lies outside the picture is cut, what is left of none or has no name is dropped."""
    for box, score, label in zip(boxes.clip(0, 1).tolist(), scores.tolist(), labels.tolist(), strict=True):
        left, top, right, bottom = box
        if left < right and top < bottom and 0 <= label < len(names):
            yield Detection(names[label], float(min(1.0, score)), (left, top, right, bottom))
