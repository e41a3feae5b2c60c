"""Keys and values of a live session: block by block is at once, forgotten is masked, budgets are exact, what is asked for is fetched."""

from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_qa_families import SIZE
from test_workers_families import Overheard, save
from tiny_vlms import FAMILIES, make_vlm, make_words

from footage import ConfigError, ModelError, TimeSpan
from footage.costs import Meter
from footage.questions import Evidence, Question
from qa.answerers.prompt import rows_of
from qa.answerers.vlm import _stretches
from qa.ask import rows_of as rows_in
from qa.families.family import Group, Prompt
from qa.families.registry import family_of
from qa.kv.answerer import SEEN, KvAnswerer, _blocks
from qa.kv.attention import closed
from qa.kv.blocks import WORDS, Fed, slots_of
from qa.kv.blocks import fed as fed_block
from qa.kv.budget import Bounded, averaged, likeness, staying
from qa.kv.memory import Kept, Memory, Whole
from qa.kv.offload import Offloaded
from qa.kv.session import Session
from qa.rotary import Rotary
from workers.engine import Library, open_library
from workers.models import load_answerer

every_family = pytest.mark.parametrize("family", FAMILIES)
LAYERS, HEADS, FAR = 4, 2, 1 << 30
ASKED = " When does the red car arrive?"


