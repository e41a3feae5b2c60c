"""What a watch shows while it runs: a table on a terminal, lines where there is none, JSON lines for programs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from footage.carriers import SegmentMemory
from footage.recordings import Recording
from footage.timespan import clock
from ingest.live.events import Connected, Lost
from workers.cli_flags import print_json
from workers.live.status import StreamStatus
from workers.live.watched import Listener

COLUMNS = ("lag", "fps", "frames", "kept", "dropped", "again", "MB", "gaps")


class Shown(Listener, Protocol):
    def ended(self, rows: Sequence[StreamStatus]) -> None:
        """The watch is over: how each stream fared."""


class JsonLines:
    """One object a line for what is worth keeping: connected, lost, segment, ended."""

    def connected(self, name: str, event: Connected) -> None:
        size = {"width_px": event.width_px, "height_px": event.height_px, "codec": event.codec}
        print_json({"event": "connected", "name": name, "time_s": round(event.time_s, 3), "epoch": event.epoch, **size})

    def lost(self, name: str, event: Lost) -> None:
        print_json({"event": "lost", "name": name, "time_s": round(event.time_s, 3), "reason": event.reason})

    def closed(self, name: str, recording: Recording, memory: SegmentMemory) -> None:
        span, gaps = memory.segment.span, [{"start_s": g.span.start_s, "end_s": g.span.end_s, "reason": g.reason} for g in memory.gaps]
        counts = {"frames_seen": memory.frames_seen, "frames_kept": memory.frames_kept, "text_rows": len(memory.texts)}
        print_json({
            "event": "segment", "name": name, "recording": recording.recording_id, "index": memory.segment.index,
            "start_s": span.start_s, "end_s": span.end_s, **counts, "gaps": gaps,
        })  # fmt: skip

    def status(self, rows: Sequence[StreamStatus]) -> None: ...

    def ended(self, rows: Sequence[StreamStatus]) -> None:
        for row in rows:
            print_json({"event": "ended", **_rounded(asdict(row))})


class Lines:
    """Connections that come and go, a line each; and a table that stands still where there is a terminal."""

    def __init__(self, console: Console, show: Callable[[Table], None] | None = None) -> None:
        self._console, self._show = console, show

    def connected(self, name: str, event: Connected) -> None:
        self._say(f"{name}  {clock(event.time_s)}  connected: {event.codec}, {event.width_px}x{event.height_px}")

    def lost(self, name: str, event: Lost) -> None:
        self._say(f"{name}  {clock(event.time_s)}  lost: {event.reason}")

    def closed(self, name: str, recording: Recording, memory: SegmentMemory) -> None: ...

    def status(self, rows: Sequence[StreamStatus]) -> None:
        if self._show is not None:
            self._show(table(rows))

    def ended(self, rows: Sequence[StreamStatus]) -> None:
        for row in rows:
            unread = f", text of {row.unread} not read" if row.unread else ""
            self._say(
                f"{row.name}  watched until {clock(row.now_s)}: {row.kept}/{row.seen} frames kept{unread}, {row.dropped} dropped, "
                f"{row.reconnects} reconnects, {row.gap_s:.1f} s of gaps"
            )

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def table(rows: Sequence[StreamStatus]) -> Table:
    """again: connections after the first."""
    made = Table(box=None, header_style="bold")
    made.add_column("name", no_wrap=True)
    made.add_column("state", no_wrap=True, min_width=18)
    for column in COLUMNS:
        made.add_column(column, no_wrap=True, justify="right", min_width=len(column))
    for row in rows:
        since = f"{row.state} {max(0.0, row.now_s - row.since_s):.0f} s"
        lag = "" if row.lag_s is None else f"{row.lag_s:.1f} s"
        made.add_row(
            row.name, "live" if row.state == "live" else since, lag, f"{row.fps:.1f}", str(row.seen), str(row.kept), str(row.dropped),
            str(row.reconnects), f"{row.bytes / 1e6:.1f}", f"{row.gap_s:.0f} s",
        )  # fmt: skip
    return made


@contextmanager
def listener_for(*, as_json: bool, quiet: bool = False) -> Iterator[Shown]:
    """For the time of one watch. quiet: no table, because logs go to the same place."""
    console = Console(stderr=True)
    if as_json:
        yield JsonLines()
    elif quiet or not console.is_terminal:
        yield Lines(console)
    else:
        with Live(console=console, transient=True, refresh_per_second=2) as live:
            yield Lines(live.console, live.update)


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}
