"""Carriers: the mask says what dropping does, in every family; a bank stays as large as it is, and forgets what is asked of it."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_vlms import FAMILIES, make_vlm, make_words

import nano
from nano.tokenizer import make_tokenizer
from qa.carriers.bank import CarrierBank
from qa.carriers.carrier_input import with_carrier
from qa.carriers.semantic_mask import Layout, additive, decoder_inputs
from qa.families.family import Group, Prompt
from qa.families.registry import family_of

SIZE = {"smolvlm": (48, 48), "llava_onevision": (40, 40), "qwen2_5_vl": (48, 80), "qwen3_vl": (48, 80)}
FRAMES = 5
every_model = pytest.mark.parametrize("name", [*FAMILIES, "nano"])


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


class Case:
    """A model and five groups of film, with their carriers."""

    def __init__(self, name: str) -> None:
        if name == "nano":
            from transformers import SmolVLMForConditionalGeneration

            self.model = SmolVLMForConditionalGeneration.from_pretrained(nano.VLM, dtype=torch.float32, local_files_only=True).eval()
            self.words, size = make_tokenizer(), (128, 128)
        else:
            self.model, self.words, size = make_vlm(name, seed=1), make_words(), SIZE[name]
        self.family = family_of(self.model.model, tokenizer=self.words)
        count = FRAMES * self.family.frames_together
        pixels = np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)
        groups = self.family.look(pixels, [60.0 + 1.7 * n for n in range(count)])
        self.groups = [with_carrier(self.model, group) for group in groups]

    def prompt(self, *videos: list[Group], after: str = "When does the red car arrive?") -> tuple[Prompt, Layout]:
        text = "moments: " + " then ".join(self.family.written(groups) for groups in videos) + f" {after}"
        made = self.family.prompt(self.words(text, add_special_tokens=False)["input_ids"], videos)
        return made, Layout.of(made, videos)

    def masked(self, prompt: Prompt, seen: Any) -> Any:
        inputs = decoder_inputs(prompt) | {"attention_mask": additive(seen, prompt.embeds)}
        return self.model.lm_head(self.family.decoder(**inputs, use_cache=False).last_hidden_state)


@cache
def case(name: str) -> Case:
    return Case(name)


# --- who sees whom ------------------------------------------------------------------------------------------------------------------


def test_the_mask_of_two_frames_of_two_tokens_by_hand() -> None:
    """system, two tokens and a carrier, words, two tokens and a carrier, question"""
    layout = Layout(np.array([-1, 0, 0, 0, -1, 1, 1, 1, -1]), np.array([0, 0, 0, 1, 0, 0, 0, 1, 0], bool))
    rows = ["1", "11", "111", "1111", "10011", "100111", "1001111", "10011111", "100110011"]
    assert layout.seen().astype(int).tolist() == [[int(c) for c in row.ljust(9, "0")] for row in rows]


@settings(deadline=None)
@given(sizes=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), max_size=6), tail=st.integers(1, 3))
def test_nobody_sees_the_future_and_every_frame_is_told_by_its_carrier(sizes: list[tuple[int, int]], tail: int) -> None:
    frame = [own for n, (words, tokens) in enumerate(sizes) for own in [-1] * words + [n] * (tokens + 1)] + [-1] * tail
    carrier = [at + 1 == len(frame) or frame[at + 1] != own if own >= 0 else False for at, own in enumerate(frame)]
    layout = Layout(np.array(frame), np.array(carrier))
    seen, words = layout.seen(), layout.frame < 0
    assert not np.triu(seen, 1).any()
    assert seen.diagonal().all()
    assert seen[-1].tolist() == (words | layout.carrier).tolist()
    for at in np.flatnonzero(layout.carrier):
        own = np.flatnonzero(layout.frame == layout.frame[at])
        assert seen[at, own].all()
        assert not seen[at + 1 :, own[:-1]].any()


@every_model
def test_a_layout_knows_frames_carriers_and_words(name: str) -> None:
    own = case(name)
    prompt, layout = own.prompt(own.groups[:2], own.groups[2:])
    assert np.bincount(layout.frame[layout.frame >= 0]).tolist() == [len(group.tokens) for group in own.groups]
    assert layout.frame[layout.carrier].tolist() == list(range(FRAMES))
    assert bool((layout.frame[~prompt.visual[0].numpy()] == -1).all())
    inputs = prompt.embeds[0, torch.from_numpy(layout.carrier)]
    width = inputs.shape[1]
    torch.testing.assert_close(inputs, torch.stack([group.tokens[:-1].mean(0)[:width] for group in own.groups]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_no_two_tokens_of_a_stretch_stand_at_one_position(name: str) -> None:
    own = case(name)
    prompt, _ = own.prompt(own.groups)
    places = prompt.positions.reshape(-1, prompt.positions.shape[-1]).T.tolist()
    assert len({*map(tuple, places)}) == len(places)


@pytest.mark.parametrize(
    ("frame", "carrier"),
    [([0, 0, -1], [1, 0, 0]), ([0, 0, -1], [0, 0, 0]), ([0, 0, 1, 1], [0, 0, 0, 1]), ([0, -1, 0], [1, 0, 1]), ([0, -1], [1, 1])],
)
def test_a_frame_that_does_not_end_in_its_carrier_is_refused(frame: list[int], carrier: list[int]) -> None:
    with pytest.raises(ValueError, match="end in its carrier"):
        Layout(np.array(frame), np.array(carrier, bool))


def test_a_prompt_that_cannot_hold_the_groups_is_refused() -> None:
    own = case("smolvlm")
    prompt, _ = own.prompt(own.groups[:2])
    with pytest.raises(ValueError, match="cannot hold"):
        Layout.of(prompt, [own.groups])


# --- dropped is masked --------------------------------------------------------------------------------------------------------------


@every_model
def test_dropping_frames_after_their_carriers_is_the_mask(name: str) -> None:
    own = case(name)
    prompt, layout = own.prompt(own.groups[:2], own.groups[2:])
    bank = CarrierBank(own.family)
    dropped = own.model.lm_head(bank.read(prompt, layout))
    torch.testing.assert_close(dropped, own.masked(prompt, layout.seen()), atol=1e-4, rtol=0)
    assert bank.tokens == int((layout.frame < 0).sum()) + FRAMES
    causal = own.masked(prompt, np.tri(len(layout.frame), dtype=bool))
    assert float((causal - dropped)[0, -1].abs().max()) > 1e-2  # the frames themselves would have had a say


@every_model
def test_carriers_with_other_positions_are_others(name: str) -> None:
    own = case(name)
    prompt, layout = own.prompt(own.groups)
    kept = torch.from_numpy(layout.carrier | (layout.frame < 0))
    right = own.model.lm_head(CarrierBank(own.family).read(prompt, layout))[:, kept]
    prompt.positions[..., kept] = torch.arange(int(kept.sum())).expand_as(prompt.positions[..., kept])
    renumbered = own.model.lm_head(CarrierBank(own.family).read(prompt, layout))[:, kept]
    assert float((renumbered - right)[0, -1].abs().max()) > 1e-2


@every_model
def test_only_the_carrier_tells_of_its_frame(name: str) -> None:
    """The carriers' inputs alone, without what they read of their frames, give other answers."""
    own = case(name)
    prompt, layout = own.prompt(own.groups)
    whole, seen = own.masked(prompt, layout.seen()), layout.seen()
    seen[np.ix_(layout.carrier, (layout.frame >= 0) & ~layout.carrier)] = False
    assert float((own.masked(prompt, seen) - whole)[0, -1].abs().max()) > 1e-2


