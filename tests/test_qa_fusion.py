"""Rankings of several kinds become one by their ranks."""

from footage import Moment, TimeSpan
from qa.fusion import fused


def moment(start_s: float, end_s: float, kind: str = "image", score: float = 0.5, recording_id: str = "door") -> Moment:
    return Moment(recording_id, TimeSpan(start_s, end_s), score, kind)


def test_what_two_kinds_point_at_comes_before_what_one_kind_likes_best() -> None:
    texts = [moment(100, 110, "ocr", 0.4), moment(12, 18, "ocr", 0.3)]
    images = [moment(200, 210), moment(10, 20, score=0.1)]
    assert [m.span.start_s for m in fused(texts, [], images, 9)] == [12, 10, 100, 200]


def test_scores_of_two_kinds_are_never_compared() -> None:
    text, image = moment(0, 1, "ocr", 0.2), moment(5, 6, score=0.99)
    assert fused([text], [], [image], 9) == [text, image]


def test_where_the_words_stand_pictures_come_later_and_where_only_some_do_they_take_turns() -> None:
    images = [moment(10.0 * n, 10.0 * n + 5) for n in range(9)]
    whole = [moment(1000.0 + 10 * n, 1005.0 + 10 * n, "ocr", 0.95) for n in range(9)]
    part = [moment(m.span.start_s, m.span.end_s, "ocr", 0.2) for m in whole]
    assert {m.kind for m in fused(whole, [], images, 9)} == {"ocr"}
    assert {m.kind for m in fused(part, [], images, 5)} == {"ocr", "image"}


def test_detections_come_before_pictures() -> None:
    thing, image = moment(0, 1, "object"), moment(5, 6)
    assert fused([moment(9, 10, "ocr", 0.3)], [thing], [image], 9)[1:] == [thing, image]


def test_the_same_time_is_shown_once_and_only_in_its_own_recording() -> None:
    text, image, elsewhere = moment(0, 10, "ocr"), moment(0, 9), moment(0, 10, recording_id="yard")
    assert fused([text], [], [image, elsewhere], 9) == [text, elsewhere]


def test_one_ranking_keeps_its_order_and_the_limit_holds() -> None:
    images = [moment(10.0 * n, 10.0 * n + 5, score=1 - n / 10) for n in (3, 1, 2)]
    assert fused([], [], images, 9) == images
    assert fused([], [], images, 2) == images[:2]
    assert fused([], [], [], 9) == []
