"""Readers of sets that are asked as multiple choice: Video-MME, LongVideoBench, MLVU, LVBench.

A reader returns every item, whether its video is there or not; `registry.read_set` tells the two apart.
"""

import json
import logging
import re
from pathlib import Path

from footage.errors import ConfigError
from footage.timespan import TimeSpan, parse_clock
from workers.datasets.item import LETTERS, Item
from workers.datasets.rows import Row, annotations, rows_of, table, video_at

log = logging.getLogger(__name__)

MLVU_TASKS = {  # file and folder of videos -> whether it is asked as multiple choice
    "1_plotQA": True, "2_needle": True, "3_ego": True, "4_count": True, "5_order": True,
    "6_anomaly_reco": True, "7_topic_reasoning": True, "8_sub_scene": False, "9_summary": False,
}  # fmt: skip
_LABEL = re.compile(r"^\(?([A-Z])[.):]\s*")
_INLINE = re.compile(r"\s*\(([A-Z])\)\s*")


def read_video_mme(folder: Path) -> list[Item]:
    """Video-MME (Fu et al., CVPR 2025).

    videomme/test-00000-of-00001.parquet (or the same rows as .json or .jsonl, which needs no pyarrow),
    data/VIDEO_ID.mp4, subtitle/VIDEO_ID.srt (744 of the 900 videos have one).
    """
    items = []
    for row in table(folder, ("videomme/test*", "test*", "data/test*", "videomme*")):
        key, options = row.text("videoID"), row.texts("options")
        subtitles = folder / "subtitle" / f"{key}.srt"
        items.append(Item(
            row.label("question_id"), video_at(folder, ("data", "videos", "video", "."), key), row.text("question"),
            tuple(_LABEL.sub("", option) for option in options), row.named_letter("answer", options),
            subtitles=subtitles if subtitles.is_file() else None,
            groups={name: row.text(name) for name in ("duration", "domain", "sub_category", "task_type")},
        ))  # fmt: skip
    return items


def read_longvideobench(folder: Path) -> list[Item]:
    """LongVideoBench (Wu et al., NeurIPS 2024), the validation part: the test part has no public answers.

    lvb_val.json, videos/, subtitles/. Four or five choices. Videos are cut out of longer ones and the subtitle files
    keep the longer ones' clock (`Item.subtitles_start_s`).
    """
    file = annotations(folder, "lvb_val.json")
    items = []
    for row in rows_of(file):
        choices = row.texts("candidates")
        subtitles = file.parent / "subtitles" / row.text("subtitle_path")
        items.append(Item(
            row.label("id"), file.parent / "videos" / row.text("video_path"), row.text("question"), choices,
            row.letter("correct_choice", choices), subtitles=subtitles if subtitles.is_file() else None,
            subtitles_start_s=row.number("starting_timestamp_for_subtitles"),
            groups={name: row.label(name) for name in ("duration_group", "question_category", "topic_category", "level")},
        ))  # fmt: skip
    return items


def read_mlvu(folder: Path) -> list[Item]:
    """MLVU (Zhou et al., CVPR 2025), the dev part: seven tasks of multiple choice, two of open answers for a judge.

    json/1_plotQA.json ... json/9_summary.json and video/1_plotQA/ ..., in the folder or its MLVU/. All nine files: the
    set's own mean is over tasks. Answers are the text of a choice; where none has that text, the item cannot be judged.
    """
    base = folder / "MLVU" if (folder / "MLVU" / "json").is_dir() else folder
    absent = [stem for stem in MLVU_TASKS if not (base / "json" / f"{stem}.json").is_file()]
    if absent:
        raise ConfigError(f"{str(base / 'json')!r} lacks {', '.join(f'{stem}.json' for stem in absent)}",
                          hint="expected json/1_plotQA.json to json/9_summary.json")  # fmt: skip
    items = []
    for stem, is_choice in MLVU_TASKS.items():
        for n, row in enumerate(rows_of(base / "json" / f"{stem}.json"), start=1):
            video = base / "video" / stem / row.text("video")
            items.append(_mlvu_item(row, f"{stem}-{n}", video, stem.partition("_")[2], is_choice))
    return items


