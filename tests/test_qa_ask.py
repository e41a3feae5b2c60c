"""From question to answer over a library in memory: ranking, moments, edges, citations, absence."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seen import Seen
from views import make_view

from footage.arrays import Embeds
from footage.carriers import SegmentMemory, carriers_of
from footage.errors import DecodeError, NothingRecorded
from footage.frames import Clip, Frame
from footage.questions import Budget, Moment, Query, Question, Redecode
from footage.recordings import Gap, Recording, TextRow
from footage.timespan import TimeSpan
from frame_select.registry import selector
from ingest.synthetic import SyntheticSource
from memory.encoders.color import ColorEncoder
from memory.ram_store import RamStore
from qa.answerers.moments import MomentsAnswerer
from qa.answerers.template import TemplateAnswerer
from qa.ask import Scope, ask, cited, clipped, find_moments, queries_of, search
from qa.ground import ground
from qa.moments import BLINK_S, bridged, text_moments
from qa.parse import parse
from qa.rank_text import FLOOR, rank_text


def row(start: float, end: float, text: str, box=(0.1, 0.4, 0.5, 0.45), kind: str = "ocr", **more) -> TextRow:
    return TextRow("r", TimeSpan(start, end), kind, text, 0.95, box if kind == "ocr" else None, **more)


SCREEN = [
    row(0, 30, "Talk with the Archive", box=(0.1, 0.1, 0.6, 0.2)),
    row(0, 30, "Home | Settings | About", box=(0.1, 0.02, 0.5, 0.05)),
    row(3, 18, "Running load_index(...)", box=(0.1, 0.9, 0.4, 0.94)),
    row(8, 12, "What is this recording about?", box=(0.1, 0.5, 0.5, 0.54)),
    row(14, 20, "Which animals are shown?", box=(0.1, 0.5, 0.5, 0.54)),
    row(20, 26, "See https://example.org/help for more", box=(0.1, 0.6, 0.6, 0.64)),
    row(21, 25, "SUBMIT", box=(0.8, 0.7, 0.9, 0.75), ink=(255, 255, 255), ground=(240, 130, 20)),
    row(26, 30, "Done. Version 2.4.1 installed", box=(0.1, 0.8, 0.5, 0.84)),
]


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("What is the heading of the page?", "Talk with the Archive"),
        ('Which function is named next to the word "Running" at the bottom?', "Running load_index(...)"),
        ("What is the first question that the user types?", "What is this recording about?"),
        ("What is the second question that is typed?", "Which animals are shown?"),
        ("Which web address is given?", "See https://example.org/help for more"),
        ("Which text is on the orange button?", "SUBMIT"),
        ("Which version was installed?", "Done. Version 2.4.1 installed"),
    ],
)
def test_the_row_that_answers_comes_first(question: str, best: str) -> None:
    assert rank_text(parse(question), SCREEN)[0].row.text == best


def test_ranking_is_total_and_deterministic() -> None:
    assert rank_text(parse("anything"), []) == []
    once, again = (rank_text(parse("which text is shown?"), order) for order in (SCREEN, SCREEN[::-1]))
    assert [r.row for r in once] == [r.row for r in again]


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=40).filter(lambda t: t.strip()))
def test_scores_lie_between_0_and_1_for_any_words(question: str, text: str) -> None:
    assert all(0 <= r.score <= 1 for r in rank_text(parse(question), [row(0, 1, text), row(2, 3, "other")]))


def test_rows_seen_over_the_same_time_are_one_moment() -> None:
    ranked = rank_text(parse("which title is shown?"), [row(0, 10, "ALPHA TITLE"), row(0, 10, "beta"), row(20, 30, "gamma")])
    moments = text_moments(ranked, floor=0.0, limit=5)
    assert [(m.span.start_s, m.text) for m, _ in moments] == [(0, "ALPHA TITLE | beta"), (20, "gamma")]


def library(*texts: TextRow, script: str = "synthetic:red=30,blue=5,red=25", gaps: tuple[Gap, ...] = ()) -> RamStore:
    source, store = SyntheticSource.parse(script), RamStore()
    store.add(source.recording, "film.mp4")
    for segment in source.segments():
        carriers = [c for clip in source.clips(segment) if isinstance(clip, Clip) for c in carriers_of(ColorEncoder().encode(clip))]
        named = tuple(TextRow(source.recording.recording_id, t.span, t.kind, t.text, t.score, t.box, t.ink, t.ground) for t in texts)
        store.commit(SegmentMemory(segment, tuple(carriers), texts=named, gaps=gaps), generation="g", encoder_id="color@1")
    return store


def answered(store: RamStore, question: str, **more):
    return ask(
        Question(question), memory=Seen(store), encoder=ColorEncoder(), selector=selector("top-k"),
        answerer=TemplateAnswerer(MomentsAnswerer(sees_pictures=False)), budget=Budget(1024), **more,
    )  # fmt: skip


def test_when_was_it_blue() -> None:
    answer = answered(library(), "When was it blue?")
    assert answer.text == "Blue is on screen from 00:00:30.000 to 00:00:35.000 [1]."
    assert [m.span for m in answer.citations] == [TimeSpan(30, 35)]
    assert answer.plan.picks
    assert answer.found


def test_a_colour_that_never_comes_is_not_in_the_footage() -> None:
    answer = answered(library(), "When was it green?")
    assert answer.text == "Not in the footage: green is never on screen."
    assert answer.citations == ()
    assert not answer.found


def test_what_colour_at_a_time() -> None:
    assert answered(library(), "What colour is it at 0:32?").text == "Mostly blue at 00:00:32.000 [1]."


class Counting(ColorEncoder):
    """The colour encoder, which also keeps what it was asked to embed."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, ...]] = []

    def embed_text(self, texts: Sequence[str]) -> Embeds:
        self.texts.append(tuple(texts))
        return super().embed_text(texts)


