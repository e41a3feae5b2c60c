"""The order in which a frame's tokens may be read: any beginning is what a shorter reading would be, and new things come early."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footage.nested import nested


def frame(seed: int, K: int, D: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(K, D)).astype(np.float16)


@given(seed=st.integers(0, 50), K=st.integers(1, 40), keep=st.integers(1, 60))
def test_a_beginning_is_a_shorter_reading(seed: int, K: int, keep: int) -> None:
    tokens = frame(seed, K)
    short, whole = nested(tokens, keep), nested(tokens, K)
    assert short.shape == (min(keep, K), 8)
    assert short.dtype == np.float32
    assert np.array_equal(short, whole[: len(short)])
    assert len(np.unique(whole[1:], axis=0)) == K - 1  # whole tokens, none twice


def test_frames_are_independent_of_each_other() -> None:
    both = np.stack([frame(1, 16), frame(2, 16)])
    assert np.allclose(nested(both, 6), np.stack([nested(both[0], 6), nested(both[1], 6)]), atol=1e-6)


def test_each_of_a_few_things_comes_before_a_second_look_at_the_background() -> None:
    background, things = np.eye(8)[0] + 0.01 * frame(3, 60), 3 * np.eye(8)[[2, 4, 6]]
    tokens = np.concatenate([background[:20], things, background[20:]])
    first = nested(tokens, 4)
    assert {tuple(t) for t in first[1:].astype(int)} == {tuple(t) for t in things.astype(int)}
    assert (first[0] @ things.T > 2 * (tokens.mean(0) @ things.T)).all()  # the mean leans towards what is unusual


def test_alike_tokens_have_a_plain_mean_and_nothing_is_refused_but_no_tokens() -> None:
    assert np.allclose(nested(np.ones((5, 3)), 2), 1)
    assert np.array_equal(nested(np.zeros((4, 3)), 4), np.zeros((4, 3)))
    assert nested(np.zeros((0, 4, 3)), 2).shape == (0, 2, 3)
    assert np.array_equal(nested(frame(4, 1), 7), frame(4, 1).astype(np.float32))
    with pytest.raises(ValueError, match="at least one token"):
        nested(frame(5, 4), 0)