# --- the bank -----------------------------------------------------------------------------------------------------------------------


@every_model
def test_a_full_bank_drops_the_older_of_the_most_alike_neighbours_and_is_the_mask_again(name: str) -> None:
    own = case(name)
    alike = [own.groups[0], own.groups[1], own.groups[1], own.groups[2], own.groups[3]]
    groups = [replace(group, time_s=60.0 + 2 * n) for n, group in enumerate(alike)]
    prompt, layout = own.prompt(groups)
    bank = CarrierBank(own.family, capacity=3)
    dropped = own.model.lm_head(bank.read(prompt, layout))
    assert len(bank.carriers) == 3
    assert bank.carriers[-1] == 4
    vectors = torch.nn.functional.normalize(prompt.embeds[0, torch.from_numpy(layout.carrier)].double(), dim=-1).numpy()
    seen, held = layout.seen(), []
    ends = np.flatnonzero(layout.carrier)
    owner = np.searchsorted(ends, np.arange(len(seen)))  # words belong to the frame after them
    owner[: np.flatnonzero(layout.frame == 0)[0]] = -1
    for number, end in enumerate(ends):
        held.append(number)
        if len(held) > 3:
            pairs = [round(float(vectors[a] @ vectors[b]), 6) for a, b in pairwise(held)]
            seen[end + 1 :, owner == held.pop(int(np.argmax(pairs)))] = False
    assert bank.carriers == held
    torch.testing.assert_close(dropped, own.masked(prompt, seen), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["llava_onevision", "qwen3_vl", "nano"])
