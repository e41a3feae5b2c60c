"""One bit a number: vectors of which RAM holds the signs and the length alone, and a search that reads few of the others.

Two vectors at angle a differ in a / pi of their signs: "Similarity Estimation Techniques from Rounding Algorithms" (2002), there with
random planes, here with the axes. FAISS compares the codes.

Not in the flow: RecallIndex keeps two bytes a number and is exact, in 133 MB for a day at 1 fps and width 768. Codes are 16 times smaller;
they pay off where halves no longer fit in RAM, from some tens of millions of rows on, and vectors can be read from a disk by row.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from footage.arrays import AnyArray, Embeds

Fetch = Callable[[AnyArray], AnyArray]
"""Rows (R,) to their vectors (R, D)."""


class BinaryVectors:
    """N vectors of width D, a multiple of 8, in D / 8 + 2 bytes each. Row i is the i-th added."""

    def __init__(self, width: int, fetch: Fetch | None = None) -> None:
        """fetch: reads the vectors themselves; None: scores are estimates. Raises ValueError for a width that is no multiple of 8."""
        if width < 8 or width % 8:
            raise ValueError(f"the width must be a multiple of 8, got {width}")
        import faiss

        self._faiss: Any = faiss
        self._codes: Any = faiss.IndexBinaryFlat(width)
        self._norms: AnyArray = np.empty(0, np.float16)
        self._fetch = fetch

    def __len__(self) -> int:
        return len(self._norms)

    @property
    def width(self) -> int:
        return int(self._codes.d)

    @property
    def nbytes(self) -> int:
        """Of codes and lengths."""
        return int(self._faiss.vector_to_array(self._codes.xb).nbytes) + self._norms.nbytes

    def add(self, embeds: Embeds) -> None:
        self._codes.add(_signs(embeds))
        self._norms = np.concatenate([self._norms, np.linalg.norm(embeds, axis=1).astype(np.float16)])

    def search(self, embed: Embeds, k: int, *, reach: int = 20) -> tuple[AnyArray, AnyArray]:
        """Rows and inner products of the k best among the k * reach whose signs are most alike, best first, ties by row.

        It finds what it should where no more than k * reach vectors are about as near as the k-th.
        """
        k = min(k, len(self))
        if k < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        apart, found = self._codes.search(_signs(embed[None]), min(k * reach, len(self)))
        rows, order = np.sort(found[0]), np.argsort(found[0])
        if self._fetch is not None:
            scores = self._fetch(rows).astype(np.float32) @ embed
        else:
            cosines = np.cos(np.pi * apart[0][order] / self.width)
            scores = cosines * self._norms[rows].astype(np.float32) * np.linalg.norm(embed)
        best = np.argsort(-np.round(scores, 6), kind="stable")[:k]
        return rows[best], scores[best].astype(np.float32)


def _signs(embeds: AnyArray) -> AnyArray:
    return np.packbits(embeds > 0, axis=1)
