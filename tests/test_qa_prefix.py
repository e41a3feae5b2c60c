"""What was read before is not read again, and nothing else changes: the same logits and tokens as without, in bounded bytes."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_vlms import FAMILIES, make_vlm, make_words
from transformers import DynamicCache, Qwen2Config, Qwen2Model

from footage import Carrier, TimeSpan
from footage.costs import LanguageShape, Meter
from footage.questions import Evidence, Question
from qa.answerers.chat_reply import Reply
from qa.answerers.decoding import Language
from qa.answerers.dropping import Dropping
from qa.answerers.prefix import PrefixCache, looks_back_alone, marks_of
from qa.answerers.prompt import NOT_THERE, rows_of, spoken
from qa.answerers.vlm import Limits, Reading, VlmAnswerer
from qa.families.family import Family, Group, Prompt
from qa.families.registry import family_of

every_family = pytest.mark.parametrize("name", FAMILIES)
MIB = 2**20


@cache
def loaded(name: str) -> tuple[Any, Any, Family]:
    model, words = make_vlm(name, seed=1), make_words()
    return model, words, family_of(model.model, tokenizer=words)


def frames(name: str, count: int = 3, seed: int = 0) -> list[Group]:
    """Ready tokens at unequal times, planes in their rows."""
    width = 32 * (4 if name == "qwen3_vl" else 1)
    rng = np.random.default_rng(seed)
    return [Group(rng.normal(size=(5 + n, width)).astype(np.float32), 60.0 + 1.7 * n) for n in range(count)]


def prompt_of(name: str, *parts: str | list[Group]) -> Prompt:
    _, words, family = loaded(name)
    text = "".join(part if isinstance(part, str) else family.written(part) for part in parts)
    return family.prompt(words(text, add_special_tokens=False)["input_ids"], [part for part in parts if not isinstance(part, str)])


def language(name: str, prefix_bytes: int = 8 * MIB, **more: Any) -> Language:
    model, _, family = loaded(name)
    return Language(model, family.decoder, prefix_bytes=prefix_bytes, **more)


def kv_bytes(name: str, tokens: int) -> int:
    return tokens * loaded(name)[2].shape.kv_bytes_per_token * 2  # float32


def alike(first: Prompt, second: Prompt) -> int:
    """Tokens that both begin with, counted without any hash."""
    least = min(first.ids.shape[1], second.ids.shape[1])
    same = (first.embeds[0, :least] == second.embeds[0, :least]).all(1)
    same &= (first.positions[..., :least] == second.positions[..., :least]).reshape(-1, least).all(0)
    return int(same.long().cumprod(0).sum())


# --- the same as without ------------------------------------------------------------------------------------------------------------


@every_family
@pytest.mark.parametrize("rest", ["words", "pictures", "longer", "again"])
def test_logits_and_what_is_written_are_those_without_a_cache(name: str, rest: str) -> None:
    some, more = frames(name), frames(name, 2, seed=1)
    first = prompt_of(name, "moments: ", some, " When does it arrive?")
    second = {
        "words": lambda: prompt_of(name, "moments: ", some, " What is red?"),
        "pictures": lambda: prompt_of(name, "moments: ", some, " When then ", more, " What is red?"),
        "longer": lambda: prompt_of(name, "moments: ", some, " When does it arrive?", more, "  the red car"),
        "again": lambda: prompt_of(name, "moments: ", some, " When does it arrive?"),
    }[rest]()
    reader, plain, n = language(name), language(name, 0), second.ids.shape[1]
    assert reader.read(first).reused == 0
    begun, whole = reader.read(second), plain.read(second)
    assert begun.reused == min(alike(first, second), n - 1) >= 20  # at least the last token is always read
    torch.testing.assert_close(whole.logits, loaded(name)[0](**second.inputs).logits[0, -1], atol=1e-5, rtol=0)
    torch.testing.assert_close(begun.logits, whole.logits, atol=1e-5, rtol=0)
    made, theirs = (list(islice(each.tokens(how, ()), 12)) for each, how in ((reader, begun), (plain, whole)))
    assert made == theirs
    torch.testing.assert_close(begun.logits, whole.logits, atol=1e-4, rtol=0)


@every_family
def test_one_row_that_differs_by_a_thousandth_is_not_taken_for_the_other(name: str) -> None:
    some = frames(name)
    first, reader = prompt_of(name, "moments: ", some, " When?"), language(name)
    reader.read(first)
    for column in (0, -1):  # of a token, and of its last plane where it has any
        changed = [Group(group.tokens.copy(), group.time_s) for group in some]
        changed[1].tokens[2, column] += 1e-3
        second = prompt_of(name, "moments: ", changed, " When?")
        at = int(torch.nonzero(second.visual[0])[len(some[0].tokens) + 2])
        begun = reader.read(second)
        assert begun.reused == at
        torch.testing.assert_close(begun.logits, language(name, 0).read(second).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["qwen2_5_vl", "smolvlm"])
def test_the_same_token_at_another_position_is_another(name: str) -> None:
    first = prompt_of(name, "moments: ", frames(name), " When?")
    moved = replace(first, positions=first.positions.clone())
    moved.positions[..., 9:] += 1
    reader = language(name)
    reader.read(first)
    assert reader.read(moved).reused == 9


@every_family
def test_what_is_kept_is_not_changed_by_what_is_written_after_it(name: str) -> None:
    first = prompt_of(name, "moments: ", frames(name), " When does it arrive?")
    reader = language(name)
    begun, count = reader.read(first), first.ids.shape[1]
    list(islice(reader.tokens(begun, ()), 5))
    kept, fresh = (DynamicCache(config=loaded(name)[2].decoder.config) for _ in range(2))
    assert reader.prefixes is not None
    assert reader.prefixes.take(np.concatenate([marks_of(first), marks_of(first)[:1]]), kept) == count
    deep = {"visual_pos_masks": first.visual, "deepstack_visual_embeds": list(first.planes)} if first.planes else {}
    reader._pass(first.embeds, first.positions, fresh, **deep)
    for ours, theirs in zip(kept.layers, fresh.layers, strict=True):
        torch.testing.assert_close(ours.keys, theirs.keys, atol=1e-5, rtol=0)
        torch.testing.assert_close(ours.values, theirs.values, atol=1e-5, rtol=0)


# --- how much is kept ---------------------------------------------------------------------------------------------------------------


def test_what_prompts_share_is_kept_once() -> None:
    name, some = "smolvlm", frames("smolvlm")
    prompts = [prompt_of(name, "moments: ", some, f" {words}") for words in ("When?", "When? And the red car?", "What is red?")]
    reader, kept = language(name), 0
    cache = reader.prefixes
    assert cache is not None
    for number, prompt in enumerate(prompts):  # the second goes on from the first, the third parts from both
        known = max((alike(prompt, before) for before in prompts[:number]), default=0)
        reader.read(prompt)
        kept += prompt.ids.shape[1] - known
        assert cache.bytes == kv_bytes(name, kept)
    assert cache.hits == 2
    assert cache.reused_tokens == alike(prompts[0], prompts[1]) + max(alike(prompts[2], before) for before in prompts[:2])
    cache.clear()
    assert (cache.bytes, reader.read(prompts[0]).reused) == (0, 0)


def test_what_was_used_least_recently_goes_first() -> None:
    name = "smolvlm"
    rows = [prompt_of(name, f"{n} moments: ", frames(name, seed=n), " When does it arrive?") for n in range(3)]
    size = kv_bytes(name, max(row.ids.shape[1] for row in rows))
    reader = language(name, 2 * size)
    for row in (rows[0], rows[1], rows[0], rows[2]):
        reader.read(row)
        assert reader.prefixes is not None
        assert reader.prefixes.bytes <= 2 * size
    assert reader.read(rows[0]).reused == rows[0].ids.shape[1] - 1
    assert reader.read(rows[1]).reused < 9
    plain = language(name, 0)
    for row in rows:  # whatever is left
        torch.testing.assert_close(reader.read(row).logits, plain.read(row).logits, atol=1e-5, rtol=0)


def test_a_prompt_too_large_to_keep_drives_nothing_out() -> None:
    name = "smolvlm"
    small, large = prompt_of(name, "moments: ", frames(name, 1)), prompt_of(name, "and moments: ", frames(name, 9), " When?")
    reader = language(name, kv_bytes(name, small.ids.shape[1] + 5))
    reader.read(small)
    reader.read(large)
    assert reader.read(large).reused < 9
    assert reader.read(small).reused == small.ids.shape[1] - 1


def cache_of(row: Sequence[int]) -> DynamicCache:
    """Two layers whose keys and values say what stands before each token, as a model's do."""
    before = torch.tensor([hash(tuple(row[: n + 1])) % 1009 for n in range(len(row))], dtype=torch.float32)
    made = DynamicCache()
    for number in range(2):
        made.update(before.view(1, 1, -1, 1) + number, before.view(1, 1, -1, 1) + 0.5, number)
    return made


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), max_size=25), tokens=st.sampled_from([8, 20, 1000]))
def test_any_row_of_prompts_gets_what_belongs_to_it_in_bounded_bytes(rows: list[list[int]], tokens: int) -> None:
    kept, seen = PrefixCache(16 * tokens), list[list[int]]()
    for row in rows:
        marks, got = np.array(row, np.int64)[:, None] + [[0, 7]], DynamicCache()
        count = kept.take(marks, got)
        longest = max((next((n for n, (a, b) in enumerate(zip(row, old, strict=False)) if a != b), min(len(row), len(old)))
                       for old in seen), default=0)  # fmt: skip
        assert count == min(longest, len(row) - 1) if tokens == 1000 else count <= min(longest, len(row) - 1)
        for ours, whole in zip(got.layers, cache_of(row).layers, strict=False):
            assert torch.equal(ours.keys, whole.keys[:, :, :count])
            assert torch.equal(ours.values, whole.values[:, :, :count])
        kept.keep(marks, cache_of(row))
        seen.append(row)
        assert kept.bytes == _held(kept) <= 16 * tokens
        assert kept.take(np.concatenate([marks, marks[:1]]), DynamicCache()) == (len(row) if len(row) <= tokens else count)


