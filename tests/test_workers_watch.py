"""Watching: from what a stream tells to a library that can be asked while it grows."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import colour_film
import numpy as np
import pytest
from live_events import connected, health, lost, sampled, seen, waiting
from rtsp_server import Served
from typer.testing import CliRunner

from footage.carriers import SegmentMemory
from footage.errors import ConfigError, NothingRecorded
from footage.recordings import Gap, Recording
from footage.timespan import TimeSpan, clock, union
from ingest.live.events import Connected, Event, Lost, Sampled
from memory.local_store import LocalStore
from workers.as_json import answer_json
from workers.cli import app
from workers.cli_live import seconds_of
from workers.config import Settings, load_settings
from workers.engine import Library, open_library
from workers.live.coverage import began_unix_s
from workers.live.memory import BUSY, NO_PICTURE, NOT_YET, LiveMemory
from workers.live.resume import NOT_WATCHED, OTHER_SETTINGS
from workers.live.status import StreamStatus
from workers.remember import Tools

PATIENCE_S = 90.0  # for what takes some seconds on a quiet machine
ENDED = "the server ended the stream"
FACTS = {"live": "rtsp", "address": "rtsp://camera/1", "began": "2026-01-02T03:04:05.678+00:00"}


def settings(**live: float) -> Settings:
    return load_settings({"index": {"ocr": "off"}, "live": live}).settings


@pytest.fixture(scope="module")
def tools() -> Tools:
    return Tools.build(settings())


@pytest.fixture
def store(tmp_path: Path) -> Iterable[LocalStore]:
    with LocalStore(tmp_path / "lib") as opened:
        yield opened


class Fed:
    """A memory of one stream, fed by hand; remembers which segments were closed."""

    def __init__(self, store: LocalStore, tools: Tools, *, begin_s: float = 0.0) -> None:
        self.store, self.tools, self.closed = store, tools, list[SegmentMemory]()
        known = {r.recording_id: r for r in store.recordings()}
        recording = known.get("cam", Recording("cam", 0.0, 0, 0, facts=FACTS))
        self.memory = LiveMemory(recording, "door", store, tools, begin_s=begin_s, grown=self.hear)

    def hear(self, memory: SegmentMemory, is_closed: bool) -> None:
        self.closed += [memory] if is_closed else []

    def feed(self, *events: Event | Iterable[Event]) -> "Fed":
        for each in events:
            for event in [each] if isinstance(each, Event) else each:
                self.memory.feed(event)
        return self

    def ended(self, now_s: float) -> "Fed":
        self.memory.close(now_s)
        return self

    @property
    def gaps(self) -> tuple[Gap, ...]:
        return self.store.view(["cam"], generation=self.tools.generation).gaps["cam"]

    def segments(self) -> list[SegmentMemory]:
        generation = self.tools.generation
        return [self.store.read_segment("cam", generation, index) for index in sorted(self.store.committed("cam", generation))]


def gaps(*told: tuple[float, float, str]) -> tuple[Gap, ...]:
    return tuple(Gap(TimeSpan(start_s, end_s), reason) for start_s, end_s, reason in told)


def check_all_time_is_told(segments: Sequence[SegmentMemory]) -> None:
    """Carriers and gaps of every segment tile it, and segments tile the recording."""
    for memory in segments:
        parts = [*(span for c in memory.carriers for span in c.spans), *(gap.span for gap in memory.gaps)]
        assert sum(part.duration_s for part in parts) == pytest.approx(memory.segment.span.duration_s, abs=1e-5)
        [whole] = union(parts, slack_s=1e-5)
        assert (whole.start_s, whole.end_s) == pytest.approx((memory.segment.span.start_s, memory.segment.span.end_s), abs=1e-5)
    assert len(union([memory.segment.span for memory in segments], slack_s=1e-5)) == 1


def test_a_frame_stands_for_its_slot_and_an_outage_is_a_gap_to_the_frame(store: LocalStore, tools: Tools) -> None:
    fed = Fed(store, tools).feed(seen(0.4, 7.3, "red"), lost(7.3), waiting(7.3, 11.6), seen(11.6, 20.0, "blue", 1)).ended(20.0)
    assert fed.gaps == gaps((0.0, 0.4, NOT_YET), (7.3, 11.6, ENDED))
    [memory] = fed.segments()
    assert [[(s.start_s, s.end_s) for s in c.spans] for c in memory.carriers] == [[(0.4, 7.3)], [(11.6, 20.0)]]
    assert [c.anchor_s for c in memory.carriers] == [0.4, 11.6]
    assert (memory.frames_seen, memory.frames_kept) == (8 + 9, 2)
    check_all_time_is_told(fed.segments())


def test_segments_are_those_of_the_grid_and_are_told_when_they_close(store: LocalStore, tools: Tools) -> None:
    fed = Fed(store, tools).feed(seen(0.0, 65.5), lost(65.5), waiting(65.5, 200.2), seen(200.2, 215.0, "blue", 1))
    assert [m.segment.index for m in fed.closed] == [0, 1, 2]
    fed.ended(215.0)
    spans = [(m.segment.span.start_s, m.segment.span.end_s) for m in fed.segments()]
    assert spans == [(0.0, 60.0), (60.0, 120.0), (120.0, 180.0), (180.0, 215.0)]
    assert fed.gaps == gaps((65.5, 200.2, ENDED))
    check_all_time_is_told(fed.segments())


def test_what_is_open_can_be_read_within_the_refresh_and_an_outage_grows(store: LocalStore, tools: Tools) -> None:
    fed = Fed(store, tools).feed(seen(0.0, 10.0))
    assert fed.store.view(generation=tools.generation).horizons["cam"].end_s >= 10.0 - tools.settings.live.refresh_s
    fed.feed(lost(10.0), waiting(10.0, 20.0))
    [gap] = fed.gaps
    assert (gap.span.start_s, gap.reason) == (10.0, ENDED)
    assert gap.span.end_s >= 19.0 - tools.settings.live.refresh_s
    assert fed.closed == []


def test_nothing_is_written_when_nothing_changed(store: LocalStore, tools: Tools) -> None:
    fed = Fed(store, tools).feed(seen(0.0, 10.0))
    fed.memory.refresh()
    before = store.version
    fed.memory.refresh()
    fed.feed(health(10.5, 9.95), health(11.0, 9.95))
    assert store.version == before


def test_frames_that_were_dropped_are_a_gap_and_a_slow_stream_is_none(store: LocalStore, tools: Tools) -> None:
    fed = Fed(store, tools).feed(connected(0.0), sampled(0.0), sampled(1.0), health(7.9))
    fed.memory.missed(4)
    fed.feed(sampled(6.0), health(6.9), sampled(7.0), health(7.9), sampled(10.0), health(10.9, fps=0.3), sampled(14.0), lost(14.5))
    fed.ended(14.5)
    assert fed.gaps == gaps((2.0, 6.0, BUSY), (8.0, 10.0, NO_PICTURE))  # at 0.3 frames a second a picture stays until the next
    check_all_time_is_told(fed.segments())


def test_why_there_never_was_a_connection_is_told(store: LocalStore, tools: Tools) -> None:
    why = "the server refused the connection"
    fed = Fed(store, tools).feed(health(1.0, 0.0, on=False), lost(0.0, why), waiting(1.0, 9.0)).ended(9.0)
    assert fed.gaps == gaps((0.0, 9.0, why))


def test_frames_that_came_in_late_end_the_gap_that_was_growing(store: LocalStore, tools: Tools) -> None:
    fed = Fed(store, tools).feed(seen(0.0, 5.0), lost(5.0), waiting(5.0, 10.0), seen(8.4, 12.0, "blue", 1)).ended(12.0)
    assert fed.gaps == gaps((5.0, 8.4, ENDED))
    check_all_time_is_told(fed.segments())


def test_time_never_runs_backwards_whatever_comes(store: LocalStore, tools: Tools) -> None:
    fed = Fed(store, tools).feed(seen(0.0, 8.0), connected(3.0, 1), sampled(3.0, epoch=1), sampled(4.0), sampled(9.5), lost(2.0), lost(9.7))
    fed.ended(9.0)
    check_all_time_is_told(fed.segments())


def test_watched_again_it_is_the_same_recording_with_a_gap(store: LocalStore, tools: Tools) -> None:
    Fed(store, tools).feed(seen(0.0, 30.0)).ended(30.0)
    Fed(store, tools, begin_s=50.0).feed(seen(50.5, 59.0, "blue")).ended(59.0)
    fed = Fed(store, tools, begin_s=86400.0).feed(seen(86400.5, 86420.0, "green")).ended(86420.0)
    assert fed.gaps == gaps((30.0, 50.0, NOT_WATCHED), (50.0, 50.5, NOT_YET), (59.0, 86400.0, NOT_WATCHED), (86400.0, 86400.5, NOT_YET))
    first, last = fed.segments()
    assert (first.segment.span, len(first.carriers)) == (TimeSpan(0.0, 59.0), 2)
    assert first.frames_seen == 30 + 9
    assert last.segment.span == TimeSpan(59.0, 86420.0)
    assert [r.duration_s for r in store.recordings()] == [86420.0]
    check_all_time_is_told(fed.segments())


def test_killed_in_the_open_segment_the_next_watch_goes_on_in_it(store: LocalStore, tools: Tools) -> None:
    Fed(store, tools).feed(seen(0.0, 30.2))  # never ended
    kept_s = store.view(generation=tools.generation).horizons["cam"].end_s
    fed = Fed(store, tools, begin_s=40.0).feed(seen(40.0, 70.0, "blue")).ended(70.0)
    assert fed.gaps == gaps((kept_s, 40.0, NOT_WATCHED))
    check_all_time_is_told(fed.segments())


def test_with_other_settings_nothing_is_mixed(store: LocalStore, tools: Tools) -> None:
    Fed(store, tools).feed(seen(0.0, 30.0)).ended(30.0)
    other = Tools.build(load_settings({"index": {"ocr": "off", "side_px": 99}}).settings)
    fed = Fed(store, other, begin_s=31.0).feed(seen(31.0, 40.0)).ended(40.0)
    assert fed.gaps == gaps((0.0, 31.0, OTHER_SETTINGS))


def test_a_closed_segment_holds_what_a_file_of_the_same_pictures_does(store: LocalStore, tools: Tools) -> None:
    from footage.recordings import Segment
    from ingest.synthetic import SyntheticSource
    from workers.remember import remember

    source = SyntheticSource.parse("synthetic:red=20,blue=15,green=25")
    of_file = remember(source, Segment(source.recording.recording_id, 0, TimeSpan(0.0, 60.0)), tools, ())
    events = [connected(0.0)]
    for at_s, colour in [*((t, "red") for t in range(20)), *((t, "blue") for t in range(20, 35)), *((t, "green") for t in range(35, 60))]:
        events.append(sampled(float(at_s), colour))
    fed = Fed(store, tools).feed(events, lost(60.0)).ended(60.0)
    [live] = fed.segments()
    assert {c.tokens.tobytes() for c in live.carriers} == {c.tokens.tobytes() for c in of_file.carriers}
    assert [c.span for c in live.carriers] == [TimeSpan(0.0, 20.0), TimeSpan(20.0, 35.0), TimeSpan(35.0, 60.0)]


def test_text_is_read_when_nothing_waits_and_what_is_never_read_is_counted(store: LocalStore) -> None:
    pytest.importorskip("rapidocr")
    reading = Tools.build(load_settings({"index": {"ocr": "on"}}).settings)
    fed = Fed(store, reading).feed(connected(0.0))
    for second, text in enumerate(["EXIT 1", "EXIT 2", "GATE 42", "GATE 42", "GATE 42"]):
        fed.feed(Sampled(float(second), 0, written(text)), health(second + 0.9))
    assert fed.memory.is_behind  # each new picture took the place of the one before
    assert fed.memory.read_text()
    assert not fed.memory.read_text()
    fed.feed(Sampled(5.0, 0, written("GATE 42")), health(5.9), lost(6.0)).ended(6.0)
    [row] = store.texts()
    assert (row.text, row.span) == ("GATE 42", TimeSpan(2.0, 6.0))
    assert fed.memory.tally.unread == 2


def written(text: str) -> np.ndarray:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (480, 160), "white")
    ImageDraw.Draw(image).text((60, 50), text, "black", font_size=56)
    return np.asarray(image)


# With a real server, and what asks meanwhile


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_film.write(tmp_path_factory.mktemp("film") / "colours.mp4", each_s=2)


def opened(folder: Path, **index: str) -> Library:
    live = {"refresh_s": 1.0, "open_s": 2.0, "read_s": 1.0, "watchdog_s": 5.0}
    return open_library(str(folder), index={"ocr": "off", **index}, live=live)


class Watching:
    """A watch in another thread, for a `with` block; and waiting for what it comes to."""

    def __init__(self, library: Library, *addresses: str) -> None:
        self.library, self.stop, self.rows, self.lags_s = library, threading.Event(), list[StreamStatus](), list[float]()
        self.thread = threading.Thread(target=library.watch, args=addresses, kwargs={"listener": self, "stop": self.stop})

    def __enter__(self) -> "Watching":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop.set()
        self.thread.join()

    def connected(self, name: str, event: Connected) -> None: ...
    def lost(self, name: str, event: Lost) -> None: ...
    def closed(self, name: str, recording: Recording, memory: SegmentMemory) -> None: ...

    def status(self, rows: Sequence[StreamStatus]) -> None:
        self.rows = list(rows)
        self.lags_s += [row.lag_s for row in rows if row.lag_s is not None]

    def until(self, done: Callable[[], bool]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end_s, self.rows
            assert self.thread.is_alive()
            time.sleep(0.1)


def duration_s(library: Library) -> float:
    try:
        return min((recording.duration_s for recording, _ in library.recordings()), default=0.0)
    except NothingRecorded:
        return 0.0


def seen_s(library: Library) -> float:
    """How far a single recording was seen."""
    return float(library.recordings()[0][0].facts.get("seen_until_s", 0)) if duration_s(library) else 0.0


def test_it_is_asked_while_it_runs_and_an_outage_is_told(film: Path, tmp_path: Path) -> None:
    library = opened(tmp_path / "lib")
    with Served(film, flags=["--user", "bob", "--password", "s3cret"]) as server:
        address = server.address.replace("://", "://bob:s3cret@")
        with Watching(library, f"door={address}") as watching:
            watching.until(lambda: seen_s(library) > 6)
            answer = library.ask("When is it blue?")
            assert answer.found
            assert any("door is being watched: seen until 00:00:" in warning for warning in answer.warnings)
            assert all("at" in moment for moment in answer_json(answer, library)["citations"])
            assert library.search("red", recording=address)  # its address is a name, the password does not matter
            killed_s = server.kill() - began_unix_s(library.recordings()[0][0])
            watching.until(lambda: duration_s(library) > killed_s + 3)
            outage_s = duration_s(library) - 1
            for question in (f"What is seen at {clock(outage_s)}?", "What is to be seen now?", "Is there a yellow wall?"):
                told = library.ask(question)
                assert "There is no footage between" in told.text, question
                assert "broke the connection" in told.text or "it ended the stream" in told.text
            [gap] = [gap for _, gap in told.gaps if gap.span.end_s > killed_s]
            assert gap.span.start_s == pytest.approx(killed_s, abs=1.0)
            assert "since then" in told.warnings[-1]
    assert not any(b"s3cret" in path.read_bytes() for path in (tmp_path / "lib").rglob("*") if path.is_file())
    assert "is not being watched now" in library.coverage()[0]


def test_killed_at_any_moment_the_next_watch_goes_on_and_ctrl_c_ends_it_cleanly(film: Path, tmp_path: Path) -> None:
    library = opened(tmp_path / "lib")
    with Served(film) as server:
        with cli_watch(server.address, tmp_path / "lib") as first:
            wait_for(lambda: seen_s(library) > 2)
            first.kill()
        kept_s = duration_s(library)
        with cli_watch(server.address, tmp_path / "lib", "--json") as second:
            wait_for(lambda: seen_s(library) > kept_s + 1)
            second.send_signal(signal.SIGINT)
            lines = [json.loads(line) for line in second.communicate(timeout=PATIENCE_S)[0].splitlines()]
    assert second.returncode == 0
    assert [line["event"] for line in lines if line["event"] != "lost"] == ["connected", "segment", "ended"]
    [[recording, _]] = library.recordings()
    after = [gap for gap in library.memory.view().gaps[recording.recording_id] if gap.span.start_s >= kept_s - 0.1]
    assert after[0].reason == NOT_WATCHED
    assert recording.duration_s == lines[-2]["end_s"] > kept_s
    assert library.store.verify() == []


def test_a_server_that_never_answers_is_a_gap_that_says_why(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"rtsp://127.0.0.1:{free.getsockname()[1]}/cam"
    done = CliRunner().invoke(
        app, ["watch", address, "-l", str(tmp_path / "lib"), "--ocr", "off", "--for", "3s", "--json", "--name", "yard"]
    )
    lost, segment, ended = map(json.loads, done.stdout.splitlines())
    assert (lost["event"], lost["name"], lost["reason"]) == ("lost", "yard", "the server refused the connection")
    assert [gap["reason"] for gap in segment["gaps"]] == [lost["reason"]]
    assert (ended["state"], ended["seen"], round(ended["gap_s"])) == ("reconnecting", 0, round(segment["end_s"]))
    assert "nothing was seen of it yet" in open_library(str(tmp_path / "lib")).coverage()[0]


@contextmanager
def cli_watch(address: str, library: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "workers.cli", "watch", address, "-l", str(library), "--ocr", "off", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(done: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end_s
        time.sleep(0.1)


@pytest.mark.parametrize("encoder", ["color", pytest.param("nano", marks=pytest.mark.slow)])
def test_four_streams_are_kept_up_with_while_a_question_is_answered(film: Path, tmp_path: Path, encoder: str) -> None:
    library = opened(tmp_path / "lib", encoder=encoder)
    library.tools.encoder.embed_text(["a red wall"])
    with Served(film) as server, Watching(library, *(f"{n}={server.address}?camera={n}" for n in range(4))) as watching:
        watching.until(lambda: len(watching.rows) == 4 and all(row.seen >= 3 for row in watching.rows))
        library.ask("When is it green?")  # the model is loaded
        watching.lags_s.clear()
        for question in ("When is it blue?", "Is there a red wall?"):
            assert library.ask(question).model
        watching.until(lambda: len(watching.lags_s) >= 8)
    print(f"{encoder}: lag at most {max(watching.lags_s):.2f} s")
    assert max(watching.lags_s) < 20  # 3 s where nothing else runs
    assert len(library.recordings()) == 4


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("film.mp4", "footage index"),
        ("ftp://camera/1", "known: mjpeg+http"),
        ("http://camera/film.mp4", "mjpeg+http://"),
        ("camera", "no address of a stream"),
        ("a=rtsp://u:p@h/1 b=rtsp://h/1", "given twice"),
    ],
)
def test_what_is_no_live_stream_is_refused_in_words(target: str, said: str) -> None:
    Path("film.mp4").write_bytes(b"")
    done = CliRunner().invoke(app, ["watch", *target.split()])
    assert isinstance(done.exception, ConfigError)
    assert said in f"{done.exception} {done.exception.hint}"
    assert "u:p" not in f"{done.exception} {done.exception.hint}"
    assert not Path(".footage").exists()


@pytest.mark.parametrize(("text", "length_s"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1:30", 90), ("1.5 h", 5400)])
def test_lengths_of_time_are_written_as_people_do(text: str, length_s: float) -> None:
    assert seconds_of(text) == length_s


@pytest.mark.parametrize("text", ["0", "soon", "-5s", "10x", ""])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no length of time"):
        seconds_of(text)
