"""Objects and speech become rows with true times, are asked for in words, and each may fail without the other or the file."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_channels import BLUE, GREEN, RED, film, picture, save_detector, save_whisper, save_yolos, tone

import footage
from footage import Clip, ConfigError, ModelError, Segment, TextRow, TimeSpan
from ingest.channels.boxes import Detection, suppressed
from ingest.channels.channel import Guarded, Once
from ingest.channels.description import Description, InputDescription, OutputDescription, read_description
from ingest.channels.objects import ObjectReader, ObjectsConfig, load_detector
from ingest.channels.onnx_detector import prepared, read
from ingest.channels.sound import RATE_HZ, sound_of
from ingest.channels.speech import SpeechConfig, SpeechReader
from ingest.channels.tracks import Tracker
from ingest.channels.voice import CHUNK, LoudVoice, pieces, spoken
from memory.ram_store import RamStore
from qa.objects import counted
from qa.objects_asked import sought
from qa.parse import parse
from workers.engine import Library
from workers.eval_objects import ObjectsRun, run_objects

pytest.importorskip("onnxruntime")

MODELS = Path(__file__).parents[2] / "shared" / "models"
DETECTORS = Path(__file__).parents[1] / "docs" / "detectors"
CAT, TWO_CATS, CAR = [(0, 0, RED)], [(0, 0, RED), (2, 2, RED)], [(3, 1, BLUE)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a detector and two films: cats and a car in silence, and dogs with a tone."""
    folder = tmp_path_factory.mktemp("channels")
    save_detector(folder)
    film(folder / "cats.mkv", [(4, []), (4, CAT), (4, TWO_CATS), (4, CAT), (4, CAR)])
    film(folder / "dogs.mkv", [(3, []), (5, [(1, 1, GREEN)])], tone(8, (1, 2.5), (5, 6.5)))
    return folder


def library(**settings: Any) -> Library:
    return footage.open("lib", index={"ocr": "off"}, ask={"model": "none"}, **settings)


def told(rows: list[TextRow]) -> list[tuple[float, float, str]]:
    return [(round(row.span.start_s, 2), round(row.span.end_s, 2), row.text) for row in rows]


# Objects


def test_a_film_becomes_rows_that_are_asked_for_in_words(made: Path) -> None:
    lib = library(objects={"model": str(made / "squares.onnx")})
    [done] = lib.index(made / "cats.mkv")
    assert done.failed == {}
    assert told(lib.store.texts()) == [(4, 8, "cat"), (8, 12, "2 cat"), (12, 16, "cat"), (16, 20, "car")]
    two = lib.ask("When are there two cats?")
    assert two.text.startswith("[1] 2 cat at 0:08-0:12")
    assert lib.ask("Is there an automobile?").citations[0].span == TimeSpan(16, 20)
    assert lib.ask("How many kittens are there at once?").citations[0].text == "2 cat"
    gone = lib.ask("When is no cat there?").citations
    assert {(m.span.start_s, m.span.end_s) for m in gone} == {(0, 4), (16, 20)}
    assert not lib.ask("Is there a dog?").found
    assert lib.ask("When are there three cats?").text.endswith("At most 2 cat was detected at once.")
    assert lib.ask("Is there an elephant?").text.endswith("No elephant was detected.")
    assert lib.search("car")[0].span == TimeSpan(16, 20)