@pytest.mark.parametrize(
    ("text", "embedded", "parts"),
    [
        ("When was it blue?", ("When was it blue?",), None),
        ("Was it red and then blue?", ("Was it red and then blue?", "it red", "blue"), ["red", "blue"]),
        ("Which comes first, the red car or the bus?", ("the red car", "the bus"), None),
    ],
)
def test_a_question_and_its_parts_are_embedded_at_once(text: str, embedded: tuple[str, ...], parts: list[str] | None) -> None:
    encoder = Counting()
    queries = queries_of(Question(text), parse(text), encoder)
    assert encoder.texts == [embedded]
    assert len(queries) == (2 if parse(text).sought else 1)
    expected = None if parts is None else ColorEncoder().embed_text(parts).tolist()
    assert [None if q.parts is None else q.parts.tolist() for q in queries] == [expected] * len(queries)


def test_moments_of_both_parts_are_found() -> None:
    first, second, other = np.eye(3, dtype=np.float32)
    view = make_view([other, first, other, other, second, other, other, other])
    found = []
    for parts in (None, np.stack([first, second])):
        query = Query(Question("the man sits and the dog barks"), view.encoder_id, first, parts)
        matches = find_moments(parse(query.question.text), query, view, range(len(view)), [], floor=0.1, limit=5)
        found.append([moment.span.start_s for moment, _ in matches])
    assert found == [[1.0], [1.0, 4.0]]


def test_absence_is_claimed_only_where_it_can_be_known() -> None:
    answer = answered(library(), "Is there a zebra?")
    assert "without an image-text model pictures cannot be searched" in answer.text
    assert not answer.found


def test_gaps_are_told_when_nothing_is_found() -> None:
    store = library(gaps=(Gap(TimeSpan(10, 14), "damaged: no frame could be decoded"),))
    answer = answered(store, "Is there a zebra?")
    assert "no footage of" in answer.text
    assert "00:00:10.000 and 00:00:14.000" in answer.text


def test_a_subtitle_is_found_by_its_words() -> None:
    store = library(row(12.25, 15.5, "We should cross the bridge tonight", kind="subtitle"), row(1, 4, "Good evening", kind="subtitle"))
    [moment, *_] = answered(store, "When do they talk about crossing the bridge?").citations
    assert moment.span == TimeSpan(12.25, 15.5)
    assert moment.kind == "subtitle"
    assert search("cross the bridge", memory=Seen(store), encoder=ColorEncoder())[0].span == TimeSpan(12.25, 15.5)


def test_what_is_said_about_a_thing_needs_the_thing_to_be_named() -> None:
    store = library(row(12.25, 15.5, "We should cross the bridge tonight", kind="subtitle"))
    assert not answered(store, "What do they say about the shuttle?").found
    assert answered(store, "What do they say about the bridge?").found


