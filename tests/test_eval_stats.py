"""Intervals hold the truth as often as they say, and never claim more than was seen."""

import numpy as np
import pytest

from workers.eval_stats import Interval, bootstrap, paired, percent, table

VIDEOS = [f"v{i}" for i in range(12) for _ in range(10)]


def clustered(rng: np.random.Generator, rate: float) -> list[float]:
    """Ten questions on each of twelve videos; a video is easy or hard, so its questions mostly go the same way."""
    of_video = rng.beta(rate * 1.5, (1 - rate) * 1.5, 12)
    return [float(v) for v in (rng.random((12, 10)) < of_video[:, None]).ravel()]


def share_holding(truth: float, intervals: list[Interval]) -> float:
    return float(np.mean([i.low <= truth <= i.high for i in intervals]))


def test_intervals_of_independent_answers_hold_the_truth_in_about_95_of_100_runs() -> None:
    rng = np.random.default_rng(1)
    for n, rate in ((12, 0.5), (40, 0.9), (300, 0.7)):
        runs = [bootstrap((rng.random(n) < rate).astype(float).tolist()) for _ in range(400)]
        assert 0.91 <= share_holding(rate, runs) <= 0.99


def test_intervals_of_overlaps_hold_the_truth_in_about_95_of_100_runs() -> None:
    rng = np.random.default_rng(2)
    for n in (6, 20):  # with six, plain percentiles would hold it in 86
        runs = [bootstrap(rng.beta(4, 4, n).tolist(), rounds=300, seed=i) for i in range(400)]
        assert 0.91 <= share_holding(0.5, runs) <= 0.99


def test_with_videos_as_groups_the_interval_holds_the_truth_and_without_them_it_does_not() -> None:
    rng = np.random.default_rng(3)
    runs = [clustered(rng, 0.7) for _ in range(300)]
    assert 0.91 <= share_holding(0.7, [bootstrap(run, groups=VIDEOS, rounds=300, seed=i) for i, run in enumerate(runs)]) <= 0.99
    assert share_holding(0.7, [bootstrap(run) for run in runs]) < 0.8


def test_groups_widen_the_interval_of_answers_that_go_together() -> None:
    values = [1.0] * 60 + [0.0] * 60  # the first six videos all right, the others all wrong
    alone, by_video = bootstrap(values), bootstrap(values, groups=VIDEOS)
    assert alone.value == by_video.value == 0.5
    assert by_video.high - by_video.low > 2.5 * (alone.high - alone.low)


def test_wins_that_go_together_widen_a_difference() -> None:
    a, b = [1.0] * 60 + [0.0] * 60, [0.0] * 120
    alone, by_video = paired(a, b), paired(a, b, groups=VIDEOS)
    assert by_video.high - by_video.low > 2.5 * (alone.high - alone.low)


def test_independent_answers_get_wilsons_interval() -> None:
    half = bootstrap([1.0, 0.0] * 5)
    assert (half.low, half.high) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_a_group_for_each_question_is_no_group_at_all() -> None:
    values = [1.0, 1.0, 0.0, 1.0, 0.0]
    assert bootstrap(values, groups=list("abcde")) == bootstrap(values)


def test_one_group_speaks_of_its_own_questions() -> None:
    values = [0.1, 0.4, 0.7, 0.9]
    assert bootstrap(values, groups=["v"] * 4) == bootstrap(values)


def test_large_groups_weigh_as_many_questions_as_they_have() -> None:
    groups = [f"long{i}" for i in range(20) for _ in range(9)] + [f"short{i}" for i in range(20)]
    mean = bootstrap([0.2] * 180 + [0.8] * 20, groups=groups)
    assert mean.value == pytest.approx(0.26)
    assert 0.2 < mean.low < 0.26 < mean.high < 0.35


def test_all_right_and_all_wrong_say_how_little_was_seen() -> None:
    right, wrong = bootstrap([1.0] * 10), bootstrap([0.0] * 10)
    assert (right.low, right.high) == pytest.approx((0.7225, 1), abs=1e-4)  # Wilson's: 10 / (10 + 1.96 ** 2)
    assert (wrong.low, wrong.high) == pytest.approx((0, 0.2775), abs=1e-4)
    assert right.high == 1
    assert bootstrap([1.0] * 10, groups=list("aabbccddee")) == right
    assert bootstrap([1.0]).low == pytest.approx(0.2065, abs=1e-4)
    assert bootstrap([1.0] * 50).low > bootstrap([1.0] * 49 + [0.0]).low  # one miss more never lifts the bound