def test_the_description_lies_beside_the_model_and_is_read_strictly(made: Path, tmp_path: Path) -> None:
    [found] = load_detector(ObjectsConfig(str(made / "squares.onnx"))).detect(picture((2, 1, GREEN)))
    assert found.label == "dog"
    assert found.box == pytest.approx((0.5, 0.25, 0.75, 0.5))
    assert 0.9 < found.score <= 1
    text = (made / "squares.toml").read_text()
    for wrong, named in ((text.replace('"columns"', '"colums"'), "colums"), (text + "nms = 1\n", "nms"), ("labels = []", "input")):
        (tmp_path / "d.toml").write_text(wrong)
        with pytest.raises(ConfigError, match=named):
            read_description(tmp_path / "d.toml", made / "squares.onnx")
    with pytest.raises(ConfigError, match="not there"):
        ObjectReader(ObjectsConfig("nowhere.onnx"))
    (tmp_path / "alone.onnx").write_bytes(b"")
    with pytest.raises(ConfigError, match="without a description"):
        ObjectReader(ObjectsConfig(str(tmp_path / "alone.onnx")))
    (tmp_path / "d.toml").write_text(text.replace('"found"', '"lost"'))
    with pytest.raises(ConfigError, match="lost"):
        load_detector(ObjectsConfig(str(made / "squares.onnx"), str(tmp_path / "d.toml")))


