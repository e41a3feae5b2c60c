"""Progress on stderr: what is being indexed, how far, how fast against real time, and how long it will take."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from footage.addresses import printable
from footage.recordings import Recording
from footage.timespan import clock
from workers.indexing import Done


class _TimesRealTime(ProgressColumn):
    """Seconds of footage done per second that passes."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}x real time", style="cyan")


class Reporter:
    """A bar per recording; plain lines when stderr is no terminal."""

    def __init__(self, console: Console, progress: Progress | None) -> None:
        self._console, self._progress, self._tasks = console, progress, dict[str, TaskID]()

    def found(self, name: str, recording: Recording, todo_s: float) -> None:
        if self._progress is not None and todo_s > 0:
            self._tasks[name] = self._progress.add_task(printable(name), total=todo_s)

    def advanced(self, name: str, seconds: float) -> None:
        if self._progress is not None and name in self._tasks:
            self._progress.advance(self._tasks[name], seconds)

    def finished(self, name: str) -> None:
        if self._progress is not None and name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))

    def told(self, text: str) -> None:
        self.say(text)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, done: Done) -> None:
        speed = f"{done.x_realtime:.3g}x real time" if done.x_realtime else "already there"
        gaps = f", {len(done.gaps)} gaps" if done.gaps else ""
        gaps += f", up to {done.late_by_s:.1f} s late" if done.late_by_s > 1 else ""
        gaps += "".join(f", {name} failed in {count} segments" for name, count in done.failed.items())
        self.say(
            f"{printable(done.name)}  {clock(done.duration_s)}  {done.frames_kept}/{done.frames_seen} frames kept, "
            f"{done.text_rows} text rows{gaps}, {done.bytes / 1e6:.2f} MB, {speed}"
        )


@contextmanager
def reporter(*, quiet: bool = False) -> Iterator[Reporter]:
    """A reporter for the time of one command; without a bar when stderr is no terminal or logs go there."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield Reporter(console, None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        _TimesRealTime(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, speed_estimate_period=120) as progress:
        yield Reporter(console, progress)
