"""Readers of sets that ask when: Charades-STA, QVHighlights, ExtremeWhenBench."""

import re
from pathlib import Path

from footage.errors import ConfigError
from footage.timespan import TimeSpan
from workers.datasets.item import Item
from workers.datasets.rows import AS_DISTRIBUTED, annotations, read_text, rows_of, table, video_at

_CHARADES = re.compile(r"(\S+) (\S+) (\S+)##(.*\S.*)")


def read_charades_sta(folder: Path) -> list[Item]:
    """Charades-STA (Gao et al., ICCV 2017), the test part.

    charades_sta_test.txt with lines "VIDEO START END##sentence", and the Charades videos in Charades_v1_480/,
    Charades_v1/ or videos/. Its labels are known to be noisy (TimeLens, arXiv:2512.14698).
    """
    file = annotations(folder, "charades_sta_test.txt")
    items = []
    for n, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            name, start, end, sentence = _CHARADES.fullmatch(line.strip()).groups()  # type: ignore[union-attr]  # tried
            span = TimeSpan(float(start), float(end))
        except (AttributeError, ValueError) as error:
            expected = "'VIDEO START END##sentence' in seconds, start before end"
            raise ConfigError(f"{str(file)!r}, line {n}, is {line!r}, expected {expected}", hint=AS_DISTRIBUTED) from error
        video = video_at(folder, ("Charades_v1_480", "Charades_v1", "videos", "."), name)
        items.append(Item(f"{name}-{n}", video, sentence.strip(), spans=(span,)))
    return items


def read_qvhighlights(folder: Path) -> list[Item]:
    """QVHighlights (Lei et al., NeurIPS 2021): the test part with its labels where that is, else the validation part.

    highlight_test_with_gt.jsonl or highlight_val_release.jsonl, and videos/VID.mp4. Several true windows an item.
    """
    file = annotations(folder, "highlight_test_with_gt.jsonl", "highlight_val_release.jsonl")
    groups = {"part": "test" if "test" in file.name else "val"}
    return [
        Item(row.label("qid"), video_at(folder, ("videos", "video", "."), row.text("vid")), row.text("query"),
             spans=row.spans("relevant_windows"), groups=groups)
        for row in rows_of(file)
    ]  # fmt: skip


def read_extreme_when_bench(folder: Path) -> list[Item]:
    """ExtremeWhenBench (Seo and Kim, arXiv:2606.12300).

    The table (parquet, .json or .jsonl; one row a question) and videos/VIDEO_ID.mp4, or the videos in folders named
    after their source_corpus: LVBench/, MLVU/, VideoMME/.
    """
    items = []
    for row in table(folder, ("test*", "data/test*", "extreme*", "*")):
        corpus = row.text("source_corpus")
        video = video_at(folder, ("videos", f"videos/{corpus}", corpus, "."), row.text("video_id"))
        groups = {"source_corpus": corpus} | ({"category": row.text("category")} if row.values.get("category") else {})
        items.append(Item(row.label("qid"), video, row.text("question"), spans=(row.span("correct_interval"),), groups=groups))
    return items
