"""Time stamps of streams to recording time: bursts, wraps, jumps, stalls, drift, missing stamps; a wall clock that is not set."""

import itertools
import math
import time
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.live.clock import EpochClock, Opening, Stamped, Wall

FPS, LIVE = 25, Opening()
WRAP_S = 2**33 / 90000
Packet = tuple[int, float | None, float, float]
"""Number, pts_s, arrival_s, waited_s."""


def run(packets: Iterable[Packet], *, opening: Opening = LIVE, after_s: float = -math.inf) -> list[Stamped[int]]:
    clock = EpochClock[int](opening, after_s)
    out = list(itertools.chain.from_iterable(clock.push(*packet) for packet in packets))
    return out + clock.flush()


def stream(
    count: int, *, start_s: float = 100.0, pts_s: float = 7.0, buffered: int = 0, jitter: list[float] | None = None,
    speed: float = 1.0, shift: dict[int, float] | None = None, stalls: dict[int, float] | None = None, fps: float = FPS,
) -> list[Packet]:  # fmt: skip
    """Frame n is taken at start_s + n / fps, and sent then; the first `buffered` of them wait for the reader, who takes them at once.

    speed: of the sender's clock. shift: number to seconds by which that clock jumps. stalls: number to seconds of a blocked line.
    """
    packets, clock_s, free_s, begin_s = list[Packet](), pts_s, 0.0, start_s + buffered / fps
    before_s = begin_s
    for n in range(count):
        clock_s += (shift or {}).get(n, 0.0)
        taken_s = start_s + n / fps
        late_s = jitter[n % len(jitter)] if jitter else 0.0
        free_s = max(free_s, taken_s + late_s, taken_s + (stalls or {}).get(n, 0.0))
        arrival_s = max(free_s, before_s + 0.0002)
        packets.append((n, clock_s + n / fps * speed, arrival_s, arrival_s - before_s))
        before_s = arrival_s
    return packets


def errors_s(out: list[Stamped[int]], start_s: float = 100.0, fps: float = FPS) -> list[float]:
    return [s.time_s - (start_s + s.item / fps) for s in out]


def assert_onward(out: list[Stamped[int]], count: int) -> None:
    assert [s.item for s in out] == list(range(count))
    assert all(b.time_s > a.time_s and b.epoch >= a.epoch for a, b in itertools.pairwise(out))


jitters = st.lists(st.floats(0, 0.3), min_size=5, max_size=40).map(lambda late: [0.0, *late])


@settings(deadline=None, max_examples=40)
@given(buffered=st.integers(0, 60), jitter=jitters, pts_s=st.floats(-1000, 90000))
def test_a_burst_at_the_opening_and_a_nervous_line_cost_less_than_the_jitter(buffered: int, jitter: list[float], pts_s: float) -> None:
    packets = stream(300, buffered=buffered, jitter=jitter, pts_s=pts_s)
    out = run(packets)
    assert_onward(out, 300)
    assert {s.epoch for s in out} == {0}
    assert max(map(abs, errors_s(out))) < 0.31
    quickest_s = min(arrival_s - (100 + n / FPS) for n, _, arrival_s, _ in packets[:200])
    assert max(map(abs, errors_s(out)[200:])) < quickest_s + 0.02


@settings(deadline=None, max_examples=40)
@given(wrap_at=st.integers(0, 299), jitter=jitters)
def test_a_clock_of_33_bits_wraps_without_a_new_epoch(wrap_at: int, jitter: list[float]) -> None:
    straight = stream(300, jitter=jitter, pts_s=WRAP_S - wrap_at / FPS)
    wrapped = [(n, pts % WRAP_S, *rest) for n, pts, *rest in straight if pts is not None]
    out = run(wrapped)
    assert {s.epoch for s in out} == {0}
    assert_onward(out, 300)
    assert [s.time_s for s in out] == pytest.approx([s.time_s for s in run(straight)], abs=0.002)


def test_it_wraps_again_and_again_and_pictures_that_are_sent_early_wrap_before_others() -> None:
    day = [(n, (WRAP_S - 3 + n * 50.0) % WRAP_S, 100 + n * 50.0, 50.0) for n in range(6000)]
    assert_onward(run(day), 6000)
    order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
    out = run((n, (WRAP_S - 0.1 + n / FPS) % WRAP_S, 100 + k / FPS, 0.04) for k, n in enumerate(order))
    assert [s.item for s in sorted(out, key=lambda s: s.time_s)] == sorted(order)


@settings(deadline=None, max_examples=40)
@given(at=st.integers(30, 200), by_s=st.one_of(st.floats(3, 1e5), st.floats(-1e5, -3)), jitter=jitters, buffered=st.integers(0, 25))
def test_a_clock_that_jumps_begins_one_new_epoch_and_time_goes_on(at: int, by_s: float, jitter: list[float], buffered: int) -> None:
    out = run(stream(300, shift={at: by_s}, jitter=jitter, buffered=buffered))
    assert_onward(out, 300)
    assert {s.item for s in out if s.epoch == 1} == set(range(at, 300))
    assert max(map(abs, errors_s(out))) < 0.65
    assert max(map(abs, errors_s(out)[-60:])) < 0.31