def _held(kept: PrefixCache) -> int:
    every = [kept._root]
    for stretch in every:
        every.extend(stretch.after.values())
    return sum(part.untyped_storage().nbytes() for stretch in every for layer in stretch.layers for part in layer)


def test_only_attention_that_looks_back_alone_is_cut() -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    windows = Qwen2Config(**sizes, vocab_size=20, use_sliding_window=True, sliding_window=4, max_window_layers=1)
    assert not looks_back_alone(Qwen2Model(windows))
    assert looks_back_alone(Qwen2Model(Qwen2Config(**sizes, vocab_size=20)))
    assert all(looks_back_alone(loaded(name)[2].decoder) for name in FAMILIES)
    assert language("smolvlm", dropping=Dropping(((0.5, 0.5),))).prefixes is None
    assert language("smolvlm", 0).prefixes is None


# --- the answerer -------------------------------------------------------------------------------------------------------------------

READING = Reading(max_new_tokens=12)


def answerer(name: str = "smolvlm", *, reading: Reading = READING, prefix_mib: float = 8, **limits: Any) -> VlmAnswerer:
    model, words, _ = loaded(name)
    return VlmAnswerer(model, words, id="tiny@1", reading=reading, limits=Limits(prefix_bytes=int(prefix_mib * MIB), **limits))


