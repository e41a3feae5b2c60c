"""`footage ask -i` as a person meets it, at a real pseudo-terminal, and as a script does, through a pipe."""

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from films import write
from rich.console import Console
from test_qa_openai import Handler, Served, says, server  # noqa: F401  a real server of chat completions, well-behaved and not
from typer.testing import CliRunner

from footage.errors import ConfigError, NothingRecorded
from ingest.packets import scan
from workers.chat import HISTORY, Chat
from workers.chat_text import markdown, plain
from workers.cli import app
from workers.engine import Library, open_library

NO_OCR = {"FOOTAGE_INDEX__OCR": "off"}
COLOURS = "synthetic:red=20,blue=10,green=10,blue=10"
LINE = "The lighthouse is dark tonight."


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds with subtitles beside them, and a script of colours."""
    folder = tmp_path_factory.mktemp("chat")
    film = write(folder / "harbour.mp4", frames=200, options={"preset": "ultrafast", "g": "20"})
    film.with_suffix(".srt").write_text(f"1\n00:00:02,250 --> 00:00:05,500\n{LINE}\n\n2\n00:00:08,000 --> 00:00:09,000\nWe go home.\n")
    with open_library(str(folder / "lib"), index={"ocr": "off"}) as library:
        library.index(film, COLOURS)
    return folder / "lib"


@pytest.fixture
def library(place: Path) -> Iterator[Library]:
    with open_library(str(place), index={"ocr": "off"}) as library:
        yield library


def said(library: Library, *lines: str, recording: str = COLOURS, live: bool = False) -> str:
    out = StringIO()
    chat = Chat(library, library.conversation(recording=recording), Console(file=out, width=200), is_live=live)
    chat.run(iter(lines))
    return out.getvalue()


# --- a conversation by hand -----------------------------------------------------------------------------------------------------------


def test_each_question_leans_on_those_before(library: Library) -> None:
    talk = library.conversation(recording=COLOURS)
    assert [c.span.start_s for c in talk.ask("When is it blue?").citations] == [20.0, 40.0]
    assert [c.span.start_s for c in talk.ask("and green?").citations] == [30.0]
    heard: list[str] = []
    answer = talk.ask("when is it blue after that?", heard=heard.append)
    assert [(c.span.start_s, c.span.end_s) for c in answer.citations] == [(40.0, 50.0)]
    assert "".join(heard) == answer.text
    assert [exchange.meant.text for exchange in talk.exchanges[:2]] == ["When is it blue?", "When is it green?"]
    assert [turn.question for turn in talk.turns][-1] == "When is it blue?"


def test_what_fails_is_not_remembered_and_a_scope_is_kept(library: Library) -> None:
    talk = library.conversation(recording=COLOURS, end="0:25")
    assert [(c.span.start_s, c.span.end_s) for c in talk.ask("When is it blue?").citations] == [(20.0, 25.0)]
    with pytest.raises(ConfigError, match="lies outside of what is searched"):
        talk.ask("and after that?")
    talk.start, talk.end = "2:00", None
    with pytest.raises(NothingRecorded):
        talk.ask("When is it red?")
    assert len(talk.exchanges) == 1


def test_two_recordings_are_told_apart_by_what_was_cited(library: Library) -> None:
    talk = library.conversation()
    assert talk.ask("When do they say that the lighthouse is dark?").citations[0].span.start_s == 2.25
    later = talk.ask("what do they say after that about home?")
    assert [(library.name_of(c.recording_id), c.span.start_s) for c in later.citations] == [("harbour.mp4", 8.0)]


# --- commands -------------------------------------------------------------------------------------------------------------------------


def test_commands_work_on_the_last_answer(library: Library, tmp_path: Path) -> None:
    asked = "When do they say that the lighthouse is dark?"
    done = said(library, asked, "/open 1", "/sheet", "/why", f"/save {tmp_path / 'talk.md'}", recording="harbour.mp4")
    assert f'[1] 00:00:02.250-00:00:05.500: in the subtitles "{LINE}"' in done
    clip = tmp_path / "harbour-2.2-5.5.mp4"
    assert str(clip.name) in done
    assert scan(clip).duration_s >= 3.25
    assert clip.with_suffix(".png").stat().st_size > 1000
    assert "looked for: words lighthous, dark; the answer is a text, a time; where: all of it" in done
    assert "answered by: template" in done
    page = (tmp_path / "talk.md").read_text()
    assert page.startswith(f"# Conversation\n\n## {asked}\n")
    assert LINE in page


def test_where_to_look_can_be_changed_on_the_way(library: Library) -> None:
    done = said(
        library,
        "/scope 0:35-",
        "When is it blue?",
        "/scope all",
        "When is it blue?",
        "/recording harbour.mp4",
        "/recording all",
        "/timeline",
    )
    first, second = re.findall(r"Blue is on screen (.*)", done)
    assert first == "from 00:00:40.000 to 00:00:50.000 [1]."
    assert second.startswith("from 00:00:20.000")
    assert "searched: from 0:35 on" in done
    assert re.findall(r"([* ]) harbour\.mp4", done) == ["*", "*"]
    assert "ConfigError: the library holds 2 recordings" in done  # of all recordings there is no one timeline


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/open 1", "nothing was asked yet"),
        ("/why", "nothing was asked yet"),
        ("/nonsense", "no command /nonsense"),
        ("/scope 2:00-1:00", "is empty"),
        ("/scope soon", "is not a time"),
        ("/recording nowhere", "no recording 'nowhere'"),
        ("/save", "nothing was asked yet"),
        ("/help", "lean on the ones before"),
    ],
)
def test_mistakes_are_told_and_the_conversation_goes_on(library: Library, line: str, told: str) -> None:
    done = said(library, line, "When is it blue?", "/open 9", "/save /nowhere/talk.md", "/quit", "never reached")
    assert told in done
    assert "Blue is on screen from 00:00:20.000" in done
    assert "no citation '9'" in done
    assert "/nowhere/talk.md cannot be written" in done
    assert "never reached" not in done


def test_a_bug_ends_a_question_and_not_the_conversation(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Library, "timeline", lambda *args, **more: 1 / 0)
    assert re.search(r"ZeroDivisionError.*\n> When is it blue\?\nBlue is", said(library, "/timeline", "When is it blue?"))


def test_text_of_footage_cannot_steer_the_terminal() -> None:
    assert plain("a\x1b[2Jb\x07\r\nc\u202ed") == "a [2Jb  \nc d"


def test_a_saved_conversation_says_how_it_was_understood(library: Library) -> None:
    talk = library.conversation(recording=COLOURS)
    talk.ask("When is it blue?")
    talk.ask("and green?")
    page = markdown(talk.exchanges, library.name_of)
    assert '## and green?\n\n*understood as "When is it green?"*\n\nGreen is on screen from 00:00:30.000 to 00:00:40.000 [1].' in page
    assert f"- [1] 00:00:30.000-00:00:40.000 of {COLOURS}" in page


# --- a pipe ---------------------------------------------------------------------------------------------------------------------------


def piped(place: Path, lines: str, *args: str) -> Any:
    return CliRunner().invoke(app, ["ask", "-i", *args, "-l", str(place)], input=lines, env=NO_OCR)


def test_a_pipe_gets_plain_lines(place: Path) -> None:
    command = [sys.executable, "-m", "workers.cli", "ask", "-i", "When is it blue?", COLOURS, "-l", str(place)]
    lines = "and green?\n/nonsense\n\nand after that, when is it blue?\n"
    done = subprocess.run(command, input=lines, capture_output=True, text=True, env={**os.environ, **NO_OCR}, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[1] == "Blue is on screen from 00:00:20.000 to 00:00:30.000 [1], and from 00:00:40.000 to 00:00:50.000 [2]."
    assert lines[2] == f"  [1] 00:00:20.000-00:00:30.000 of {COLOURS}"
    assert lines[4:7] == [
        "> and green?", 'understood as "When is it green?"', "Green is on screen from 00:00:30.000 to 00:00:40.000 [1].",
    ]  # fmt: skip
    assert lines[-2] == "Blue is on screen from 00:00:40.000 to 00:00:50.000 [1]."
    assert "\x1b" not in done.stdout


def test_a_pipe_may_have_json(place: Path) -> None:
    done = piped(place, "When is it blue?\nand green?\n/open 7\n", "--json", COLOURS)
    first, second, error = (json.loads(line) for line in done.stdout.splitlines())
    assert [c["start_s"] for c in first["citations"]] == [20.0, 40.0]
    assert (second["question"], second["meant"]) == ("and green?", "When is it green?")
    assert error["error"] == "ConfigError"


def test_a_file_that_is_away_is_no_question(place: Path) -> None:
    done = piped(place, "", "nothere.mp4")
    assert isinstance(done.exception, ConfigError)
    assert "no recording 'nothere.mp4'" in str(done.exception)
    assert done.output == ""


def test_a_wrong_source_ends_it_before_it_begins(place: Path) -> None:
    done = piped(place, "When is it blue?\n", "When is it blue?", "nowhere.mp4")
    assert isinstance(done.exception, ConfigError)
    assert "no recording 'nowhere.mp4'" in str(done.exception)


# --- a terminal -----------------------------------------------------------------------------------------------------------------------


class Terminal:
    """The chat behind a pseudo-terminal: what is typed goes in, what is shown comes out."""

    def __init__(self, *args: str, **env: str) -> None:
        spawn = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
        command = [sys.executable, "-c", spawn, sys.executable, "-m", "workers.cli", "ask", "-i", *args]
        environment = {**os.environ, **NO_OCR, "TERM": "xterm", **env}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.shown = ""

    def until(self, awaited: str, seconds: float = 40.0) -> str:
        """All that is shown up to and with some text."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while awaited not in self.shown:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert data, f"{awaited!r} was never shown, but {self.shown!r}"
            self.shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", data.decode(errors="replace"))
        before, _, self.shown = self.shown.partition(awaited)
        return before + awaited

    def type(self, keys: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(keys.encode())
        self.process.stdin.flush()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def test_a_person_talks_opens_a_clip_and_leaves(place: Path, tmp_path: Path) -> None:
    viewer, opened = tmp_path / "bin" / "xdg-open", tmp_path / "opened"
    viewer.parent.mkdir()
    viewer.write_text(f'#!/bin/sh\necho "$1" > {opened}.new && mv {opened}.new {opened}\n')
    viewer.chmod(0o755)
    env = {"DISPLAY": ":9", "PATH": f"{viewer.parent}:{os.environ['PATH']}"}
    with Terminal("harbour.mp4", "-l", str(place), **env) as terminal:
        assert "Ask about harbour.mp4. /help" in terminal.until("> ")
        terminal.type("When do they say that the lighthouse is dark?\n")
        assert "[1] 00:00:02.250-00:00:05.500" in terminal.until(LINE)
        terminal.until("\n> ")
        terminal.type("/open 1\n")
        terminal.until("harbour-2.2-5.5.mp4")
        terminal.until("\n> ")
        deadline = time.monotonic() + 10
        while not opened.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert opened.read_text().strip() == str(tmp_path / "harbour-2.2-5.5.mp4")
        terminal.type("half a question\x03")
        terminal.until("\n> ")
        terminal.type("\x1b[A\n")  # the line before this one, from the history
        terminal.until("/open 1")
        terminal.until("\n> ")
        terminal.type("\x04")
        assert terminal.process.wait(10) == 0
    kept = (place / HISTORY).read_text().splitlines()
    assert kept[-2:] == ["When do they say that the lighthouse is dark?", "/open 1"]


def test_ctrl_c_stops_an_answer_and_words_come_as_they_are_made(place: Path, server: Served) -> None:  # noqa: F811
    def stalls(handler: Handler) -> None:
        handler.begin("[1] the beginning of a long story")
        handler.server.left.wait(30)

    server.acts = [stalls, says("[1] the whole of it")]
    model: dict[str, Any] = {"FOOTAGE_ASK__MODEL": f"openai:{server.url}#a-model"}
    with Terminal("-r", COLOURS, "-l", str(place), **model) as terminal:
        assert f"Ask about {COLOURS}. /help" in terminal.until("> ")
        terminal.type("When is it blue?\n")
        terminal.until("the beginning of a long story")
        terminal.type("\x03")
        terminal.until("stopped\n> ")
        server.left.set()
        terminal.type("When is it blue?\n")
        assert "the whole of it [1] 0:20-0:30" in terminal.until("\n> ")
        terminal.type("and green?\n")
        terminal.until("the whole of it [1] 0:30-0:40")
        terminal.type("/quit\n")
        assert terminal.process.wait(10) == 0
    told = [part["text"] for part in server.asked[-1]["body"]["messages"][1]["content"] if "conversation" in part.get("text", "")]
    assert len(told) == 1
    assert "Asked before: When is it blue? Answered: the whole of it" in told[0]
    assert not any("conversation" in part.get("text", "") for part in server.asked[0]["body"]["messages"][1]["content"])