def test_equal_shares_have_a_width_and_equal_seconds_have_none() -> None:
    assert bootstrap([0.4]).low < 0.1
    assert bootstrap([0.4] * 20).high > 0.55
    assert bootstrap([2.0, 2.0], unit="s") == Interval(2, 2, 2, 2, "s")


def test_two_systems_on_the_same_questions_are_compared_question_by_question() -> None:
    hard = np.arange(200) % 2
    a, b = (1.0 - hard).tolist(), (1.0 - hard).tolist()
    a[1] = a[3] = a[5] = a[7] = a[9] = a[11] = a[13] = a[15] = 1.0  # eight more, and nothing lost
    gain = paired(a, b)
    assert gain.value == pytest.approx(0.04)
    assert gain.low > 0
    assert bootstrap(a).low < bootstrap(b).high  # the two intervals alone could not tell
    assert paired(b, a).high == pytest.approx(-gain.low)


def test_intervals_of_a_difference_hold_the_truth_in_about_95_of_100_runs() -> None:
    rng = np.random.default_rng(4)
    runs = []
    for i in range(300):
        a = clustered(rng, 0.7)
        b = (np.array(a) * (rng.random(120) < 0.8)).tolist()  # loses a fifth of what a has: 0.14
        runs.append(paired(a, b, groups=VIDEOS, rounds=300, seed=i))
    assert 0.91 <= share_holding(0.14, runs) <= 0.99


def test_systems_that_never_differed_are_not_taken_for_equal() -> None:
    same = paired([1.0, 0.0] * 10, [1.0, 0.0] * 10)
    assert same.value == 0
    assert (same.low, same.high) == pytest.approx((-0.126, 0.126), abs=1e-3)  # 1.96 * sqrt(2 / 22 / 22)
    assert str(same) == "+0 points (-13 to +13)"


def test_the_same_input_gives_the_same_interval_and_another_seed_nearly_so() -> None:
    values = np.random.default_rng(5).random(60).tolist()
    assert bootstrap(values) == bootstrap(values)
    other = bootstrap(values, seed=1)
    assert other != bootstrap(values)
    assert other.low == pytest.approx(bootstrap(values).low, abs=0.02)


def test_values_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one question"):
        bootstrap([])
    with pytest.raises(ValueError, match="finite"):
        bootstrap([0.5, float("nan")])
    with pytest.raises(ValueError, match="name their unit"):
        bootstrap([12.0, 14.0])
    with pytest.raises(ValueError, match="3 groups for 2 values"):
        bootstrap([0.0, 1.0], groups=["a", "b", "c"])
    with pytest.raises(ValueError, match="2 values and 1"):
        paired([0.0, 1.0], [1.0])
    with pytest.raises(ValueError, match="low <= value <= high"):
        Interval(0.5, 0.6, 0.7, 3)


def test_only_exact_shares_read_0_or_100() -> None:
    assert [percent(share) for share in (0, 1, 0.93, 299 / 300, 0.9999, 0.002, 0.0001)] == ["0", "100", "93", "99.7", "99.9", "0.2", "0.1"]


def test_a_table_shows_intervals_and_lines_numbers_up() -> None:
    rows = [
        {"system": "footage", "right": Interval(0.93, 0.88, 0.97, 120), "n": 120, "IoU": 0.617},
        {"system": "a|b\nc", "right": Interval(-0.05, -0.09, -0.01, 120, "points"), "wait": Interval(1.25, 1, 1.5, 9, "s")},
    ]
    assert table(rows) == (
        "| system | right | n | IoU | wait |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| footage | 93 % (88-97) | 120 | 0.62 | - |\n"
        "| a\\|b c | -5 points (-9 to -1) | - | - | 1.25 s (1 to 1.5) |\n"
    )
    assert table([]) == ""
