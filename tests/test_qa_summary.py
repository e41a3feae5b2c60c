"""Sections of scenes whose changes are known, their words, and what is kept of a model's own."""

import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footage import Carrier, Gap, Question, TextRow, TimeSpan
from footage.questions import Evidence
from qa.answerers.prompt import NOT_THERE
from qa.retell import told
from qa.summary import PARTS, QUOTES, SECTIONS, Told, groups, outline
from qa.timeline import Scene


def line(text: str, start_s: float, end_s: float, *, kind: str = "ocr", score: float = 1.0) -> TextRow:
    return TextRow("rec", TimeSpan(start_s, end_s), kind, text, score)


def scenes_of(*captions: str, each_s: float = 60.0) -> list[Scene]:
    """One after the other; "gap" is one."""
    return [
        Scene("rec", TimeSpan(n * each_s, (n + 1) * each_s), "damaged" if caption == "gap" else caption,
              "gap" if caption == "gap" else "text" if caption.startswith('"') else "colour", n * each_s)
        for n, caption in enumerate(captions)
    ]  # fmt: skip


def looks(*kinds: int) -> np.ndarray:
    return np.eye(max(kinds) + 1)[list(kinds)]


@pytest.mark.parametrize(
    ("kinds", "weights", "most", "starts"),
    [
        ([0, 0, 0, 1, 1, 2, 2, 2], None, 8, [0, 3, 5]),
        ([0, 0, 0, 1, 1, 2, 2, 2], None, 2, [0, 5]),  # of two ways that cost the same the earlier
        ([0, 0, 0, 0], None, 8, [0]),
        ([3], None, 8, [0]),
        ([0, 0, 5, 0, 0, 1, 1, 1], [60, 60, 1, 60, 60, 60, 60, 60], 8, [0, 5]),  # one odd second is no group
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], None, 3, [0, 4, 8]),
    ],
)
def test_groups_begin_where_things_change(kinds: list[int], weights: list[float] | None, most: int, starts: list[int]) -> None:
    found = groups(looks(*kinds), np.array(weights or [60.0] * len(kinds)), most=most)
    assert [group.start for group in found] == starts
    assert [group.stop for group in found] == [*starts[1:], len(kinds)]


def test_a_group_shorter_than_a_share_of_the_whole_joins_the_neighbour_it_is_like() -> None:
    rows, weights = looks(0, 1, 2), np.array([60.0, 2.0, 60.0])
    rows[1] = (2.0, 0.0, 4.0)
    assert [group.start for group in groups(rows, weights, most=8)] == [0, 1, 2]
    assert [group.start for group in groups(rows, weights, most=8, shortest=0.05)] == [0, 1]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["mostly red", '"A"', '"B"', "gap"])), min_size=1, max_size=40))
def test_sections_tile_the_time_and_quote_nothing_but_scenes(rows: list[tuple[int, str]]) -> None:
    scenes = scenes_of(*(caption for _, caption in rows))
    made = outline(scenes, looks(*(kind for kind, _ in rows)), [line("some words", 0, 30)])
    edges = [edge for section in made for edge in (section.span.start_s, section.span.end_s)]
    assert edges[1:-1:2] == edges[2::2]
    assert (edges[0], edges[-1]) == (0.0, 60.0 * len(rows))
    assert len(made) <= SECTIONS
    assert max(len(section.parts) for section in made) <= PARTS
    known = {(scene.span, scene.caption, scene.source) for scene in scenes}
    quotes = [quote for section in made for part in section.parts for quote in part.quotes]
    assert {(quote.span, quote.text, quote.source) for quote in quotes} <= known
    assert all(quote.source != "gap" for quote in quotes)
    assert all(1 <= len(part.quotes) <= QUOTES for section in made for part in section.parts)
    assert sum(section.scenes for section in made) == sum(scene.source != "gap" for scene in scenes)
    assert [gap.span for section in made for gap in section.gaps] == [scene.span for scene in scenes if scene.source == "gap"]


def test_words_part_what_looks_the_same_and_name_it() -> None:
    scenes = scenes_of('"a"', '"b"', '"c"', '"d"')
    rows = [
        line("Harbour station NEWS", 0, 120), line("the harbour opens", 40, 80), line("Harbours", 60, 100),
        line("Mountain NEWS", 120, 240), line("mountain railway", 170, 190), line("misread1 blink", 130, 131),
        line("unsure", 120, 200, score=0.3), line("http://www.x.org/e3783c31d81ebe64d8 aVeryVeryLongCodeOfManyLetters", 0, 100),
    ]  # fmt: skip
    first, second = outline(scenes, np.ones((4, 3)), rows)
    assert (first.span, second.span) == (TimeSpan(0.0, 120.0), TimeSpan(120.0, 240.0))
    assert first.words == ("Harbour", "station", "opens", "NEWS")  # NEWS stands in both, and so says less
    assert second.words == ("Mountain", "railway", "NEWS")


