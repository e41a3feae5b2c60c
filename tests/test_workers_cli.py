"""The command line as a user meets it: real processes, real files, stdout for data, stderr for the rest."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from films import FILMS, write

from ingest.packets import scan

NO_OCR = {"FOOTAGE_INDEX__OCR": "off"}


def footage(*args: str | Path, env: dict[str, str] | None = None, ok: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workers.cli", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **NO_OCR, **(env or {})}, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert not ok or done.returncode == 0, done.stderr
    return done


def lines(done: subprocess.CompletedProcess[str]) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute with a key frame every 2 s and subtitles beside it."""
    path = write(tmp_path_factory.mktemp("film") / "my film.mp4", frames=600, options={"preset": "ultrafast", "g": "20"})
    path.with_suffix(".srt").write_text("1\n00:00:12,250 --> 00:00:15,500\nThe lighthouse is dark tonight.\n")
    return path


@pytest.fixture(scope="module")
def library(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("library") / "lib"
    footage("index", film, "synthetic:red=30,blue=5", "-l", place)
    return place


def test_index_prints_one_json_line_a_recording(film: Path) -> None:
    [done] = lines(footage("index", film, "--json"))
    assert done["name"] == "my film.mp4"
    assert done["duration_s"] == 60.0
    assert done["frames_seen"] == 60
    assert done["text_rows"] == 1
    assert done["gaps"] == []
    assert {"recording", "frames_kept", "carriers", "bytes", "seconds", "x_realtime"} <= set(done)
    [again] = lines(footage("index", film, "--json"))
    assert again["segments_made"] == 0
    assert again["carriers"] == done["carriers"]


def test_search_finds_the_line_and_export_writes_a_clip_that_plays(library: Path, tmp_path: Path) -> None:
    [moment] = lines(footage("search", "lighthouse is dark", "-l", library, "--json"))[0]["moments"][:1]
    assert (moment["start_s"], moment["end_s"], moment["kind"]) == (12.25, 15.5, "subtitle")
    answer = lines(footage("ask", "When is the lighthouse dark?", "-l", library, "--json"))[0]
    assert answer["citations"][0]["start_s"] == 12.25
    assert set(answer) >= {"text", "model", "citations", "gaps", "plan", "tokens", "seconds"}
    [done] = lines(footage("export", "--citation", "1", "-l", library, "--sheet", "--json"))
    clip = scan(Path(done["path"]))
    assert done["start_s"] <= 12.25
    assert clip.duration_s == pytest.approx(done["end_s"] - done["start_s"], abs=0.35)
    assert Path(done["sheet"]).stat().st_size > 1000


def test_ask_says_when_and_exits_0_also_when_it_is_not_in_the_footage(library: Path) -> None:
    said = footage("ask", "When was it blue?", "-l", library, "-r", "synthetic:red=30,blue=5").stdout
    assert said == "Blue is on screen from 00:00:30.000 to 00:00:35.000 [1].\n"
    assert "Not in the footage" in footage("ask", "When was it pink?", "-l", library, "-r", "synthetic:red=30,blue=5").stdout


def test_a_picture_finds_its_like(library: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (32, 24), (30, 70, 215)).save(tmp_path / "blue.png")
    [found] = lines(footage("search", "--image", tmp_path / "blue.png", "-l", library, "--json"))
    assert [(m["name"], m["start_s"], m["end_s"]) for m in found["moments"]] == [("synthetic:red=30,blue=5", 30.0, 35.0)]
    assert "no picture" in footage("search", "--image", library, "-l", library, ok=False).stderr
    assert footage("search", "-l", library, ok=False).returncode == 2


def test_asking_a_file_whose_indexing_was_interrupted_finishes_it_first(film: Path) -> None:
    with start_indexing(film, Path(".footage")) as process:
        wait_for_segments(Path(".footage"), 2, process)
        process.kill()
    footage("ask", "When is the lighthouse dark?", film, env={"FOOTAGE_SAMPLING__SEGMENT_S": "2"})
    assert len(list(Path(".footage").glob("segments/**/*.safetensors"))) == 30


def test_asking_a_file_indexes_it_first(film: Path) -> None:
    assert "12.250-00:00:15.500" in footage("ask", "When is the lighthouse dark?", film).stdout
    assert [row["names"] for row in lines(footage("recordings", "--json"))] == [["my film.mp4"]]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["index", "missing.mp4"], 4, "there is no file, folder or match for 'missing.mp4'"),
        (["index", "text.mp4"], 5, "is not a media file"),
        (["index", "text.mp4", "--fps", "0"], 2, "fps is 0"),
        (["index", "text.mp4", "--decoder", "vlc"], 5, "not a media file"),
        (["ask", "what?"], 7, "there is no library"),
        (["ask"], 2, "QUESTION"),
        (["ask", " "], 2, "no words to look for"),
        (["ask", "what?", "--moments", "0"], 2, "ask.moments"),
        (["index", "synthetic:red=3", "missing.mp4", "--ocr", "perhaps"], 2, "index.ocr"),
        (["index", "text.mp4", "--frobnicate"], 2, "--frobnicate"),
        (["export", "1:00-2:00"], 7, "there is no library"),
        (["index", "rtsp://127.0.0.1/x"], 2, "footage watch"),
        (["index", "text.mp4", "--encoder", "no/such"], 12, "no/such"),
    ],
)
def test_mistakes_get_a_message_a_hint_and_an_exit_code(args: list[str], code: int, says: str) -> None:
    Path("text.mp4").write_text("not a film at all")
    done = footage(*args, env={"FOOTAGE_OFFLINE": "1"}, ok=False)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert done.stdout == ""


