"""On-screen text becomes one row per text and span, and only what changed is read."""

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from footage import Clip, ConfigError, ModelError, TextRow, TimeSpan
from footage.arrays import AnyArray, Pixels
from ingest.ocr import OcrConfig, OcrReader, OcrSegment, changed_cells, grown
from ingest.ocr_engine import Engine, RapidOcrEngine
from ingest.ocr_lines import Line, LineTrack, joined, letter_colours

pytest.importorskip("rapidocr")

PATTERN = Path(__file__).parents[2] / "shared" / "videos" / "real" / "test_pattern_clock.mp4"
SIZE = (320, 176)
Text = tuple[int, int, str]  # left, top, words


class Counting:
    """The real engine, counted."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.searched_px: list[int] = []
        self.lines, self.broken = 0, False

    def detect(self, picture: AnyArray) -> AnyArray:
        if self.broken:
            raise ModelError("broken on purpose")
        self.searched_px.append(picture.shape[0] * picture.shape[1])
        return self.engine.detect(picture)

    def recognise(self, picture: AnyArray, quads: AnyArray) -> list[tuple[str, float]]:
        self.lines += len(quads)
        return self.engine.recognise(picture, quads)


@pytest.fixture(scope="module")
def shared_reader() -> OcrReader:
    return OcrReader(OcrConfig(min_side_px=320, threads=2))


@pytest.fixture
def reader(shared_reader: OcrReader) -> Iterator[OcrReader]:
    """With an engine that counts."""
    real = shared_reader.engine
    shared_reader.engine = Counting(real)
    yield shared_reader
    shared_reader.engine = real


def draw(*texts: Text, ink: tuple[int, int, int] = (0, 0, 0), ground: tuple[int, int, int] = (255, 255, 255), size_px: int = 20) -> Pixels:
    image = Image.new("RGB", SIZE, ground)
    for left, top, words in texts:
        ImageDraw.Draw(image).text((left, top), words, ink, ImageFont.load_default(size_px))
    return np.asarray(image)


def clip_of(pictures: Sequence[Pixels], start_s: float = 0.0) -> Clip:
    """A picture a second."""
    starts = start_s + np.arange(len(pictures), dtype=np.float64)
    return Clip("r", np.stack(pictures), starts, starts + 1, starts)


def read(reader: OcrReader, pictures: Sequence[Pixels]) -> list[TextRow]:
    segment = reader.segment("r")
    segment.add(clip_of(pictures))
    return segment.rows()


def timed(rows: Sequence[TextRow]) -> list[tuple[float, float, str]]:
    return [(row.span.start_s, row.span.end_s, row.text) for row in rows]


# Through the engine


def test_lines_that_come_and_go_become_rows_with_their_times(reader: OcrReader) -> None:
    title, note = (20, 20, "Alpha station"), (20, 100, "Second notice")
    pictures = [draw(), draw(title), draw(title, note), draw(title, note), draw(note), draw()]
    assert timed(read(reader, pictures)) == [(1.0, 4.0, "Alpha station"), (2.0, 5.0, "Second notice")]


def test_a_row_knows_place_colours_kind_and_score(reader: OcrReader) -> None:
    row = read(reader, [draw((160, 88, "Crimson"), ink=(200, 20, 30), ground=(250, 240, 180), size_px=30)])[0]
    assert (row.recording_id, row.kind, row.text) == ("r", "ocr", "Crimson")
    assert row.score > 0.9
    assert row.box is not None
    assert row.ink is not None
    assert row.ground is not None
    left, top, right, bottom = row.box
    assert 0.45 < left < 0.55 < right < 0.95
    assert 0.45 < top < 0.6 < bottom < 0.75
    assert np.abs(np.subtract(row.ink, (200, 20, 30))).max() < 30
    assert np.abs(np.subtract(row.ground, (250, 240, 180))).max() < 10


def test_a_still_title_over_a_moving_picture_is_one_row(reader: OcrReader) -> None:
    pictures = []
    for shift in (0, 40, 80):
        waves = np.sin(np.arange(SIZE[0])[None, :] / 30 + np.arange(SIZE[1])[:, None] / 50 + shift) * 40 + 70
        moving = np.repeat(waves[..., None], 3, -1).astype(np.uint8)
        title = draw((20, 70, "Big Harbour"), ink=(255, 255, 255), ground=(0, 0, 0), size_px=32)
        pictures.append(np.maximum(moving, title))
    assert timed(read(reader, pictures)) == [(0.0, 3.0, "Big Harbour")]


def test_a_picture_that_does_not_change_is_read_once(reader: OcrReader) -> None:
    noise = np.random.default_rng(0).integers(-4, 5, (4, *draw().shape))  # what a codec does to a still picture
    pictures = [np.clip(draw((20, 20, "Still here")).astype(int) + n, 0, 255).astype(np.uint8) for n in noise]
    assert timed(read(reader, pictures)) == [(0.0, 4.0, "Still here")]
    assert isinstance(reader.engine, Counting)
    assert len(reader.engine.searched_px) == 1
    assert reader.engine.lines == 1


def test_only_the_changed_part_is_read(reader: OcrReader) -> None:
    still = (20, 20, "Never changes")
    rows = read(reader, [draw(still), draw(still, (20, 120, "fresh"))])
    assert timed(rows) == [(0.0, 2.0, "Never changes"), (1.0, 2.0, "fresh")]
    assert isinstance(reader.engine, Counting)
    first, second = reader.engine.searched_px
    assert second < first / 3
    assert reader.engine.lines == 2


def test_a_changed_word_is_read_with_all_of_its_line(reader: OcrReader) -> None:
    rows = read(reader, [draw((20, 60, "Platform nine west")), draw((20, 60, "Platform nine east"))])
    assert timed(rows) == [(0.0, 1.0, "Platform nine west"), (1.0, 2.0, "Platform nine east")]


def test_typing_gives_the_final_text_from_where_it_began(reader: OcrReader) -> None:
    typed = [draw(*([(20, 60, words)] if words else [])) for words in ("", "cyp", "cypre", "cypress.io", "cypress.io")]
    assert timed(read(reader, typed)) == [(1.0, 5.0, "cypress.io")]


def test_text_that_scrolls_is_one_row(reader: OcrReader) -> None:
    pictures = [draw((20, top, "Rolling credits")) for top in (140, 100, 60, 20)]
    assert timed(read(reader, pictures)) == [(0.0, 4.0, "Rolling credits")]


def test_how_frames_are_grouped_into_clips_does_not_matter(reader: OcrReader) -> None:
    pictures = [draw((20, 20, "Alpha")), draw((20, 20, "Alpha"), (20, 90, "Bravo")), draw((20, 90, "Bravo"))]
    segment = reader.segment("r")
    for second, picture in enumerate(pictures):
        segment.add(clip_of([picture], float(second)))
    assert segment.rows() == read(reader, pictures)


def test_a_gated_frame_counts_for_all_the_time_it_stands_for(reader: OcrReader) -> None:
    clip = clip_of([draw((20, 20, "Alpha"))] * 3 + [draw()]).take(np.array([True, False, False, True]))
    segment = reader.segment("r")
    segment.add(clip)
    assert timed(segment.rows()) == [(0.0, 3.0, "Alpha")]


def test_a_picture_that_cannot_be_read_costs_a_warning_and_itself(reader: OcrReader, caplog: pytest.LogCaptureFixture) -> None:
    engine = reader.engine
    assert isinstance(engine, Counting)
    segment = reader.segment("r")
    segment.add(clip_of([draw((20, 20, "Alpha"))]))
    engine.broken = True
    segment.add(clip_of([draw((20, 20, "Alpha"), (20, 90, "Bravo"))], 1.0))
    engine.broken = False
    segment.add(clip_of([draw((20, 20, "Alpha"), (20, 90, "Bravo"))], 2.0))
    assert timed(segment.rows()) == [(0.0, 3.0, "Alpha"), (2.0, 3.0, "Bravo")]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "picture not read recording=r span=00:00:01.000-00:00:02.000" in caplog.text


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (33, 31)])
def test_pictures_of_any_size_can_be_read(shared_reader: OcrReader, size: tuple[int, int]) -> None:
    assert read(shared_reader, [np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8)]) == []


def test_pictures_that_change_their_size_are_read_anew(shared_reader: OcrReader) -> None:
    segment = shared_reader.segment("r")
    segment.add(clip_of([draw((20, 20, "Alpha"))]))
    segment.add(clip_of([draw((20, 20, "Alpha"))[:100, :200]], 1.0))
    assert timed(segment.rows()) == [(0.0, 2.0, "Alpha")]


def test_the_engine_says_nothing_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    RapidOcrEngine(1).detect(np.zeros((32, 32, 3), np.uint8))
    assert capfd.readouterr() == ("", "")


def test_without_rapidocr_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(ConfigError, match="rapidocr") as caught:
        OcrReader()
    assert caught.value.hint == 'pip install "footage[ocr]"'


@pytest.mark.parametrize("settings", [{"threads": 0}, {"min_side_px": 8}, {"min_side_px": 900, "max_side_px": 800}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        OcrConfig(**settings)


@pytest.mark.skipif(not PATTERN.is_file(), reason="no third-party media here")
def test_a_real_test_pattern_gives_its_caption_and_its_clock(shared_reader: OcrReader) -> None:
    pictures: list[Pixels] = []
    with av.open(str(PATTERN)) as container:
        for frame in container.decode(video=0):
            if frame.time >= len(pictures):
                pictures.append(frame.to_ndarray(format="rgb24"))
            if len(pictures) == 3:
                break
    rows = timed(read(shared_reader, pictures))
    assert (0.0, 3.0, "1024 x 768 25 fps Photo JPEG 75%") in rows
    assert [row for row in rows if row[2].startswith("00:00:0")] == [(second, second + 1.0, f"00:00:0{second}:00") for second in range(3)]


# Without it


def line(text: str, left: int = 0, top: int = 0, score: float = 0.9) -> Line:
    return Line(text, score, (left, top, left + 10 * len(text), top + 20), (0, 0, 0), (255, 255, 255))


def track_of(*pictures: Sequence[Line]) -> list[tuple[float, float, str]]:
    """Rows of pictures that stand for a second each."""
    track = LineTrack()
    for second, lines in enumerate(pictures):
        track.add(lines, TimeSpan(second, second + 1))
    return timed(track.rows("r", 1000, 1000))


def test_a_line_survives_being_misread_for_up_to_two_seconds() -> None:
    seen = [line("departures")]
    assert track_of(seen, [], seen) == [(0.0, 3.0, "departures")]
    assert track_of(seen, [], [], seen) == [(0.0, 4.0, "departures")]
    assert track_of(seen, [], [], [], seen) == [(0.0, 1.0, "departures"), (4.0, 5.0, "departures")]


def test_noise_does_not_split_a_row_and_the_text_that_stood_longest_wins() -> None:
    right, wrong = [line("departures")], [line("departvres", score=0.95)]
    assert track_of(right, wrong, right) == [(0.0, 3.0, "departures")]


def test_a_change_inside_a_line_is_taken_over() -> None:
    assert track_of([line("type(the ca)")], *[[line("type(the cat)")]] * 3) == [(0.0, 4.0, "type(the cat)")]


def test_a_clock_is_a_new_text_every_second() -> None:
    rows = track_of([line("12:04:35")], [line("12:04:36")], [line("12:04:37")])
    assert rows == [(0.0, 1.0, "12:04:35"), (1.0, 2.0, "12:04:36"), (2.0, 3.0, "12:04:37")]


def test_what_grows_after_a_pause_or_faster_than_hands_is_a_row_of_its_own() -> None:
    short, grown_line = [line("results")], [line("results found")]
    assert track_of(*[short] * 6, grown_line) == [(0.0, 6.0, "results"), (6.0, 7.0, "results found")]
    at_once = [line("results of the search are listed below")]
    assert track_of(short, at_once) == [(0.0, 1.0, "results"), (1.0, 2.0, at_once[0].text)]


def test_a_word_that_grows_elsewhere_is_not_typing() -> None:
    assert len(track_of([line("sea")], [line("search", left=300)])) == 2


def test_words_on_one_baseline_become_a_line_and_columns_do_not() -> None:
    words = [line("right", 300), line("world", 60, 2), line("hello"), line("below", 0, 40)]
    assert [row.text for row in joined(words)] == ["hello world", "right", "below"]


def test_ground_is_what_surrounds_the_letters_even_when_there_is_more_ink() -> None:
    picture = np.full((20, 100, 3), (10, 20, 90), np.uint8)
    picture[2:-2, 2:-2] = (240, 230, 40)
    assert letter_colours(picture) == ((240, 230, 40), (10, 20, 90))
    assert letter_colours(picture[:1, :1]) == ((10, 20, 90), (10, 20, 90))


def test_a_letter_changes_its_cell_and_codec_noise_does_not() -> None:
    before = np.full((24, 24), 120, np.uint8)
    noisy = (before + np.random.default_rng(0).integers(-8, 9, before.shape)).astype(np.uint8)
    dotted = before.copy()
    dotted[9:11, 9:11] = 220
    assert changed_cells(noisy, before, 12.0).sum() == 0
    assert changed_cells(dotted, before, 12.0).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_slow_changes_add_up_until_they_are_read(shared_reader: OcrReader) -> None:
    fading = [draw((20, 60, "Slowly"), ink=(level, level, level)) for level in (0, 130, 165, 185, 200, 210, 220, 230)]
    fading += [draw()]
    rows = read(shared_reader, fading)
    assert {row.text for row in rows} == {"Slowly"}
    assert rows[-1].span.end_s < 9


def test_regions_grow_until_they_cut_no_word_and_stay_apart() -> None:
    assert grown([(0, 0, 10, 10), (100, 0, 110, 10)], [(5, 5, 50, 8), (45, 2, 60, 8)]) == [
        (0, 0, 60, 10),
        (100, 0, 110, 10),
    ]
    assert grown([(0, 0, 10, 10), (8, 8, 20, 20)], []) == [(0, 0, 20, 20)]


def test_a_segment_without_pictures_has_no_rows(shared_reader: OcrReader) -> None:
    assert OcrSegment("r", shared_reader.engine, dataclasses.replace(shared_reader.config)).rows() == []
