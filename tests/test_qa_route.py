"""Where questions go: told from their words alone, and never by a word that only looks like one of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nano.phrases import PHRASES
from qa.route import LOCAL, NOW, OVERALL, ROUTES, route_of

ABOUT_NOW = [
    "What is happening now?", "What is happening right now?", "What is the man currently doing?", "What can be seen at the moment?",
    "Right now, what is on the table?", "At this moment, who is speaking?", "Who is speaking now?", "Where is the cup now?",
    "How many people are in the room right now?", "What did he say just now?", "What just happened?", "What is on the current slide?",
    "What is the current score?", "What happened in the last few seconds?", "What happened in the last 10 seconds?",
    "Now what is she holding?", "Is the door open at present?", "What is presently shown?", "WHAT IS HAPPENING RIGHT NOW?",
    "Is there a red circle right now?", "Is somebody in the video doing this step right now: install it?",
    "What colour is the light now?", "What does the sign say now?", "What do the scores show now?",
    "And now, what is she doing?",
]  # fmt: skip
ABOUT_ALL = [
    "Summarise the video.", "Summarize this video", "Please summarise.", "Can you sum up the talk?", "What is this video about?",
    "What's this about?", "What is it all about?", "What is the whole film about?", "What happens overall?",
    "What happens in this video?", "What happens in general?", "Overall, what can be seen?", "In general, what do they do?",
    "How does it end?", "How does the film begin?", "How did the story end?", "Describe the video.",
    "Describe this recording in two sentences.", "Give me a short summary of the lecture.", "Give an overview.",
    "What is the main topic of the video?", "What are the key points?", "What is the plot of the film?", "What is the overall mood?",
    "What kind of video is this?", "Tell me about this video.", "Who can be seen throughout the whole video?",
    "What changes from beginning to end?", "What is the gist of it?", "What does the video show?",
    "What has happened so far?", "What is shown in this video?",
]  # fmt: skip
TO_BE_FOUND = [
    "What is shown on the overall plan?", "Who wears overalls?", "What happened before now?", "What was shown until now?",
    "Has the cook added salt by now?", "Has enough been seen by now to answer this question: What does she do to the car?",
    "When is the snow falling?", "What is known about the bridge?", "Is there a nowhere sign?", "Does it rain now and then?",
    "What does the sign NOW OPEN say?", "Which slide says now?", 'Where is "right now" written?',
    "In which scene is Apocalypse Now mentioned?", "What happens at the moment when the bell rings?",
    "What happens at the moment she leaves?", "What is happening now at 1:15?", "When is the summary slide shown?",
    "What does the summary say?", "Summarise what is said about the bridge.", "What happens in the video after the goal?",
    "What happens in the kitchen?", "What is the sign about?", "What is the video about cats called?", "How does the race end?",
    "How does the speech begin?", "What is the main menu item?", "What is the main topic of the third slide?",
    "How many times does a red star appear throughout the video?", "What is said about dogs in general?",
    "Who is the general in the film?", "What is shown at the end of the corridor?", "When does the video end?",
    "What is the name of the story?", "Where do they describe the engine?", "What happened in the last few seconds before the crash?",
    "What was the electric current?", "When was it blue?", "Is there a zebra?", "Which comes first, the red star or the blue ring?",
    "What comes after the green moon?", "Now and again a bird calls: which one?", "How does the price change from then to now?",
    "Summarise when it is red.", "Is the red light on throughout the video?", "?", "now-ish",
    "From now on, who leads?", "Where is she at the moment of the explosion?", "What does he do now that she left?",
]  # fmt: skip


EXPECTED = [*((q, NOW) for q in ABOUT_NOW), *((q, OVERALL) for q in ABOUT_ALL), *((q, LOCAL) for q in TO_BE_FOUND)]


@pytest.mark.parametrize(("question", "route"), EXPECTED)
def test_a_question_goes_where_its_words_say(question: str, route: str) -> None:
    assert route_of(question) == route


def test_questions_about_the_drawn_world_are_all_looked_for() -> None:
    words = {"a": "a red star", "the": "the red star", "b": "the blue ring", "many": "red stars", "shape": "star", "colour": "red"}
    assert {route_of(form.format(**words)) for forms in PHRASES.values() for form in forms} == {LOCAL}


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_every_text_has_a_route(text: str) -> None:
    assert route_of(text) in ROUTES
