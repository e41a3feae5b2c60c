"""`footage ask -i`: a conversation in a terminal, or line by line from a pipe."""

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footage.errors import ConfigError, FootageError
from footage.questions import Answer, Moment
from footage.timespan import parse_clock
from ingest.synthetic import PREFIX
from workers.chat_text import between, citation_line, lists_itself, markdown, numbered, plain, why
from workers.cli_flags import print_json
from workers.conversation import Conversation, Exchange

if TYPE_CHECKING:
    from rich.console import Console

    from workers.engine import Library

log = logging.getLogger(__name__)
PROMPT = "> "
HISTORY, REMEMBERED_LINES = "questions.history", 1000
_FILE = re.compile(r"\S+\.\w{2,4}")
VIEWERS = ("xdg-open", "open")


class Chat:
    """Takes lines, says answers. Mistakes are shown and the conversation goes on."""

    def __init__(self, library: "Library", conversation: Conversation, out: "Console", *, is_live: bool, as_json: bool = False) -> None:
        """is_live: a person sits there: an answer can be stopped, a viewer opened. as_json: answers as `ask --json` prints them."""
        self._is_over = False
        self._library, self._talk, self._out, self._is_live, self._as_json = library, conversation, out, is_live, as_json
        self._commands: dict[str, tuple[str, str, Callable[[str], None]]] = {
            "/open": ("N", "write the clip of citation N and show it", self._open),
            "/sheet": ("[N]", "write a picture of all citations, or of one", self._sheet),
            "/why": ("", "say what was looked for, read and spent for the last answer", self._why),
            "/timeline": ("", "list the scenes", self._timeline),
            "/summary": ("", "sum them up", self._summary),
            "/scope": ("1:00-2:00", "search only there; all: everywhere", self._scope),
            "/recording": ("NAME", "search only this one; all: every one; alone: list them", self._recording),
            "/save": ("FILE", "write the conversation as markdown", self._save),
            "/help": ("", "list what can be typed", self._help),
            "/quit": ("", "leave, as Ctrl-D does", self._quit),
        }

    def run(self, lines: Iterator[str]) -> None:
        """Until /quit or the end of the lines."""
        for line in lines:
            if line.strip():
                self.take(line.strip())
            if self._is_over:
                return

    def take(self, line: str) -> None:
        """One question or command."""
        if not self._is_live and not self._as_json:
            self._say(f"{PROMPT}{line}", "bold")
        try:
            if line.startswith("/"):
                self._command(line)
            else:
                self._ask(line)
        except KeyboardInterrupt:
            if not self._is_live:
                raise
            self._say("stopped", "dim")
        except FootageError as error:
            self._refuse(error, error.hint)
        except Exception as error:  # whatever went wrong with one question, the next may do better
            log.warning("a question failed", exc_info=True)
            self._refuse(error, "")

    def _refuse(self, error: Exception, hint: str) -> None:
        if self._as_json:
            print_json({"error": type(error).__name__, "message": str(error), "hint": hint})
        else:
            self._say(f"{type(error).__name__}: {error}" + (f"\nhint: {hint}" if hint else ""), "red")

    def _ask(self, line: str) -> None:
        meant = self._talk.meant(line)
        if meant.note and not self._as_json:
            self._say(meant.note, "dim")
        if self._as_json:
            self._talk.ask(line, meant=meant)
            self._print_json(self._talk.exchanges[-1])
            return
        answer = self._heard(lambda heard: self._talk.ask(line, meant=meant, heard=heard))
        if not lists_itself(answer):
            for number, moment in numbered(answer).items():
                self._say(f"  {citation_line(number, moment, self._library.name_of)}", "cyan")
        for warning in answer.warnings:
            self._say(f"warning: {warning}", "yellow")

    def _heard(self, ask: Callable[[Callable[[str], None]], Answer]) -> Answer:
        """The words are shown as they come; until the first one does, that something is being done."""
        status = self._out.status("looking ...")

        def heard(piece: str) -> None:
            status.stop()
            self._out.print(plain(piece), end="", markup=False, highlight=False, soft_wrap=True)

        status.start()
        try:
            return ask(heard)
        finally:
            status.stop()
            self._out.print()

    def _print_json(self, exchange: Exchange) -> None:
        from workers.as_json import answer_json

        meant = {"question": exchange.asked, "meant": exchange.meant.text, "note": exchange.meant.note}
        print_json(meant | answer_json(exchange.answer, self._library))

    def _command(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        if name not in self._commands:
            raise ConfigError(f"there is no command {name}", hint=f"known are {', '.join(self._commands)}")
        self._commands[name][2](argument.strip())

    def _last(self) -> Exchange:
        if not self._talk.exchanges:
            raise ConfigError("nothing was asked yet", hint="type a question")
        return self._talk.exchanges[-1]

    def _cited(self, number: str) -> Moment:
        cited = numbered(self._last().answer)
        if not number.strip("[]").isdecimal() or int(number.strip("[]")) not in cited:
            there = ", ".join(map(str, cited)) or "none"
            raise ConfigError(f"the last answer has no citation {number!r}", hint=f"its citations: {there}")
        return cited[int(number.strip("[]"))]

    def _open(self, argument: str) -> None:
        from workers.export import export_clip

        moment = self._cited(argument or next(map(str, numbered(self._last().answer)), ""))
        target = self._place(moment, ".mp4")
        done = export_clip(self._library, moment.recording_id, moment.span, target)
        self._say(f"{target}  {done.span}")
        self._show(target)

    def _sheet(self, argument: str) -> None:
        from workers.export import contact_sheet

        moments = [self._cited(argument)] if argument else list(numbered(self._last().answer).values())
        if not moments:
            raise ConfigError("the last answer points at nothing that could be shown")
        target = self._place(moments[0], ".png")
        self._say(str(contact_sheet(self._library, moments, target)))
        self._show(target)

    def _place(self, moment: Moment, suffix: str) -> Path:
        stem = Path(self._library.name_of(moment.recording_id).replace(":", "-")).stem
        return Path(f"{stem}-{moment.span.start_s:.1f}-{moment.span.end_s:.1f}{suffix}")

    def _show(self, path: Path) -> None:
        """With the system's viewer, where a person sits before a screen."""
        has_screen = sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        viewer = next(filter(None, map(shutil.which, VIEWERS)), None)
        if self._is_live and has_screen and viewer:
            quiet: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            subprocess.Popen([viewer, str(path.resolve())], start_new_session=True, **quiet)

    def _why(self, argument: str) -> None:
        for line in why(self._last(), self._library.name_of):
            self._say(line)

    def _timeline(self, argument: str) -> None:
        from workers.timeline import print_timeline

        talk = self._talk
        print_timeline(self._library.timeline(talk.recording, start=talk.start, end=talk.end))

    def _summary(self, argument: str) -> None:
        from workers.summary_text import written

        talk = self._talk
        made = self._library.summary(talk.recording, start=talk.start, end=talk.end)
        self._say(written(made, self._library.name_of(made.recording_id)).rstrip())

    def _scope(self, argument: str) -> None:
        if argument == "all":
            self._talk.start = self._talk.end = None
        elif argument:
            start, _, end = argument.partition("-")
            try:
                low, high = parse_clock(start) if start.strip() else None, parse_clock(end) if end.strip() else None
            except ValueError as error:
                raise ConfigError(str(error), hint="write /scope 1:00-2:00, 1:00-, -2:00 or all") from error
            self._library.scope("", low, high)
            self._talk.start, self._talk.end = low, high
        self._say(f"searched: {between(self._library.scope('', self._talk.start, self._talk.end).span)}")

    def _recording(self, argument: str) -> None:
        if argument:
            self._talk.recording = "" if argument == "all" else self._library.resolve(argument)
        chosen = self._talk.recording and self._library.resolve(self._talk.recording)
        for recording, names in self._library.recordings():
            mark = "*" if not chosen or recording.recording_id == chosen else " "
            self._say(f"{mark} {', '.join(names)}  {recording.span}")

    def _save(self, argument: str) -> None:
        self._last()
        if not argument:
            raise ConfigError("say where to", hint="/save talk.md")
        try:
            Path(argument).expanduser().write_text(markdown(self._talk.exchanges, self._library.name_of))
        except OSError as error:
            raise ConfigError(f"{argument} cannot be written: {error.strerror}") from error
        self._say(argument)

    def _help(self, argument: str) -> None:
        self._say('Type a question; it may lean on the ones before ("and after that?", "what colour was it?", "the second one").')
        for name, (takes, does, _) in self._commands.items():
            self._say(f"  {f'{name} {takes}':20} {does}")
        self._say("  Ctrl-C               stop an answer")

    def _quit(self, argument: str) -> None:
        self._is_over = True

    def _say(self, text: str, style: str = "") -> None:
        self._out.print(plain(text), style=style or None, markup=False, highlight=False, soft_wrap=True)


def chat(library: "Library", first: str, source: str, *, recording: str, start: str | None, end: str | None, as_json: bool) -> None:
    """Talk until the lines end. first: a question to begin with, or the source where that is given alone; a file is indexed first.

    Raises:
        as Library.indexed; ConfigError: no such recording, or no such range. NothingRecorded: there is no library yet.
    """
    from rich.console import Console

    from workers.progress import reporter

    if first and not source and _is_source(library, first):
        first, source = "", first
    if source:
        is_file = Path(source).exists() or source.startswith(PREFIX)
        with reporter() as listener:
            recording = library.indexed(source, library.settings.index.jobs, listener) if is_file else library.resolve(source)
    recording = library.resolve(recording) if recording else ""
    library.scope(recording, start, end)
    known = library.recordings()  # where there is no library, it is said before anything is typed
    is_live, out = sys.stdin.isatty(), Console(width=None if sys.stdout.isatty() else 200)
    talk = Chat(library, library.conversation(recording=recording, start=start, end=end), out, is_live=is_live, as_json=as_json)
    if is_live:
        chosen = [names[0] for r, names in known if recording in ("", r.recording_id)]
        names = ", ".join(chosen[:4]) + (f" and {len(chosen) - 4} more" if len(chosen) > 4 else "")
        out.print(f"Ask about {plain(names)}. /help lists commands, Ctrl-D leaves.", style="dim", markup=False, highlight=False)
    if first:
        talk.take(first)
    talk.run(_typed(library.directory / HISTORY) if is_live else sys.stdin)


def _is_source(library: "Library", text: str) -> bool:
    """A file, a folder, or the name of a recording, and no question; one word that ends as files do is meant so, there or not."""
    try:
        return bool(_FILE.fullmatch(text)) or Path(text).exists() or text.startswith(PREFIX) or bool(library.resolve(text))
    except (FootageError, OSError):
        return False


def _typed(history: Path) -> Iterator[str]:
    """Lines of a person, who may look through those typed before. Ctrl-C drops a line, Ctrl-D ends."""
    readline = _with_history(history)
    try:
        while True:
            try:
                yield input(PROMPT)
            except KeyboardInterrupt:
                print()
    except EOFError:
        print()
    finally:
        if readline is not None:
            with suppress(OSError):  # a library that may only be read
                readline.set_history_length(REMEMBERED_LINES)
                readline.write_history_file(history)


def _with_history(path: Path) -> Any:
    """The module that input() edits lines with, where this system has it."""
    try:
        import readline
    except ImportError:
        return None
    with suppress(OSError):
        readline.read_history_file(path)
    return readline