def test_pictures_part_what_is_written_over_all_of_it() -> None:
    scenes = scenes_of("mostly red", "mostly red", "mostly blue", "mostly blue")
    made = outline(scenes, looks(0, 0, 1, 1), [line("CHANNEL FOUR", 0, 240)])
    assert [section.span.start_s for section in made] == [0.0, 120.0]
    [[part], [other]] = (section.parts for section in made)
    assert [(quote.span, quote.text) for quote in (*part.quotes, *other.quotes)] == [
        (TimeSpan(0.0, 60.0), "mostly red"), (TimeSpan(120.0, 180.0), "mostly blue"),
    ]  # fmt: skip


def test_a_gap_parts_nothing_and_is_told_where_it_is() -> None:
    [section] = outline(scenes_of("gap", "mostly red", "gap", "mostly red"), looks(2, 0, 2, 0), [])
    assert section.gaps == (Gap(TimeSpan(0.0, 60.0), "damaged"), Gap(TimeSpan(120.0, 180.0), "damaged"))
    assert section.scenes == 2
    [nothing] = outline(scenes_of("gap", "gap"), looks(0, 0), [])
    assert (nothing.scenes, nothing.parts, len(nothing.gaps)) == (0, (), 2)


def test_six_hours_become_eight_sections_in_little_time() -> None:
    rng = np.random.default_rng(2)
    topics = np.repeat(rng.normal(size=(12, 64)), 20, 0) + 0.05 * rng.normal(size=(240, 64))
    scenes = scenes_of(*[f'"scene {n}"' for n in range(240)], each_s=90.0)
    rows = [line(f"topic{'abcdefghijkl'[n // 400]} words number{n % 7}", n * 4.5, n * 4.5 + 4) for n in range(4800)]
    begun = time.perf_counter()
    made = outline(scenes, topics / np.linalg.norm(topics, axis=1, keepdims=True), rows)
    assert time.perf_counter() - begun < 5
    assert len(made) == SECTIONS
    assert all(section.span.start_s % 1800 == 0 for section in made)  # of the true changes, none invented


# --- a model's words ------------------------------------------------------------------------------------------------------------------


class Says:
    """An answerer that always says the same."""

    id = "says"

    def __init__(self, words: str) -> None:
        self.words, self.asked = words, list[str]()

    def stream(self, question: Question, evidence: Sequence[Evidence], **more: object) -> Iterator[str]:
        self.asked.append(question.text)
        yield from self.words.split("|")


def shown(*rows: TextRow) -> list[Evidence]:
    frame = Carrier("rec", (TimeSpan(0, 5),), 1.0, 5.0, np.ones((1, 2), np.float16), np.array([1, 0], np.float32))
    return [Evidence("rec", frame.spans[0], 1.0, frame, shown=(frame,)), *(Evidence("rec", row.span, 1.0, row) for row in rows)]


@pytest.mark.parametrize(
    ("words", "text", "spans"),
    [
        ("A boat| leaves. [2] 0:10-0:20, [1] 0:00-0:05", "A boat leaves.", (TimeSpan(0, 5), TimeSpan(10, 20))),
        ("A boat leaves.", "A boat leaves.", ()),
        ("A boat leaves at 3:15. It is red. [1] 0:00-0:05", "It is red.", (TimeSpan(0, 5),)),  # a time of its own making
        ("The clock shows 12:30. [2] 0:10-0:20", "The clock shows 12:30.", (TimeSpan(10, 20),)),  # one that was read
        ("A boat. [9] [2]", "A boat.", (TimeSpan(10, 20),)),
        (NOT_THERE, "", ()),
        ("", "", ()),
    ],
)
def test_times_of_what_a_model_tells_are_those_of_what_it_points_at(words: str, text: str, spans: tuple[TimeSpan, ...]) -> None:
    assert told(Says(words), "What happens?", shown(line("12:30 harbour", 10, 20))) == Told(text, spans)


def test_nobody_is_asked_about_nothing() -> None:
    answerer = Says("lies")
    assert told(answerer, "What happens?", []) == Told("")
    assert answerer.asked == []
