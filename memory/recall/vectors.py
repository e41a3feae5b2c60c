"""Exact inner-product search over half-precision vectors, by row: on a GPU, with FAISS, or with numpy where FAISS is away."""

from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from footage.arrays import AnyArray, Bools, Embeds

BLOCK_ROWS = 16_384


class Vectors(Protocol):
    """N rows of one width that never change. Threads may share them."""

    def __len__(self) -> int: ...

    @property
    def halves(self) -> AnyArray:
        """(N, W) float16."""
        ...

    def search(self, embed: Embeds, k: int, allowed: Bools | None) -> tuple[AnyArray, AnyArray]:
        """Rows and scores of the k best, best first; k is at most the number of allowed rows (all when None)."""
        ...


def has_faiss() -> bool:
    """The CPU and the GPU wheels own the same import name."""
    return find_spec("faiss") is not None


def has_gpu() -> bool:
    """A FAISS that was built for GPUs, and a GPU."""
    if not has_faiss():
        return False
    import faiss

    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


def flat(halves: AnyArray) -> Vectors:
    """halves: (N, W) float16; copied."""
    if not has_faiss():
        return NumpyVectors(halves)
    return GpuVectors(halves) if has_gpu() else FaissVectors(halves)


class FaissVectors:
    """IndexScalarQuantizer, fp16: exact to half precision, half the bytes and faster than fp32.

    Rows are positions: IndexIDMap2 would add a hash map of some 50 bytes a row to say the same.
    """

    def __init__(self, halves: AnyArray) -> None:
        import faiss

        self._faiss: Any = faiss
        self._index: Any = faiss.IndexScalarQuantizer(halves.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        self._index.add_sa_codes(np.ascontiguousarray(halves).view(np.uint8))  # its codes are the halves themselves

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def halves(self) -> AnyArray:
        raw: AnyArray = self._faiss.rev_swig_ptr(self._index.codes.data(), len(self) * self._index.code_size)
        return raw.view(np.float16).reshape(len(self), -1)

    def search(self, embed: Embeds, k: int, allowed: Bools | None) -> tuple[AnyArray, AnyArray]:
        parameters = None if allowed is None else self._faiss.SearchParameters(sel=selector(allowed))
        threads = self._faiss.omp_get_max_threads()
        self._faiss.omp_set_num_threads(1)  # one query is one thread's work: a second one only spins (9.5 ms, not 13.5)
        try:
            scores, rows = self._index.search(np.ascontiguousarray(embed[None]), k, params=parameters)
        finally:
            self._faiss.omp_set_num_threads(threads)
        return rows[0], scores[0]


class GpuVectors(FaissVectors):
    """The same with a copy on the first GPU, which answers whatever is not filtered."""

    def __init__(self, halves: AnyArray) -> None:
        super().__init__(halves)
        self._resources: Any = self._faiss.StandardGpuResources()
        self._on_gpu: Any = self._faiss.index_cpu_to_gpu(self._resources, 0, self._index)

    def search(self, embed: Embeds, k: int, allowed: Bools | None) -> tuple[AnyArray, AnyArray]:
        if allowed is not None or k > 2048:  # what FAISS can do on a GPU
            return super().search(embed, k, allowed)
        scores, rows = self._on_gpu.search(np.ascontiguousarray(embed[None]), k)
        return rows[0], scores[0]


class NumpyVectors:
    """The same by brute force."""

    def __init__(self, halves: AnyArray) -> None:
        self.halves: AnyArray = np.array(halves, np.float16)

    def __len__(self) -> int:
        return len(self.halves)

    def search(self, embed: Embeds, k: int, allowed: Bools | None) -> tuple[AnyArray, AnyArray]:
        blocks = range(0, len(self), BLOCK_ROWS)
        scores = np.concatenate([self.halves[i : i + BLOCK_ROWS].astype(np.float32) @ embed for i in blocks])
        if allowed is not None:
            scores[~allowed] = -np.inf
        best = np.argpartition(-scores, k - 1)[:k]
        best = best[np.argsort(-scores[best], kind="stable")]
        return best, scores[best]


def selector(allowed: Bools) -> Any:
    """FAISS's form of (N,) bool; FAISS must be there."""
    import faiss

    bitmap: Any = faiss.IDSelectorBitmap  # its stubs are those of C++
    return bitmap(np.packbits(allowed, bitorder="little"))