class Case:
    """A family, a film of three blocks of four frames as it sees them, at unequal times, and words around them."""

    def __init__(self, name: str) -> None:
        self.model, self.words = make_vlm(name, seed=1), make_words()
        self.family = family_of(self.model.model, tokenizer=self.words)
        pixels = np.random.default_rng(0).integers(0, 256, (12, *SIZE[name], 3), dtype=np.uint8)
        groups = self.family.look(pixels, [60 + 1.3 * n + 0.2 * (n % 3) for n in range(12)])
        self.blocks = [groups[at : at + len(groups) // 3] for at in range(0, len(groups), len(groups) // 3)]
        self.marks = {self.model.config.image_token_id, getattr(self.model.config, "video_token_id", None)}
        self.begin, self.asked = self.ids("<|im_start|>moments: "), self.ids(ASKED)

    def ids(self, text: str) -> list[int]:
        made: list[int] = self.words(text, add_special_tokens=False)["input_ids"]
        return made

    def session(self, memory: Memory, blocks: list[list[Group]] | None = None) -> Session:
        """That has read its blocks."""
        made = Session(self.model, self.family, memory, begin=self.begin)
        for groups in self.blocks if blocks is None else blocks:
            made.read(self.ids(self.family.written(groups)), [groups])
        return made

    def block(self, ids: list[int], videos: list[list[Group]] | None = None) -> Fed:
        return fed_block(self.family, ids, videos or [], beside=self.marks)

    def question(self) -> Prompt:
        return self.family.prompt(self.asked, [])

    def whole(self) -> Prompt:
        between = [self.ids(self.family.written(groups)) for groups in self.blocks]
        return self.family.prompt([*self.begin, *chain(*between), *self.asked], self.blocks)

    def answer(self, session: Session) -> Any:
        """(V,) logits."""
        return session.begin(self.question())[0]


@cache
def case(name: str) -> Case:
    return Case(name)


def memories() -> dict[str, Memory]:
    """Large enough for all that a case reads."""
    return {
        "whole": Whole(LAYERS, limit=4096), "budget": Bounded(LAYERS, tokens=400, limit=4096), "offload": Offloaded(LAYERS),
        "offload, chunks": Offloaded(LAYERS, chunk=3), "offload, files": Offloaded(LAYERS, host_bytes=0),
    }  # fmt: skip


# --- read at once -------------------------------------------------------------------------------------------------------------------


@torch.inference_mode()
@every_family
@pytest.mark.parametrize("kind", memories())
def test_block_by_block_gives_the_logits_of_the_library_over_the_whole_prompt(family: str, kind: str) -> None:
    given, memory = case(family), memories()[kind]
    theirs = given.model(**given.whole().inputs).logits[0, -1]
    session = given.session(memory)
    if isinstance(memory, Offloaded):
        for block in memory._blocks:
            block.device = None  # from the host alone
    torch.testing.assert_close(given.answer(session), theirs, atol=1e-4, rtol=0)
    other = given.session(memories()[kind], given.blocks[::-1])
    assert float((given.answer(other) - theirs).abs().max()) > 1e-2


@torch.inference_mode()
@every_family
def test_a_question_leaves_nothing_behind_and_what_is_written_is_what_generate_writes(family: str) -> None:
    given = case(family)
    session, whole = given.session(Whole(LAYERS, limit=4096)), given.whole()
    held = session.bytes, session.tokens
    made = given.model.generate(**whole.inputs, do_sample=False, max_new_tokens=6, eos_token_id=None, pad_token_id=0)[0, -6:].tolist()
    assert session.ask(given.question(), max_new_tokens=6) == session.ask(given.question(), max_new_tokens=6) == made
    assert session.ask(given.question(), end=made[0]) == made[:1]
    assert (session.bytes, session.tokens) == held
    assert held[1] == whole.ids.shape[1] - len(given.asked)


@torch.inference_mode()
@every_family
def test_frames_in_a_question_are_read_after_what_was_seen(family: str) -> None:
    given = case(family)
    *seen, last = given.blocks
    ids = [*given.ids(given.family.written(last)), *given.asked]
    session = given.session(Whole(LAYERS, limit=4096), seen)
    logits, _ = session.begin(given.family.prompt([*given.begin, *ids], [last]), skip=len(given.begin))
    torch.testing.assert_close(logits, given.model(**given.whole().inputs).logits[0, -1], atol=1e-4, rtol=0)


@torch.inference_mode()
@every_family
def test_a_million_positions_on_it_reads_the_same(family: str) -> None:
    given, later = case(family), Whole(LAYERS, limit=FAR)
    later._next = 1_000_000
    near, far = given.answer(given.session(Whole(LAYERS, limit=FAR))), given.answer(given.session(later))
    torch.testing.assert_close(far, near, atol=1e-4, rtol=0)  # float32 angles err by a tenth of a radian there


def test_what_no_session_can_read_is_refused() -> None:
    given = Case("smolvlm")
    given.family.decoder.rotary_emb.rope_type = "dynamic"
    with pytest.raises(ModelError, match="frequencies change"):
        given.session(Whole(LAYERS, limit=4096))
    given = Case("llava_onevision")
    given.family.decoder.layers[2].self_attn.sliding_window = 16
    with pytest.raises(ModelError, match="window"):
        given.session(Whole(LAYERS, limit=4096))


# --- a budget -----------------------------------------------------------------------------------------------------------------------


def marks(kept: Kept) -> Any:
    """(h, n) a number that no other token has, where all places are known."""
    return kept.frames.long() * (1 << 32) + kept.slots


@torch.inference_mode()
def masked(given: Case, prompt: Prompt, seen: Any) -> Any:
    """(V,) of the library's own layers over a whole prompt. seen: (L, h, n, n) bool, the keys that each query sees."""
    decoder, hidden, positions = given.family.decoder, prompt.embeds, prompt.positions
    angles = decoder.rotary_emb(hidden, positions)
    for number, layer in enumerate(decoder.layers):
        mask = torch.zeros(seen[number].shape).masked_fill(~seen[number], torch.finfo(torch.float32).min)
        hidden = layer(hidden, attention_mask=mask.repeat_interleave(2, 0)[None], position_embeddings=angles)
        if number < len(prompt.planes):
            hidden = hidden.index_add(1, prompt.visual[0].nonzero()[:, 0], prompt.planes[number][None])
    return given.model.lm_head(decoder.norm(hidden[:, -1]))[0]


@torch.inference_mode()
@every_family
@pytest.mark.parametrize("tokens", [40, 70])
def test_forgotten_is_masked_in_each_layer_and_head(family: str, tokens: int) -> None:
    given, memory, whole = case(family), Bounded(LAYERS, tokens=tokens, limit=4096), case(family).whole()
    session, count = Session(given.model, given.family, memory, begin=given.begin), whole.ids.shape[1]
    seen, known, at = torch.ones(LAYERS, HEADS, count, count, dtype=torch.bool).tril(), marks(memory.kept[0])[0], len(given.begin)
    for groups in given.blocks:
        ids = given.ids(given.family.written(groups))
        block = given.block(ids, [groups])
        known = torch.cat([known, (block.frames + memory._frame) * (1 << 32) + slots_of(block)])
        session.read(ids, [groups])
        at += len(ids)
        for number, kept in enumerate(memory.kept):
            for head in range(HEADS):
                seen[number, head, at:, :at] = torch.isin(known, marks(kept)[head])
    assert len(known.unique()) == at
    assert (seen[:, 0, -1] != seen[:, 1, -1]).any()  # heads keep different ones
    ours = given.answer(session)
    torch.testing.assert_close(ours, masked(given, whole, seen), atol=1e-4, rtol=0)
    assert float((masked(given, whole, seen[:, [0, 0]]) - ours).abs().max()) > 1e-3
    assert float((given.model(**whole.inputs).logits[0, -1] - ours).abs().max()) > 1e-2


def fed(frames: list[int], cells: Any, words: Any = None, extent: int = 0) -> Fed:
    """A block of tokens that belong to frames and stand in cells (m, 2)."""
    count = len(frames)
    is_word = torch.zeros(count, dtype=torch.bool) if words is None else torch.as_tensor(words)
    return Fed(
        torch.zeros(1, count, 4), ~is_word, (), torch.arange(count)[:, None], extent or count, torch.tensor(frames),
        torch.as_tensor(cells).long(), is_word,
    )  # fmt: skip


def frames_of(count: int, side: int, words: int, *, known: bool = True) -> Fed:
    """So many square frames, each after so many words."""
    cells = np.stack(np.divmod(np.arange(side * side), side), 1) if known else np.full((side * side, 2), -1)
    one = np.concatenate([np.full((words, 2), -1), cells])
    is_word = np.tile(np.arange(len(one)) < words, count)
    return fed(np.repeat(np.arange(count), len(one)).tolist(), np.tile(one, (count, 1)), is_word)


def take(memory: Memory, block: Fed, keys: Any, values: Any, *, pinned: bool = False) -> None:
    for number in range(LAYERS):
        memory.read(number, block)
        memory.add(number, keys, values, block)
    memory.settle(block, pinned=pinned)


@settings(deadline=None, max_examples=30)
@given(
    tokens=st.integers(6, 120), pinned=st.integers(0, 5), seed=st.integers(0, 9),
    blocks=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(0, 3), st.booleans()), min_size=1, max_size=6),
)  # fmt: skip
def test_a_budget_is_exact_after_every_block(tokens: int, pinned: int, seed: int, blocks: list[tuple[int, int, int, bool]]) -> None:
    rng, memory, total = torch.Generator().manual_seed(seed), Bounded(LAYERS, tokens=tokens, limit=FAR), pinned
    if pinned:
        block = fed([0] * pinned, [[-1, -1]] * pinned, [True] * pinned)
        take(memory, block, *torch.randn(2, HEADS, pinned, 8, generator=rng), pinned=True)
    for count, side, words, known in blocks:
        block = frames_of(count, side, words, known=known)
        total += len(block.ids)
        take(memory, block, *torch.randn(2, HEADS, len(block.ids), 8, generator=rng))
        for kept in memory.kept:
            assert kept.keys.shape == (HEADS, min(total, tokens), 8)
            assert (kept.ids[..., 0].diff() > 0).all()  # in order, nothing twice
            assert (kept.ids[:, :pinned, 0] == torch.arange(pinned)).all()
            one = len(block.ids) // count
            if one <= 0.25 * tokens:
                assert (kept.ids[:, -one:, 0] == torch.arange(total - one, total)).all()  # the latest frame
    assert memory.tokens == min(total, tokens)


