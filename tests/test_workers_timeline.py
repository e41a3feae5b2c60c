"""`footage timeline`: scenes of films whose cuts are known, their captions, gaps, and what is told when nothing can be."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_vlms import make_vlm, make_words
from typer.testing import CliRunner
from views import make_view

from footage import Carrier, ConfigError, Gap, NothingRecorded, Recording, Segment, SegmentMemory, TextRow, TimeSpan
from footage.colours import NAMES
from memory.local_store import LocalStore
from nano.world import World, WorldConfig
from qa.answerers.vlm import VlmAnswerer
from qa.timeline import Scene, Texts, colours_of, edges_of, fewer, limit_of, readable, told_by
from workers.cli import app
from workers.engine import Library, open_library
from workers.eval_films import NANO, open_nano
from workers.timeline import _runs as runs_of

WIDTH, HEIGHT, FPS = 160, 96, 10
CUTS = (0.0, 4.3, 9.6, 14.2, 20.7, 25.1)
END_S = 30.0
GROUNDS = ((70, 72, 78), (25, 60, 200), (118, 82, 45), (86, 88, 92), (60, 64, 60), (30, 160, 50))
SIGN = 3  # this scene differs from the next by an orange sign alone, a twentieth of the picture
SAID = "The old bridge was closed."
SRT = f"1\n00:00:11,000 --> 00:00:13,000\n{SAID}\n"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes with a ball that always moves, a key frame every 3 s, one line of subtitles."""
    path = tmp_path_factory.mktemp("film") / "harbour.mp4"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "g": "30"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for n in range(round(END_S * FPS)):
            scene = int(np.searchsorted(CUTS, n / FPS + 1e-6, side="right")) - 1
            picture = np.full((HEIGHT, WIDTH, 3), GROUNDS[scene], np.uint8)
            if scene == SIGN:
                picture[20:40, 100:138] = (240, 130, 20)
            picture[HEIGHT - 12 : HEIGHT - 4, n * 3 % WIDTH :][:, :8] = (222, 214, 196)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    path.with_suffix(".srt").write_text(SRT)
    return path


@pytest.fixture(scope="module")
def place(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library") / "lib"
    with opened(folder) as library:
        library.index(film)
    return folder


def opened(folder: Path, **more: Any) -> Library:
    return open_library(str(folder), **{"index": {"ocr": "off"}} | more)


@pytest.fixture
def library(place: Path) -> Library:
    return opened(place)


def tiled(found: Sequence[Scene], span: TimeSpan) -> bool:
    edges = [edge for scene in found for edge in (scene.span.start_s, scene.span.end_s)]
    return edges[::2] == [span.start_s, *edges[1:-1:2]] and edges[-1] == span.end_s


# --- a film whose cuts are known ----------------------------------------------------------------------------------------------------


def test_every_cut_is_found_to_the_frame_and_scenes_tile_the_film(library: Library) -> None:
    found = library.timeline()
    assert [scene.span.start_s for scene in found] == pytest.approx(CUTS)
    assert all(scene.is_exact for scene in found)
    assert tiled(found, TimeSpan(0.0, END_S))
    assert all(scene.thumb_s is not None and scene.thumb_s in scene.span for scene in found)


def test_captions_are_what_is_said_or_else_the_colours(library: Library) -> None:
    told = [(scene.caption, scene.source) for scene in library.timeline()]
    assert told[1] == ("mostly blue", "colour")
    assert told[2] == (f'"{SAID}"', "subtitle")
    assert told[5] == ("mostly green", "colour")


def test_without_the_file_edges_are_where_sampling_saw_them(film: Path, place: Path, tmp_path: Path) -> None:
    with opened(place, ask={"ground": False}) as library:
        found = library.timeline()
    assert [scene.span.start_s for scene in found] == [float(np.ceil(cut)) for cut in CUTS]
    assert [scene.is_exact for scene in found] == [True, *[False] * 5]  # a recording begins where it begins


def test_only_what_lies_between_from_and_to_is_told(library: Library) -> None:
    found = library.timeline("harbour.mp4", start="0:06", end=12)
    assert tiled(found, TimeSpan(6.0, 12.0))
    assert [scene.span.start_s for scene in found] == pytest.approx([6.0, 9.6])
    assert found[0].is_exact is False


def test_short_scenes_join_the_neighbour_that_they_look_like(library: Library) -> None:
    found = library.timeline(min_s=8.0)
    assert [scene.span.start_s for scene in found] == pytest.approx([0.0, 14.2])  # the grey ones, and green as it has no other neighbour
    assert tiled(found, TimeSpan(0.0, END_S))


# --- the command --------------------------------------------------------------------------------------------------------------------


def footage(*args: str | Path, **env: str) -> Any:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"FOOTAGE_INDEX__OCR": "off"} | env)