@settings(deadline=None, max_examples=40)
@given(at=st.integers(30, 200), stall_s=st.floats(0.1, 20), jitter=jitters)
def test_what_a_stalled_line_hands_over_late_keeps_its_true_time(at: int, stall_s: float, jitter: list[float]) -> None:
    out = run(stream(800, stalls={at: stall_s}, jitter=jitter))
    assert_onward(out, 800)
    assert {s.epoch for s in out} == {0}
    assert max(map(abs, errors_s(out))) < 0.31


def test_a_sender_that_paused_itself_and_goes_on_where_it_stood_is_in_a_new_epoch() -> None:
    packets = [(n, n / FPS, 100 + n / FPS + (5 if n >= 50 else 0), 5.0 if n == 50 else 0.04) for n in range(200)]
    out = run(packets)
    assert_onward(out, 200)
    assert [s.epoch for s in out] == [0] * 50 + [1] * 150
    assert out[60].time_s == pytest.approx(105 + 60 / FPS, abs=0.05)


@settings(deadline=None, max_examples=8)
@given(speed=st.floats(0.9997, 1.0003), jitter=jitters)
def test_slow_drift_is_followed_for_hours_and_never_back(speed: float, jitter: list[float]) -> None:
    out = run(stream(4 * 3600, fps=1, speed=speed, jitter=jitter))
    assert_onward(out, 4 * 3600)
    assert {s.epoch for s in out} == {0}
    assert max(map(abs, errors_s(out, fps=1))) < 0.35


def test_a_sender_whose_stamps_run_at_half_speed_is_never_off_by_much_more_than_two_seconds() -> None:
    out = run(stream(FPS * 120, speed=0.5))
    assert_onward(out, FPS * 120)
    assert max(map(abs, errors_s(out))) < 2.5


def test_a_single_wild_stamp_moves_nothing() -> None:
    for wild_s in (1e6, -1e6):
        packets = stream(100)
        packets[50] = (50, wild_s, *packets[50][2:])
        out = run(packets)
        others = [s for s in out if s.item != 50]
        assert {s.epoch for s in out} == {0}
        assert max(map(abs, errors_s(others))) < 0.01
        assert out[50].time_s <= out[51].time_s


def test_a_wild_stamp_just_before_a_jump_does_not_spoil_the_new_epoch() -> None:
    packets = stream(600, shift={51: -300.0}, stalls={300: 5.0})
    packets[50] = (50, 1e6, *packets[50][2:])
    out = run(packets)
    assert max(map(abs, errors_s([s for s in out if s.item > 50]))) < 0.3
    assert {s.epoch for s in out[51:]} == {1}


def test_a_reader_that_is_too_slow_is_no_reason_to_doubt_the_sender() -> None:
    out = run((n, n / FPS, 100 + n / FPS * (1 if n < 50 else 2) - (0 if n < 50 else 2), 0.04 if n < 50 else 0.0002) for n in range(400))
    assert_onward(out, 400)
    assert {s.epoch for s in out} == {0}
    assert max(map(abs, errors_s(out))) < 0.05


def test_packets_without_stamps_are_shown_when_they_come() -> None:
    out = run([(n, None, 100 + n / 10, 0.1) for n in range(20)], opening=Opening(0.0, 0.0))
    assert [s.time_s for s in out] == pytest.approx([100 + n / 10 for n in range(20)])
    before_the_first_report = [(n, None if n < 3 else n / FPS, 101.0 + max(0, n - 24) / FPS, 0.04 if n > 24 else 0.0) for n in range(60)]
    out = run(before_the_first_report)
    assert_onward(out, 60)
    assert out[3].time_s == pytest.approx(101 - 21 / FPS, abs=0.01)


def test_every_time_is_after_what_was_given_out_before_the_connection() -> None:
    out = run(stream(100, buffered=50), after_s=101.5)
    assert_onward(out, 100)
    assert out[0].time_s > 101.5
    assert abs(errors_s(out)[-1]) < abs(errors_s(out)[0]) < 1.6


def test_segments_that_come_at_once_every_six_seconds_are_no_jumps() -> None:
    """As of a playlist: the newest picture of a segment was taken when the segment appeared."""
    packets, before_s = list[Packet](), 106.0
    for n in range(6 * FPS * 10):
        arrival_s = max(before_s + 0.0005, 106 + n // (6 * FPS) * 6)
        packets.append((n, n / FPS, arrival_s, arrival_s - before_s))
        before_s = arrival_s
    out = run(packets, opening=Opening(0.5, 5.0))
    assert_onward(out, len(packets))
    assert {s.epoch for s in out} == {0}
    assert max(map(abs, errors_s(out))) < 0.2


def test_little_is_held_however_long_it_runs() -> None:
    clock = EpochClock[int](Opening())
    held = 0
    for packet in stream(5000, shift={k: 50.0 * (-1) ** k for k in range(100, 5000, 37)}):
        clock.push(*packet)
        held = max(held, len(clock._held))
    assert held <= FPS + 2


def test_sound_takes_the_time_of_the_picture_beside_it() -> None:
    clock = EpochClock[int](Opening())
    assert clock.beside(7.0) is None
    for packet in stream(50):
        clock.push(*packet)
    assert clock.beside(7.0 + 50 / FPS) == pytest.approx(102.0, abs=0.01)
    assert clock.beside(900.0) is None


def test_the_wall_clock_stands_on_a_clock_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = Wall.since(time.time() - 50)
    assert wall.now_s() == pytest.approx(50, abs=0.5)
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + 3600)
    assert wall.now_s() == pytest.approx(50, abs=0.5)