def test_a_stream_of_any_length_stays_in_constant_bytes(name: str) -> None:
    own = case(name)
    bank, sizes = CarrierBank(own.family, capacity=4), []
    first, layout = own.prompt(own.groups[:1], after="")
    bank.read(first, layout)
    ids = own.words(own.family.written(own.groups[1:2]), add_special_tokens=False)["input_ids"]
    for n in range(24):
        groups = [own.groups[n % FRAMES]]
        piece = own.family.prompt(ids, [groups])
        bank.read(piece, Layout.of(piece, [groups]))
        sizes.append(bank.bytes)
    assert max(sizes[4:]) == sizes[4]
    assert len(set(sizes[-8:])) == 1
    assert bank.bytes == bank.tokens * own.family.shape.kv_bytes_per_token * 2  # float32, where the shape counts two bytes a number
    assert len(bank.carriers) == 4


@every_model
def test_a_stream_in_pieces_is_a_stream_at_once(name: str) -> None:
    own = case(name)
    whole, layout = own.prompt(own.groups[:1], own.groups[1:2])
    cut = int(np.flatnonzero(layout.frame == 0)[-1]) + 1
    at_once = CarrierBank(own.family).read(whole, layout)
    pieces = CarrierBank(own.family)
    for at in (slice(0, cut), slice(cut, None)):
        planes = tuple(plane[: int(whole.visual[:, :cut].sum())] if at.start == 0 else plane[int(whole.visual[:, :cut].sum()) :]
                       for plane in whole.planes)  # fmt: skip
        places = whole.positions[..., at]
        part = Prompt(whole.ids[:, at], whole.visual[:, at], whole.embeds[:, at], places - pieces._next, planes)
        last = pieces.read(part, Layout(layout.frame[at], layout.carrier[at]))
    torch.testing.assert_close(last, at_once[:, cut:], atol=1e-4, rtol=1e-4)


@every_model
def test_a_question_is_answered_as_without_a_cache_and_leaves_no_trace(name: str) -> None:
    own = case(name)
    evidence, layout = own.prompt(own.groups, after="")
    bank = CarrierBank(own.family)
    bank.read(evidence, layout)
    held, said = bank.bytes, []
    for question in ("When does the red car arrive?", "moments of a video", "When does the red car arrive?"):
        asked, plain = own.prompt(after=question)
        with bank.aside():
            hidden = bank.read(asked, plain)
            said.append(bank.say(own.model, hidden, end=None, most=5))
        assert (bank.bytes, bank.tokens) == (held, len(bank._owner))
    assert said[0] == said[2]
    ids, far = asked.ids[0].tolist(), int(evidence.positions.max()) + 1
    for token in said[0]:
        after = own.family.prompt(ids, [])
        longer = Prompt(
            torch.cat([evidence.ids, after.ids], 1), torch.cat([evidence.visual, after.visual], 1),
            torch.cat([evidence.embeds, after.embeds], 1), torch.cat([evidence.positions, after.positions + far], -1), evidence.planes,
        )  # fmt: skip
        frame = np.append(layout.frame, np.full(len(ids), -1))
        seen = Layout(frame, np.append(layout.carrier, np.zeros(len(ids), bool))).seen()
        assert int(own.masked(longer, seen)[0, -1].argmax()) == token
        ids.append(token)


def test_a_bank_for_no_carriers_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        CarrierBank(case("smolvlm").family, capacity=0)