def test_what_must_stay_has_to_fit() -> None:
    memory = Bounded(LAYERS, tokens=5, limit=FAR)
    with pytest.raises(ValueError, match="5 tokens must stay, in a budget of 5"):
        take(memory, fed([0] * 5, [[-1, -1]] * 5, [True] * 5), *torch.ones(2, HEADS, 5, 8), pinned=True)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.9, 3.0])
def test_latest_frames_of_any_size_leave_no_part_below_nothing(share: float) -> None:
    """The paper's code fails where the latest frames are more than what they and the unlike ones may take."""
    side = round((share * 100) ** 0.5)
    memory, block = Bounded(LAYERS, tokens=100, limit=FAR), frames_of(1, side, 0)
    for number in range(20):
        torch.manual_seed(number)
        take(memory, block, *torch.randn(2, HEADS, side * side, 8))
    assert memory.tokens == 100


@pytest.mark.parametrize("known", [True, False])
def test_a_still_scene_collapses_and_the_change_in_it_stays(known: bool) -> None:
    torch.manual_seed(0)
    still, change = torch.randn(HEADS, 16, 8), torch.randn(HEADS, 16, 8)
    memory, values = Bounded(LAYERS, tokens=128, limit=FAR), torch.ones(HEADS, 16, 8)
    for number in range(100):
        take(memory, frames_of(1, 4, 0, known=known), change if number == 30 else still, values)
    for kept in memory.kept:
        assert ((kept.frames == 30).sum(1) == 16).all()  # 69 frames later every token of it
        assert ((kept.frames >= 98).sum(1) == 32).all()


