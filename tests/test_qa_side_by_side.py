"""Replies that are written at the same time are those that each would be alone, in fewer passes."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from test_qa_prefix import every_family, frames, language, loaded, prompt_of  # noqa: E402

from qa.answerers.decoding import Begun, Language  # noqa: E402
from qa.answerers.side_by_side import Row  # noqa: E402


def begun(name: str, reader: Language, count: int) -> list[Begun]:
    """Prompts of unequal lengths, the first and the last with visual tokens."""
    parts = [frames(name, 3), " red " * 7, " what", frames(name, 1, seed=4)]
    return [reader.read(prompt_of(name, " see ", parts[n % 4], f" {'blue ' * n} ?")) for n in range(count)]


def written(reader: Language, each: Begun, count: int, start: Barrier | None = None) -> tuple[list[int], Any]:
    """`count` tokens, and the logits of the next one."""
    made: list[int] = []
    if start is not None:
        start.wait(20)
    for token in reader.tokens(each, ends=()):
        made.append(token)
        if len(made) > count:
            return made, each.logits
    raise AssertionError("it goes on for ever")


@every_family
def test_side_by_side_is_as_alone_whatever_their_lengths(name: str) -> None:
    alone, together = language(name, prefix_bytes=0), language(name, prefix_bytes=0)
    expected = [written(alone, each, 8) for each in begun(name, alone, 4)]
    rows, start = begun(name, together, 4), Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda each: written(together, each, 8, start), rows))
    assert [tokens for tokens, _ in made] == [tokens for tokens, _ in expected]
    for (_, logits), (_, logits_alone) in zip(made, expected, strict=True):
        torch.testing.assert_close(logits, logits_alone, rtol=0, atol=1e-4)
    assert alone.writing.passes == alone.writing.rows == together.writing.rows == 4 * 8
    assert together.writing.passes < together.writing.rows


def test_more_than_a_pass_takes_come_in_the_next_one() -> None:
    reader = language("smolvlm", prefix_bytes=0)
    reader.writing.most = 2
    expected = [written(reader, each, 3)[0] for each in begun("smolvlm", reader, 5)]
    rows, start = begun("smolvlm", reader, 5), Barrier(5)
    with ThreadPoolExecutor(5) as pool:
        assert [tokens for tokens, _ in pool.map(lambda each: written(reader, each, 3, start), rows)] == expected


def test_a_pass_that_fails_is_told_to_all_that_were_in_it_and_the_next_goes_on() -> None:
    reader = language("smolvlm", prefix_bytes=0)
    good, bad = begun("smolvlm", reader, 2)
    assert isinstance(bad.go_on, Row)
    bad.go_on.offset = None
    with pytest.raises(TypeError):
        written(reader, bad, 2)
    assert len(written(reader, good, 2)[0]) == 3


def test_the_attention_of_the_model_is_as_it_was() -> None:
    reader, decoder = language("smolvlm", prefix_bytes=0), loaded("smolvlm")[2].decoder
    usual, start = decoder.config._attn_implementation, Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda each: written(reader, each, 4, start), begun("smolvlm", reader, 2)))
    assert decoder.config._attn_implementation == usual