def evidence(name: str = "smolvlm", start_s: float = 60.0, seed: int = 0) -> Evidence:
    one = np.ones(1, np.float32)
    shown = tuple(
        Carrier("rec", (TimeSpan(start_s + n, start_s + n + 1),), start_s + n + 0.5, 1.0, group.tokens.astype(np.float16), one)
        for n, group in enumerate(frames(name, seed=seed))
    )
    return Evidence("rec", TimeSpan(start_s, start_s + len(shown)), 1.0, shown[0], "", shown)


@every_family
def test_a_second_question_pays_for_its_own_words_alone(name: str) -> None:
    reader, shown, costs = answerer(name), [evidence(name), evidence(name, 80.0, seed=2)], []
    for question in ("When does the red car arrive?", "What is seen?"):
        meter, alone = Meter(), Meter()
        said = "".join(reader.stream(Question(question), shown, meter=meter))
        assert said == "".join(answerer(name, prefix_mib=0).stream(Question(question), shown, meter=alone))
        assert replace(meter.cost, prefill_macs=0, reused_tokens=0) == replace(alone.cost, prefill_macs=0)
        costs.append((meter.cost, alone.cost))
    (first, _), (second, whole) = costs
    n = second.visual_tokens + second.text_tokens
    assert first.reused_tokens == 0
    assert 0.5 * n < second.reused_tokens < n
    assert second.prefill_macs == reader.shape.prefill_macs(n, reused=second.reused_tokens) < 0.5 * whole.prefill_macs


def test_reused_tokens_are_looked_at_and_not_computed() -> None:
    shape = LanguageShape(2, 32, 64, 4, 2)
    rest, per_token, pairs = shape.prefill_macs(100, reused=80), shape.prefill_macs(1) - 2 * 2 * 32, 2 * 2 * 32
    assert rest == 20 * per_token + 20 * 100 * pairs
    assert shape.prefill_macs(100) == 100 * per_token + 100 * 100 * pairs


def test_threads_may_share_it() -> None:
    asked = [(Question(f"What is {word}?"), [evidence(seed=n % 2)]) for n, word in enumerate(("red", "blue", "seen", "there"))]
    alone, shared = answerer(prefix_mib=0), answerer(prefix_mib=0.2)
    expected = ["".join(alone.stream(*each)) for each in asked]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(2):
            assert list(pool.map(lambda each: "".join(shared.stream(*each)), asked)) == expected
    assert shared.prefixes is not None
    assert shared.prefixes.hits > 0


