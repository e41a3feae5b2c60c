"""Readers of benchmark sets: each on small files in the set's own layout, item by item, and on files that are laid out wrong."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from footage.errors import ConfigError
from footage.timespan import TimeSpan
from workers.datasets.choice import MLVU_TASKS, read_longvideobench, read_lvbench, read_mlvu, read_video_mme
from workers.datasets.grounding import read_charades_sta, read_extreme_when_bench, read_qvhighlights
from workers.datasets.item import Item
from workers.datasets.registry import SETS, read_set
from workers.datasets.streaming import read_ovo_bench


def put(file: Path, content: object = "") -> Path:
    """Write a text as it is, anything else as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def lines(rows: Sequence[object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


VIDEO_MME = [
    {"video_id": "001", "duration": "short", "domain": "Knowledge", "sub_category": "Humanity & History",
     "url": "https://www.youtube.com/watch?v=fFjv93ACGo8", "videoID": "fFjv93ACGo8", "question_id": "001-1",
     "task_type": "Counting Problem", "question": "How many apples hang on the tree?",
     "options": ["A. Apples.", "B. Candles.", "C. A. J. Smith.", "D. None."], "answer": "C"},
    {"video_id": "900", "duration": "long", "domain": "Multilingual", "sub_category": "Multilingual",
     "url": "https://www.youtube.com/watch?v=_x-1", "videoID": "_x-1", "question_id": "900-3",
     "task_type": "Object Reasoning", "question": "Who is it?", "options": ["A. He.", "B. She.", "C. It.", "D. They."], "answer": "A"},
]  # fmt: skip


def test_video_mme(tmp_path: Path) -> None:
    put(tmp_path / "videomme" / "test.jsonl", lines(VIDEO_MME))
    video, subtitles = put(tmp_path / "data" / "fFjv93ACGo8.mp4"), put(tmp_path / "subtitle" / "fFjv93ACGo8.srt")
    found = read_set("video-mme", tmp_path)
    groups = {"duration": "short", "domain": "Knowledge", "sub_category": "Humanity & History", "task_type": "Counting Problem"}
    assert found.items == (
        Item("001-1", video, "How many apples hang on the tree?", ("Apples.", "Candles.", "A. J. Smith.", "None."), "C",
             subtitles=subtitles, groups=groups),
    )  # fmt: skip
    assert found.missing == (str(tmp_path / "data" / "_x-1.mp4"),)


def test_a_video_is_found_under_other_suffixes(tmp_path: Path) -> None:
    put(tmp_path / "test.json", VIDEO_MME)
    video = put(tmp_path / "data" / "_x-1.mkv")
    assert [(item.id, item.video, item.subtitles) for item in read_set("video-mme", tmp_path).items] == [("900-3", video, None)]


def test_parquet_without_pyarrow_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "videomme" / "test-00000-of-00001.parquet", "PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r"test-00000-of-00001.parquet.*pyarrow is not installed") as error:
        read_video_mme(tmp_path)
    assert "pip install pyarrow" in error.value.hint
    assert "test-00000-of-00001.jsonl" in error.value.hint


def test_parquet_is_read_through_pyarrow_where_that_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(tmp_path / "videomme" / "test-00000-of-00001.parquet", "PAR1")

    def read_table(path: Path) -> Any:
        assert path == file
        return SimpleNamespace(to_pylist=lambda: VIDEO_MME)

    monkeypatch.setitem(sys.modules, "pyarrow.parquet", SimpleNamespace(read_table=read_table))
    assert [item.id for item in read_video_mme(tmp_path)] == ["001-1", "900-3"]


def test_a_real_parquet_table(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / "videomme").mkdir()
    parquet.write_table(arrow.Table.from_pylist(VIDEO_MME), tmp_path / "videomme" / "test-00000-of-00001.parquet")
    assert [item.answer for item in read_video_mme(tmp_path)] == ["C", "A"]


LONGVIDEOBENCH = {
    "video_id": "86CxyhFV9MI", "question": "Which subtitles appear?", "question_wo_referring_query": "Which?",
    "candidates": ["one", "two", "three", "four", "five"], "correct_choice": 4, "position": [854, 948],
    "topic_category": "NP-News-Programs", "question_category": "TOS", "level": "L2-Relation", "id": "86CxyhFV9MI_0",
    "video_path": "86CxyhFV9MI.mp4", "subtitle_path": "86CxyhFV9MI_en.json", "duration_group": 600,
    "starting_timestamp_for_subtitles": 12.5, "duration": 190.16, "view_count": 259852,
}  # fmt: skip


def test_longvideobench(tmp_path: Path) -> None:
    put(tmp_path / "lvb_val.json", [LONGVIDEOBENCH])
    video, subtitles = put(tmp_path / "videos" / "86CxyhFV9MI.mp4"), put(tmp_path / "subtitles" / "86CxyhFV9MI_en.json", [])
    groups = {"duration_group": "600", "question_category": "TOS", "topic_category": "NP-News-Programs", "level": "L2-Relation"}
    assert read_set("longvideobench", tmp_path).items == (
        Item("86CxyhFV9MI_0", video, "Which subtitles appear?", ("one", "two", "three", "four", "five"), "E",
             subtitles=subtitles, subtitles_start_s=12.5, groups=groups),
    )  # fmt: skip


def test_longvideobench_without_its_validation_part(tmp_path: Path) -> None:
    put(tmp_path / "lvb_test_wo_gt.json", [])
    with pytest.raises(ConfigError, match="no annotations in") as error:
        read_longvideobench(tmp_path)
    assert "lvb_val.json" in error.value.hint


def mlvu(folder: Path, **rows: list[dict[str, Any]]) -> Path:
    for stem in MLVU_TASKS:
        put(folder / "json" / f"{stem}.json", rows.get(stem.partition("_")[2], []))
    return folder


PLOT = {"video": "movie101_66.mp4", "duration": 246, "question": "What color is it?", "candidates": ["Yellow", "", "Blue", "Blue"],
        "answer": "Blue", "question_type": "plotQA"}  # fmt: skip
SUB_SCENE = {"video": "subPlot_1.mp4", "duration": 5632.83, "question": "Please describe the scene.", "answer": "The man leads.",
             "question_type": "subPlot", "scoring_points": ["The man leads", "A man runs"]}  # fmt: skip
SUMMARY = {"video": "217.mp4", "duration": 480.0, "question": "Please summarize.", "answer": "Waves.", "question_type": "summary"}


@pytest.mark.parametrize("inside", ["MLVU", "."])
def test_mlvu_with_both_of_its_parts(tmp_path: Path, inside: str) -> None:
    base = mlvu(tmp_path / inside, plotQA=[PLOT], sub_scene=[SUB_SCENE], summary=[SUMMARY])
    videos = [put(base / "video" / name) for name in ("1_plotQA/movie101_66.mp4", "8_sub_scene/subPlot_1.mp4", "9_summary/217.mp4")]
    assert read_set("mlvu", tmp_path).items == (
        Item("1_plotQA-1", videos[0], "What color is it?", ("Yellow", "", "Blue", "Blue"), "C",
             groups={"part": "multiple choice", "task": "plotQA"}),
        Item("8_sub_scene-1", videos[1], "Please describe the scene.", answer="The man leads.",
             scoring_points=("The man leads", "A man runs"), groups={"part": "generation", "task": "sub_scene"}),
        Item("9_summary-1", videos[2], "Please summarize.", answer="Waves.", groups={"part": "generation", "task": "summary"}),
    )  # fmt: skip


def test_mlvu_without_a_task_would_give_another_mean_and_is_refused(tmp_path: Path) -> None:
    (mlvu(tmp_path) / "json" / "4_count.json").unlink()
    with pytest.raises(ConfigError, match=r"lacks 4_count\.json"):
        read_mlvu(tmp_path)


def test_an_mlvu_answer_that_is_no_choice_has_no_letter(tmp_path: Path) -> None:
    mlvu(tmp_path, plotQA=[PLOT | {"answer": "Green"}])
    assert [item.answer for item in read_mlvu(tmp_path)] == [""]


def lvbench(**changes: object) -> dict[str, Any]:
    qa = {"uid": "55", "question": "What year appears in the (opening) caption?\n(A) 1636\n(B) 1366\n(C) 1363\n(D) 1633", "answer": "D",
          "question_type": ["key information retrieval", "entity recognition"], "time_reference": "00:15-00:19"}  # fmt: skip
    info = {"duration_minutes": 60.0, "fps": 30.0, "resolution": {"width": 1280, "height": 720}}
    return {"key": "Cm73ma6Ibcs", "type": "cartoon", "video_info": info, "qa": [qa | changes]}


@pytest.mark.parametrize("where", ["video_info.meta.jsonl", "data/video_info.meta.jsonl"])
def test_lvbench(tmp_path: Path, where: str) -> None:
    put(tmp_path / where, lines([lvbench()]))
    video = put(tmp_path / "all_videos" / "Cm73ma6Ibcs.mp4")
    assert read_set("lvbench", tmp_path).items == (
        Item("Cm73ma6Ibcs-55", video, "What year appears in the (opening) caption?", ("1636", "1366", "1363", "1633"), "D",
             spans=(TimeSpan(15, 19),), groups={"question_type": "key information retrieval; entity recognition", "type": "cartoon"}),
    )  # fmt: skip


def test_lvbench_videos_as_its_own_script_leaves_them(tmp_path: Path) -> None:
    put(tmp_path / "data" / "video_info.meta.jsonl", lines([lvbench()]))
    video = put(tmp_path / "scripts" / "videos" / "00000" / "000000007.mp4")
    put(video.with_suffix(".json"), {"url": "https://www.youtube.com/watch?v=Cm73ma6Ibcs", "key": "000000007", "status": "success"})
    put(video.with_name("000000008.json"), "{")
    assert [item.video for item in read_set("lvbench", tmp_path).items] == [video]


@pytest.mark.parametrize(
    ("text", "spans"),
    [("1:02:03-1:02:10", (TimeSpan(3723, 3730),)), ("75:30-76:00", (TimeSpan(4530, 4560),)), ("05:30-05:30", (TimeSpan(330, 331),)),
     ("05:30", (TimeSpan(330, 331),)), ("10:00-09:00", ()), ("everywhere", ()), (None, ())],
)  # fmt: skip
def test_lvbench_time_references(tmp_path: Path, text: str | None, spans: tuple[TimeSpan, ...]) -> None:
    put(tmp_path / "video_info.meta.jsonl", lines([lvbench(time_reference=text)]))
    assert read_lvbench(tmp_path)[0].spans == spans


def test_charades_sta(tmp_path: Path) -> None:
    put(
        tmp_path / "charades_sta_test.txt",
        "3MSZA 24.3 30.4##person turn a light on.\n\nAO8RW 0.0 6.9##a person is putting a book on a shelf.\n",
    )
    first = put(tmp_path / "Charades_v1_480" / "3MSZA.mp4")
    found = read_set("charades-sta", tmp_path)
    assert found.items == (Item("3MSZA-1", first, "person turn a light on.", spans=(TimeSpan(24.3, 30.4),)),)
    assert found.missing == (str(tmp_path / "Charades_v1_480" / "AO8RW.mp4"),)
    assert read_charades_sta(tmp_path)[1].id == "AO8RW-3"


@pytest.mark.parametrize("line", ["3MSZA 24.3##light", "3MSZA 30.4 24.3##light", "3MSZA a b##light", "3MSZA 1 2##", "3MSZA 1 2 light"])
def test_a_charades_line_of_another_form_is_named(tmp_path: Path, line: str) -> None:
    put(tmp_path / "charades_sta_test.txt", "3MSZA 24.3 30.4##light\n" + line)
    with pytest.raises(ConfigError, match=r"charades_sta_test\.txt', line 2, is .* expected 'VIDEO START END##sentence'"):
        read_charades_sta(tmp_path)


HIGHLIGHT = {"qid": 9467, "query": "Police stand in a group.", "duration": 142, "vid": "mpBDaqeaJIQ_60.0_210.0",
             "relevant_clip_ids": [35, 63, 64], "saliency_scores": [[4, 3, 4], [4, 4, 4], [4, 4, 1]],
             "relevant_windows": [[70, 72], [126, 130]]}  # fmt: skip


def test_qvhighlights(tmp_path: Path) -> None:
    put(tmp_path / "data" / "highlight_val_release.jsonl", lines([HIGHLIGHT]))
    video = put(tmp_path / "videos" / "mpBDaqeaJIQ_60.0_210.0.mp4")
    spans = (TimeSpan(70, 72), TimeSpan(126, 130))
    assert read_set("qvhighlights", tmp_path).items == (
        Item("9467", video, "Police stand in a group.", spans=spans, groups={"part": "val"}),
    )


def test_the_labelled_test_part_of_qvhighlights_comes_before_the_validation_part(tmp_path: Path) -> None:
    put(tmp_path / "data" / "highlight_val_release.jsonl", lines([HIGHLIGHT]))
    put(tmp_path / "data" / "highlight_test_with_gt.jsonl", lines([HIGHLIGHT | {"qid": 1}, HIGHLIGHT | {"qid": 2}]))
    assert [(item.id, item.groups["part"]) for item in read_qvhighlights(tmp_path)] == [("1", "test"), ("2", "test")]


WHEN = {"qid": "-WnyRMZqV1U_q042", "video_id": "-WnyRMZqV1U", "source_corpus": "VideoMME", "question": "When does she speak?",
        "correct_interval": [1805, 1822], "duration_s": 17, "video_duration_s": 4271, "category": "reaction"}  # fmt: skip


def test_extreme_when_bench(tmp_path: Path) -> None:
    put(tmp_path / "data" / "test.jsonl", lines([WHEN, WHEN | {"qid": "q2", "video_id": "b", "source_corpus": "MLVU", "category": None}]))
    videos = put(tmp_path / "videos" / "-WnyRMZqV1U.mp4"), put(tmp_path / "MLVU" / "b.mp4")
    assert read_set("extremewhenbench", tmp_path).items == (
        Item("-WnyRMZqV1U_q042", videos[0], "When does she speak?", spans=(TimeSpan(1805, 1822),),
             groups={"source_corpus": "VideoMME", "category": "reaction"}),
        Item("q2", videos[1], "When does she speak?", spans=(TimeSpan(1805, 1822),), groups={"source_corpus": "MLVU"}),
    )  # fmt: skip


def test_extreme_when_bench_as_a_dictionary_of_questions(tmp_path: Path) -> None:
    put(tmp_path / "extreme_when_bench.json", {"questions": [WHEN]})
    assert [item.id for item in read_extreme_when_bench(tmp_path)] == ["-WnyRMZqV1U_q042"]


OVO = [
    {"id": 0, "task": "EPM", "video": "Ego4D/clips/ec4a.mp4", "realtime": 215, "question": "Who did I talk to?",
     "answer": "a person with blue shirt", "options": ["brown", "green", "blue", "white", "red"], "gt": 2},
    {"id": 766, "task": "STU", "video": "AutoEvalMetaData/107.mp4", "realtime": 5.02, "question": "Which player ran ahead?",
     "answer": "In white.", "options": ["White.", "Blue."], "gt": 1},
    {"id": 1591, "task": "REC", "video": "perception_test/video_10064.mp4", "activity": "put something into something",
     "start_times": [7], "end_times": [9], "test_info": [{"realtime": 7, "count": 0}, {"realtime": 22.0, "count": 2}]},
    {"id": 1522, "task": "SSR", "video": "COIN/zDIu.mp4", "tutorial": "AssembleDesktopPC", "all_steps": ["install it"],
     "start_time": [56], "end_time": [85], "test_info": [{"realtime": 58, "step": "install it", "type": 1}]},
    {"id": 1468, "task": "CRR", "video": "MovieNet/tt0048028.mp4", "question": "What does she do to the car?", "answer": "She walks.",
     "ask_time": 297, "clue_time": 308, "test_info": [{"realtime": 297, "type": 0}]},
]  # fmt: skip


def test_ovo_bench_with_whole_videos(tmp_path: Path) -> None:
    put(tmp_path / "ovo_bench_new.json", OVO)
    for row in OVO:
        put(tmp_path / "src_videos" / str(row["video"]))
    sources = tmp_path / "src_videos"
    count = "How many times did they put something into something?"
    assert read_set("ovo-bench", tmp_path).items == (
        Item("0", sources / "Ego4D/clips/ec4a.mp4", "Who did I talk to?", ("brown", "green", "blue", "white", "red"), "C",
             asked_at_s=215.0, groups={"part": "backward", "task": "EPM"}),
        Item("766", sources / "AutoEvalMetaData/107.mp4", "Which player ran ahead?", ("White.", "Blue."), "B",
             asked_at_s=5.02, groups={"part": "realtime", "task": "STU"}),
        Item("1591_0", sources / "perception_test/video_10064.mp4", count, answer="0", asked_at_s=7.0,
             groups={"part": "forward", "task": "REC"}),
        Item("1591_1", sources / "perception_test/video_10064.mp4", count, answer="2", asked_at_s=22.0,
             groups={"part": "forward", "task": "REC"}),
        Item("1522_0", sources / "COIN/zDIu.mp4", "Is somebody in the video doing this step right now: install it?", ("Yes", "No"), "A",
             asked_at_s=58.0, groups={"part": "forward", "task": "SSR"}),
        Item("1468_0", sources / "MovieNet/tt0048028.mp4",
             "Has enough been seen by now to answer this question: What does she do to the car?", ("Yes", "No"), "B",
             asked_at_s=297.0, groups={"part": "forward", "task": "CRR"}),
    )  # fmt: skip


def test_ovo_bench_prefers_videos_cut_at_the_second_of_asking(tmp_path: Path) -> None:
    put(tmp_path / "data" / "ovo_bench_new.json", [OVO[0], OVO[2]])
    put(tmp_path / "data" / "src_videos" / "Ego4D/clips/ec4a.mp4")
    whole = put(tmp_path / "data" / "perception_test/video_10064.mp4")
    cut = [put(tmp_path / "data" / "chunked_videos" / name) for name in ("0.mp4", "1591_1.mp4")]
    assert [item.video for item in read_ovo_bench(tmp_path)] == [cut[0], whole, cut[1]]


def test_an_ovo_video_that_is_missing_takes_all_its_items_along(tmp_path: Path) -> None:
    put(tmp_path / "ovo_bench_new.json", [OVO[0], OVO[2]])
    put(tmp_path / "src_videos" / "Ego4D/clips/ec4a.mp4")
    found = read_set("ovo-bench", tmp_path)
    assert [item.id for item in found.items] == ["0"]
    assert found.missing == (str(tmp_path / "src_videos" / "perception_test/video_10064.mp4"),) * 2


def broken(row: dict[str, Any], **changes: object) -> dict[str, Any]:
    return {key: value for key, value in (row | changes).items() if value is not ...}


WRONG = [
    ("video-mme", "test.json", [broken(VIDEO_MME[0], answer="E")], r"test\.json', row 1: 'answer' is 'E', expected one of A, B, C, D"),
    ("video-mme", "test.json", [VIDEO_MME[0], broken(VIDEO_MME[1], options="A. He.")], r"row 2: 'options' is .* expected a list of texts"),
    ("video-mme", "test.json", [broken(VIDEO_MME[0], videoID=...)], r"row 1: no 'videoID'; found video_id, duration"),
    ("video-mme", "test.jsonl", '{"video_id": 1}\n{"video', r"test\.jsonl', line 2, is no JSON"),
    ("video-mme", "test.jsonl", "\n[1]\n", r"line 2 is \[1\], expected an object"),
    ("longvideobench", "lvb_val.json", {"rows": []}, r"lvb_val\.json' holds dict, expected a list of objects"),
    ("longvideobench", "lvb_val.json", "[\n{},\n oops]", r"lvb_val\.json', line 3, is no JSON"),
    ("longvideobench", "lvb_val.json", [broken(LONGVIDEOBENCH, correct_choice=5)], r"'correct_choice' is 5, expected .* from 0 to 4"),
    ("longvideobench", "lvb_val.json", [broken(LONGVIDEOBENCH, correct_choice=True)], r"'correct_choice' is True"),
    ("longvideobench", "lvb_val.json", [broken(LONGVIDEOBENCH, question=" ")], r"'question' is ' ', expected text that is not empty"),
    ("longvideobench", "lvb_val.json", [broken(LONGVIDEOBENCH, starting_timestamp_for_subtitles="0")], r"expected a number"),
    ("lvbench", "video_info.meta.jsonl", lines([lvbench(question="What year? A) 1 B) 2")]), r"line 1, qa\[0\]: 'question' .*\(A\) to"),
    ("lvbench", "video_info.meta.jsonl", lines([lvbench(question="What?\n(A) 1\n(C) 2")]), r"qa\[0\]: 'question'"),
    ("lvbench", "video_info.meta.jsonl", lines([{"key": "a", "type": "b", "qa": {}}]), r"line 1: 'qa' is {}, expected a list of objects"),
    ("qvhighlights", "highlight_val_release.jsonl", lines([broken(HIGHLIGHT, relevant_windows=...)]), r"line 1: no 'relevant_windows'"),
    ("qvhighlights", "highlight_val_release.jsonl", lines([broken(HIGHLIGHT, relevant_windows=[[4, 2]])]), r"'relevant_windows' is \[4,"),
    ("extremewhenbench", "test.json", [broken(WHEN, correct_interval=[5])], r"'correct_interval' is \[5\], expected \[start, end\]"),
    ("ovo-bench", "ovo_bench_new.json", [broken(OVO[0], task="XYZ")], r"row 1: 'task' is 'XYZ', expected one of EPM, ASI"),
    ("ovo-bench", "ovo_bench_new.json", [broken(OVO[4], test_info=[{"realtime": 1, "type": 2}])], r"test_info\[0\]: 'type' is 2, expected"),
    ("ovo-bench", "ovo_bench_new.json", [OVO[0], OVO[0]], r"has '0' more than once"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "content", "message"), WRONG)
def test_a_wrong_layout_names_the_file_the_place_and_what_was_expected(
    tmp_path: Path, name: str, file: str, content: object, message: str
) -> None:
    put(tmp_path / file, content)
    with pytest.raises(ConfigError, match=message) as error:
        read_set(name, tmp_path)
    assert str(tmp_path) in str(error.value)
    assert error.value.hint


@pytest.mark.parametrize("name", SETS)
def test_an_empty_folder_is_refused_with_what_was_expected(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_set(name, tmp_path)
    assert "expected" in error.value.hint or "looked for" in error.value.hint


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "lvb_val.json").write_bytes(b"\xff\xfe[]")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_longvideobench(tmp_path)


def test_an_unknown_set_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no set is called 'VideoMME'") as error:
        read_set("VideoMME", tmp_path)
    assert "did you mean 'video-mme'" in error.value.hint


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        read_set("mlvu", tmp_path / "nowhere")


def test_an_item_whose_answer_is_no_choice_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="'C' is none of A, B"):
        Item("x", Path("v.mp4"), "Which?", ("one", "two"), "C")