def test_one_bad_file_never_costs_the_others(film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "archive" / "deep"
    folder.mkdir(parents=True)
    (folder / "bad.mp4").write_bytes(b"\0" * 100)
    (folder / "note.txt").write_text("not for us")
    FILMS["constant.mp4"](folder / "good.mp4")
    done = footage("index", tmp_path / "archive", "--json", ok=False)
    assert done.returncode == 5
    assert sorted(row.get("name", row.get("error")) for row in lines(done)) == ["NotVideo", "good.mp4"]
    assert "1 indexed, 1 refused" in done.stderr


def contents(place: Path) -> list[dict]:
    return lines(footage("export", "--contents", "-l", place))


def unnamed(rows: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "names"} for row in rows]


def test_again_under_another_name_and_in_processes_gives_the_same_library(film: Path, tmp_path: Path) -> None:
    env = {"FOOTAGE_SAMPLING__SEGMENT_S": "8"}
    footage("index", film, "-l", tmp_path / "clean", "-j", "1", env=env)
    clean = contents(tmp_path / "clean")
    footage("index", film, "-l", tmp_path / "jobs", "-j", "2", env=env)
    assert contents(tmp_path / "jobs") == clean
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(film.read_bytes())
    footage("index", copy, "-l", tmp_path / "jobs", env=env)
    assert unnamed(contents(tmp_path / "jobs")) == unnamed(clean)
    assert ["copy.mp4", "my film.mp4"] in [row.get("names") for row in contents(tmp_path / "jobs")]