def test_json_is_one_object_a_scene_and_the_sheet_shows_them(place: Path, tmp_path: Path) -> None:
    done = footage("timeline", "harbour.mp4", "-l", place, "--json", "--sheet", tmp_path / "new" / "sheet.png")
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(CUTS)
    assert all(set(row) == {"start_s", "end_s", "caption", "source", "thumbnail_s", "exact"} for row in rows)
    assert rows[2] | {"thumbnail_s": 0} == {
        "start_s": 9.6, "end_s": 14.2, "caption": f'"{SAID}"', "source": "subtitle", "thumbnail_s": 0, "exact": True,
    }  # fmt: skip
    sheet = np.asarray(Image.open(tmp_path / "new" / "sheet.png"))
    assert sheet.shape[1] == 1280
    shows_blue = (np.abs(sheet[60:160, 330:630].astype(int) - GROUNDS[1]).max(-1) < 12).mean()
    assert shows_blue > 0.8  # the second picture is of the second scene


def test_people_get_a_table_and_a_file_is_indexed_first(film: Path, tmp_path: Path) -> None:
    done = footage("timeline", film, "-l", tmp_path / "fresh")
    assert done.exit_code == 0, done.output
    assert f'0:09-0:14  "{SAID}"' in " ".join(done.stdout.split("\n"))
    assert footage("timeline", "--help").stdout.count("--min-s") == 1


def test_mistakes_say_what_to_do(place: Path, tmp_path: Path) -> None:
    library = opened(place)
    with pytest.raises(ConfigError, match=r"no recording 'nowhere'"):
        library.timeline("nowhere")
    with pytest.raises(NothingRecorded, match="nothing is recorded in"):
        library.timeline(start="1:00", end="2:00")
    with pytest.raises(NothingRecorded, match=r"from 00:01:00.000 on$"):
        library.timeline(start="1:00")
    with pytest.raises(ConfigError, match="longer than 0 s"):
        library.timeline(min_s=0)
    with pytest.raises(NothingRecorded, match="no library"):
        opened(tmp_path / "none").timeline()
    with opened(tmp_path / "two") as two:
        two.index("synthetic:red=3", "synthetic:blue=3")
        with pytest.raises(ConfigError, match="holds 2 recordings") as caught:
            two.timeline()
    assert "synthetic:blue=3" in caught.value.hint


# --- gaps ---------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """One segment as it was indexed: colour names, a second each, and gaps."""

    index: int
    start_s: float
    colours: tuple[str, ...]
    gaps: tuple[Gap, ...] = ()

    def memory(self) -> SegmentMemory:
        spans = [TimeSpan(self.start_s + n, self.start_s + n + 1) for n, name in enumerate(self.colours) if name]
        embeds = [np.eye(len(NAMES), dtype=np.float32)[NAMES.index(name)] for name in self.colours if name]
        tokens = np.zeros((1, len(NAMES)), np.float16)
        carriers = [Carrier("rec", (span,), span.start_s, 1.0, tokens, embed) for span, embed in zip(spans, embeds, strict=True)]
        whole = TimeSpan(self.start_s, self.start_s + len(self.colours))
        return SegmentMemory(Segment("rec", self.index, whole), tuple(carriers), gaps=self.gaps)


def written(folder: Path, duration_s: float, *segments: Seen) -> Library:
    library = opened(folder)
    with LocalStore(folder) as store:
        store.add(Recording("rec", duration_s, 64, 48), "broken.mp4")
        for segment in segments:
            store.commit(segment.memory(), generation=library.tools.generation, encoder_id="color@1")
    return library


def test_gaps_are_scenes_of_their_own_and_nothing_is_joined_over_them(tmp_path: Path) -> None:
    damaged = Gap(TimeSpan(5.0, 8.0), "damaged: no frame could be decoded")
    first = Seen(0, 0.0, ("red",) * 5 + ("",) * 3 + ("red",), (damaged,))
    found = written(tmp_path / "lib", 40.0, first, Seen(2, 20.0, ("blue",) * 10)).timeline()
    assert [(scene.span.start_s, scene.span.end_s, scene.source) for scene in found] == [
        (0.0, 5.0, "colour"), (5.0, 8.0, "gap"), (8.0, 9.0, "colour"), (9.0, 20.0, "gap"), (20.0, 30.0, "colour"), (30.0, 40.0, "gap"),
    ]  # fmt: skip
    assert found[1].caption == damaged.reason
    assert found[3].caption == found[5].caption == "not indexed yet"
    assert found[1].thumb_s is None


