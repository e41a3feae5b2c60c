"""Questions taken apart by rules."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.parse import parse, stem, word_list


def test_content_words_are_kept_and_function_words_dropped() -> None:
    assert parse("When does she first draw the diagrams on the whiteboard?").words == ("she", "draw", "diagram", "whiteboard")[1:]


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Which web address is visited?", "url"),
        ("Which file is open in the editor?", "file"),
        ("Which version number is reported?", "version"),
        ("What is the build number?", "number"),
        ("Which function is named next to it?", "function"),
        ("Which command is typed first?", "command"),
        ("How much does it cost, what is the price?", "money"),
        ("Which warning appears?", "warning"),
    ],
)
def test_the_kind_of_answer_is_told_from_the_question(question: str, kind: str) -> None:
    asked = parse(question)
    assert kind in asked.answer_types
    assert asked.wants_text


def test_place_size_colour_order_and_quotes_are_heard() -> None:
    asked = parse('Which large white title stands at the bottom left, next to "Running", and comes second?')
    assert asked.place == (0.0, 1.0)
    assert asked.is_large
    assert asked.colours == ("white",)
    assert asked.order == 1
    assert asked.phrases == ("Running",)


def test_a_question_about_pictures_wants_no_text() -> None:
    assert not parse("When is the dog out of the picture?").wants_text
    assert parse("When is the dog out of the picture?").wants_time


@pytest.mark.parametrize(
    ("text", "time_s"), [("What colour is it at 1:15?", 75.0), ("what is shown at 12.5 s", 12.5), ("what happens at noon", None)]
)
def test_a_time_named_in_the_question_is_read(text: str, time_s: float | None) -> None:
    assert parse(text).at_s == time_s


def test_how_many_how_often_and_which_way_are_told_apart() -> None:
    asked = {
        text: parse(text) for text in ("How many red stars are there?", "How many times does it appear?", "Which way does the car go?")
    }
    assert [(a.how_many, a.how_often, a.which_way) for a in asked.values()] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert parse("Where does the red star move to?").which_way
    assert parse("In which direction do they walk?").which_way
    assert not parse("Where is the bus to London?").which_way


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Does the dog sleep while the cat eats?", ("the dog sleep", "the cat eats")),
        ("Does the train leave the station, and then cross a bridge?", ("the train leave the station", "cross a bridge")),
        ("First a man walks in, then he sits, followed by applause", ("First a man walks in", "he sits", "applause")),
        ("Does the woman open the door and sit on the bed?", ()),  # a verb in its base form looks like any word
        ("She opens the door and sits down", ("She opens the door", "sits down")),
        ("How many cats and dogs are there?", ("cats", "dogs")),
        ("Is there a bus or a lorry?", ("a bus", "a lorry")),
        ("Which boat is the one with the yellow sail?", ("boat", "the yellow sail")),
        ('When does she hold up "OPEN and THE BAR"?', ("OPEN and THE BAR", "she hold up")),
        ("Does the man sit down before the dog barks?", ("the man sit down", "the dog barks")),
        ("In the garden while the sun sets, does the cat eat and the dog bark?", ("the cat eat", "the dog bark")),
        ("a hut and a pond and a swing and a pier and a kite", ("a hut", "a pond", "a swing", "a pier")),
    ],
)
def test_a_question_about_several_things_is_taken_in_parts(question: str, parts: tuple[str, ...]) -> None:
    assert parse(question).parts == parts


@pytest.mark.parametrize(
    "question",
    [
        "When does the red star appear?", "A black and white cat sits on the mat?", "What does the man do after the rain starts?",
        "What is shown before 10:00?", "What happens when the ball hits the net?", "Did she open the door, and when?",
        "Which comes first, the red star or the blue ring?", '"cypress open"', "and then?", "the dog and the dog", "",
    ],
)  # fmt: skip
def test_a_question_about_one_thing_has_no_parts(question: str) -> None:
    assert parse(question).parts == ()


def test_words_of_names_addresses_and_code_are_also_taken_in_parts() -> None:
    assert word_list("search_spec.js") == ["search_spec.js", "search", "spec", "js", "searchspecjs"]
    assert {"todo", "mvc"} <= set(word_list("todoMvc"))
    assert "todo" in word_list("to-do")
    assert {"cypress.io", "cypress", "io"} <= set(word_list("https://cypress.io"))


def test_plurals_and_verb_forms_meet() -> None:
    assert stem("bottles") == stem("bottle")
    assert stem("typed") == stem("types")
    assert stem("studies") == "study"
    assert stem("glass") == "glass"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_every_text_can_be_parsed(text: str) -> None:
    asked = parse(text)
    assert len(asked.parts) != 1
    assert all(part.strip() for part in asked.parts)