def test_a_damaged_segment_is_made_again_and_subtitles_that_came_later_are_added(film: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.mp4"
    bare.write_bytes(film.read_bytes())
    env = {"FOOTAGE_SAMPLING__SEGMENT_S": "8"}
    footage("index", bare, "-l", tmp_path / "lib", env=env)
    clean = contents(tmp_path / "lib")
    broken = sorted((tmp_path / "lib").glob("segments/**/*.safetensors"))[2]
    broken.write_bytes(broken.read_bytes()[:-40])
    assert footage("doctor", "-l", tmp_path / "lib", ok=False).returncode == 1
    [done] = lines(footage("index", bare, "-l", tmp_path / "lib", "--json", env=env))
    assert done["segments_made"] == 1
    assert contents(tmp_path / "lib") == clean
    bare.with_suffix(".srt").write_text(film.with_suffix(".srt").read_text())
    footage("index", bare, "-l", tmp_path / "lib", env=env)
    [found] = lines(footage("search", "lighthouse", "-l", tmp_path / "lib", "--json"))
    assert [m["start_s"] for m in found["moments"]] == [12.25]


def test_a_library_is_asked_with_the_encoder_that_wrote_it(tmp_path: Path) -> None:
    from tiny_models import save_checkpoint

    model = save_checkpoint(tmp_path / "tiny", "siglip")
    footage("index", "synthetic:red=4,blue=4", "--encoder", model)
    assert footage("ask", "a blue wall").returncode == 0
    other = save_checkpoint(tmp_path / "other", "siglip", seed=5)
    done = footage("ask", "a blue wall", "--encoder", other, ok=False)
    assert done.returncode == 8
    assert f"--encoder {model}" in done.stderr


def test_a_clip_never_overwrites_the_footage_itself(tmp_path: Path) -> None:
    film = write(tmp_path / "a.mp4", frames=20)
    before = film.read_bytes()
    footage("index", film)
    done = footage("export", "0-1", "-o", film, ok=False)
    assert done.returncode == 3
    assert "is the footage itself" in done.stderr
    assert film.read_bytes() == before


def test_recordings_written_with_other_settings_are_read_too() -> None:
    footage("index", "synthetic:red=10", env={"FOOTAGE_SAMPLING__FPS": "1"})
    footage("index", "synthetic:blue=10", env={"FOOTAGE_SAMPLING__FPS": "2"})
    said = footage("ask", "When is it blue?").stdout
    assert "00:00:00.000 to 00:00:10.000" in said


def test_many_files_through_several_processes_are_all_there(tmp_path: Path) -> None:
    places = [write(tmp_path / f"{n}.mp4", frames=30 + n, options={"preset": "ultrafast", "g": "10"}) for n in range(14)]
    done = lines(footage("index", tmp_path, "-j", "2", "--json", env={"FOOTAGE_SAMPLING__SEGMENT_S": "1"}))
    assert sorted(row["name"] for row in done) == sorted(p.name for p in places)
    assert all(row["segments_made"] == math.ceil(row["duration_s"]) for row in done)
    assert len(lines(footage("recordings", "--json"))) == 14


def start_indexing(film: Path, place: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "workers.cli", "index", str(film), "-l", str(place), "-j", "1"]
    env = {**os.environ, **NO_OCR, "FOOTAGE_SAMPLING__SEGMENT_S": "2"}
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def segment_files(place: Path) -> list[str]:
    """Folders may come and go meanwhile, which a walk takes."""
    return [name for _, _, names in os.walk(place / "segments") for name in names if name.endswith(".safetensors")]


def wait_for_segments(place: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Until so many segment files are there, or the process is done."""
    while process.poll() is None and len(segment_files(place)) < count:
        time.sleep(0.005)


def killed_and_resumed(film: Path, place: Path, kills: list[int]) -> list[dict]:
    for count in kills:
        with start_indexing(film, place) as process:
            wait_for_segments(place, count, process)
            process.kill()
    footage("index", film, "-l", place, env={"FOOTAGE_SAMPLING__SEGMENT_S": "2"})
    return contents(place)


def test_killing_it_anywhere_and_running_again_gives_the_same_library(film: Path, tmp_path: Path) -> None:
    footage("index", film, "-l", tmp_path / "clean", env={"FOOTAGE_SAMPLING__SEGMENT_S": "2"})
    assert killed_and_resumed(film, tmp_path / "killed", [1, 9]) == contents(tmp_path / "clean")


@pytest.mark.slow
def test_ten_kills_at_random_moments_give_the_same_library(film: Path, tmp_path: Path) -> None:
    import random

    rng = random.Random(11)
    footage("index", film, "-l", tmp_path / "clean", env={"FOOTAGE_SAMPLING__SEGMENT_S": "2"})
    for _ in range(10):
        with start_indexing(film, tmp_path / "killed") as process:
            time.sleep(rng.uniform(0.5, 3.0))
            process.kill()
    footage("index", film, "-l", tmp_path / "killed", env={"FOOTAGE_SAMPLING__SEGMENT_S": "2"})
    assert contents(tmp_path / "killed") == contents(tmp_path / "clean")


def test_ctrl_c_leaves_a_sound_library_and_says_how_to_go_on(film: Path, tmp_path: Path) -> None:
    with start_indexing(film, tmp_path / "lib") as process:
        wait_for_segments(tmp_path / "lib", 2, process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode in (130, 0)  # 0: it was done before the signal came
    assert process.returncode == 0 or b"run the same command again" in stderr
    assert footage("doctor", "-l", tmp_path / "lib").returncode == 0


def test_doctor_config_and_help_work_without_a_library() -> None:
    assert "no library" in footage("doctor").stdout
    assert "sampling.fps = 1.0  # default" in footage("config").stdout
    for verb in ("index", "ask", "search", "recordings", "export", "doctor", "config", "demo", "bench", "eval"):
        assert "Usage" in footage(verb, "--help").stdout


def test_the_five_lines_of_python(film: Path) -> None:
    import footage as package

    lib = package.open("./.footage", index={"ocr": "off"})
    lib.index(film)
    assert "00:00:12.250-00:00:15.500" in str(lib.ask("When is the lighthouse dark?"))