@torch.inference_mode()
@every_family
def test_the_change_stays_in_a_model_too(family: str) -> None:
    given = case(family)
    still, change = given.blocks[0][0], given.blocks[1][1]
    memory = Bounded(LAYERS, tokens=8 * (len(still.tokens) + 4), limit=FAR)
    given.session(memory, [[change if n == 9 else still] for n in range(30)])  # what begins a prompt is the first frame's number
    first = (memory.kept[0].frames[..., None] == torch.arange(31)).sum(1)
    patches = (memory.kept[0].frames == 10) & (memory.kept[0].slots < WORDS)
    assert (patches.sum(1) == len(change.tokens)).all()  # where keys know nothing but their own patch, all of it
    assert (first[:, 10] > 2 * first[:, 11:26].median(1).values).all()


def test_likeness_is_the_mean_cosine_with_the_same_place_in_recent_frames() -> None:
    torch.manual_seed(1)
    keys, slots = torch.randn(HEADS, 30, 8), torch.randint(0, 7, (HEADS, 30))
    slots[:, 3] = 99  # nowhere else
    recent = (torch.arange(30) >= 18).expand(HEADS, -1)
    made = likeness(keys, slots, recent)
    for head in range(HEADS):
        for n in range(18):
            same = [k for k in range(18, 30) if slots[head, k] == slots[head, n]]
            alike = [float(torch.cosine_similarity(keys[head, n], keys[head, k], dim=0)) for k in same]
            assert float(made[head, n]) == pytest.approx(np.mean(alike) if alike else -1, abs=2e-5)
    unknown = likeness(keys, torch.full_like(slots, -1), recent)
    unit = torch.nn.functional.normalize(keys, dim=-1)
    torch.testing.assert_close(unknown, (unit @ unit[:, 18:].mT).amax(-1), atol=2e-5, rtol=0)


def test_keys_are_compared_before_their_turn() -> None:
    """One and the same patch seen again and again is the same, however long ago: turned keys would grow unlike."""
    rotary, keys = Rotary.of(case("smolvlm").family.decoder.rotary_emb), torch.randn(HEADS, 1, 8).expand(-1, 40, -1)
    slots, recent = torch.zeros(HEADS, 40, dtype=torch.long), (torch.arange(40) == 39).expand(HEADS, -1)
    assert (likeness(keys, slots, recent) == 1).all()
    assert float(likeness(rotary.turned(keys, torch.arange(40) * 9), slots, recent).min()) < 0.8