def test_a_recording_of_gaps_alone_says_so_and_has_no_sheet(tmp_path: Path) -> None:
    gap = Gap(TimeSpan(0.0, 4.0), "damaged: no frame could be decoded")
    [scene] = written(tmp_path / "lib", 4.0, Seen(0, 0.0, ("",) * 4, (gap,))).timeline(end=3)
    assert (scene.span, scene.source) == (TimeSpan(0.0, 3.0), "gap")
    done = footage("timeline", "-l", tmp_path / "lib", "--sheet", tmp_path / "sheet.png")
    assert isinstance(done.exception, ConfigError)
    empty = written(tmp_path / "empty", 9.0)
    with pytest.raises(NothingRecorded, match="nothing is indexed"):
        empty.timeline()


# --- which scenes are told ----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10), st.sampled_from([0.5, 1.0, 1.0, 4.0])), min_size=1, max_size=60), st.integers(1, 6))
def test_scenes_tile_the_time_none_is_short_and_none_too_many(rows: list[tuple[int, float]], most: int) -> None:
    view = make_view(np.eye(11, dtype=np.float32)[[colour for colour, _ in rows]], weights_s=[weight for _, weight in rows])
    span = view.horizons["rec"]
    runs = runs_of(view, [], 2.0)
    told, spans = fewer(runs, edges_of(runs, view, span, []), view, min_s=2.0, most=most)
    assert [slice(told[0].start, told[-1].stop)] == [slice(0, len(view))]
    assert [a.end_s for a in spans[:-1]] == [b.start_s for b in spans[1:]]
    assert (spans[0].start_s, spans[-1].end_s) == (span.start_s, span.end_s)
    assert len(spans) == 1 or min(each.duration_s for each in spans) >= 2.0
    assert len(spans) <= most


def test_carriers_that_overlap_in_time_still_tile_it() -> None:
    view = make_view(np.eye(4, dtype=np.float32))
    view = replace(view, starts_s=np.array([0.0, 1.0, 2.0, 7.0]), ends_s=np.array([9.0, 8.0, 7.0, 10.0]))
    within, runs = TimeSpan(4.0, 10.0), [slice(n, n + 1) for n in range(4)]
    _, spans = fewer(runs, edges_of(runs, view, within, []), view, min_s=0.1, most=None)
    assert spans == [TimeSpan(4.0, 7.0), TimeSpan(7.0, 10.0)]


