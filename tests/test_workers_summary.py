"""`footage summary`: from a library, with and without a model, kept and told anew only where something changed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_qa_openai import Served, refuses, says, server  # noqa: F401  a real server of chat completions
from tiny_vlms import make_vlm, make_words
from typer.testing import CliRunner

from footage import Carrier, ConfigError, Gap, ModelError, NothingRecorded, Recording, Segment, SegmentMemory, TextRow, TimeSpan
from footage.colours import NAMES
from memory.local_store import LocalStore
from qa.answerers.vlm import VlmAnswerer
from qa.retell import ASKED, ASKED_OF_ALL
from qa.summary import SECTIONS
from workers import summary as summaries
from workers.cli import app
from workers.engine import Library, open_library
from workers.summary_text import summary_json, written

WORDS = ("harbour", "mountain", "station", "kitchen", "garden", "library")
COLOURS = ("blue", "grey", "red", "yellow", "green", "brown")
EACH_S = 60.0


def opened(folder: Path, **more: Any) -> Library:
    return open_library(str(folder), **{"index": {"ocr": "off"}} | more)


def part(index: int, *, each_s: float = EACH_S, step_s: float = 1.0, gaps: tuple[Gap, ...] = ()) -> SegmentMemory:
    """A stretch of one colour with a word on the screen."""
    start_s, kind = index * each_s, index % len(WORDS)
    embed = np.eye(len(NAMES), dtype=np.float32)[NAMES.index(COLOURS[kind])]
    spans = [TimeSpan(s, s + step_s) for s in np.arange(start_s, start_s + each_s, step_s).tolist()]
    seen = [span for span in spans if not any(gap.span.overlap_s(span) > 0 for gap in gaps)]
    carriers = tuple(Carrier("rec", (span,), span.start_s, step_s, np.ones((1, 4), np.float16), embed) for span in seen)
    whole = TimeSpan(start_s, start_s + each_s)
    return SegmentMemory(Segment("rec", index, whole), carriers, texts=(TextRow("rec", whole, "ocr", WORDS[kind]),), gaps=gaps)


def grown(folder: Path, *parts: SegmentMemory, duration_s: float = 600.0) -> Path:
    with opened(folder) as library, LocalStore(folder) as store:
        store.add(Recording("rec", duration_s, 64, 48), "day.mp4")
        for memory in parts:
            store.commit(memory, generation=library.tools.generation, encoder_id="color@1")
    return folder


def footage(*args: str | Path) -> Any:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"FOOTAGE_INDEX__OCR": "off"})


# --- without a model --------------------------------------------------------------------------------------------------------------------


def test_sections_of_a_recording_with_what_stands_there_and_what_is_missing(tmp_path: Path) -> None:
    damaged = Gap(TimeSpan(70.0, 80.0), "damaged: no frame could be decoded")
    folder = grown(tmp_path / "lib", part(0), part(1, gaps=(damaged,)), part(2), duration_s=200.0)
    with opened(folder) as library:
        made = library.summary()
    assert [(section.span.start_s, section.span.end_s, section.words) for section in made.sections] == [
        (0.0, 60.0, ("harbour",)), (60.0, 120.0, ("mountain",)), (120.0, 200.0, ("station",)),
    ]  # fmt: skip
    assert [(gap.span, gap.reason) for gap in made.gaps] == [(damaged.span, damaged.reason), (TimeSpan(180, 200), "not indexed yet")]
    assert written(made, "day.mp4").splitlines() == [
        "0:00-3:20  day.mp4: 4 scenes in 3 sections", "", "Quotes; no model was asked.", "",
        "0:00-1:00  harbour", "", '  0:00-1:00  "harbour" [on screen]', "",
        "1:00-2:00  mountain", "", '  1:00-2:00  "mountain" [1:20-2:00, on screen] (2 scenes)',
        "  1:10-1:20  nothing could be seen: damaged: no frame could be decoded", "",
        "2:00-3:20  station", "", '  2:00-3:20  "station" [2:00-3:00, on screen]', "  3:00-3:20  nothing could be seen: not indexed yet",
    ]  # fmt: skip


def test_the_command_prints_writes_and_keeps(tmp_path: Path) -> None:
    folder = grown(tmp_path / "lib", part(0), part(1), duration_s=120.0)
    done = footage("summary", "day.mp4", "-l", folder, "--out", tmp_path / "day.md", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["name"], told["start_s"], told["end_s"], told["model"], told["told"]) == ("day.mp4", 0.0, 120.0, "", None)
    assert [section["title"] for section in told["sections"]] == ["harbour", "mountain"]
    assert told["sections"][0]["parts"] == [
        {"start_s": 0.0, "end_s": 60.0, "scenes": 1,
         "quotes": [{"start_s": 0.0, "end_s": 60.0, "text": '"harbour"', "source": "text"}]}
    ]  # fmt: skip
    assert (tmp_path / "day.md").read_text().startswith("# 0:00-2:00  day.mp4: 2 scenes in 2 sections\n\nQuotes;")
    assert "\n## 0:00-1:00  harbour\n\n- 0:00-1:00" in (tmp_path / "day.md").read_text()
    assert footage("summary", "-l", folder).stdout.startswith("0:00-2:00  day.mp4")
    refused = footage("summary", "-l", folder, "--out", tmp_path / "away" / "day.md").exception
    assert isinstance(refused, ConfigError)
    assert "day.md cannot be written" in str(refused)


def test_what_is_kept_is_read_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, made = grown(tmp_path / "lib", part(0), part(1)), []
    timeline = summaries.timeline
    monkeypatch.setattr(summaries, "timeline", lambda *args, **more: made.append(1) or timeline(*args, **more))

    def summed(**more: Any) -> Any:
        with opened(folder) as library:
            return summary_json(library.summary(**more), library)

    first = summed()
    assert summed() == first
    assert len(made) == 1
    assert [section["title"] for section in summed(start=70)["sections"]] == ["mountain"]
    assert len(made) == 2
    grown(folder, part(2))
    assert len(summed()["sections"]) == 3
    assert len(made) == 3
    for path in (folder / summaries.FOLDER).iterdir():
        path.write_text('{"content": "cut o')
    assert len(summed()["sections"]) == 3
    assert len(made) == 4


def test_one_scene_an_empty_range_and_none(tmp_path: Path) -> None:
    folder = grown(tmp_path / "lib", part(0), duration_s=60.0)
    with opened(folder) as library:
        made = library.summary(start="0:10", end="0:20")
        assert [(section.span, section.scenes) for section in made.sections] == [(TimeSpan(10.0, 20.0), 1)]
        with pytest.raises(NothingRecorded):
            library.summary(start="2:00")
        with pytest.raises(ConfigError, match="is empty"):
            library.summary(start=20, end=10)
        with pytest.raises(ConfigError, match="no recording 'nowhere'"):
            library.summary("nowhere")
    blind = grown(tmp_path / "blind", part(0, gaps=(Gap(TimeSpan(0.0, 60.0), "damaged"),)), duration_s=60.0)
    with opened(blind) as library:
        made = library.summary()
    assert made.scenes == 0
    assert "0:00-1:00  nothing could be seen: damaged" in written(made, "day.mp4")


def test_six_hours(tmp_path: Path) -> None:
    folder = grown(tmp_path / "lib", *(part(n, each_s=1200.0, step_s=20.0) for n in range(18)), duration_s=21600.0)
    with opened(folder) as library:
        made = library.summary()
    assert made.scenes == 18
    assert len(made.sections) == SECTIONS
    assert (made.sections[0].span.start_s, made.sections[-1].span.end_s) == (0.0, 21600.0)
    assert all(section.span.start_s % 1200 == 0 for section in made.sections)


def test_a_library_that_may_only_be_read_is_summed_up_too(tmp_path: Path) -> None:
    folder = grown(tmp_path / "lib", part(0))
    (folder / summaries.FOLDER).write_text("no folder can be made here")
    with opened(folder) as library:
        assert library.summary().scenes == 1


# --- with a model -----------------------------------------------------------------------------------------------------------------------


def questions(server: Served) -> list[str]:  # noqa: F811
    """What was asked since the last time."""
    asked = [call["body"]["messages"][1]["content"][-1]["text"].removeprefix("Question: ") for call in server.asked]
    server.asked.clear()
    return asked


def test_each_section_is_told_from_its_scenes_and_the_whole_from_the_sections(server: Served, tmp_path: Path) -> None:  # noqa: F811
    folder = grown(tmp_path / "lib", part(0), part(1), part(2), duration_s=180.0)
    server.acts = [says("[1] A boat leaves the harbour."), says("[1] A path goes up."), says("none"), says("[2][1] A journey.")]
    model = f"openai:{server.url}#a-model"
    with opened(folder, ask={"model": model}) as library:
        made = library.summary()
    assert [section.told and section.told.text for section in made.sections] == ["A boat leaves the harbour.", "A path goes up.", ""]
    assert made.sections[1].told is not None
    assert made.sections[1].told.spans == (TimeSpan(60.0, 120.0),)
    assert made.told is not None
    assert (made.told.text, made.told.spans) == ("A journey.", (TimeSpan(0.0, 60.0), TimeSpan(60.0, 120.0)))
    parts = [part["text"] for part in server.asked[-1]["body"]["messages"][1]["content"]]
    assert '[1] 0:00-1:00: summary <evidence>"A boat leaves the harbour."</evidence>' in parts
    assert questions(server) == [ASKED] * 3 + [ASKED_OF_ALL]
    text = written(made, "day.mp4")
    assert f"\n\nA journey. [0:00-1:00, 1:00-2:00]\n\nIn the words of {model}, which may be wrong" in text
    assert "A path goes up. [1:00-2:00]" in text


def test_a_recording_that_grew_is_told_where_it_grew(server: Served, tmp_path: Path) -> None:  # noqa: F811
    folder, model = grown(tmp_path / "lib", part(0), part(1)), {"model": f"openai:{server.url}#a-model"}
    server.acts = [says("[1] Something is there.")]
    with opened(folder, ask=model) as library:
        library.summary()
    assert questions(server) == [ASKED, ASKED, ASKED_OF_ALL]
    with opened(folder, ask=model) as library:
        assert library.summary().told is not None
    assert questions(server) == []
    grown(folder, part(2))
    with opened(folder, ask=model) as library:
        assert len(library.summary().sections) == 3
    assert questions(server) == [ASKED, ASKED_OF_ALL]
    with opened(folder) as library:
        assert library.summary().model == ""  # another model's summary is another one


def test_what_was_told_before_a_server_failed_is_not_asked_again(server: Served, tmp_path: Path) -> None:  # noqa: F811
    folder, model = grown(tmp_path / "lib", part(0), part(1), part(2)), {"model": f"openai:{server.url}#a-model"}
    server.acts = [says("[1] Something."), says("[1] Something else."), refuses(400, "no more")]
    with opened(folder, ask=model) as library:
        with pytest.raises(ModelError):
            library.summary()
        questions(server)
        server.acts = [says("[1] The rest.")]
        made = library.summary()
    assert [section.told and section.told.text for section in made.sections] == ["Something.", "Something else.", "The rest."]
    assert questions(server) == [ASKED, ASKED_OF_ALL]


def test_a_checkpoint_reads_the_carriers_and_is_not_asked_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, calls, stream = tmp_path / "vlm", [], VlmAnswerer.stream
    make_vlm("smolvlm").save_pretrained(folder)
    make_words().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"footage": {"max_new_tokens": 6}}))
    index = {"ocr": "off", "carriers": str(folder), "dtype": "float32", "device": "cpu"}
    monkeypatch.setattr(VlmAnswerer, "stream", lambda *args, **more: calls.append(args[1].text) or stream(*args, **more))
    with opened(tmp_path / "lib", index=index, offline=True) as library:
        library.index("synthetic:red=6,blue=6")
        made = library.summary()
        assert len(made.sections) == 2
        assert calls[:2] == [ASKED, ASKED]
        assert made.model == library.answerer.id
        count = len(calls)
        assert library.summary() == made
        assert len(calls) == count
