"""Sealed vectors as one bit a number in inverted lists, mapped from a file: which few of very many rows are worth an exact look.

"RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound for Approximate Nearest Neighbor Search" (SIGMOD 2024), as
FAISS has it: what is left of a vector without its list's centroid, in W / 8 + 8 bytes. The paper's random rotation is done here, once
for all shards, so that one rotated question serves them all.
"""

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from footage.arrays import AnyArray, Bools, Embeds
from memory.recall.runs import centroids, explained, runs, strays_apart
from memory.recall.vectors import BLOCK_ROWS, selector

EXPLAINED = 0.3  # of what sets rows apart, by runs of rows in their order; where it is less, k-means groups them
TRAINING_ROWS, ROUNDS = 24, 4  # of k-means, for each list
LISTS_AT = 8  # times as many lists as are asked for have their centroids compared exactly
FEWEST_AT = 1024


@lru_cache(maxsize=4)
def rotation(width: int) -> Embeds:
    """(W, W), the same everywhere: signs of a hash and Hadamard's matrix by turns on the first and on the last 2^n numbers."""
    reach = 1 << int(math.log2(width))
    hadamard = np.ones((1, 1))
    while len(hadamard) < reach:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    turned = np.eye(width)
    for turn in range(4):
        bits = np.frombuffer(hashlib.shake_256(f"footage {turn}".encode()).digest(width), np.uint8) & 1
        turned *= 1.0 - 2.0 * bits
        part = slice(0, reach) if turn % 2 == 0 else slice(width - reach, width)
        turned[:, part] = turned[:, part] @ hadamard / math.sqrt(reach)
    return turned.astype(np.float32)


def rotated(vectors: AnyArray) -> Embeds:
    """(N, W) to float32 (N, W)."""
    result: Embeds = np.ascontiguousarray(vectors, np.float32) @ rotation(vectors.shape[1])
    return result


