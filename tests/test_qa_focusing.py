"""Fewer visual tokens with the question's words: what each method is, and that a model reads just so many."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footage import Carrier, ConfigError, TimeSpan
from footage.costs import Meter
from footage.coverage import unit
from footage.questions import Evidence, Question
from nano.decoder import make_vlm
from nano.tokenizer import make_tokenizer
from qa.answerers.focusing import METHODS, Focusing, blocks_of, focusing, hicom, llama_vid, ppllava
from qa.answerers.prompt import rows_of
from qa.answerers.vlm import Limits, Reading, VlmAnswerer

D = 32
NAMES = sorted(METHODS)


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("words", [0, 1, 3])
@pytest.mark.parametrize("keep", [1, 4, 7])
def test_every_frame_is_left_exactly_so_many_tokens(name: str, words: int, keep: int) -> None:
    frames = [noise(size, D, seed=n) for n, size in enumerate((1, 2, 16, 9, 16, 64, 5))]
    made = Focusing(name, keep).of(frames, noise(words, D, seed=9))
    left = 2 if name == "llama-vid" else keep
    assert [frame.shape for frame in made] == [(min(left, len(frame)), D) for frame in frames]
    assert all(np.isfinite(frame).all() and frame.dtype == np.float32 for frame in made)
    alone = [Focusing(name, keep).of([frame], noise(words, D, seed=9))[0] for frame in frames]
    for together, single in zip(made, alone, strict=True):
        np.testing.assert_allclose(together, single, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(8, 60))
def test_mmtok_never_leaves_out_what_the_words_name(seed: int, named: int, count: int) -> None:
    tokens, words = noise(count, D, seed=seed), noise(named, D, seed=seed + 1)
    places = np.random.default_rng(seed).choice(count, named, replace=False)
    tokens[places] = 3 * words
    [made] = Focusing("mmtok", 4).of([tokens], words)
    kept = [int(np.flatnonzero((tokens == row).all(1))[0]) for row in made]  # whole tokens, and found by what they are
    assert kept == sorted(set(kept))
    assert set(places.tolist()) <= set(kept)
    [blind] = Focusing("mmtok", 4).of([tokens], words[:0])
    assert len(blind) == 4


def test_mmtok_without_words_covers_what_the_picture_shows() -> None:
    tokens = np.repeat(np.eye(3, D, dtype=np.float32), (20, 3, 1), axis=0) + 0.01 * noise(24, D)
    [made] = Focusing("mmtok", 3).of([tokens], noise(0, D))
    assert sorted(made[:, :3].argmax(1).tolist()) == [0, 1, 2]


@pytest.mark.parametrize("keep", [4, 5])
def test_ppllava_lies_between_the_best_token_and_the_mean_of_a_block(keep: int) -> None:
    tokens, words = noise(16, D), noise(3, D, seed=1)
    blocks = [np.flatnonzero(block) for block in blocks_of(16, keep)]
    likeness = unit(tokens) @ unit(words).mean(0)
    best = np.stack([tokens[block[likeness[block].argmax()]] for block in blocks])
    means = np.stack([tokens[block].mean(0) for block in blocks])
    np.testing.assert_allclose(ppllava(tokens, words, keep, temperature=1e-6), best, atol=1e-5)
    np.testing.assert_allclose(ppllava(tokens, words, keep, temperature=1e6), means, atol=1e-5)
    np.testing.assert_allclose(ppllava(tokens, words[:0], keep), means, atol=1e-5)


def test_hicom_attends_inside_its_block_and_more_to_what_the_words_name() -> None:
    tokens, word = noise(16, D), noise(1, D, seed=1)
    tokens[0] = word[0]
    made, blind = hicom(tokens, word, 4), hicom(tokens, word[:0], 4)
    assert (unit(made) @ unit(word)[0])[0] > (unit(blind) @ unit(word)[0])[0] + 0.1
    other = tokens.copy()
    other[15] += 1
    changed = np.abs(hicom(other, word, 4) - made).max(1) > 1e-6
    assert changed.tolist() == [False, False, False, True]
    np.testing.assert_allclose(hicom(np.ones((16, D), np.float32), word, 4), np.ones((4, D)), atol=1e-5)
    means = np.stack([tokens[block].mean(0) for block in blocks_of(16, 4)])
    np.testing.assert_allclose(hicom(tokens, word, 4, temperature=1e6), means, atol=1e-5)


def test_llama_vid_is_its_closed_form() -> None:
    tokens, words = noise(5, D), noise(3, D, seed=1)
    context = np.zeros(D)
    for word in words:
        logits = [float(word @ token) / math.sqrt(D) for token in tokens]
        total = sum(map(math.exp, logits))
        context += sum(math.exp(logit) / total * token for logit, token in zip(logits, tokens, strict=True)) / len(words)
    np.testing.assert_allclose(llama_vid(tokens, words), [context, tokens.mean(0)], atol=1e-5)
    np.testing.assert_allclose(llama_vid(tokens, words[:0]), [tokens.mean(0)] * 2, atol=1e-5)


@given(st.integers(1, 80), st.integers(1, 80))
def test_every_token_lies_in_one_block_and_no_block_is_empty(count: int, blocks: int) -> None:
    made = blocks_of(count, min(blocks, count))
    assert made.shape == (min(blocks, count), count)
    assert (made.sum(0) == 1).all()
    assert (made.sum(1) >= 1).all()


def test_blocks_of_a_square_grid_are_squares() -> None:
    assert np.flatnonzero(blocks_of(16, 4)[1]).tolist() == [2, 3, 6, 7]
    assert np.flatnonzero(blocks_of(12, 4)[1]).tolist() == [3, 4, 5]


def test_a_wrong_name_lists_the_known_ones() -> None:
    assert focusing("", 8) is None
    assert focusing("mmtok", 4) == Focusing("mmtok", 4)
    with pytest.raises(ConfigError, match="known: mmtok, ppllava, hicom, llama-vid"):
        focusing("mmtokk", 8)
    with pytest.raises(ConfigError, match="at least one token"):
        focusing("mmtok", 0)


@pytest.fixture(scope="module")
def plain() -> VlmAnswerer:
    import torch

    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    model = make_vlm(len(tokenizer), tokenizer.convert_tokens_to_ids("<image>")).eval()
    return VlmAnswerer(model, tokenizer, id="tiny@1", reading=Reading(instructed=False, max_new_tokens=4), limits=Limits(prefix_bytes=0))


def with_focus(plain: VlmAnswerer, name: str, tokens: int) -> VlmAnswerer:
    return VlmAnswerer(plain._model, plain._tokenizer, id="tiny@1", reading=plain.reading, focusing=Focusing(name, tokens))


def evidence(sizes: tuple[int, ...] = (64, 64, 16)) -> list[Evidence]:
    shown = tuple(
        Carrier("rec", (TimeSpan(n, n + 1),), n + 0.5, 1.0, noise(size, 192, seed=n).astype(np.float16), np.ones(1, np.float32))
        for n, size in enumerate(sizes)
    )
    return [Evidence("rec", TimeSpan(0, len(sizes)), 1.0, shown[0], "", shown)]


@pytest.mark.parametrize("name", NAMES)
def test_the_model_reads_just_so_many_and_the_meter_counts_them(plain: VlmAnswerer, name: str) -> None:
    question, full, fewer = Question("What colour is the star?"), Meter(), Meter()
    "".join(plain.stream(question, evidence(), meter=full))
    "".join(with_focus(plain, name, 5).stream(question, evidence(), meter=fewer))
    left = 3 * (2 if name == "llama-vid" else 5)
    assert (full.cost.visual_tokens, fewer.cost.visual_tokens) == (144, left)
    assert full.cost.text_tokens == fewer.cost.text_tokens
    assert fewer.cost.prefill_macs == plain.shape.prefill_macs(left + fewer.cost.text_tokens)
    rows = with_focus(plain, name, 5)._seen(question, rows_of(evidence()))
    assert plain.prompt(question, rows).count(plain._model.config.image_token_id) == left == sum(row.tokens for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_left_hangs_on_the_words_of_the_question(plain: VlmAnswerer, name: str) -> None:
    reader, rows = with_focus(plain, name, 4), rows_of(evidence())

    def read(text: str, **more: Any) -> Any:
        return np.concatenate([frame.numpy() for row in reader._seen(Question(text, **more), rows) for frame in row.frames])

    star = read("When does the red star appear?")
    assert np.array_equal(star, read("Is the red star there?"))  # the same content words
    assert np.abs(star - read("When does the blue ring appear?")).max() > 1e-4
    assert np.abs(read("What is it?") - read("What is it?", choices=("circle", "square"))).max() > 1e-4


def test_room_for_every_token_is_no_focus_at_all(plain: VlmAnswerer) -> None:
    question, full, same = Question("What colour is the star?"), Meter(), Meter()
    said = "".join(plain.stream(question, evidence(), meter=full))
    assert said == "".join(with_focus(plain, "mmtok", 64).stream(question, evidence(), meter=same))
    assert full.cost == same.cost


def test_rows_are_read_one_by_one_with_it_too(plain: VlmAnswerer) -> None:
    reader, meter = with_focus(plain, "hicom", 4), Meter()
    reader.reading = replace(plain.reading, one_by_one=True)
    "".join(reader.stream(Question("What colour is the star?"), evidence() * 2, meter=meter))
    assert (meter.cost.passes, meter.cost.visual_tokens) == (2, 24)
