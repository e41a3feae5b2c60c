"""Multiple choice: an answer names one of the choices, or says that it names none."""

import json

import pytest
from typer.testing import CliRunner

from footage import Plan
from footage.questions import Answer
from qa import support
from workers.choices import with_choice
from workers.cli import app
from workers.engine import open_library

NOTHING = Plan("given", 0, ())


def said(text: str, model: str = "vlm@1") -> Answer:
    return Answer(text, model, (), NOTHING)


@pytest.mark.parametrize(
    ("answer", "choices", "choice"),
    [
        (said("B"), ("red", "blue"), "blue"),
        (said("(A) [2] 12:05-12:09"), ("red", "blue"), "red"),
        (said("star red [1] 16:51-16:58", "nano@1"), ("Red", "Blue"), "Red"),
        (said("2 times: [2] 12:47-12:57, [1] 17:53-18:02", "nano@1"), ("1", "2", "3"), "2"),
        (said("yes [1] 0:10-0:12", "nano@1"), ("Yes", "No"), "Yes"),
        (said("red or blue"), ("red", "blue"), ""),
        (said("Not in the footage."), ("red", "blue"), ""),
        (said('[1] 00:00:10.000: on screen "B. Exit"', "none"), ("red", "blue"), ""),
        (said('[1] 00:00:10.000: on screen "the blue door"', "none"), ("red", "blue"), "blue"),
    ],
)
def test_the_choice_is_the_one_that_the_answer_names(answer: Answer, choices: tuple[str, ...], choice: str) -> None:
    made = with_choice(answer, choices)
    assert (made.choice, made.text) == (choice, answer.text)
    assert len(made.warnings) == (not choice)


def test_without_choices_nothing_changes() -> None:
    assert with_choice(said("B"), ()) == said("B")


def test_the_command_line_takes_choices_and_says_which() -> None:
    with open_library("lib", index={"ocr": "off"}) as library:
        library.index("synthetic:red=10,blue=5")
        assert library.ask("What colour is it at 0:12?", choices=("red", "blue")).choice == "blue"
        assert "none of the 2 choices" in library.ask("When is it pink?", choices=("red", "blue")).warnings[-1]
    asked = ["ask", "What colour is it at 0:12?", "-l", "lib", "--choice", "red", "--choice", "blue"]
    shown = CliRunner().invoke(app, asked)
    assert shown.stdout.splitlines()[-1] == "choice: blue"
    assert json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)["choice"] == "blue"


def test_what_is_not_borne_out_is_said_to_people(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_library("lib", index={"ocr": "off"}, ask={"moments": 3}) as library:
        library.index("synthetic:red=30,blue=5,green=20,blue=5,red=30")
        assert all(moment.supported for moment in library.ask("When is it blue?").citations)
    assert "not borne out" not in CliRunner().invoke(app, ["ask", "When is it blue?", "-l", "lib"]).stderr
    monkeypatch.setattr(support, "SHARE", 1.1)  # nothing is as good as that
    shown = CliRunner().invoke(app, ["ask", "When is it blue?", "-l", "lib"])
    assert "not borne out by a second look: 00:00:30.000-00:00:35.000, 00:00:55.000-00:01:00.000\n" in shown.stderr
    assert f"warning: {support.NOT_BORNE_OUT}" in shown.stderr