def test_parts_of_a_budget_are_filled_in_their_order() -> None:
    """By hand: what must stay (0), the latest frame (10, 11), the least like it (4, then 7), the largest of the rest."""
    keys = torch.tensor([1.0, 0]).repeat(1, 12, 1)
    keys[0, [0, 4, 7]] = torch.tensor([[-1.0, 0], [0, 1], [0.6, 0.8]])
    frames, slots = torch.tensor([[0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3]]), torch.zeros(1, 12, dtype=torch.long)
    norms = torch.tensor([[0.0, 5, 4, 9, 0, 8, 1, 2, 3, 7, 0, 0]])
    kept = Kept(keys, keys, torch.arange(12)[None, :, None], frames, slots, norms)
    by_hand = {
        2: [0, 10], 4: [0, 3, 10, 11], 6: [0, 3, 5, 9, 10, 11], 8: [0, 1, 3, 4, 5, 9, 10, 11],
        10: [0, 1, 2, 3, 4, 5, 7, 9, 10, 11], 12: list(range(12)),
    }  # fmt: skip
    for tokens, stay in by_hand.items():
        assert staying(kept, tokens=tokens, pinned=1, first_recent=3)[0].tolist() == stay


@settings(deadline=None)
@given(frames=st.integers(1, 5), rows=st.integers(1, 5), columns=st.integers(1, 5), hole=st.floats(0, 0.8), seed=st.integers(0, 5))
def test_norms_are_averaged_over_neighbours_that_are_there(frames: int, rows: int, columns: int, hole: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    every = np.argwhere(rng.random((frames, rows, columns)) >= hole)
    if len(np.unique(every[:, 0])) < frames:
        return
    block = fed([*every[:, 0].tolist(), frames - 1], [*every[:, 1:].tolist(), [-1, -1]], [*[False] * len(every), True])
    norms = torch.rand(HEADS, len(every) + 1)
    for window in ((7, 7, 7), (1, 5, 5), (1, 1, 3), (1, 1, 1)):
        made = averaged(norms, block, window)
        near = (np.abs(every[:, None] - every[None]) <= np.array(window) // 2).all(-1)
        expected = np.stack([(near * row).sum(1) / near.sum(1) for row in norms[:, :-1].numpy()])
        np.testing.assert_allclose(made[:, :-1], expected, atol=1e-5)
        assert torch.equal(made[:, -1], norms[:, -1])  # a word stands alone
        np.testing.assert_allclose(averaged(torch.ones_like(norms), block, window), 1, atol=1e-6)  # at the borders too


def test_places_are_the_same_in_every_frame() -> None:
    block = frames_of(3, 2, 2)
    first = [WORDS, WORDS + 1, 0, 1, 1 << 14, (1 << 14) + 1]
    assert slots_of(block).tolist() == first * 3


# --- positions ----------------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(values=st.lists(st.lists(st.integers(0, 10**6), min_size=6, max_size=6), min_size=1, max_size=4))
def test_gaps_close_and_order_and_equality_stay(values: list[list[int]]) -> None:
    positions = torch.tensor(values).view(len(values), 2, 3)
    for before, after in zip(values, closed(positions).flatten(1).tolist(), strict=True):
        assert sorted(set(after)) == list(range(len(set(before))))
        assert all((a < b) == (c < d) and (a == b) == (c == d) for a, c in zip(before, after, strict=True) for b, d in
                   zip(before, after, strict=True))  # fmt: skip


@torch.inference_mode()
@every_family
def test_beyond_the_trained_range_positions_are_closed_and_stay_small(family: str) -> None:
    given, memory = case(family), Bounded(LAYERS, tokens=60, limit=50)
    session = given.session(memory, given.blocks * 3)
    question = session.memory.read(1, given.block(given.asked))
    assert memory._next > 50
    assert int(question.positions.max()) < 3 * (60 + len(given.asked))
    for head in question.positions:
        assert head.unique().tolist() == list(range(int(head.max()) + 1))
        assert (head[-len(given.asked) :, 0].diff() == 1).all()
    held = given.session(Bounded(LAYERS, tokens=60, limit=FAR), given.blocks * 3)
    assert float((given.answer(session) - given.answer(held)).abs().max()) > 1e-3
    assert given.answer(session).isfinite().all()


# --- on the host --------------------------------------------------------------------------------------------------------------------


def offloaded(blocks: int, *, seed: int = 0, **more: Any) -> Offloaded:
    """A memory of blocks of four frames of one token, with random keys."""
    memory = Offloaded(LAYERS, **more)
    torch.manual_seed(seed)
    take(memory, fed([0, 0], [[-1, -1]] * 2, [True] * 2), *torch.randn(2, HEADS, 2, 8), pinned=True)
    for _ in range(blocks):
        take(memory, frames_of(4, 1, 0), *torch.randn(2, HEADS, 4, 8))
    return memory


def means_of(memory: Offloaded, layer: int) -> Any:
    """(B, h * d)"""
    return torch.stack([block.held[layer, 0].mean(1).flatten() for block in memory._blocks])


@pytest.mark.parametrize("seed", range(4))
def test_the_blocks_most_like_the_mean_query_are_fetched_in_the_order_of_time(seed: int) -> None:
    memory, queries = offloaded(9, seed=seed), torch.randn(HEADS, 2, 3, 8)
    memory._count = 3
    for layer in range(LAYERS):
        alike = torch.cosine_similarity(means_of(memory, layer), queries.mean((1, 2)).flatten()[None])
        assert memory.chosen(layer, queries) == sorted(alike.topk(3).indices.tolist())
        memory.among = [8, 1, 2, 4, 1]
        among = torch.tensor([1, 2, 4, 8])
        assert memory.chosen(layer, queries) == sorted(among[alike[among].topk(3).indices].tolist())
        memory.among = None


@pytest.mark.parametrize(("count", "chunk", "fetched"), [(6, 1, 6), (6, 2, 6), (6, 3, 6), (7, 3, 6), (5, 5, 5), (4, 3, 3)])
def test_chunks_are_fetched_whole_and_never_more_blocks_than_told(count: int, chunk: int, fetched: int) -> None:
    memory, queries = offloaded(20), torch.randn(HEADS, 2, 3, 8)
    memory._count, memory._chunk = count, chunk
    made = memory.chosen(0, queries)
    alike = torch.cosine_similarity(means_of(memory, 0), queries.mean((1, 2)).flatten()[None])
    best = np.argsort([-float(part.mean()) for part in alike.split(chunk)])[: count // chunk]
    assert made == [n for n in range(20) if n // chunk in best]
    assert len(made) in (fetched, fetched - chunk + 20 % chunk)


def test_equal_blocks_go_to_the_earlier() -> None:
    memory, block = Offloaded(LAYERS, blocks=2), frames_of(1, 2, 0)
    for _ in range(5):
        take(memory, block, *torch.ones(2, HEADS, 4, 8))
    assert memory.chosen(0, torch.ones(HEADS, 1, 1, 8)) == [0, 1]
    with pytest.raises(ValueError, match="3 blocks cannot be fetched 4 at a time"):
        Offloaded(LAYERS, blocks=3, chunk=4)


@torch.inference_mode()
@every_family
def test_what_is_fetched_stands_together(family: str) -> None:
    given, memory = case(family), Offloaded(LAYERS, blocks=1)
    session = given.session(memory)
    question, (begin, last) = given.block(given.asked), (memory._begin, memory._blocks[2])
    assert begin is not None
    memory.among = [2]
    seen = memory.read(1, question, torch.zeros(HEADS, 2, len(given.asked), 8))
    assert seen.positions[0, -len(given.asked), 0] == begin.extent + last.extent
    assert torch.equal(seen.positions[0, len(begin.ids) : -len(given.asked)], last.ids + begin.extent)
    assert torch.equal(seen.keys[1], last.held[1, 0])
    other = given.answer(session)
    memory.among = [0]
    assert float((given.answer(session) - other).abs().max()) > 1e-3


@torch.inference_mode()
@every_family
def test_half_precision_on_the_host_costs_little(family: str) -> None:
    given = case(family)
    exact, half = (given.session(Offloaded(LAYERS, dtype=dtype, window=1)) for dtype in (None, torch.float16))
    assert half.memory.host_bytes * 2 == exact.memory.host_bytes  # type: ignore[attr-defined]
    torch.testing.assert_close(given.answer(half), given.answer(exact), atol=3e-3, rtol=0)


@torch.inference_mode()
def test_the_host_holds_no_more_than_it_may_and_nothing_is_lost() -> None:
    given = case("qwen3_vl")
    free = Offloaded(LAYERS, window=1)
    expected = given.answer(given.session(free))
    tight = Offloaded(LAYERS, window=1, host_bytes=free.host_bytes // 2)
    assert torch.equal(given.answer(given.session(tight)), expected)
    assert 0 < tight.host_bytes <= free.host_bytes // 2


def test_while_footage_is_read_the_beginning_and_the_latest_are_seen() -> None:
    memory = offloaded(9, window=12)
    seen = memory.read(0, frames_of(1, 1, 0))
    assert [part.shape[1] for part in seen.keys] == [2, 4, 4, 4]
    assert seen.positions[0, :, 0].tolist() == list(range(15))
    per = LAYERS * 2 * HEADS * 8 * 4
    assert (memory.bytes, memory.host_bytes, memory.tokens) == (14 * per, 36 * per, 38)


# --- the answerer -------------------------------------------------------------------------------------------------------------------

QUESTION = "When is it red?"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save(tmp_path_factory.mktemp(name), name) for name in FAMILIES}


@pytest.fixture(scope="module")
def written(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A library a family, of three colours."""
    made = {name: tmp_path_factory.mktemp("library") / name for name in FAMILIES}
    for name, place in made.items():
        with opened(place, carriers=str(folders[name])) as library:
            library.index("synthetic:blue=4,red=4,green=4")
    return made


def opened(place: Path, *, carriers: str = "", **ask: Any) -> Library:
    index = {"ocr": "off", "gate": "all", "dtype": "float32", "device": "cpu", "carriers": carriers}
    return open_library(str(place), offline=True, index=index, ask={"ground": False} | ask)


def seen_by(library: Library) -> tuple[KvAnswerer, list[Evidence]]:
    """Its answerer, which has looked over all, and the evidence of a question."""
    heard = Overheard(library.answerer)
    library.ask(QUESTION, answerer=heard)
    assert isinstance(heard.inner, KvAnswerer)
    heard.inner.look_over(library.memory.view())
    return heard.inner, heard.evidence


@every_family
@pytest.mark.parametrize("kv", ["budget", "offload"])
def test_a_recording_is_read_once_and_then_asked(family: str, kv: str, written: dict[str, Path]) -> None:
    with opened(written[family], kv=kv) as library:
        first, second, view = library.ask(QUESTION), library.ask(QUESTION), library.memory.view()
        assert (first.cost.passes, second.cost.passes) == (2, 1)
        assert first.cost.visual_tokens - second.cost.visual_tokens == sum(len(c.tokens) for c in view.load(range(len(view))))
        assert first.cost.prefill_macs > second.cost.prefill_macs
        assert first.text == second.text
        assert {m.span for m in first.citations} <= {TimeSpan(4, 8)}
        assert "look over" in first.seconds
        answerer = library.answerer
        assert isinstance(answerer, KvAnswerer)
        assert answerer._live.session is None  # whoever asks next, or judges a moment, does so without it
        assert first.cost.kv_bytes > answerer._known.session.tokens * answerer.shape.kv_bytes_per_token  # type: ignore[union-attr]


@torch.inference_mode()
@every_family
@pytest.mark.parametrize("kv", ["budget", "offload"])
def test_rows_of_evidence_are_read_after_all_that_was_seen(
    family: str, kv: str, written: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same logits as the library's own forward pass over the context and the usual prompt behind it, in one."""
    read: list[Any] = []
    take = Session.read
    monkeypatch.setattr(Session, "read", lambda self, *block: [read.append(block), take(self, *block)])
    with opened(written[family], kv=kv) as library:
        answerer, evidence = seen_by(library)
    rows = answerer._seen(Question(QUESTION), rows_of(evidence))
    ids, head = answerer.prompt(Question(QUESTION), rows), answerer._ids_of(answerer._head())
    assert ids[: len(head)] == head
    context, videos = [*chain(*(some for some, _ in read))], [*chain(*(groups for _, groups in read))]
    said = answerer._tokenizer.decode(context)
    assert all(words in said for words in ("0:00", "0:04", "0:11"))
    whole = answerer._family.prompt([*answerer._ids_of(answerer._head() + SEEN), *context, *ids[len(head) :]], [
        *videos, *chain(*(_stretches(row) for row in rows))])  # fmt: skip
    ours = answerer._language.read(answerer._placed(ids, rows))
    torch.testing.assert_close(ours.logits, answerer._model(**whole.inputs).logits[0, -1], atol=1e-4, rtol=0)
    assert ours.reused == len(head)
    answerer._live.session = None
    alone = answerer._language.read(answerer._placed(ids, rows)).logits
    torch.testing.assert_close(alone, answerer._model(**answerer._placed(ids, rows).inputs).logits[0, -1], atol=1e-4, rtol=0)
    assert float((alone - ours.logits).abs().max()) > 1e-2


def test_a_session_goes_on_with_a_growing_view_and_begins_anew_for_another(written: dict[str, Path]) -> None:
    def session() -> Session:
        assert answerer._known is not None
        return answerer._known.session

    with opened(written["qwen3_vl"], kv="budget") as library:
        (answerer, _), view, meter = seen_by(library), library.memory.view(), Meter()
        every, whole = np.arange(len(view)), session()
        answerer.look_over(view, meter=meter)
        assert session() is whole
        assert meter.cost.passes == 0
        answerer.look_over(rows_in(view, every[:5]))
        half = session()
        assert half is not whole
        answerer.look_over(view, meter=meter)
        assert session() is half
        assert half.tokens == whole.tokens
        prompt = answerer._family.prompt(answerer._ids_of(ASKED), [])
        torch.testing.assert_close(half.begin(prompt)[0], whole.begin(prompt)[0], atol=1e-4, rtol=0)
        answerer.look_over(rows_in(view, every[1:]))
        assert session().tokens < whole.tokens


def test_what_does_not_fit_is_forgotten_or_lies_on_the_host(folders: dict[str, Path], tmp_path: Path) -> None:
    for name in ("first", "second"):
        with opened(tmp_path, carriers=str(folders["smolvlm"])) as library:
            library.index(f"synthetic:blue=20,red={20 if name == 'first' else 5}")
    sizes = {}
    for kv in ("budget", "offload"):
        with opened(tmp_path, kv=kv, kv_tokens=512) as library:
            answerer, _ = seen_by(library)
            assert answerer._known is not None
            sizes[kv] = answerer._known.session.tokens
            blocks = list(_blocks(library.memory.view(), range(65)))
    assert sizes["budget"] == 512 < sizes["offload"]
    assert all(sum(len(c.tokens) for _, c in block) <= 256 for block in blocks)
    words = [said for block in blocks for said, _ in block]
    assert [n for n, said in enumerate(words) if "Recording" in said] in ([0, 40], [0, 25])
    assert words[0] == " Recording 1: 0:00"


def test_models_and_settings_that_have_no_use_for_it_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    for model, more, told in (("nano", {}, "reads rows one by one"), (str(folders["smolvlm"]), {"drop": "fastv"}, "ask.drop leaves out")):
        with pytest.raises(ConfigError, match=told):
            load_answerer(model, opened(tmp_path, kv="budget", **more).settings)
    for setting, value in (("kv", "all"), ("kv_tokens", 100)):
        with pytest.raises(ConfigError, match=rf"ask\.{setting}"):
            opened(tmp_path, **{setting: value})