def read_lvbench(folder: Path) -> list[Item]:
    """LVBench (Wang et al., ICCV 2025).

    video_info.meta.jsonl (one video a line), here or in data/; videos named KEY.mp4 in all_videos/ or videos/, or as the
    set's own download script leaves them (videos/00000/000000000.mp4 beside a .json with the address). A question may
    have several types. Its time reference becomes `Item.spans`.
    """
    file = annotations(folder, "video_info.meta.jsonl")
    base = folder if file.parent.name == "data" else file.parent
    scripted = _by_address(base)
    items = []
    for row in rows_of(file):
        key = row.text("key")
        video = scripted.get(key) or video_at(base, ("all_videos", "videos", "video", "."), key)
        items += [_lvbench_item(question, key, video, row.text("type")) for question in row.rows("qa")]
    return items


def _mlvu_item(row: Row, name: str, video: Path, task: str, is_choice: bool) -> Item:
    question, answer = row.text("question"), row.text("answer")
    if not is_choice:
        points = row.texts("scoring_points") if "scoring_points" in row.values else ()
        return Item(name, video, question, answer=answer, scoring_points=points, groups={"part": "generation", "task": task})
    choices = row.texts("candidates")
    same = [n for n, choice in enumerate(choices) if choice.strip().lower() == answer.strip().lower()]
    if not same:
        log.warning("no choice has the answer's text where=%s answer=%r", row.where, answer)
    letter = LETTERS[same[0]] if same else ""
    return Item(name, video, question, choices, letter, groups={"part": "multiple choice", "task": task})


def _lvbench_item(row: Row, key: str, video: Path, kind: str) -> Item:
    question, choices = _split_choices(row)
    groups = {"question_type": "; ".join(row.texts("question_type")), "type": kind}
    answer = row.named_letter("answer", choices)
    return Item(f"{key}-{row.label('uid')}", video, question, choices, answer, spans=_reference(row), groups=groups)


def _split_choices(row: Row) -> tuple[str, tuple[str, ...]]:
    """A question with "(A) ... (B) ..." behind it, taken apart."""
    text = row.text("question")
    question, _, listed = text.rpartition("(A)")
    first, *rest = _INLINE.split(listed)
    letters, choices = ("A", *rest[::2]), tuple(part.strip() for part in (first, *rest[1::2]))
    if not question.strip() or len(choices) < 2 or "".join(letters) != LETTERS[: len(letters)]:
        row.refuse("question", text, "a question and its choices, (A) to (D)")
    return question.strip(), choices


def _reference(row: Row) -> tuple[TimeSpan, ...]:
    """From 00:15-00:19 or 1:02:03-1:02:10. The clock shows whole seconds: one time alone stands for that second."""
    text = row.text("time_reference") if row.values.get("time_reference") else ""
    start, _, end = text.partition("-")
    try:
        start_s = parse_clock(start)
        end_s = parse_clock(end) if end else start_s
        return (TimeSpan(start_s, end_s if end_s != start_s else start_s + 1),)
    except ValueError:
        log.warning("time reference unreadable, the item has no spans where=%s text=%r", row.where, text)
        return ()


def _by_address(folder: Path) -> dict[str, Path]:
    """Videos of the set's download script, by the key that ends their address; two places, as the script runs in scripts/."""
    found = {}
    for note in (*folder.glob("videos/*/*.json"), *folder.glob("scripts/videos/*/*.json")):
        video = note.with_suffix(".mp4")
        try:
            address = json.loads(note.read_text(encoding="utf-8"))["url"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if video.is_file() and isinstance(address, str):
            found[address.rpartition("v=")[2]] = video
    return found
