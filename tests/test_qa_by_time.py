"""What is asked about now is looked for in the last seconds, what is asked about the whole evenly over all of it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from views import make_view

from footage import MemoryView, TimeSpan
from footage.recordings import TextRow
from qa.ask import rows_of
from qa.by_time import LATEST_S, PARTS, STRETCHES_S, begins_s, latest, newest, spread
from workers.as_json import answer_json
from workers.config import load_settings
from workers.engine import Library, open_library

SCRIPT = "synthetic:red=100,blue=5,green=95"


def view_of(*lengths: int) -> MemoryView:
    """Recordings of so many seconds, a row a second."""
    names = [f"rec{n}" for n, length in enumerate(lengths) for _ in range(length)]
    return make_view(np.zeros((len(names), 2)), recordings=names)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=3))
def test_the_last_seconds_of_each_recording_and_nothing_else(lengths: list[int]) -> None:
    view = view_of(*lengths)
    seen = rows_of(view, latest(view, begins_s(view)))
    assert [int(np.sum(seen.which == n)) for n in range(len(lengths))] == [min(LATEST_S, length) for length in lengths]
    stretches = [moment for moment, _ in newest(seen)]
    assert sum(m.span.duration_s for m in stretches) == pytest.approx(sum(min(LATEST_S, length) for length in lengths))
    firsts = {m.recording_id: m.span for m in reversed(stretches)}
    assert firsts == {f"rec{n}": TimeSpan(max(0, length - STRETCHES_S[1]), length) for n, length in enumerate(lengths)}


def test_where_nothing_was_seen_at_the_end_it_looks_further_back() -> None:
    view = view_of(100)
    lost = rows_of(view, np.arange(40))
    assert begins_s(lost) == {"rec0": 40 - LATEST_S}
    some = rows_of(view, np.arange(75))
    assert begins_s(some) == {"rec0": 100 - LATEST_S}
    assert begins_s(view, TimeSpan(0, 60)) == {"rec0": 60 - LATEST_S}
    assert begins_s(rows_of(view, np.arange(0))) == {"rec0": 100 - LATEST_S}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(12, 400), min_size=1, max_size=14))
def test_parts_are_even_and_cover_each_recording(lengths: list[int]) -> None:
    found = [moment for moment, row in spread(view_of(*lengths), []) if row is None]
    assert len(found) <= PARTS
    for n, length in enumerate(lengths[:PARTS]):
        own = [m.span for m in found if m.recording_id == f"rec{n}"]
        assert len(own) == max(1, PARTS // len(lengths))
        assert (own[0].start_s, own[-1].end_s) == pytest.approx((0, length))
        assert np.ptp([span.duration_s for span in own]) < 1e-6


def test_each_part_has_the_text_that_stands_there_longest_once() -> None:
    def row(start: float, end: float, text: str) -> TextRow:
        return TextRow("rec0", TimeSpan(start, end), "ocr", text)

    rows = [row(0, 120, "Channel 4"), row(2, 5, "Hello"), row(20, 30, "Chapter One"), row(30, 32, "CHAPTER ONE"), row(115, 119, "The End")]
    texts = [moment.text for moment, _ in spread(view_of(120), rows) if moment.text]
    assert texts == ["Channel 4", "Chapter One", "The End"]
    assert spread(rows_of(view_of(5), np.arange(0)), rows) == []


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = str(tmp_path_factory.mktemp("library"))
    with open_library(made, index={"ocr": "off"}) as library:
        library.index(SCRIPT)
    return made


def asking(place: str, **settings: object) -> Library:
    return open_library(place, index={"ocr": "off"}, ask=settings)


@pytest.mark.parametrize(
    ("question", "route", "text"),
    [
        ("What colour is it right now?", "now", "Mostly green at 00:03:18.000 [1]."),
        ("Is it green right now?", "now", "Green is on screen from 00:02:48.000 to 00:03:20.000 [1]."),
        ("Is it blue right now?", "now", "Not in the footage: blue is never on screen."),
        ("When was it blue?", "local", "Blue is on screen from 00:01:40.000 to 00:01:45.000 [1]."),
    ],
)
def test_now_is_the_end_of_the_recording(place: str, question: str, route: str, text: str) -> None:
    with asking(place) as library:
        answer = library.ask(question)
        assert (answer.route, answer.text) == (route, text)
        assert answer_json(answer, library)["route"] == route
        assert all(pick.span.end_s > 200 - LATEST_S for pick in answer.plan.picks) is (route == "now")


def test_now_is_the_end_of_what_is_asked_about(place: str) -> None:
    with asking(place) as library:
        answer = library.ask("What colour is it now?", end=104)
        assert answer.text == "Mostly blue at 00:01:42.000 [1]."
        assert all(moment.span.end_s <= 104 for moment in answer.citations)


def test_the_whole_is_read_evenly(place: str) -> None:
    with asking(place, model="none", selector="peaks", budget=64 * 16) as library:
        answer = library.ask("What is this video about?")
    assert (answer.route, len(answer.citations), answer.plan.selector) == ("overall", PARTS, "uniform")
    assert [m.span.start_s for m in answer.citations] == pytest.approx(np.arange(PARTS) * 200 / PARTS)
    assert all(m.supported for m in answer.citations)
    assert "what is seen then" in answer.text


def test_a_route_can_be_forced_and_a_wrong_one_is_refused(place: str, tmp_path: Path) -> None:
    with asking(place, route="local") as library:
        assert library.ask("Is it blue right now?").route == "local"
        assert library.ask("Is it blue right now?").found
    with asking(place, route="now") as library:
        assert not library.ask("Is it blue?").found
    with pytest.raises(Exception, match="known are auto, now, local, overall"):
        load_settings({"ask": {"route": "past"}})
