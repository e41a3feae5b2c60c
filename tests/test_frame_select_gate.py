import numpy as np
import pytest
from contracts_encode import clip_of, noise
from contracts_select import check_gate

from frame_select.gate import ChangeGate, GateConfig, KeepAllGate, cell_means


def room(T, *, seed=0):
    """A still picture with the noise of a camera."""
    still = noise(1, 144, 256, seed=5).astype(np.int16)
    return np.clip(still + np.random.default_rng(seed).normal(0, 4, (T, 144, 256, 3)), 0, 255).astype(np.uint8)


def stepping_digits(frames):
    """A clock of bright digits on a dark plate, each second another digit."""
    glyphs = np.random.default_rng(7).random((10, 10, 6)) > 0.5
    frames[:, 4:16, 4:20] = 20
    for i, frame in enumerate(frames):
        for at, digit in ((5, i // 10 % 10), (12, i % 10)):
            frame[5:15, at : at + 6][glyphs[digit]] = 240
    return frames


@pytest.mark.parametrize("make", [ChangeGate, KeepAllGate])
def test_it_keeps_the_contract_of_a_gate(make):
    check_gate(make)


def test_a_gate_that_may_drop_a_clips_first_frame_keeps_the_rest_of_the_contract():
    check_gate(lambda: ChangeGate(may_drop_first=True), keeps_first=False)


def test_a_still_picture_is_kept_once():
    assert ChangeGate().keep(clip_of(room(20))).tolist() == [True] + [False] * 19


def test_a_person_far_away_is_seen():
    frames = room(20)
    frames[10:14, 60:72, 100:105] //= 3  # 5 x 12 of 256 x 144 pixels, for four seconds
    kept = np.flatnonzero(ChangeGate().keep(clip_of(frames)))
    assert kept.tolist() == [0, 10, 14]


def test_slow_change_adds_up_against_the_last_kept_frame():
    frames = np.full((50, 72, 128, 3), 100, np.uint8) + np.arange(50, dtype=np.uint8)[:, None, None, None]
    kept = np.flatnonzero(ChangeGate(GateConfig(min_change=0.08, refresh_s=1000)).keep(clip_of(frames)))
    assert kept.tolist() == [0, 21, 42]  # one level of 255 a second, 0.08 after 21


def test_a_still_picture_is_refreshed():
    kept = np.flatnonzero(ChangeGate(GateConfig(refresh_s=10)).keep(clip_of(room(25))))
    assert kept.tolist() == [0, 10, 20]


def test_the_last_kept_frame_is_remembered_from_clip_to_clip():
    frames, gate = room(30), ChangeGate(may_drop_first=True)
    frames[17:] //= 2
    kept = [gate.keep(clip_of(frames[at : at + 5], start_s=float(at))) for at in range(0, 30, 5)]
    assert np.flatnonzero(np.concatenate(kept)).tolist() == [0, 17]


def test_by_the_protocol_the_first_frame_of_every_clip_is_kept():
    frames, gate = room(12), ChangeGate()
    kept = [gate.keep(clip_of(frames[at : at + 4], start_s=float(at))) for at in range(0, 12, 4)]
    assert np.flatnonzero(np.concatenate(kept)).tolist() == [0, 4, 8]


def test_after_a_reset_a_segment_begins_anew():
    gate = ChangeGate(may_drop_first=True)
    gate.keep(clip_of(room(3)))
    gate.reset()
    assert gate.keep(clip_of(room(3), start_s=60.0)).tolist() == [True, False, False]


def test_a_burnt_in_clock_does_not_keep_every_frame():
    clock = ChangeGate().keep(clip_of(stepping_digits(room(30))))
    assert clock.sum() <= 2


def test_beside_a_burnt_in_clock_a_person_is_seen():
    frames = stepping_digits(room(30))
    frames[15:20, 60:72, 100:105] //= 3
    assert {15, 20} <= set(np.flatnonzero(ChangeGate().keep(clip_of(frames))).tolist())


def test_a_lively_scene_is_kept_as_a_whole():
    assert ChangeGate().keep(clip_of(noise(20, 144, 256))).all()


def test_another_picture_size_is_a_new_beginning():
    gate = ChangeGate(may_drop_first=True)
    gate.keep(clip_of(room(3)))
    assert gate.keep(clip_of(np.zeros((2, 90, 40, 3), np.uint8), start_s=3.0)).tolist() == [True, False]


def test_cells_are_the_mean_colours_of_squares():
    frame = np.zeros((1, 128, 256, 3), np.uint8)
    frame[0, :4, 4:8] = (255, 51, 0)
    cells = cell_means(frame)
    assert cells.shape == (1, 32, 64, 3)
    np.testing.assert_allclose(cells[0, 0, 1], [1.0, 0.2, 0.0], atol=1e-6)
    assert np.count_nonzero(cells) == 2


def test_the_grid_follows_the_shape_of_the_picture():
    shapes = [cell_means(np.zeros((1, *size, 3), np.uint8)).shape[1:3] for size in [(1080, 1920), (448, 252), (3, 900), (1, 1)]]
    assert shapes == [(36, 64), (64, 36), (1, 60), (1, 1)]


def test_a_gate_needs_usable_settings():
    with pytest.raises(ValueError, match="min_change"):
        GateConfig(min_change=0)


def sampled(path):
    """One frame a second of a real clip, at most 448 px wide, with its times."""
    import av

    pixels, times_s = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time >= len(times_s) - 1e-6:
                pixels.append(frame.reformat(width=448, height=252, format="rgb24", interpolation="AREA").to_ndarray())
                times_s.append(frame.time)
    return np.stack(pixels), np.array(times_s)


def kept_times_s(pixels, times_s, *, segment_s=60, clip_frames=16):
    """As a recorder would: one gate a segment, bounded clips."""
    kept = np.zeros(len(times_s), bool)
    for segment in range(int(times_s[-1] // segment_s) + 1):
        rows, gate = np.flatnonzero(times_s // segment_s == segment), ChangeGate(may_drop_first=True)
        for at in range(0, len(rows), clip_frames):
            some = rows[at : at + clip_frames]
            kept[some] = gate.keep(clip_of(pixels[some], start_s=float(times_s[some[0]])))
    return times_s[kept]


def test_every_visit_of_a_real_camera_is_seen_within_a_second(shared_videos):
    visits = [(5.9, 20.1), (22.7, 45.1), (50.6, 70.1), (74.6, 87.1), (92.7, 120.1), (123.6, 136.2)]
    seen_s = kept_times_s(*sampled(shared_videos / "real" / "persons_one_by_one.mp4"))
    for start_s, end_s in visits:
        inside = seen_s[(seen_s >= start_s) & (seen_s <= end_s)]
        assert inside[0] - start_s <= 1.0
        assert len(inside) >= 8


@pytest.mark.slow
def test_twenty_minutes_of_a_fixed_camera_cost_a_tenth_where_nothing_happens(shared_videos):
    visits = [(97.2, 124.7), (268.8, 291.2), (431.8, 444.4), (702.8, 717.2), (907.8, 920.4), (1103.5, 1123.2)]
    pixels, times_s = sampled(shared_videos / "real" / "surveillance_20min.mp4")
    seen_s = kept_times_s(pixels, times_s)
    empty, kept_empty = (sum(all(not a <= t <= b for a, b in visits) for t in times) for times in (times_s, seen_s))
    assert empty >= 10 * kept_empty
    for start_s, end_s in visits:
        inside = seen_s[(seen_s >= start_s) & (seen_s <= end_s)]
        assert inside[0] - start_s <= 1.0
        assert len(inside) >= 8