def write_lists(path: Path, halves: AnyArray, list_rows: int) -> int:
    """Make them of (N, W) halves and write them; returns the bytes of the file before the first code: structure and centroids."""
    import faiss

    N, W = halves.shape
    turned: Embeds = np.empty((N, W), np.float32)
    for first in range(0, N, BLOCK_ROWS):
        turned[first : first + BLOCK_ROWS] = rotated(halves[first : first + BLOCK_ROWS])
    numbers = runs(turned, list_rows)
    means = centroids(turned, numbers)
    if explained(means, numbers) < EXPLAINED:
        means, numbers = _k_means(turned, max(1, N // (2 * list_rows)))
    means, numbers = strays_apart(turned, means, numbers)
    index: Any = faiss.IndexIVFRaBitQ(faiss.IndexFlatIP(W), W, len(means), faiss.METRIC_INNER_PRODUCT)
    index.quantizer.add(means)
    index.train(turned[:1])  # nothing is left to learn; FAISS wants to be told
    index.add_core(N, faiss.swig_ptr(turned), None, faiss.swig_ptr(np.ascontiguousarray(numbers, np.int64)))
    faiss.write_index(index, str(path))
    return path.stat().st_size - N * (index.code_size + 8)  # a list's rows are 64-bit numbers


def _k_means(vectors: Embeds, lists: int) -> tuple[Embeds, AnyArray]:
    """(lists, W) centroids and (N,) the list of each row."""
    import faiss

    N, W = vectors.shape
    made: Any = faiss.Clustering(W, lists)
    made.seed, made.niter, made.min_points_per_centroid, made.max_points_per_centroid = 1, ROUNDS, 1, TRAINING_ROWS
    quantizer: Any = faiss.IndexFlatIP(W)
    made.train(vectors[np.sort(np.random.default_rng(0).permutation(N)[: TRAINING_ROWS * lists])], quantizer)
    means: Embeds = quantizer.reconstruct_n(0, lists)
    return means, quantizer.search(vectors, 1)[1][:, 0]


class OneBitLists:
    """Mapped, and without `add`: adding to a mapped FAISS index ends the process."""

    def __init__(self, path: Path, rows: int, width: int) -> None:
        """Raises ValueError or RuntimeError where the file is none, or another's; its structure must have been checked before."""
        import faiss

        self._faiss: Any = faiss
        self._index: Any = self._faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        if (self._index.ntotal, self._index.d) != (rows, width):
            raise ValueError(f"{path.name} holds {self._index.ntotal} rows of width {self._index.d}, expected {rows} of {width}")
        flat = self._faiss.downcast_index(self._index.quantizer)
        raw = self._faiss.rev_swig_ptr(flat.get_xb(), self._index.nlist * width)
        self.centroids: Embeds = raw.reshape(-1, width)  # FAISS's own; lives as long as this object

    def near(self, turned: Embeds, lists: AnyArray, k: int, allowed: Bools | None) -> tuple[AnyArray, AnyArray]:
        """At most k rows of some lists, and estimates of their scores; turned: the rotated question (W,)."""
        faiss, at = self._faiss, np.ascontiguousarray(lists, np.int64)[None]
        given = {} if allowed is None else {"sel": selector(allowed)}
        parameters = faiss.IVFRaBitQSearchParameters(nprobe=at.size, **given)
        scores, rows = np.empty((1, k), np.float32), np.empty((1, k), np.int64)
        question, unused = np.ascontiguousarray(turned[None]), np.zeros(at.shape, np.float32)
        pointers = [faiss.swig_ptr(array) for array in (at, unused, scores, rows)]
        self._index.search_preassigned_c(1, faiss.swig_ptr(question), k, *pointers, False, parameters)
        whole = (rows[0] >= 0) & (rows[0] < self._index.ntotal)  # a damaged list may name any row
        return rows[0][whole], scores[0][whole]


class ListChooser:
    """The lists of many shards as one, so that each question looks where it is nearest, and not everywhere a little.

    Signs first: of the lists that share most of them with the question the centroids are compared.
    """

    def __init__(self, shards: Sequence[OneBitLists]) -> None:
        """At least one."""
        self._shards = tuple(shards)
        self._first: AnyArray = np.cumsum([0, *(len(shard.centroids) for shard in shards)])
        self._signs: AnyArray = np.concatenate([_signs(shard.centroids) for shard in shards], axis=1)

    def choose(self, turned: Embeds, lists: int, shards: Sequence[int]) -> dict[int, AnyArray]:
        """By shard, among some of them, the lists nearest to a rotated question."""
        inside = None
        if len(shards) < len(self._shards):
            inside = np.concatenate([np.arange(self._first[shard], self._first[shard + 1]) for shard in shards])
        near = self._by_shard(self._alike(turned, max(LISTS_AT * lists, FEWEST_AT), inside))
        scores = np.concatenate([self._shards[shard].centroids[own] @ turned for shard, own in near.items()])
        if lists >= len(scores):
            return near
        flat = np.concatenate([own + self._first[shard] for shard, own in near.items()])
        return self._by_shard(np.sort(flat[np.argpartition(-scores, lists - 1)[:lists]]))

    def _by_shard(self, lists: AnyArray) -> dict[int, AnyArray]:
        """lists: ascending, numbered over all shards; returned as each shard numbers them."""
        edges = np.searchsorted(lists, self._first).tolist()
        return {shard: lists[a:b] - self._first[shard] for shard, (a, b) in enumerate(pairwise(edges)) if a < b}

    def _alike(self, turned: Embeds, lists: int, inside: AnyArray | None) -> AnyArray:
        signs = self._signs if inside is None else self._signs[:, inside]
        apart = np.zeros(signs.shape[1], np.uint16)
        if lists < len(apart):
            for word, own in zip(signs, _signs(turned[None])[:, 0], strict=True):
                apart += np.bitwise_count(word ^ own)
        near = np.argpartition(apart, lists)[:lists] if lists < len(apart) else np.arange(len(apart))
        return np.sort(near if inside is None else inside[near])


def _signs(vectors: AnyArray) -> AnyArray:
    """(N, W) to (words, N) uint64, a bit a number."""
    packed = np.packbits(vectors > 0, axis=1)
    whole = packed if packed.shape[1] % 8 == 0 else np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    return np.ascontiguousarray(whole.view(np.uint64).T)