def test_a_stream_that_is_left_or_stands_still_holds_nobody_up() -> None:
    reader = answerer(reading=replace(READING, instructed=True))
    meter = Meter()
    still = reader._growing(Question("What is red?"), rows_of([evidence()]), meter)
    next(still)
    assert "".join(reader.stream(Question("What is red?"), [evidence()]))
    assert meter.cost.passes == 0
    still.close()
    assert (meter.cost.passes, meter.cost.new_tokens) == (1, 1)


# --- as it comes --------------------------------------------------------------------------------------------------------------------


class Says(VlmAnswerer):
    """A reply that the test writes, in pieces that it chooses."""

    script: list[str]

    def _growing(self, *args: Any) -> Any:
        cut = args[3]
        for n in range(1, len(self.script) + 1):
            text = "".join(self.script[:n])
            yield text, (why := cut(text))
            if why:
                return


def said_of(script: Sequence[str], question: str = "What is red?", **reading: Any) -> list[str]:
    model, words, _ = loaded("smolvlm")
    reader = Says(model, words, id="x", reading=replace(READING, **reading))
    reader.script = list(script)
    return list(reader.stream(Question(question), [evidence(start_s=80.0), evidence(start_s=9.0)]))


ROWS = rows_of([evidence(start_s=80.0), evidence(start_s=9.0)])
PIECES = st.lists(st.sampled_from(["[1]", "[2", "]", " [7]", " ", "red car", "none", " is", "it", "\n", "é", "."]), min_size=1, max_size=14)


@settings(deadline=None, max_examples=40)
@given(marks=st.sampled_from(["[1] ", "[2]", "[2][1] ", "[9] ", "[1]\n", " [1], ", ""]), words=st.lists(st.sampled_from(list("aé .,;-\n"))))
def test_pieces_join_to_what_is_spoken_of_the_whole_reply(marks: str, words: list[str]) -> None:
    whole = marks + "the red car arrives" + "".join(words)
    pieces = said_of(whole)
    assert "".join(pieces) == spoken(whole, ROWS)
    assert len(pieces) > 5 or marks in ("[9] ", "")  # nothing is told of a reply that points at nothing before its end


@settings(deadline=None, max_examples=40)
@given(script=PIECES)
def test_marks_anywhere_are_those_of_the_rows_and_pieces_join_to_one_reply(script: list[str]) -> None:
    whole = Reply(ROWS)
    whole.add("".join(script))
    assert "".join(said_of(script)) == "".join(said_of(["".join(script)]))
    assert "".join(said_of(script)).replace("\n", "") == (whole._told + whole.end()).replace("\n", "")


@pytest.mark.parametrize("reading", [{"instructed": False}, {"aloud": True}])
def test_what_code_makes_of_a_whole_reply_is_told_at_its_end(reading: dict[str, Any]) -> None:
    whole = "red star then blue ring [2] it works ; blue ring"
    assert said_of(whole, **reading) == [spoken(whole, ROWS, aloud=reading.get("aloud", False))]
    assert said_of("[1][2]", "How often is it red?") == ["2 times: [2] 0:09-0:12, [1] 1:20-1:23"]


def test_half_a_character_waits_for_its_other_half() -> None:
    parts = ["[1] the red car", "[1] the red car \ufffd", "[1] the red car é goes"]
    reader = Says(*loaded("smolvlm")[:2], id="x", reading=READING)
    reader._growing = lambda *args: ((text, "") for text in parts)  # type: ignore[method-assign]
    assert "".join(reader.stream(Question("What is red?"), [evidence(start_s=9.0)])) == "the red car é goes [1] 0:09-0:12"


@pytest.mark.parametrize("reading", [{}, {"aloud": True}])
def test_a_model_that_goes_round_in_circles_is_cut(reading: dict[str, Any]) -> None:
    said = "".join(said_of(["[1] ", *["round and round it goes "] * 100], **reading))
    assert said.endswith("(cut: it repeated itself)")
    assert 9 < said.count("round and") < 13  # 240 characters


@pytest.mark.parametrize(
    ("reading", "seconds", "cut"),
    [({}, 120.0, "(cut: at 12 tokens)"), ({}, 1e-6, "(cut: after 1e-06 s)"), ({"aloud": True}, 1e-6, "(cut: after 1e-06 s)"),
     ({"one_by_one": True}, 1e-6, "No answer (cut: after 1e-06 s)")],
)  # fmt: skip
def test_an_answer_that_was_cut_says_so(reading: dict[str, Any], seconds: float, cut: str) -> None:
    reader = answerer(reading=replace(READING, **reading), seconds=seconds)
    assert "".join(reader.stream(Question("What is red?"), [evidence()])).endswith(cut)
    assert "".join(reader.stream(Question("What is red?"), [])) == NOT_THERE
