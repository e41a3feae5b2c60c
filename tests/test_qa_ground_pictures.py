"""Edges of what pictures show, on films whose truth is known: moved to where likeness falls, and only as far as one sample."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from views import make_view

from footage import EncodedClip, MemoryView, TimeSpan
from footage.colours import ANCHORS, NAMES
from footage.frames import Clip, Frame
from footage.questions import Answer, Moment, Query, Question, Redecode
from memory.encoders.color import ColorEncoder
from nano.world import WorldConfig
from qa.answerers.moments import MomentsAnswerer
from qa.ground import REACH_S, ground
from qa.ground_pictures import FINE_S, Fall
from workers.engine import Library
from workers.eval_films import NANO_INDEX, Filmed, film, open_nano

PAINT = dict(reversed(ANCHORS))
RED, BLUE = (np.eye(len(NAMES), dtype=np.float32)[NAMES.index(name)] for name in ("red", "blue"))


class Looking(ColorEncoder):
    """The colour encoder, which counts what it looks at."""

    looks = 0

    def encode(self, clip: Clip) -> EncodedClip:
        self.looks += len(clip)
        return super().encode(clip)


class Film:
    """A Fetcher over ten seconds of blue, part of it red; most of it may turn white by a cut."""

    def __init__(self, red: TimeSpan, fps: int, bar_s: float = 99.0) -> None:
        self.red, self.fps, self.bar_s, self.decodes = red, fps, bar_s, 0

    def extent(self, recording_id: str) -> TimeSpan:
        return TimeSpan(0, 10)

    def fetch(self, requests: Sequence[Redecode]) -> list[Frame]:
        self.decodes += 1
        return [self._frame(r.recording_id, int(r.time_s * self.fps + 1e-6)) for r in requests]

    def _frame(self, name: str, n: int) -> Frame:
        pixels = np.full((24, 32, 3), PAINT["red" if n / self.fps in self.red else "blue"], np.uint8)
        if n / self.fps >= self.bar_s:
            pixels[5:] = PAINT["white"]
        return Frame(name, TimeSpan(n / self.fps, (n + 1) / self.fps), pixels)


def sampled(film: Film) -> tuple[MemoryView, Moment]:
    """What sampling once a second remembers of a film, and its red moment."""
    shown = [film._frame("rec", n * film.fps) for n in range(10)]
    times = np.arange(10.0)
    embeds = ColorEncoder().encode(Clip("rec", np.stack([f.pixels for f in shown]), times, times + 1, times)).embeds
    rows = np.flatnonzero(embeds @ RED > 0.3)
    return make_view(embeds), Moment("rec", TimeSpan(float(rows[0]), float(rows[-1] + 1)), 1.0, "image")


def query(embed: np.ndarray = RED) -> Query:
    return Query(Question("When is it red?"), "color@1", embed)


def grounded(film: Film, finder: ColorEncoder | None = None) -> TimeSpan:
    view, moment = sampled(film)
    return ground(moment, None, film, Fall.of(moment, query(), view, finder or ColorEncoder())).span


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([5, 8, 12, 25, 30]), st.floats(1.2, 3.8), st.floats(5.2, 8.8))
def test_edges_are_as_near_as_frames_allow(fps: int, start_s: float, end_s: float) -> None:
    film, finder = Film(TimeSpan(round(start_s * fps) / fps, round(end_s * fps) / fps), fps), Looking()
    view, moment = sampled(film)
    fall = Fall.of(moment, query(), view, finder)
    assert fall is not None
    found = ground(moment, None, film, fall).span
    near_s = 1e-6 + max(FINE_S, 1 / fps)
    assert abs(found.start_s - film.red.start_s) <= near_s
    assert abs(found.end_s - film.red.end_s) <= near_s
    assert film.decodes <= 2
    assert finder.looks <= 10
    assert moment.span.start_s - REACH_S <= found.start_s <= moment.span.start_s
    assert moment.span.end_s - REACH_S <= found.end_s <= moment.span.end_s


def test_a_cut_is_met_to_the_very_frame() -> None:
    red = TimeSpan(2 + 7 / 30, 7 + 16 / 30)
    found = grounded(Film(red, 30))
    assert (found.start_s, found.end_s) == pytest.approx((red.start_s, red.end_s))


def test_a_cut_that_changes_nothing_that_is_asked_for_is_no_edge() -> None:
    film = Film(TimeSpan(2.75, 8.0), 8, bar_s=2.25)
    moment = sampled(film)[1]
    assert ground(moment, None, film).span.start_s == pytest.approx(2.25)
    assert grounded(film).start_s == pytest.approx(2.75)


class Faded(Film):
    """The same, but red comes in slowly: pixels know no cut."""

    def _frame(self, name: str, n: int) -> Frame:
        share = float(np.clip((n / self.fps - self.red.start_s) / 0.8 + 0.5, 0, 1))
        mix = np.asarray(PAINT["red"], float) * share + np.asarray(PAINT["blue"], float) * (1 - share)
        return Frame(name, TimeSpan(n / self.fps, (n + 1) / self.fps), np.broadcast_to(mix.astype(np.uint8), (24, 32, 3)).copy())


def test_where_no_pixel_jumps_likeness_tells() -> None:
    film = Faded(TimeSpan(2.5, 10.0), 25)
    moment = sampled(film)[1]
    assert ground(moment, None, film).span == moment.span == TimeSpan(3.0, 10.0)
    assert 2.5 <= grounded(film).start_s < 2.8


def test_what_cannot_be_told_stays() -> None:
    film = Film(TimeSpan(2.5, 7.5), 8)
    view, moment = sampled(film)
    assert Fall.of(moment, query(BLUE), view, ColorEncoder()) is None  # it does not match
    gone = replace(view, starts_s=np.where(np.arange(10) == 3, 3.5, view.starts_s))
    fall = Fall.of(moment, query(), gone, ColorEncoder())
    assert fall is not None
    assert fall.before is None  # a gap before it
    assert fall.edge_s([film._frame("rec", 20)], 3.0, 3.0, at_start=True) == 3.0
    alike = Fall(ColorEncoder(), query(), 1.0, 0.9, 0.9, least=0.25)
    assert alike.edge_s([film._frame("rec", n) for n in range(16, 24)], 3.0, 3.0, at_start=True) == 3.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Library, Filmed]:
    folder = tmp_path_factory.mktemp("world")
    library = open_nano(folder / "library", index=NANO_INDEX)
    return library, film(library, WorldConfig(seed=3, split="val", duration_s=54.0, events_per_hour=200), folder, per_kind=2)


def cited(world: tuple[Library, Filmed], *, grounds: bool) -> list[float]:
    """Temporal IoU of the first citation, for each question of one time."""
    library, filmed = world
    ask = library.settings.ask.model_copy(update={"model": "none", "ground": grounds})
    found = []
    with Library(library.settings.model_copy(update={"ask": ask})) as other:
        for question in (q for q in filmed.questions if q.kind in ("when", "shape", "direction", "count") and len(q.spans) == 1):
            answer: Answer = other.ask(question.text, recording=filmed.recording_id, answerer=MomentsAnswerer())
            found.append(max(moment.span.iou(TimeSpan(*question.spans[0])) for moment in answer.citations))
    return found


def test_on_a_drawn_film_citations_come_nearer_to_the_truth(world: tuple[Library, Filmed], tmp_path: Path) -> None:
    before, after = cited(world, grounds=False), cited(world, grounds=True)
    assert len(before) >= 3
    assert all(b >= a - 1e-6 for a, b in zip(before, after, strict=True))
    assert np.mean(after) > 0.95 > np.mean(before)
