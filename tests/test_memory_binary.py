"""One bit a number (V15): as good as a flat search where it should be, in an eighth of a byte, and with its limit shown."""

import numpy as np
import pytest

from footage.arrays import AnyArray
from memory.binary import BinaryVectors

pytest.importorskip("faiss")
N, D, K = 20_000, 256, 10


def clustered(clusters: int = 400) -> tuple[AnyArray, AnyArray]:
    """(N, D) and 100 questions of unit length, about 50 rows a cluster."""
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(clusters, D))
    made = middles[rng.integers(0, clusters, N + 100)] + 0.5 * rng.normal(size=(N + 100, D))
    made = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return made[:N], made[N:]


def recall(index: BinaryVectors, vectors: AnyArray, questions: AnyArray, **options: int) -> float:
    best = np.argsort(-(questions @ vectors.T), axis=1)[:, :K]
    return float(np.mean([len({*index.search(q, K, **options)[0]} & {*b}) / K for q, b in zip(questions, best.tolist(), strict=True)]))


def test_recall_is_that_of_a_flat_search_in_an_eighth_of_a_byte_a_number() -> None:
    vectors, questions = clustered()
    index = BinaryVectors(D, lambda rows: vectors[rows])
    for at in range(0, N, 7000):
        index.add(vectors[at : at + 7000])
    assert (len(index), index.width, index.nbytes) == (N, D, N * (D // 8 + 2))
    assert recall(index, vectors, questions) >= 0.95
    assert recall(index, vectors, questions, reach=1) < 0.5  # signs alone do not order what is near
    rows, scores = index.search(questions[0], K)
    np.testing.assert_allclose(scores, vectors[rows] @ questions[0], atol=1e-6)
    assert np.all(np.diff(scores) <= 1e-6)


def test_without_the_vectors_scores_are_estimated_from_angle_and_length() -> None:
    vectors, questions = clustered()
    lengths = np.linspace(0.5, 2, N).astype(np.float32)[:, None]
    index = BinaryVectors(D)
    index.add(vectors * lengths)
    rows, scores = index.search(questions[0], 50, reach=1)
    true = (vectors * lengths)[rows] @ questions[0]
    assert np.median(np.abs(scores - true)) < 0.15
    assert np.corrcoef(scores, true)[0, 1] > 0.9


def test_few_rows_ties_and_wrong_widths() -> None:
    index = BinaryVectors(8)
    assert [len(part) for part in index.search(np.ones(8, np.float32), 3)] == [0, 0]
    index.add(np.ones((3, 8), np.float32))
    assert index.search(np.ones(8, np.float32), 9)[0].tolist() == [0, 1, 2]
    assert index.search(np.ones(8, np.float32), 9)[1] == pytest.approx([8.0] * 3, abs=0.01)
    with pytest.raises(ValueError, match="multiple of 8, got 12"):
        BinaryVectors(12)