BOX = np.array([[8, 8, 24, 40]], np.float32)
FORMS = {
    "boxes": ({"b": BOX, "s": np.array([[0.1, 0.9]])}, {"boxes": ("b",), "scores": ("s",)}),
    "boxes with classes": ({"b": BOX[None], "s": np.array([0.9]), "c": np.array([1])}, {"boxes": ("b",), "scores": ("s",), "classes": "c"}),
    "rows": ({"b": np.array([[[8, 8, 24, 40, 0.9, 1]]])}, {"boxes": ("b",)}),
    "columns": ({"b": np.array([[[16], [24], [16], [32], [0.1], [0.9]]])}, {"boxes": ("b",), "box": "centre"}),
    "columns, multiplied": ({"b": np.array([[[8, 8, 16, 32, 0.5, 0.1, 1.8]]])}, {"boxes": ("b",), "box": "corner+size", "before": 1}),
    "distances": (
        {"b": 50 * np.eye(4, 8).reshape(1, 1, 32), "s": np.array([[[0.1, 0.9]]])},
        {"boxes": ("b",), "scores": ("s",), "strides_px": (64,)},
    ),
    "logits": ({"b": BOX, "s": np.array([[-9, 2.2]])}, {"boxes": ("b",), "scores": ("s",), "sigmoid": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_outputs_of_every_form_give_the_same_box(name: str) -> None:
    outputs, described = FORMS[name]
    out: Any = OutputDescription(form=name.split()[0].strip(",") if name != "logits" else "boxes", **described)  # type: ignore[arg-type]
    boxes, scores, labels = read(outputs, Description(("a", "b"), InputDescription((64, 64)), out), 0.4)
    assert np.allclose(boxes, [[32, -32, 160, 224]] if name == "distances" else BOX, atol=1e-3)
    assert labels.tolist() == [1]
    assert scores.tolist() == pytest.approx([0.9], abs=0.01)


def test_outputs_of_another_shape_are_told() -> None:
    about = Description(("a", "b"), InputDescription((64, 64)), OutputDescription(boxes=("b",), scores=("s",)))
    with pytest.raises(ModelError, match="shape"):
        read({"b": np.zeros((1, 5, 7)), "s": np.zeros((5, 2))}, about, 0.4)


def test_a_letterbox_keeps_shapes_and_says_where_the_picture_is() -> None:
    about = InputDescription((64, 32), colours="BGR", resize="letterbox", fill=7, layout="NHWC")
    tensor, shown_px = prepared(np.full((40, 20, 3), (1, 2, 3), np.uint8), Description(("a",), about))
    assert tensor.shape == (1, 32, 64, 3)
    assert shown_px == (16, 32)
    assert tensor[0, 0, 0].tolist() == [3, 2, 1]
    assert tensor[0, 0, 40].tolist() == [7, 7, 7]


def test_of_boxes_that_overlap_the_best_of_each_label_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [40, 0, 50, 10]], float)
    assert suppressed(boxes, np.array([0.8, 0.9, 0.7, 0.6]), np.array([0, 0, 1, 0]), 0.5) == [1, 2, 3]


def test_what_blinks_is_bridged_or_dropped_and_a_crowd_is_not_counted_to_the_last() -> None:
    def at(x: float, score: float = 0.8, label: str = "person") -> Detection:
        return Detection(label, score, (x, 0.1, x + 0.05, 0.4))

    seen = [[at(0.1)], [at(0.11)], [], [at(0.12)], [at(0.12), at(0.6, 0.5)], [at(0.12)], [], [], [], [], [at(0.12, 0.9)]]
    tracker = Tracker(0.6)
    for n, found in enumerate(seen):
        tracker.add(found, TimeSpan(n, n + 1))
    assert told(tracker.rows("r")) == [(0, 6, "person"), (10, 11, "person")]
    assert tracker.rows("r")[0].track != tracker.rows("r")[1].track
    crowd = Tracker(0.6)
    for n in range(20):
        crowd.add([at(0.06 * i) for i in range(11 + n % 3)], TimeSpan(n, n + 1))
    crowd.stays(TimeSpan(20, 30))
    assert told(crowd.rows("r")) == [(0, 30, "10+ person")]


def test_an_hour_of_one_car_is_one_row() -> None:
    store = RamStore()
    store.add(footage.Recording("r", 3600.0, 64, 64), "r")
    for index in range(60):
        tracker, span = Tracker(0.6), TimeSpan(60 * index, 60 * index + 60)
        for second in range(60):
            tracker.add([Detection("car", 0.9, (0.1, 0.1, 0.4, 0.4))], TimeSpan(span.start_s + second, span.start_s + second + 1))
        memory = footage.SegmentMemory(Segment("r", index, span), (), texts=tuple(tracker.rows("r")))
        store.commit(memory, generation="g", encoder_id="e")
    assert told(store.texts()) == [(0, 3600, "car")]


@pytest.mark.slow
def test_a_checkpoint_of_transformers_detects(tmp_path: Path) -> None:
    detector = load_detector(ObjectsConfig(str(save_yolos(tmp_path)), min_score=0.1))
    found = detector.detect(picture((0, 0, RED)))
    assert found
    assert {one.label for one in found} <= {"lamp", "kettle"}
    assert all(0 <= one.box[0] < one.box[2] <= 1 and one.score >= 0.1 for one in found)


# What a question asks for


@pytest.mark.parametrize(
    ("text", "classes", "least", "most", "gone"),
    [
        ("When were there two people?", {"person"}, 2, 2, False),
        ("When are at least 3 cars there?", {"car"}, 3, None, False),
        ("Are there more than two dogs?", {"dog"}, 3, None, False),
        ("Is there a lorry?", {"truck"}, 1, None, False),
        ("How many puppies?", {"dog"}, 1, None, False),
        ("When is there no bicycle?", {"bicycle"}, 1, None, True),
        ("When is nobody there?", {"person"}, 1, None, True),
        ("Who opens it?", {"person"}, 1, None, False),
        ("When does somebody talk?", {"speech"}, 1, None, False),
        ("When is it silent?", {"speech"}, 1, None, True),
    ],
)
def test_questions_name_things_counts_and_absence(text: str, classes: set[str], least: int, most: int | None, gone: bool) -> None:
    wanted = sought(text, parse(text), ())
    assert wanted is not None
    assert (wanted.groups[0], wanted.least, wanted.most, wanted.is_gone) == (classes, least, most, gone)


@pytest.mark.parametrize("text", ["What is the title?", "Which version is installed?", "When does she talk about orange paint?"])
def test_questions_without_things_are_left_alone(text: str) -> None:
    wanted = sought(text, parse(text), ())
    assert wanted is None or wanted.groups == (frozenset({"person"}),)


def test_labels_of_any_model_are_known_by_themselves() -> None:
    rows = [TextRow("r", TimeSpan(0, 1), "object", "2 forklift"), TextRow("r", TimeSpan(0, 1), "object", "tvmonitor")]
    wanted = sought("How many forklifts are there?", parse("How many forklifts are there?"), rows)
    assert wanted is not None
    assert [stretch.count for stretch in counted(rows, wanted.groups[0])] == [2]
    screen = sought("Is there a television?", parse("Is there a television?"), rows)
    assert screen is not None
    assert len(counted(rows, screen.groups[0])) == 1


def test_the_street_is_empty_when_nothing_that_moves_is_there(made: Path) -> None:
    lib = library(objects={"model": str(made / "squares.onnx")})
    lib.index(made / "cats.mkv")
    assert lib.ask("When is the street empty?").citations[0].span == TimeSpan(0, 4)


def test_things_do_not_drown_words(made: Path) -> None:
    (made / "cats.srt").write_text("1\n00:00:01,000 --> 00:00:03,000\nLook at the cat over there\n")
    try:
        lib = library(objects={"model": str(made / "squares.onnx")})
        lib.index(made / "cats.mkv")
        for question in ('Who says "the cat over there"?', "When is the cat mentioned?", "What do the subtitles say about the cat?"):
            assert lib.ask(question).citations[0].kind == "subtitle", question
        kinds = {moment.kind for moment in lib.ask("Where is the cat?").citations[:2]}
        assert kinds == {"object", "subtitle"}
    finally:
        (made / "cats.srt").unlink()


# Speech


def test_sound_lies_at_its_own_time_and_gaps_stay_gaps(tmp_path: Path) -> None:
    heard = tone(6, (1, 2), (4, 5))
    heard[round(2.4 * RATE_HZ) : round(3.2 * RATE_HZ)] = np.nan
    path = film(tmp_path / "a.mkv", [(6, [])], heard)
    for start_s, end_s in ((0.0, 6.0), (1.5, 4.5)):
        sound = sound_of(path, TimeSpan(start_s, end_s), origin_s=0.0)
        assert sound is not None
        time_s = start_s + np.arange(len(sound.samples)) / RATE_HZ
        loud = time_s[np.abs(sound.samples) > 0.2]
        assert loud.min() == pytest.approx(max(1.0, start_s), abs=0.005)
        assert loud.max() == pytest.approx(min(5.0, end_s), abs=0.005)
        missing = time_s[~sound.is_there]
        assert (missing.min(), missing.max()) == pytest.approx((2.4, 3.2), abs=0.02)


def test_compressed_sound_is_where_it_was(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", [(6, [])], tone(6, (2, 3)), codec="aac")
    sound = sound_of(path, TimeSpan(1.0, 5.0), origin_s=0.0)
    assert sound is not None
    loud = 1.0 + np.flatnonzero(np.abs(sound.samples) > 0.2) / RATE_HZ
    assert (loud.min(), loud.max()) == pytest.approx((2, 3), abs=0.03)


def test_stretches_bridge_pauses_and_long_ones_are_cut_where_it_is_quiet() -> None:
    likely = np.zeros(100)
    likely[10:30] = likely[35:50] = 0.9
    likely[70:73] = 0.9  # a blip
    assert [(a // CHUNK, -(-b // CHUNK)) for a, b in spoken(likely)] == [(6, 54)]
    likely = np.full(400, 0.9)
    likely[180] = 0.5
    cut = pieces(0, 400 * CHUNK, likely, 8.0)
    assert cut[0] == (0, 180 * CHUNK)
    assert all(b - a <= 8 * RATE_HZ for a, b in cut)
    assert [a for a, _ in cut[1:]] == [b for _, b in cut[:-1]]


def test_a_film_says_when_it_is_heard_and_segments_share_no_sound(made: Path, tmp_path: Path) -> None:
    lib = library(speech={"on": True})
    lib.index(made / "dogs.mkv")
    rows = lib.store.texts()
    assert {(row.kind, row.text) for row in rows} == {("speech", LoudVoice.text)}
    assert [(row.span.start_s, row.span.end_s) for row in rows] == [pytest.approx((1, 2.5), abs=0.2), pytest.approx((5, 6.5), abs=0.2)]
    answer = lib.ask("When does somebody talk?")
    assert {moment.kind for moment in answer.citations} == {"speech"}
    assert answer.citations[0].span.iou(TimeSpan(1, 2.5)) > 0.7 or answer.citations[0].span.iou(TimeSpan(5, 6.5)) > 0.7
    reader = SpeechReader(SpeechConfig(on=True))
    long = film(tmp_path / "long.mkv", [(8, [])], tone(8, (1, 7)))
    halves = [
        reader.segment(long, Segment("r", n, TimeSpan(*span)), origin_s=0, is_last=n == 1).rows() for n, span in enumerate([(0, 4), (4, 8)])
    ]
    (first,), (second,) = halves
    assert first.span.end_s == pytest.approx(second.span.start_s)
    assert 4 <= first.span.end_s <= 5


def test_no_sound_silence_and_damaged_sound_are_no_failure(made: Path, tmp_path: Path) -> None:
    film(tmp_path / "silent.mkv", [(3, CAT)], tone(3))
    whole = film(tmp_path / "whole.mkv", [(6, CAT)], tone(6, (1, 5)), codec="aac").read_bytes()
    rng = np.random.default_rng(0)
    damaged = np.frombuffer(whole, np.uint8).copy()
    damaged[rng.integers(len(whole) // 3, len(whole), 60)] ^= 0xFF
    (tmp_path / "damaged.mkv").write_bytes(damaged.tobytes())
    lib = library(speech={"on": True})
    for name in (made / "cats.mkv", tmp_path / "silent.mkv", tmp_path / "damaged.mkv"):
        [done] = lib.index(name)
        assert done.failed == {}
        assert done.carriers > 0


@pytest.mark.slow
def test_a_local_checkpoint_says_what_is_spoken(made: Path, tmp_path: Path) -> None:
    save_whisper(tmp_path)
    reader = SpeechReader(SpeechConfig(model=str(tmp_path), language="en"))
    rows = reader.segment(made / "dogs.mkv", Segment("r", 0, TimeSpan(0, 8)), origin_s=0, is_last=True).rows()
    assert rows
    assert all(row.kind == "speech" and set(row.text) <= set("h ") for row in rows)
    assert all(0.8 <= row.span.start_s < row.span.end_s <= 6.8 for row in rows)


# Measured


def test_an_evaluation_counts_questions_that_name_a_class_and_says_why_it_missed(made: Path) -> None:
    def case(name: str, question: str, *intervals: list[float], kind: str = "needle") -> dict[str, Any]:
        return {"id": name, "video": "cats.mkv", "kind": kind, "question": question, "answer": "", "intervals": intervals}

    cases = [
        case("two", "When are two cats there?", [8, 12]),
        case("dog", "When does a dog appear?", [2, 3]),
        case("door", "When does the door open?", [2, 3]),
        case("text", "What does the cat say?", [4, 16], kind="text"),
    ]
    Path("cases.json").write_text(json.dumps({"questions": cases}))
    report = run_objects(library(objects={"model": str(made / "squares.onnx")}), ObjectsRun(Path("cases.json"), made))
    assert [one.recalled[0] for one in report.scored["footage"]] == [True, False]
    assert [one.recalled[0] for one in report.scored["without objects"]] == [False, False]
    assert list(report.why) == ["dog"]
    assert "never detected there" in report.to_markdown()
    assert [one.id for one in report.left_out] == ["door"]


# Each alone


def test_a_broken_channel_costs_its_own_rows_and_is_told_once(made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = tmp_path / "broken.onnx"
    model.write_bytes(b"this is no network")
    model.with_suffix(".toml").write_text((made / "squares.toml").read_text())
    lib = library(objects={"model": str(model)}, speech={"on": True}, sampling={"segment_s": 2})
    with caplog.at_level(logging.WARNING):
        [done] = lib.index(made / "dogs.mkv")
    assert done.failed == {"objects": done.segments_made}
    assert done.segments_made > 1
    assert done.frames_kept > 0
    assert {row.kind for row in lib.store.texts()} == {"speech"}
    assert len([record for record in caplog.records if "objects" in record.getMessage()]) == 1


def test_one_bad_segment_loses_its_rows_alone() -> None:
    class Bad:
        def add(self, clip: Clip) -> None:
            if clip.starts_s[0] == 1:
                raise RuntimeError("out of ink")

        def stays(self, span: TimeSpan) -> None: ...

        def rows(self) -> list[TextRow]:
            return [TextRow("r", TimeSpan(0, 1), "object", "cat")]

    def ran(start_s: float) -> Guarded:
        channel = Guarded("objects", Bad)
        times = np.array([start_s])
        channel.add(Clip("r", np.zeros((1, 8, 8, 3), np.uint8), times, times + 1, times))
        channel.stays(TimeSpan(start_s, start_s + 2))
        return channel

    assert [(len(one.rows()), one.failure) for one in map(ran, (0, 1, 2))] == [(1, ""), (0, "RuntimeError: out of ink"), (1, "")]


def test_what_cannot_be_loaded_is_tried_once() -> None:
    tries = []

    def load() -> int:
        tries.append(1)
        raise ModelError("no")

    once = Once(load)
    for _ in range(3):
        with pytest.raises(ModelError):
            once()
    assert len(tries) == 1


def test_settings_of_a_channel_shape_the_generation_only_where_it_is_on(made: Path) -> None:
    plain, other = library(), library(objects={"min_score": 0.5}, speech={"language": "de"})
    assert plain.tools.generation == other.tools.generation
    on = library(objects={"model": str(made / "squares.onnx")})
    assert on.tools.generation != plain.tools.generation
    copy = made / "copy.onnx"
    copy.write_bytes((made / "squares.onnx").read_bytes())
    copy.with_suffix(".toml").write_text((made / "squares.toml").read_text())
    moved = library(objects={"model": str(copy)})
    assert moved.tools.generation == on.tools.generation
    assert library(objects={"model": str(copy), "min_score": 0.5}).tools.generation != on.tools.generation


# Real ones


@pytest.mark.skipif(not MODELS.is_dir(), reason="no real models beside this checkout")
def test_a_real_detector_sees_real_people(shared_videos: Path) -> None:
    model, description = MODELS / "picodet_s_416_coco/picodet_s_416_coco.onnx", DETECTORS / "picodet_s_416_coco.toml"
    lib = library(objects={"model": str(model), "description": str(description)})
    lib.index(shared_videos / "real" / "dog.mp4")
    answer = lib.ask("Is there a dog?")
    assert answer.citations[0].span.iou(TimeSpan(0, 9.66)) > 0.9


@pytest.mark.skipif(not MODELS.is_dir(), reason="no real models beside this checkout")
def test_a_real_voice_detector_hears_real_speech(shared_videos: Path) -> None:
    reader = SpeechReader(SpeechConfig(vad=str(MODELS / "silero_vad/silero_vad.onnx")))
    spans = reader.segment(
        shared_videos / "odd" / "nasa_multistream_subs.mp4", Segment("r", 0, TimeSpan(0, 13)), origin_s=0, is_last=True
    ).rows()
    known = [(0.70, 4.80), (5.18, 8.16), (8.54, 12.13)]
    assert [(row.span.start_s, row.span.end_s) for row in spans] == [pytest.approx(span, abs=0.3) for span in known]
    music = reader.segment(shared_videos / "real" / "kitten.mp4", Segment("r", 0, TimeSpan(0, 12.9)), origin_s=0, is_last=True)
    assert music.rows() == []
