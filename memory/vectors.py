"""Exact inner-product search over half-precision vectors, by row: with FAISS, or with numpy where FAISS is away."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from footage.arrays import AnyArray, Bools, Embeds

BLOCK_ROWS = 16_384


class Vectors(Protocol):
    """N rows of one width; row i is the i-th added one that was not removed."""

    def __len__(self) -> int: ...

    @property
    def width(self) -> int: ...

    def add(self, embeds: Embeds) -> None: ...

    def remove(self, gone: Bools) -> None:
        """gone (N,): the rows after a removed one move up."""
        ...

    def search(self, embed: Embeds, k: int, allowed: Bools | None) -> tuple[AnyArray, AnyArray]:
        """Rows and scores of the k best, best first; k is at most the number of allowed rows (all when None)."""
        ...


def has_faiss() -> bool:
    """The CPU and the GPU wheels own the same import name."""
    return find_spec("faiss") is not None


def empty_vectors(width: int) -> Vectors:
    return FaissVectors(width) if has_faiss() else NumpyVectors(width)


class FaissVectors:
    """IndexScalarQuantizer, fp16: exact to half precision, half the bytes and faster than fp32.

    Rows are positions: IndexIDMap2 would add a hash map of some 50 bytes a row to say the same.
    """

    def __init__(self, width: int, index: Any = None) -> None:
        import faiss

        self._faiss: Any = faiss
        half = faiss.ScalarQuantizer.QT_fp16
        self._index: Any = index or faiss.IndexScalarQuantizer(width, half, faiss.METRIC_INNER_PRODUCT)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def width(self) -> int:
        return int(self._index.d)

    def add(self, embeds: Embeds) -> None:
        self._index.add(np.ascontiguousarray(embeds))

    def remove(self, gone: Bools) -> None:
        self._index.remove_ids(self._selector(gone))

    def search(self, embed: Embeds, k: int, allowed: Bools | None) -> tuple[AnyArray, AnyArray]:
        selector = None if allowed is None else self._selector(allowed)
        parameters = None if selector is None else self._faiss.SearchParameters(sel=selector)
        threads = self._faiss.omp_get_max_threads()
        self._faiss.omp_set_num_threads(1)  # one query is one thread's work: a second one only spins (9.5 ms, not 13.5)
        try:
            scores, rows = self._index.search(np.ascontiguousarray(embed[None]), k, params=parameters)
        finally:
            self._faiss.omp_set_num_threads(threads)
        return rows[0], scores[0]

    def _selector(self, mask: Bools) -> Any:
        return self._faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))

    def write(self, path: Path) -> None:
        self._faiss.write_index(self._index, str(path))

    @classmethod
    def read(cls, path: Path) -> "FaissVectors":
        """Into RAM: adding to a memory-mapped index aborts the process. Raises RuntimeError where it is no index."""
        import faiss

        index = faiss.read_index(str(path))
        return cls(index.d, index)


class NumpyVectors:
    """The same by brute force."""

    def __init__(self, width: int) -> None:
        self._halves: AnyArray = np.empty((0, width), np.float16)

    def __len__(self) -> int:
        return len(self._halves)

    @property
    def width(self) -> int:
        return int(self._halves.shape[1])

    def add(self, embeds: Embeds) -> None:
        self._halves = np.concatenate([self._halves, embeds.astype(np.float16)])

    def remove(self, gone: Bools) -> None:
        self._halves = self._halves[~gone]

    def search(self, embed: Embeds, k: int, allowed: Bools | None) -> tuple[AnyArray, AnyArray]:
        blocks = range(0, len(self), BLOCK_ROWS)
        scores = np.concatenate([self._halves[i : i + BLOCK_ROWS].astype(np.float32) @ embed for i in blocks])
        if allowed is not None:
            scores[~allowed] = -np.inf
        best = np.argpartition(-scores, k - 1)[:k]
        best = best[np.argsort(-scores[best], kind="stable")]
        return best, scores[best]