def test_only_the_asked_range_is_searched() -> None:
    store = library(row(2, 4, "alpha sign"), row(40, 44, "alpha sign"))
    [recording] = store.recordings()
    late = answered(store, "Which sign says alpha?", scope=Scope((recording.recording_id,), TimeSpan(30, 50)))
    assert [m.span for m in late.citations] == [TimeSpan(40, 44)]
    with pytest.raises(NothingRecorded):
        answered(store, "alpha?", scope=Scope(None, TimeSpan(500, 600)))


def test_a_moment_whose_exact_edges_lie_outside_the_range_is_dropped() -> None:
    moments = [Moment("r", TimeSpan(4, 7.08), 1.0, "ocr", "a"), Moment("r", TimeSpan(6, 9), 1.0, "ocr", "b")]
    assert [(m.text, m.span) for m in clipped(moments, TimeSpan(7.5, 8))] == [("b", TimeSpan(7.5, 8))]


def test_marks_that_point_at_nothing_are_dropped() -> None:
    moments = [Moment("r", TimeSpan(0, 1), 1.0, "image"), Moment("r", TimeSpan(5, 6), 1.0, "image")]
    assert cited("see [2], [9] and again [2]", moments) == [moments[1]]


class Board:
    """A Fetcher over a 25 fps film in which a white sign stands in a box from 3.36 s to 7.08 s."""

    def __init__(self) -> None:
        self.frames = 0

    def extent(self, recording_id: str) -> TimeSpan:
        return TimeSpan(0, 20)

    def fetch(self, requests: Sequence[Redecode]) -> list[Frame]:
        self.frames += len(requests)
        return [self._frame(int(r.time_s * 25 + 1e-6)) for r in requests]

    def _frame(self, n: int) -> Frame:
        pixels = np.full((90, 160, 3), 60, np.uint8)
        pixels[:10, n % 150 : n % 150 + 8] = 200  # something else moves
        if 84 <= n < 177:
            pixels[40:50, 20:80] = 230
        return Frame("r", TimeSpan(n / 25, (n + 1) / 25), pixels)


def test_edges_are_put_at_the_very_frame() -> None:
    sign = row(4, 8, "SIGN", box=(20 / 160, 40 / 90, 80 / 160, 50 / 90))
    moment = ground(Moment("r", TimeSpan(4, 8), 0.9, "ocr", "SIGN"), sign, Board())
    assert moment.span.start_s == pytest.approx(3.36)
    assert moment.span.end_s == pytest.approx(7.08)


def test_edges_stay_where_pixels_cannot_tell() -> None:
    elsewhere = row(4, 8, "SIGN", box=(0.6, 0.7, 0.9, 0.9))
    moment = Moment("r", TimeSpan(4, 8), 0.9, "ocr", "SIGN")
    assert ground(moment, elsewhere, Board()) == moment
    assert ground(moment, None, Board()) == moment


def test_damage_around_an_edge_leaves_the_sampled_edge() -> None:
    class Broken(Board):
        def fetch(self, requests: Sequence[Redecode]) -> list[Frame]:
            raise DecodeError("damaged there")

    moment = Moment("r", TimeSpan(4, 8), 0.9, "ocr", "SIGN")
    assert ground(moment, row(4, 8, "SIGN"), Broken()) == moment


def test_below_the_floor_nothing_is_cited() -> None:
    ranked = rank_text(parse("Where is the zebra?"), SCREEN)
    assert all(r.score < FLOOR for r in ranked)


def test_an_empty_recording_asks_to_be_indexed() -> None:
    store = RamStore()
    store.add(Recording("r", 10, 32, 24), "r.mp4")
    with pytest.raises(NothingRecorded):
        answered(store, "anything?")


def test_what_is_gone_for_a_blink_is_counted_once() -> None:
    def moment(start_s: float, end_s: float, score: float, recording: str = "rec") -> Moment:
        return Moment(recording, TimeSpan(start_s, end_s), score, "image")

    late, early, again, other = moment(7, 17, 0.3), moment(4, 6, 0.4), moment(17 + BLINK_S, 20, 0.35), moment(6, 7, 0.2, "other")
    assert bridged([early, again, late, other]) == [moment(4, 17, 0.4), again, other]
    assert bridged([]) == []
