"""Standing questions: what fires, once an event and in time; what is calibrated; where alerts go, also when receivers are away."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from live_events import lost, plain, seen, waiting
from rtsp_server import Served
from typer.testing import CliRunner

from footage.carriers import MemoryView, SegmentMemory
from footage.errors import AnswererUnavailable, ConfigError
from footage.frames import Clip
from footage.protocols import Encoder
from footage.questions import Moment
from footage.recordings import Recording, Segment, TextRow
from footage.timespan import TimeSpan
from memory.local_store import LocalStore
from nano.phrases import a
from nano.scene import Event as NanoEvent
from nano.scene import Shot, Thing, make_noise
from nano.world import WorldConfig, needle_kinds
from workers.alerts.alert import Alert
from workers.alerts.config import AlertsConfig
from workers.alerts.evidence import sweep
from workers.alerts.gate import Past
from workers.alerts.ledger import Ledger
from workers.alerts.part import Part
from workers.alerts.second_look import belongs_together, holds, names_in, without_a_word
from workers.alerts.service import Alerts
from workers.alerts.standing import Standing
from workers.alerts.tracker import Tracker
from workers.alerts.webhook import HEADER, ID_HEADER, Courier, Receiver, sign, verify
from workers.alerts.wording import question_of, questions_of, refuse_what_cannot_match
from workers.cli import app
from workers.engine import Library, open_library
from workers.eval_alerts import LIVE, MODEL, AlertsRun, Case, outcome_of, run_alerts
from workers.eval_films import film, open_nano
from workers.live.memory import LiveMemory

SCRIPT = "synthetic:grey=600,blue=10,grey=230,blue=5,grey=25,blue=10,grey=320"
FACTS = {"live": "rtsp", "address": "rtsp://camera/1", "began": "2026-01-02T03:04:05.000+00:00"}
PATIENCE_S = 20.0


def until(is_there: Callable[[], object], what: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not is_there():
        assert time.monotonic() < end_s, f"no {what}"
        time.sleep(0.01)


# The gate


def test_the_gate_begins_with_the_floor_and_learns_what_is_usual() -> None:
    past = Past(100)
    assert past.threshold(0.05, 1.5) == 0.05
    assert past.above(0.3) == 0.5
    for n in range(300):
        past.add(0.1 + 0.1 * (n % 10 == 0))
    assert len(past) == 100
    assert 0.1 < past.threshold(0.05, 1.5) < 0.2
    assert past.threshold(0.4, 1.5) == 0.4
    assert past.above(0.3) > 0.98 > past.above(0.15) > past.above(0.05)


def test_a_few_events_do_not_move_the_gate_and_a_new_normal_does() -> None:
    quiet, eventful, changed = (Past(100, [0.1, 0.12, 0.14, 0.16] * 20 + tail) for tail in ([], [0.9] * 5, [0.5, 0.6] * 20))
    assert eventful.threshold(0.0, 1.5) == pytest.approx(quiet.threshold(0.0, 1.5), abs=0.03)
    assert changed.threshold(0.0, 1.5) > 0.6


# Words


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("a red star is there", "Is there a red star?"),
        ("there are two people", "Are there two people?"),
        ("somebody is at the gate", "Is somebody at the gate?"),
        ("two dogs are visible.", "Are there two dogs?"),
        ("a van appears", "Is there a van?"),
        ("a sign says SALE", "Is there a sign that says SALE?"),
        ("Is the door open", "Is the door open?"),
        ("smoke", "Is there smoke?"),
    ],
)
def test_a_statement_becomes_a_question(said: str, asked: str) -> None:
    refuse_what_cannot_match(said)
    assert question_of(said) == asked
    assert questions_of(said) == (asked,)


def test_two_things_at_once_are_asked_for_one_after_the_other() -> None:
    assert questions_of("a red star and a blue ring are there") == ("Is there a red star?", "Is there a blue ring?")
    assert questions_of("the man and the dog appear") == ("Is there the man?", "Is there the dog?")
    assert questions_of("a black and white cat is there") == ("Is there a black and white cat?",)


@pytest.mark.parametrize("said", ["nobody is at the gate", "the light is off", "no car is there", "the dog isn't in its bed", " "])
def test_what_is_not_there_is_refused_in_words(said: str) -> None:
    with pytest.raises(ConfigError, match=r"not there|needs words") as refused:
        refuse_what_cannot_match(said)
    assert refused.value.hint


def test_words_of_a_sign_deny_nothing() -> None:
    refuse_what_cannot_match('a sign says "No parking"')
    refuse_what_cannot_match("a sign says NO PARKING")


# Replay


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Library:
    library = open_library(str(tmp_path_factory.mktemp("replay")), index={"ocr": "off"})
    library.index(SCRIPT)
    return library


def spans(alerts: Sequence[Alert]) -> list[tuple[float, float]]:
    return [(alert.start_s, alert.end_s) for alert in alerts]


def test_replay_fires_once_an_event_and_tells_its_end(replayed: Library) -> None:
    """The third stretch of blue begins 25 s after the second ended: within the cool-down, so it is the same event."""
    fired = replayed.replay("something blue is there")
    assert spans(fired) == [(600.0, 610.0), (840.0, 880.0)]
    assert fired[0].by == "score"
    assert fired[0].confidence > 0.9
    assert fired[0].fired_s == 660.0  # its segment closed then
    assert replayed.replay("something green is there") == []


def test_a_shorter_cool_down_tells_them_apart(replayed: Library) -> None:
    library = Library(replayed.settings.model_copy(update={"alerts": AlertsConfig(cool_down_s=10)}))
    assert spans(library.replay("something blue is there")) == [(600.0, 610.0), (840.0, 845.0), (870.0, 880.0)]


def test_replay_of_a_range_is_calibrated_before_it_and_says_nothing_outside(replayed: Library) -> None:
    whole, part = replayed.replay("something blue is there"), replayed.replay("something blue is there", start=700, end="0:15:00")
    assert [(a.id, a.confidence) for a in part] == [(whole[1].id, whole[1].confidence)]


def test_replay_does_not_look_ahead(tmp_path: Path, replayed: Library) -> None:
    """Footage that ends early fires what the whole fires up to there, with the same confidence."""
    library = open_library(str(tmp_path / "lib"), index={"ocr": "off"})
    library.index("synthetic:grey=600,blue=10,grey=50")
    early, whole = library.replay("something blue is there"), replayed.replay("something blue is there")
    assert [(a.start_s, a.confidence, a.fired_s) for a in early] == [(a.start_s, a.confidence, a.fired_s) for a in whole[:1]]


def test_quoted_words_are_read_and_nobody_else_is_asked(tmp_path: Path) -> None:
    library = open_library(str(tmp_path / "lib"), index={"ocr": "off"})
    with LocalStore(library.directory) as store:
        tools = library.tools
        for n in range(5):
            span, said = TimeSpan(60.0 * n, 60.0 * n + 60), "Big sale! 20% off" if n == 3 else "welcome"
            row = TextRow("cam", TimeSpan(span.start_s + 5, span.start_s + 9), "ocr", said, score=0.83)
            store.add(Recording("cam", span.end_s, 0, 0), "door")
            store.commit(SegmentMemory(Segment("cam", n, span), (), (), (row,)), generation=tools.generation, encoder_id=tools.encoder.id)
    [alert] = library.replay('a sign says "SALE"')
    assert (alert.start_s, alert.by, alert.confidence, alert.text) == (185.0, "text", 0.83, "Big sale! 20% off")
    assert [a.start_s for a in library.replay("a big sale is on")] == [185.0]
    assert library.replay("a big dog is there") == []  # one word of two
    assert library.replay('a sign says "closed"') == []


# The model


def part_of(memory: SegmentMemory, *, is_closed: bool = True) -> Part:
    return Part.of(memory, generation="g", encoder_id="e", is_closed=is_closed)


def blue_parts(replayed: Library) -> list[Part]:
    """The first twelve segments; the eleventh is blue for ten seconds."""
    store, tools = replayed.store, replayed.tools
    [recording] = store.recordings()
    return [part_of(store.read_segment(recording.recording_id, tools.generation, n)) for n in range(12)]


def test_a_model_has_the_last_word_and_is_asked_only_behind_the_gate(replayed: Library) -> None:
    standing = Standing.of("something blue is there", replayed.tools.encoder)
    for says, count in ((True, 1), (False, 0)):
        asked: list[float] = []

        def confirm(standing: Standing, part: Part, asked: list[float] = asked, says: bool = says) -> list[Moment]:
            asked.append(part.span.start_s)
            return [Moment(part.recording_id, TimeSpan(601, 609), 0.9, "image")] if says else []

        tracker = Tracker(standing, AlertsConfig(), confirm=confirm)
        events = [event for part in blue_parts(replayed) for event in tracker.take(part)]
        assert asked == [600.0]
        assert [event.by for event in events] == ["model"] * count


def test_a_model_that_is_away_leaves_it_to_the_gate(replayed: Library, caplog: pytest.LogCaptureFixture) -> None:
    def away(standing: Standing, part: Part) -> list[Moment]:
        raise AnswererUnavailable("the server is away")

    tracker = Tracker(Standing.of("something blue is there", replayed.tools.encoder), AlertsConfig(), confirm=away)
    events = [event for part in blue_parts(replayed) for event in tracker.take(part)]
    assert [(event.by, event.moment.span.start_s) for event in events] == [("score", 600.0)]
    assert "the gate decides alone" in caplog.text


def test_a_model_that_said_no_is_not_asked_again_until_more_is_seen(replayed: Library) -> None:
    asked: list[bool] = []

    def confirm(standing: Standing, part: Part) -> list[Moment]:
        asked.append(part.is_closed)
        return []

    tracker = Tracker(Standing.of("something blue is there", replayed.tools.encoder), AlertsConfig(), confirm=confirm)
    *before, blue, _ = blue_parts(replayed)
    for part in [*before, *[replace(blue, is_closed=False)] * 5, blue]:
        tracker.take(part)
    assert asked == [False, True]


# A second look


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Is there a purple heart?", [["purple", "heart"]]),
        ("Is there a black cross?", [["black", "cross"]]),
        ("Is a red car at the gate?", [["red", "car"]]),
        ("Is a man with a yellow hat near the blue door?", [["yellow", "hat"], ["blue", "door"]]),
        ("Are there two dogs?", []),
        ("Is there smoke?", []),
    ],
)
def test_names_are_what_is_said_of_a_thing_and_the_thing(question: str, names: list[list[str]]) -> None:
    assert names_in(question) == names


def test_a_name_is_compared_with_itself_without_one_word_each() -> None:
    assert without_a_word(["big", "red", "car"]) == ["big red car", "red car", "big car", "big red thing"]


def test_a_name_of_which_one_word_is_not_there_does_not_hold_together(world_encoder: Encoder) -> None:
    """A pink moon and a green diamond: something green makes no green star, something pink no pink star."""
    things = (drawn("pink", "moon", 30.0), drawn("green", "diamond", 98.0))
    rng = np.random.default_rng(5)
    frame = Shot.sample(rng, make_noise(rng)).frame(0.0, NanoEvent(4.0, things), 1.0)
    zero = np.zeros(1)
    embeds = world_encoder.encode(Clip("film", frame[None], zero, zero + 1, zero)).embeds
    names = ("pink moon", "green diamond", "green star", "pink star")
    assert [belongs_together(f"Is there a {name}?", embeds, world_encoder) for name in names] == [True, True, False, False]


def drawn(colour: str, shape: str, x: float) -> Thing:
    return Thing(colour, shape, "medium", "plain", "still", 0.0, 4.0, x, 64.0)


@pytest.fixture(scope="module")
def world_encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return open_nano(tmp_path_factory.mktemp("world")).tools.encoder


@pytest.mark.parametrize(("shown", "stands"), [({0, 3, 5, 8}, True), ({0, 5}, True), ({3}, False), (set[int](), False)])
def test_half_of_the_frames_of_a_moment_must_show_it(world_encoder: Encoder, shown: set[int], stands: bool) -> None:
    """Nine frames, of which four are asked about."""
    asked: list[float] = []

    def is_there(question: str, span: TimeSpan) -> bool:
        asked.append(span.start_s)
        return span.start_s - 10 in shown

    moment = Moment("cam", TimeSpan(10.0, 19.0), 0.5, "image")
    assert holds("Is there smoke?", moment, frames_at(10, 19), world_encoder, is_there) is stands
    assert asked == [10.0, 13.0, 15.0, 18.0]
    assert holds("Is there smoke?", replace(moment, kind="ocr", text="smoke"), frames_at(10, 19), world_encoder, is_there)
    assert len(asked) == 4  # what is read is not asked about again


@pytest.mark.parametrize(("shown", "stands"), [({14, 15}, True), ({13, 14}, True), ({14}, False), ({13, 15}, True)])
def test_what_one_frame_alone_shows_must_be_in_most_of_it_and_its_neighbours(world_encoder: Encoder, shown: set[int], stands: bool) -> None:
    moment = Moment("cam", TimeSpan(14.0, 15.0), 0.5, "image")
    assert holds("Is there smoke?", moment, frames_at(10, 19), world_encoder, lambda _, span: span.start_s in shown) is stands
    newest = Moment("cam", TimeSpan(18.0, 19.0), 0.5, "image")  # nothing is known yet of what follows
    assert not holds("Is there smoke?", newest, frames_at(10, 19), world_encoder, lambda _, span: span.start_s == 18)


def frames_at(begin_s: int, end_s: int) -> MemoryView:
    starts = np.arange(begin_s, end_s, dtype=np.float64)
    count, span = len(starts), TimeSpan(float(begin_s), float(end_s))
    return MemoryView(
        "g", "e", 0, ("cam",), {"cam": span}, {}, np.zeros(count, np.int32), starts, starts + 1, starts, np.ones(count),
        np.zeros((count, 192), np.float32), lambda rows: [],
    )  # fmt: skip


# A watch


class Live:
    """A stream fed by hand into a library, with standing questions on it."""

    def __init__(self, directory: Path, *questions: str, begin_s: float = 0.0, sinks: Sequence[Any] = (), **alerts: Any) -> None:
        self.library = open_library(str(directory), index={"ocr": "off"}, alerts={"clips_mib": 0} | alerts, live={"refresh_s": 5.0})
        self.store, self.told = LocalStore(self.library.directory), list[Alert]()
        recording = next(iter(self.store.recordings()), Recording("cam", 0.0, 0, 0, facts=FACTS))
        self.store.add(recording, "door", location=FACTS["address"])
        self.alerts = Alerts(self.library, questions, sinks=[*sinks, self.told.append])
        self.memory = LiveMemory(recording, "door", self.store, self.library.tools, begin_s=begin_s, grown=self.alerts.offer)

    def feed(self, *events: Any) -> "Live":
        for several in events:
            for event in several if isinstance(several, Iterator) else [several]:
                self.memory.feed(event)
        return self

    def end(self, now_s: float) -> "Live":
        """As a kill would where now_s is 0: what is open is not closed."""
        if now_s:
            self.memory.close(now_s)
        self.alerts.close()
        self.library.close()
        self.store.close()
        return self


def test_an_alert_comes_while_its_segment_is_open_and_only_once(tmp_path: Path) -> None:
    live = Live(tmp_path, "something blue is there").feed(seen(0, 305), lost(305), waiting(305, 310), seen(310, 317, "blue"))
    until(lambda: live.told, "alert before the segment ended")
    live.feed(lost(317), seen(318, 355), lost(355), seen(356, 400)).end(400)
    [alert] = live.told
    assert (alert.start_s, alert.name, alert.at) == (310.0, "door", "2026-01-02T03:09:15.000+00:00")
    assert alert.fired_s < 320
    assert alert.thumbnail.startswith(b"\xff\xd8")
    [kept] = live.library.alerts()
    assert kept.id == alert.id
    assert kept.end_s == pytest.approx(317, abs=1)


def test_an_event_that_crosses_segments_and_a_restart_is_one(tmp_path: Path) -> None:
    first = Live(tmp_path, "something blue is there").feed(seen(0, 290), lost(290), seen(291, 318, "blue"))
    until(lambda: first.told, "alert")
    first.end(0)
    again = Live(tmp_path, "something blue is there", begin_s=318).feed(seen(319, 365, "blue"), lost(365), seen(366, 500)).end(500)
    assert len(first.told) == 1
    assert again.told == []
    [kept] = again.library.alerts()
    assert kept.start_s == pytest.approx(291, abs=0.1)
    assert kept.end_s == pytest.approx(365, abs=1.1)


def test_a_watch_that_goes_on_knows_what_is_usual(tmp_path: Path) -> None:
    """Red all day: what is red is no news on the second day, though the first one had no standing question."""
    Live(tmp_path).feed(seen(0, 600, "red")).end(600)
    again = Live(tmp_path, "something red is there", "something blue is there", begin_s=600)
    again.feed(seen(601, 700, "red"), lost(700), seen(701, 730, "blue")).end(730)
    assert [(alert.question, alert.start_s) for alert in again.told if alert.question.endswith("blue is there")] == [
        ("something blue is there", 701.0)
    ]
    assert max(len(t.usual.seen) for t in again.alerts._trackers["cam"]) >= 10


def test_a_sink_that_fails_takes_nothing_from_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken(alert: Alert) -> None:
        raise RuntimeError("no paper")

    file = tmp_path / "alerts.jsonl"
    live = Live(tmp_path / "lib", "something blue is there", sinks=[broken], file=str(file)).feed(seen(0, 100), lost(100))
    live.feed(seen(101, 130, "blue")).end(130)
    assert len(live.told) == 1
    assert json.loads(file.read_text())["start_s"] == 101.0
    assert "no paper" in caplog.text


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"alerts\.file"):
        Live(tmp_path / "lib", "blue", file=str(tmp_path))


def test_a_camera_fires_within_seconds_with_a_clip_out_of_its_archive(tmp_path: Path) -> None:
    film, stop, told = tmp_path / "film.mp4", threading.Event(), list[Alert]()
    with av.open(str(film), "w") as out:
        stream: Any = out.add_stream("libx264", rate=10, options={"preset": "ultrafast", "tune": "zerolatency", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for n in range(160):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(plain("red" if n < 60 else "blue", 96, 64), format="rgb24")))
        out.mux(stream.encode(None))

    def hear(alert: Alert) -> None:
        told.append(alert)
        stop.set()

    library = open_library(str(tmp_path / "lib"), index={"ocr": "off"}, live={"refresh_s": 1.0})
    with Served(film) as server:
        library.watch(f"door={server.address}", for_s=90, alert=["something blue is there"], told=hear, stop=stop)
    [alert] = told
    assert alert.fired_s - alert.start_s < 15  # a few on a quiet machine
    assert alert.at
    with av.open(alert.clip) as clip:  # cut when the watch ended
        shown = [frame.to_ndarray(format="rgb24").mean((0, 1)) for frame in clip.decode(video=0)]
    assert any(blue > red + 50 for red, _, blue in shown)
    assert [kept.id for kept in library.alerts(recording="door")] == [alert.id]


# The webhook


class Hooked:
    """A receiver; says what it got, and answers as it is told."""

    def __init__(self, port: int = 0) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.answers.pop(0) if outer.answers else 204
                outer.got.append((dict(self.headers), body))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook?token=hush-hush"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def hooked(port: int = 0) -> Iterator[Hooked]:
    server = Hooked(port)
    try:
        yield server
    finally:
        server.close()


def alert(n: int) -> Alert:
    return Alert(f"id-{n}", "q", "cam", "door", 10.0 * n, 10.0 * n + 5, 10.0 * n + 6, "", 0.9, "score", thumbnail=b"\xff\xd8jpeg")


def test_a_webhook_is_signed_and_its_receiver_can_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("WEBHOOK_SECRET", "very secret")
    with hooked() as receiver:
        live = Live(tmp_path, "something blue is there", webhook=receiver.url).feed(seen(0, 100), lost(100), seen(101, 130, "blue"))
        until(lambda: receiver.got, "post")
        live.end(130)
        [(headers, body)] = receiver.got
    assert verify("very secret", headers[HEADER], body)
    assert not verify("another", headers[HEADER], body)
    assert not verify("very secret", headers[HEADER], body + b" ")
    assert not verify("very secret", headers[HEADER], body, now_s=time.time() + 3600)
    told = json.loads(body)
    assert (told["id"], told["question"], told["at"]) == (headers[ID_HEADER], "something blue is there", "2026-01-02T03:05:46.000+00:00")
    assert told["thumbnail"]
    for hidden in ("very secret", "hush-hush"):
        assert hidden not in caplog.text


@pytest.mark.parametrize("header", ["", "t=,v1=", "t=x,v1=00", "v1=00", "t=1,v1=é", "t=²,v1=0", f"t={'9' * 99},v1=0"])
def test_no_header_breaks_verify(header: str) -> None:
    assert not verify("s", header, b"{}")


def test_the_signature_is_that_of_the_documentation() -> None:
    """printf '1700000000.{"id":"1"}' | openssl dgst -sha256 -hmac secret"""
    assert (
        sign("secret", b'{"id":"1"}', at_s=1700000000.9)
        == "t=1700000000,v1=086f6aff7bd084c98679825129c5a64dbad88c760016d6d2c0fb123f27951d54"
    )


def test_a_receiver_that_was_down_gets_it_later_also_after_a_restart(tmp_path: Path, caplog: Any) -> None:
    with hooked() as gone:
        port, url = gone.port, gone.url
    with Ledger(tmp_path) as ledger:
        for n in (1, 2):
            ledger.add(alert(n), waits=True)
        courier = Courier(ledger, Receiver(url))
        until(lambda: "cannot be reached" in caplog.text, "failure")
        courier.close()
    with Ledger(tmp_path) as ledger, hooked(port) as back:
        back.answers = [503, 302]
        courier = Courier(ledger, Receiver(url))
        until(lambda: ledger.waiting() is None, "delivery")
        courier.close()
    assert [headers[ID_HEADER] for headers, _ in back.got] == ["id-1", "id-1", "id-2"]  # at least once, in order; 302 is not followed
    assert "302" in caplog.text


def test_a_receiver_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, Ledger(tmp_path) as ledger:
        ledger.add(alert(1), waits=True)
        courier = Courier(ledger, Receiver(f"http://127.0.0.1:{mute.getsockname()[1]}/"))
        with mute.accept()[0] as silent:
            silent.recv(1)
            begun_s = time.monotonic()
            courier.close(wait_s=0.2)
            assert time.monotonic() - begun_s < 8  # it would wait for ten seconds
        assert ledger.waiting() == alert(1)


def test_what_a_receiver_refuses_does_not_hold_up_the_rest(tmp_path: Path, caplog: Any) -> None:
    with hooked() as receiver, Ledger(tmp_path) as ledger:
        receiver.answers = [400]
        for n in (1, 2):
            ledger.add(alert(n), waits=True)
        courier = Courier(ledger, Receiver(receiver.url))
        until(lambda: ledger.waiting() is None, "delivery")
        courier.close()
    assert [headers[ID_HEADER] for headers, _ in receiver.got] == ["id-1", "id-2"]
    assert "refused alert id-1: it answered 400" in caplog.text


@pytest.mark.parametrize("url", ["ftp://x/y", "http://", "nonsense", "http://me:pass@host/x"])
def test_an_address_that_is_none_is_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"alerts\.webhook") as refused:
        Receiver(url)
    assert "pass" not in str(refused.value)


# Bounds


def test_the_ledger_keeps_the_newest_and_none_twice(tmp_path: Path) -> None:
    with Ledger(tmp_path, keep=5) as ledger:
        assert [ledger.add(alert(n)) for n in (*range(12), 11)] == [True] * 12 + [False]
        assert [a.id for a in ledger.alerts()] == [f"id-{n}" for n in range(7, 12)]
        assert [a.id for a in ledger.alerts(limit=2)] == ["id-10", "id-11"]
        assert ledger.alerts(id="id-9") == [alert(9)]
        ledger.goes_on("q", "cam", 500.0)
        assert ledger.seen_until("q", "cam") == 500.0


def test_clips_stay_within_their_bytes(tmp_path: Path) -> None:
    for n in range(6):
        (tmp_path / f"{n}.mp4").write_bytes(b"x" * 100)
    newest = tmp_path / "5.mp4"
    sweep(tmp_path, 250, spare=newest)
    assert newest in list(tmp_path.glob("*.mp4"))
    assert len(list(tmp_path.glob("*.mp4"))) == 2


def test_a_slow_model_never_makes_the_stream_wait(tmp_path: Path) -> None:
    live, hold = Live(tmp_path, "something blue is there"), threading.Event()
    live.alerts._match = lambda part: hold.wait(PATIENCE_S)  # type: ignore[method-assign, assignment]
    memory = SegmentMemory(Segment("cam", 0, TimeSpan(0, 60)), ())
    for _ in range(300):
        live.alerts.offer(memory, True)
        live.alerts.offer(memory, False)
    assert len(live.alerts._closed) <= 64
    assert live.alerts.missed > 200
    hold.set()
    live.end(0)


# The command line


def test_alerts_are_listed_replayed_and_cut(tmp_path: Path, replayed: Library) -> None:
    runner, place = CliRunner(), ["-l", str(replayed.directory)]
    shown = runner.invoke(app, ["alerts", "--replay", "something blue is there", "--from", "700", "--json", *place])
    [row] = [json.loads(line) for line in shown.stdout.splitlines()]
    assert (row["start_s"], row["end_s"], row["name"]) == (840.0, 880.0, SCRIPT)
    assert runner.invoke(app, ["alerts", *place]).stdout == ""
    with Ledger(tmp_path) as ledger:
        ledger.add(alert(3))
    assert "door: q (score 0.90)" in runner.invoke(app, ["alerts", "-l", str(tmp_path)]).stdout
    refused = runner.invoke(app, ["alerts", "--replay", "nobody is there", *place])
    assert isinstance(refused.exception, ConfigError)


def test_the_list_of_settings_shows_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTAGE_ALERTS__WEBHOOK", "https://example.org/hook?token=hush-hush")
    shown = CliRunner().invoke(app, ["config"]).stdout
    assert 'alerts.webhook = "https://example.org/hook?token=***"' in shown
    assert "hush-hush" not in shown


# nano


def test_what_nano_confirms_fires_in_time_and_what_is_not_there_does_not(tmp_path: Path) -> None:
    """Twice in three minutes, matched as the segments grow; another thing is never shown."""
    there, absent = needle_kinds("test", 2)  # the second is in no event of this seed
    config = WorldConfig(55, "test", 150.0, 4, 72.0, ((0.1, there), (0.9, there)))
    library = open_nano(tmp_path / "library")
    filmed = film(library, config, tmp_path, per_kind=0)
    assert not any(absent in placed.event.counts() for placed in filmed.world.events)
    shown = [placed for placed in filmed.world.events if there in placed.event.counts()]
    events = tuple((placed.start_s, placed.end_s) for placed in shown)
    for case in (Case("thing", f"{a(there)} is there", events), Case("never", f"{a(absent)} is there", ())):
        found = outcome_of(library, filmed, case, LIVE)
        assert [alert[2] for alert in found.alerts] == [True] * len(case.events), (case, found)
        assert found.late == 0
        assert all(alert[1] <= 15 for alert in found.alerts)


@pytest.mark.slow
def test_the_evaluation_reports_every_method(tmp_path: Path) -> None:
    report = run_alerts(AlertsRun(tmp_path, 1, 600.0, per_kind=2))
    rows = [row for row in report.rows if row["kind"] in ("thing", "often")]
    recall = {m: sum(a[2] for r in rows if r["method"] == m for a in r["alerts"]) for m in (MODEL, LIVE)}
    events = sum(len(row["events"]) for row in rows if row["method"] == MODEL)
    assert min(recall.values()) >= 0.75 * events > 0
    assert sum(len(row["alerts"]) for row in report.rows if row["kind"] == "never" and row["method"] == MODEL) <= 1
