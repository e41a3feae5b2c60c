"""What several frames show is put together from what is read of each: letters, counts and places, each with its own kind of majority."""

from collections.abc import Sequence

import numpy as np
import pytest

from footage import TimeSpan
from footage.questions import Question
from qa.answerers.one_by_one import OneByOne, direction, most, reads_like, voted
from qa.answerers.prompt import NOT_THERE, Row, letters, placed


def rows(*said: Sequence[str]) -> tuple[list[Row], OneByOne]:
    """Rows whose n-th frame, read by itself, says the n-th reply; read together they say "star [1] red"."""
    replies = [reply for row in said for reply in row]
    numbers = iter(range(len(replies)))
    made = [
        Row(place, TimeSpan(10.0 * place, 10.0 * place + 4), tuple(np.full((4, 2), next(numbers), np.float32) for _ in row))
        for place, row in enumerate(said, 1)
    ]

    def read(question: Question, near: Sequence[Row]) -> str:
        [row] = near
        return replies[int(row.frames[0][0, 0])] if len(row.frames) == 1 else "star [1] red"

    return made, OneByOne(read, aloud=True)


MOVING = ("star red [1] red star b star t", "star red [1] red star d star t", "star red ; none", "star red [1] red star g star v")
SPELT = ("sign [1] c e c S d U e N", "sign [1] c e c S d O e N", "sign [1] c e c S d U e N e X")
COUNTED = ("star [1] red star two", "star [1] red star two", "star [1] red star three")


@pytest.mark.parametrize(
    ("text", "replies", "said"),
    [
        ("Which way does the red star move?", [MOVING], "right [1] 0:10-0:14"),
        ("Which way does the red star move?", [["star blue ; none"] * 2, MOVING[::-1]], "left [2] 0:20-0:24"),
        ("Which way does the red star move?", [["star blue ; none"] * 2], NOT_THERE),
        ("Which way does the red star move?", [["star red ; none", *MOVING[:1]]], NOT_THERE),
        ("Which way does the red star move?", [MOVING[:1]], "seen in one frame only, which tells no direction [1] 0:10-0:14"),
        ("What does the sign say?", [SPELT], "SUN [1] 0:10-0:14"),
        ("How many red stars are there?", [COUNTED], "two [1] 0:10-0:14"),
        ("What colour is the star?", [["star [1] star blue", "star [1] star blue"]], "red [1] 0:10-0:14"),
    ],
)  # fmt: skip
def test_frames_are_asked_each_by_itself_where_that_is_what_it_takes(text: str, replies: list[Sequence[str]], said: str) -> None:
    evidence, reader = rows(*replies)
    assert reader.reply(Question(text), evidence) == said


NOTHING, BOTH = "ring red ; none", "ring red [1] red ring then red ring ; red ring"


@pytest.mark.parametrize(
    ("text", "shows", "said"),
    [
        ("What comes before the red ring?", "..ab.r.", "blue star [1] 0:10-0:14"),
        ("What comes before the red ring?", "abr", "blue star [1] 0:10-0:14"),
        ("What comes before the red ring?", "rab", NOT_THERE),
        ("What comes after the red ring?", "abrr.ab", "pink cross [1] 0:10-0:14"),
        ("What comes after the red ring?", "ab..", NOT_THERE),
    ],
)
def test_what_comes_before_is_the_nearest_thing_that_a_frame_on_that_side_adds(text: str, shows: str, said: str) -> None:
    names = {"a": "pink cross", "b": "blue star", "r": "red ring"}

    def read(question: Question, near: Sequence[Row]) -> str:
        seen = [names[shows[int(frame[0, 0])]] for frame in near[0].frames if shows[int(frame[0, 0])] != "."]
        if "red ring" not in seen or len(near[0].frames) > 2:
            return NOTHING
        others = [name for name in seen if name != "red ring"]
        return f"ring red [1] {seen[0]} then {seen[-1]} ; {others[0]}" if others else BOTH

    row = Row(1, TimeSpan(10.0, 14.0), tuple(np.full((4, 2), n, np.float32) for n in range(len(shows))))
    assert OneByOne(read, aloud=True).reply(Question(text), [row]) == said


@pytest.mark.parametrize(
    ("places", "way"),
    [
        ([(1, 4), (2, 4), (0, 4), (5, 4)], "right"),  # one of them is wrong
        ([(6, 1), (1, 1)], "left"),
        ([(3, 7), (3, 4), (4, 1)], "up"),
        ([(3, 0), (3, 5)], "down"),
        ([(3, 3), (3, 3)], "it stays where it is"),
        ([], ""),
    ],
)
def test_a_direction_is_the_slope_of_places(places: list[tuple[int, int]], way: str) -> None:
    assert direction(places) == way


def test_letters_are_voted_for_column_by_column() -> None:
    assert voted([letters(reply) for reply in SPELT]) == "SUN"
    assert voted([]) == most([]) == most([[]]) == ""
    assert voted([{}, {}, {"c": "A"}]) == ""  # most see no letter there


def test_a_place_is_the_last_two_letters() -> None:
    assert placed(MOVING[0]) == (0, 1)
    assert placed("red star d v") == (2, 3)
    assert placed("red star") is placed("sign [1] c e c S") is None


def test_a_letter_may_be_misread_but_a_longer_word_is_another_word() -> None:
    assert reads_like("RAIN", "RAIN") == 1
    assert reads_like("RAIM", "RAIN") >= 0.7
    assert reads_like("RAINN", "RAIN") >= 0.7  # one said twice
    assert reads_like("TRAIN", "RAIN") == 0
    assert reads_like("", "RAIN") == 0
