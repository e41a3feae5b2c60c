"""The world's truth is itself tested: films are decoded and held against what they claim to show."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from nano import MARK
from nano.draw import SIDE
from nano.phrases import Q_KINDS
from nano.scene import Event, Thing, sample_event
from nano.words import COLOURS, SHAPES, kinds, words
from nano.world import Placed, World, WorldConfig, needle_kinds, read_questions

FPS = 8


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    world = World.make(WorldConfig(seed=3, duration_s=150.0, events_per_hour=200))
    return world, world.write(tmp_path_factory.mktemp("world") / "world.mp4")


@pytest.fixture(scope="module")
def decoded(made: tuple[World, Path]) -> tuple[np.ndarray, np.ndarray]:
    """(T,) seconds and (T, S, S, 3) pixels, as any player would show them."""
    with av.open(str(made[1])) as file:
        frames = [(float(f.pts * f.time_base), f.to_ndarray(format="rgb24")) for f in file.decode(video=0)]
    return np.array([t for t, _ in frames]), np.stack([p for _, p in frames])


def change_times(times: np.ndarray, pixels: np.ndarray, x: float, y: float, r: int = 5) -> np.ndarray:
    """Times at which the middle of a place changes from one frame to the next by more than noise, light and drift."""
    x0, y0 = int(np.clip(x - r, 0, SIDE - 2 * r)), int(np.clip(y - r, 0, SIDE - 2 * r))
    patch = pixels[:, y0 : y0 + 2 * r, x0 : x0 + 2 * r].astype(float).mean((1, 2))
    return times[1:][np.abs(np.diff(patch, axis=0)).max(1) > 18]


def test_still_things_appear_and_vanish_when_the_truth_says_to_within_a_frame(
    made: tuple[World, Path], decoded: tuple[np.ndarray, np.ndarray]
) -> None:
    times, pixels = decoded
    checked = 0
    for placed in made[0].events:
        for thing in placed.event.things:
            if thing.motion != "still" or thing.shape in ("ring", "moon"):  # their middle is empty
                continue
            changes = change_times(times, pixels, *thing.place(thing.start_s))
            for true_s in (placed.start_s + thing.start_s, placed.start_s + thing.end_s):
                assert np.abs(changes - true_s).min() <= 1 / FPS + 1e-6, (thing, true_s)
                checked += 1
    assert checked >= 6


def test_moving_things_are_where_the_truth_says(made: tuple[World, Path], decoded: tuple[np.ndarray, np.ndarray]) -> None:
    times, pixels = decoded
    checked = 0
    for placed in made[0].events:
        for thing in placed.event.things:
            if len(placed.event.things) > 1 or thing.shape in ("ring", "moon") or thing.motion == "still":
                continue
            for at_s in np.linspace(thing.start_s + 0.3, thing.end_s - 0.3, 5):
                frame = pixels[np.searchsorted(times, placed.start_s + at_s, side="right") - 1].astype(float)
                shown_s = times[np.searchsorted(times, placed.start_s + at_s, side="right") - 1] - placed.start_s
                x, y = (int(np.clip(round(v), 3, SIDE - 4)) for v in thing.place(shown_s))
                seen = frame[y - 2 : y + 3, x - 2 : x + 3].mean((0, 1))
                near = {c: float(np.abs(np.array(rgb) - seen).sum()) for c, rgb in COLOURS.items()}
                checked += 1
                assert sorted(near, key=lambda c: near[c]).index(thing.colour) <= 1, (thing, seen)
    assert checked >= 5


def test_the_film_lasts_as_long_as_it_says_and_carries_its_mark(made: tuple[World, Path], decoded: tuple[np.ndarray, np.ndarray]) -> None:
    assert len(decoded[0]) == 150 * FPS
    np.testing.assert_allclose(decoded[0], np.arange(150 * FPS) / FPS, atol=1e-6)
    with av.open(str(made[1])) as file:
        assert file.metadata["comment"] == MARK


def test_the_same_configuration_is_the_same_film_and_another_seed_another(made: tuple[World, Path], tmp_path: Path) -> None:
    world, path = made
    again = World.make(world.config)
    assert again == world
    assert next(again.frames()).tobytes() == next(world.frames()).tobytes()
    assert again.write(tmp_path / "world.mp4").read_bytes() == path.read_bytes()
    assert World.make(WorldConfig(seed=4, duration_s=150.0, events_per_hour=200)).events != world.events
    assert World.make(WorldConfig(seed=3, split="val", duration_s=150.0, events_per_hour=200)).events != world.events


def test_a_film_that_is_there_is_not_made_again(made: tuple[World, Path]) -> None:
    before = made[1].stat().st_mtime_ns
    made[0].write(made[1])
    assert made[1].stat().st_mtime_ns == before


def test_truth_is_json_that_reads_back(made: tuple[World, Path]) -> None:
    world, path = made
    truth = json.loads(path.with_suffix(".json").read_text())
    assert truth["config"]["seed"] == 3
    assert [e["start_s"] for e in truth["events"]] == [p.start_s for p in world.events]
    assert truth["shots"][-1]["end_s"] == 150.0
    assert read_questions(path.with_suffix(".json")) == world.questions()


def test_every_kind_of_question_is_asked_and_its_answer_lies_in_the_truth() -> None:
    world = World.make(WorldConfig(seed=11, duration_s=1800))
    questions = world.questions(5)
    assert {q.kind for q in questions} == set(Q_KINDS)
    for q in questions:
        if q.kind == "absent" or q.answer == "no":
            assert q.spans == ()
            continue
        for start_s, end_s in q.spans:
            inside = [p for p in world.events if p.start_s - 1e-9 <= start_s < end_s <= p.end_s + 1e-9]
            assert len(inside) == 1
            if q.kind in ("colour", "shape"):
                assert q.answer in {w for t in inside[0].event.things for w in t.kind}
            if q.kind == "text":
                assert inside[0].event.sign is not None
                assert inside[0].event.sign.text == q.answer
    assert len({q.id for q in questions}) == len(questions)


def test_questions_have_one_answer_only() -> None:
    """A pair that a question names by itself is shown by one event; what is absent is shown by none."""
    world = World.make(WorldConfig(seed=12, duration_s=3600))
    shown = [kind for p in world.events for kind in p.event.counts()]
    signs = {p.event.sign.text for p in world.events if p.event.sign}
    for q in world.questions(8):
        named = [k for k in kinds("test") if f"{k[0]} {k[1]}" in q.text]
        if q.kind in ("direction", "when", "count"):
            assert [shown.count(k) for k in named] == [1] * len(named), q
        if q.kind == "absent" and named:
            assert shown.count(named[-1]) == 0
        elif q.kind == "absent":  # a word that no sign says
            assert not signs & set(q.text.rstrip("?").split())


def test_splits_share_no_held_out_pair_or_word() -> None:
    train, val, test = (set(kinds(s)) for s in ("train", "val", "test"))
    assert len(train) == 80
    assert len(val - train) == len(test - train) == 10
    assert not (val - train) & (test - train)
    assert {c for c, _ in train} == set(COLOURS)
    assert {s for _, s in train} == set(SHAPES)
    assert not set(words("train")) & (set(words("val", held_out_only=True)) | set(words("test", held_out_only=True)))
    rng = np.random.default_rng(0)
    for _ in range(300):
        event = sample_event(rng, "train")
        assert set(event.counts()) <= train
        assert event.sign is None or event.sign.text not in words("test", held_out_only=True)


def test_needles_lie_at_their_depths_and_nothing_else_looks_like_them() -> None:
    chosen = tuple(zip((0.0, 0.5, 1.0), needle_kinds("train", 3), strict=True))
    world = World.make(WorldConfig(seed=1, duration_s=7200, events_per_hour=40, needles=chosen))
    for depth, kind in chosen:
        holders = [p for p in world.events if kind in p.event.counts()]
        assert len(holders) == 1
        assert abs((holders[0].start_s + holders[0].end_s) / 2 - depth * 7200) < 7200 / 80 + 20


def test_events_never_overlap_and_lie_inside() -> None:
    for seed in range(20):
        world = World.make(WorldConfig(seed=seed, duration_s=600, events_per_hour=180))
        for before, after in zip(world.events, world.events[1:], strict=False):
            assert before.end_s <= after.start_s
        assert world.events[-1].end_s <= 600
        assert world.events[0].start_s >= 0


def test_a_collision_touches_and_a_bounce_stays_inside() -> None:
    bouncing = Thing("red", "circle", "small", "plain", "bounce", 0.0, 60.0, 40, 40, 33.0, -21.0)
    for at_s in np.linspace(0, 60, 200):
        assert all(11 <= v <= SIDE - 11 for v in bouncing.place(float(at_s)))
    rng = np.random.default_rng(5)
    event = sample_event(rng, "train", form="collide")
    a, b = event.things
    half = event.duration_s / 2
    assert abs(a.place(half)[0] - b.place(half)[0]) <= a.px(half) + 5


@pytest.mark.parametrize("wrong", [{"split": "dev"}, {"fps": 5}, {"duration_s": 3.0}])
def test_a_world_that_cannot_be_says_why(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        WorldConfig(**wrong)


def test_placed_knows_its_end() -> None:
    assert Placed(2.0, Event(3.0, ())).end_s == 5.0


def test_other_questions_leave_the_film_as_it_is_and_another_world_does_not(tmp_path: Path) -> None:
    world = World.make(WorldConfig(seed=5, duration_s=30.0))
    path = world.write(tmp_path / "film.mp4", [])
    drawn = path.stat().st_mtime_ns
    assert read_questions(world.write(path).with_suffix(".json")) == world.questions()
    assert path.stat().st_mtime_ns == drawn
    World.make(WorldConfig(seed=6, duration_s=30.0)).write(path, [])
    assert path.stat().st_mtime_ns > drawn
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.json", "film.mp4"]
