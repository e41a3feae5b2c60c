"""Reader of OVO-Bench, which asks while the video is still running."""

from pathlib import Path

from workers.datasets.item import Item
from workers.datasets.rows import Row, annotations, rows_of

OVO_PARTS = {
    "backward": ("EPM", "ASI", "HLD"),
    "realtime": ("OCR", "ACR", "ATR", "STU", "FPD", "OJR"),
    "forward": ("REC", "SSR", "CRR"),
}
YES_NO = ("Yes", "No")
_PART_OF = {task: part for part, tasks in OVO_PARTS.items() for task in tasks}


def read_ovo_bench(folder: Path) -> list[Item]:
    """OVO-Bench (Li et al., CVPR 2025).

    ovo_bench_new.json, and chunked_videos/ID.mp4 (cut at the second of asking, so that nothing later can leak; ID_N.mp4
    for the forward tasks) or the whole videos in src_videos/ or beside the file. A forward record is asked at several
    seconds and becomes as many items: REC counts so far, SSR whether a step is going on, CRR whether enough was seen.
    """
    file = annotations(folder, "ovo_bench_new.json")
    return [item for row in rows_of(file) for item in _items(row, file.parent)]


def _items(row: Row, base: Path) -> list[Item]:
    task, name = row.text("task"), row.label("id")
    if task not in _PART_OF:
        row.refuse("task", task, f"one of {', '.join(_PART_OF)}")
    groups = {"part": _PART_OF[task], "task": task}
    if _PART_OF[task] != "forward":
        choices = row.texts("options")
        return [Item(name, _video(row, base, name), row.text("question"), choices, row.letter("gt", choices),
                     asked_at_s=row.number("realtime"), groups=groups)]  # fmt: skip
    asked = []
    for n, test in enumerate(row.rows("test_info")):
        question, choices, answer = _forward(row, test, task)
        asked.append(Item(f"{name}_{n}", _video(row, base, f"{name}_{n}"), question, choices, answer,
                          asked_at_s=test.number("realtime"), groups=groups))  # fmt: skip
    return asked


def _forward(row: Row, test: Row, task: str) -> tuple[str, tuple[str, ...], str]:
    """Question, choices and answer at one of a record's seconds."""
    if task == "REC":
        return f"How many times did they {row.text('activity')}?", (), str(round(test.number("count")))
    if test.number("type") not in (0, 1):
        test.refuse("type", test.values["type"], "0 or 1")
    answer = "A" if test.number("type") else "B"
    if task == "SSR":
        return f"Is somebody in the video doing this step right now: {test.text('step')}?", YES_NO, answer
    return f"Has enough been seen by now to answer this question: {row.text('question')}", YES_NO, answer


def _video(row: Row, base: Path, chunk: str) -> Path:
    name = row.text("video")
    tries = (base / "chunked_videos" / f"{chunk}.mp4", base / "src_videos" / name, base / name)
    return next((path for path in tries if path.is_file()), tries[1])