def test_six_lively_hours_become_a_readable_list_of_its_largest_changes() -> None:
    rng = np.random.default_rng(3)
    shots = rng.random((6 * 3600 // 20, 8))[:, None] + 0.002 * rng.random((1, 20, 8))
    embeds = shots.reshape(-1, 8) / np.linalg.norm(shots.reshape(-1, 8), axis=1, keepdims=True)
    view = make_view(embeds.astype(np.float32))
    span = view.horizons["rec"]
    runs = runs_of(view, [], 2.0)
    told, spans = fewer(runs, edges_of(runs, view, span, []), view, min_s=2.0, most=readable(span))
    assert len(runs) > 1000
    assert len(told) == readable(span) == 6 * 40
    assert all(each.start_s % 20 == 0 for each in spans)  # of the true cuts, none invented


def test_a_stretch_in_motion_is_parted_from_what_stands_before_and_after() -> None:
    still, angles = np.zeros(6), np.linspace(0, np.pi / 2, 6)
    turn = np.concatenate([still, angles, still + np.pi / 2])
    view = make_view(np.stack([np.cos(turn), np.sin(turn)], 1).astype(np.float32))
    begins = [run.start for run in runs_of(view, [], 2.0)]
    assert begins[1] in (6, 7)
    assert begins[-1] in (10, 11)
    assert len(begins) <= 4


def test_slides_of_which_each_was_kept_once_are_scenes() -> None:
    view = make_view(np.eye(6, dtype=np.float32), weights_s=[10.0] * 6)
    assert [run.start for run in runs_of(view, [], 2.0)] == [0, 1, 2, 3, 4, 5]


def test_the_limit_follows_how_lively_the_footage_is() -> None:
    quiet = np.tile([1.0, 0.0], (20, 1))
    noisy = np.stack([np.cos(np.arange(20) % 2 * 0.6), np.sin(np.arange(20) % 2 * 0.6)], 1)
    lively = np.stack([np.cos(np.arange(20) * np.arccos(0.99)), np.sin(np.arange(20) * np.arccos(0.99))], 1)
    assert limit_of(lively) == pytest.approx(0.92)
    assert limit_of(quiet) == pytest.approx(0.98)
    assert limit_of(noisy) == pytest.approx(0.85)
    assert limit_of(quiet[:1]) == limit_of(np.zeros((0, 2))) == 0.98


# --- captions -----------------------------------------------------------------------------------------------------------------------


def line(text: str, start_s: float, end_s: float, *, kind: str = "ocr", height: float = 0.1, score: float = 1.0) -> TextRow:
    box = (0.1, 0.1, 0.5, 0.1 + height) if kind == "ocr" else None
    return TextRow("rec", TimeSpan(start_s, end_s), kind, text, score, box)


SPANS = [TimeSpan(10 * n, 10 * n + 10) for n in range(4)]


@pytest.mark.parametrize(
    ("rows", "caption", "source"),
    [
        ([], "", ""),
        ([line("small", 0, 10), line("LARGE", 0, 10, height=0.3), line("brief", 0, 4)], '"LARGE", "small", "brief"', "text"),
        ([line("NEWS 4", 0, 40, height=0.3), line("a talk", 2, 5)], '"a talk", "NEWS 4"', "text"),  # a logo says least
        ([line("We left.", 1, 2, kind="subtitle"), line("Then.", 3, 9, kind="subtitle")], '"We left."', "subtitle"),
        ([line("a sign", 0, 9), line("We left.", 1, 3, kind="speech")], '"a sign", "We left."', "text"),
        ([line("the next one", 9.2, 20), line("!!", 0, 10), line("unsure", 0, 10, score=0.5), line("flash", 4, 5)], "", ""),
        ([line("Harbour at dawn", 0, 9), line("Harb0ur at dawn", 0, 8)], '"Harbour at dawn"', "text"),  # one line, read twice
        ([line("a" * 90, 0, 9)], f'"{"a" * 57}..."', "text"),
    ],
)
def test_captions_quote_what_stands_longest(rows: list[TextRow], caption: str, source: str) -> None:
    assert Texts(rows, SPANS).caption(SPANS[0]) == (caption, source)


def test_colours_in_words() -> None:
    def shares(**parts: float) -> np.ndarray:
        return np.sqrt([parts.get(name, 0.0) for name in NAMES])

    assert colours_of(shares(blue=1.0)) == "mostly blue"
    assert colours_of(shares(grey=0.5, red=0.3, white=0.15, pink=0.05)) == "mostly grey and red, some white"
    assert colours_of(shares(**dict.fromkeys(NAMES[:10], 0.1))).startswith("mostly black")


def test_a_model_of_the_librarys_own_carriers_tells_scenes(film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vlm"
    make_vlm("smolvlm").save_pretrained(folder)
    make_words().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"footage": {"max_new_tokens": 6}}))
    index = {"ocr": "off", "carriers": str(folder), "dtype": "float32", "device": "cpu"}
    with opened(tmp_path / "lib", index=index, offline=True) as library:
        library.index("synthetic:red=6,blue=6")  # two rows: what does not change is kept once
        found, view = library.timeline(), library.memory.view()
        assert isinstance(library.answerer, VlmAnswerer)
        words = told_by(library.answerer, found[1].span, view.load([1]))
    assert [scene.source for scene in found] == ["model", "model"]
    assert found[1].caption == words
    with opened(tmp_path / "lib", index=index, offline=True, ask={"model": "none"}) as library:
        assert [scene.source for scene in library.timeline()] == ["colour", "colour"]


def test_in_nanos_world_every_event_is_a_scene_and_nano_is_not_asked_to_describe(tmp_path: Path) -> None:
    world = World.make(WorldConfig(seed=3, duration_s=60.0, events_per_hour=180.0))
    with open_nano(tmp_path / "lib", index=NANO) as library:
        library.index(world.write(tmp_path / "world.mp4", []))
        found = library.timeline()
    begins = np.array([scene.span.start_s for scene in found])
    edges = [edge for placed in world.events for edge in (placed.start_s, placed.end_s)]
    assert len(edges) == 6
    assert all(np.min(np.abs(begins - edge)) <= 1.0 for edge in edges)
    assert {(scene.caption, scene.source) for scene in found} == {("no text", "")}
