"""Worker processes that crash, hang and grow cost what they were doing, and nothing else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from films import write
from fragile import Fragile
from fragile_segments import FragileSegments

from footage.errors import DecodeError, SourceError
from ingest.limits import Limits
from memory.local_store import LocalStore
from workers.config import Settings
from workers.guard import Guard, Lost, Task
from workers.in_processes import InProcesses
from workers.indexing import Done, Refused, Silent, index
from workers.recording_job import Writer
from workers.remember import Tools

SMALL = Limits(decode_s=1.0, decode_x=0.01, decode_mib=60, tasks=3)


def came(guard: Guard, *tasks: Task) -> list[Any]:
    """What comes of tasks, one after the other."""
    outcomes = []
    for task in tasks:
        guard.start(task)
        [(ended, outcome)] = guard.ended()
        assert ended == task
        outcomes.append(outcome)
    return outcomes


def test_a_crash_is_told_by_its_signal_and_the_next_task_finds_a_fresh_process() -> None:
    with Guard(Fragile, 1, SMALL) as guard:
        before, crash, after = came(guard, Task("pid", ()), Task("crash", ()), Task("pid", ()))
    assert crash == Lost("a decoder crashed on it (SIGSEGV)", is_crash=True)
    assert before != after


def test_what_hangs_is_ended_at_its_time_and_thinking_is_not_timed() -> None:
    with Guard(Fragile, 1, SMALL) as guard:
        quick, thought, hung = came(
            guard, Task("hang", (0.01,), may_take_s=60), Task("think", (1.0,), may_take_s=0.1), Task("hang", (600.0,), may_take_s=0.3)
        )
    assert (quick, thought) == ("over", "thought")
    assert hung.is_slow
    assert not hung.is_crash
    assert "limits.decode_s" in hung.reason
    assert "FOOTAGE_LIMITS__DECODE_S" in hung.hint


def test_what_grows_while_it_reads_is_ended() -> None:
    with Guard(Fragile, 1, SMALL) as guard:
        [grown] = came(guard, Task("grow", (1000,), may_take_s=60))
    assert "limits.decode_mib" in grown.reason


def test_errors_come_back_and_what_a_decoder_throws_is_not_taken_for_ours() -> None:
    with Guard(Fragile, 1, Limits()) as guard:
        refused, failed, ours = came(guard, Task("refuse", ()), Task("fail", ()), Task("fail", (), key="a.mp4"))
    assert isinstance(refused, DecodeError)
    assert refused.hint == "take another one"
    assert failed == Lost("reading it failed with MemoryError")
    assert isinstance(ours, Lost)


def test_processes_are_replaced_after_so_many_tasks_and_tasks_alone_have_their_own() -> None:
    with Guard(Fragile, 1, SMALL) as guard:
        pids = came(guard, *[Task("pid", ())] * 5, Task("pid", (), is_alone=True))
    assert pids[0] == pids[1] == pids[2] != pids[3]
    assert pids[3] == pids[4] != pids[5]


def test_one_crash_does_not_touch_what_another_process_does() -> None:
    with Guard(Fragile, 2, Limits()) as guard:
        guard.start(Task("hang", (1.5,), key="a"))
        guard.start(Task("crash", (), key="b"))
        assert guard.idle == []
        ended = dict((task.key, outcome) for task, outcome in [*guard.ended(), *guard.ended()])
    assert ended["a"] == "over"
    assert ended["b"].is_crash


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from fragile import Fragile\nfrom workers.guard import Guard, Task\nfrom ingest.limits import Limits\n"
        "if __name__ == '__main__':\n"
        "    guard = Guard(Fragile, 1, Limits())\n    guard.start(Task('pid', ()))\n    print(guard.ended()[0][1], flush=True)\n"
        "    guard.start(Task('hang', (600.0,)))\n    guard.ended()\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    with subprocess.Popen([sys.executable, script, str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists() and "Z" not in Path(f"/proc/{worker}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


# Through the whole of indexing


def settings(**limits: Any) -> Settings:
    return Settings(
        index={"ocr": "off"}, sampling={"segment_s": 2}, limits={"decode_s": 60.0, **limits}  # type: ignore[arg-type]
    )  # fmt: skip


def film(path: Path, frames: int = 60) -> Path:
    return write(path, frames=frames, options={"preset": "ultrafast", "g": "10"})


class Run:
    """A library, and a fragile way to index into it."""

    def __init__(self, place: Path, settings: Settings) -> None:
        self.place, self.settings, self.tools = place, settings, Tools.build(settings)

    def fragile(self, *films: Path, jobs: int = 1) -> list[Done | Refused]:
        class Processes(InProcesses):
            worker = FragileSegments

        with LocalStore(self.place) as store:
            return list(Processes(map(str, films), self.settings, Writer(store, self.tools, Silent()), jobs).run())

    def sound(self, *films: Path, jobs: int | None = None) -> list[Done | Refused]:
        with LocalStore(self.place) as store:
            return list(index([str(f) for f in films], store, self.settings, tools=self.tools, jobs=jobs))

    def contents(self) -> list[dict[str, Any]]:
        with LocalStore(self.place, read_only=True) as store:
            return [{k: v for k, v in row.items() if k != "names"} for row in store.dump()]


def test_a_crash_costs_one_segment_and_no_other_file_and_the_next_run_tries_again(tmp_path: Path) -> None:
    run = Run(tmp_path / "lib", settings())
    crash, good = film(tmp_path / "crash 1.mp4"), film(tmp_path / "good.mp4", 40)
    crash.with_suffix(".srt").write_text("1\n00:00:02,500 --> 00:00:03,500\nStill said.\n")
    results = {r.name: r for r in run.fragile(crash, good) if isinstance(r, Done)}
    [gap] = results["crash 1.mp4"].gaps
    assert (gap["start_s"], gap["end_s"]) == (2.0, 4.0)
    assert gap["reason"] == "not decoded: a decoder crashed on it (SIGSEGV)"
    assert results["crash 1.mp4"].text_rows == 1
    assert results["good.mp4"].gaps == []
    [again] = run.sound(crash)
    assert isinstance(again, Done)
    assert (again.gaps, again.segments_made, again.text_rows) == ([], 1, 1)


def test_a_crash_that_does_not_come_again_costs_nothing(tmp_path: Path) -> None:
    run, clean = Run(tmp_path / "lib", settings()), Run(tmp_path / "clean", settings())
    once = film(tmp_path / "once 1.mp4")
    clean.sound(once)
    [done] = run.fragile(once)
    assert isinstance(done, Done)
    assert done.gaps == []
    assert run.contents() == clean.contents()


def test_what_cannot_be_opened_or_decoded_is_refused_by_name_and_the_others_go_on(tmp_path: Path) -> None:
    run = Run(tmp_path / "lib", settings())
    bad = film(tmp_path / "crash open.mp4", 15), tmp_path / "missing.mp4", film(tmp_path / "crash 0.mp4", 16)
    results = run.fragile(*bad, film(tmp_path / "good.mp4", 30), jobs=2)
    [done] = [r for r in results if isinstance(r, Done)]
    refused = {Path(r.location).stem: r.error for r in results if isinstance(r, Refused)}
    assert done.name == "good.mp4"
    assert "cannot be opened: a decoder crashed on it (SIGSEGV)" in str(refused["crash open"])
    assert isinstance(refused["missing"], SourceError)
    assert "nothing of 'crash 0.mp4' could be decoded: a decoder crashed" in str(refused["crash 0"])
    assert refused["crash 0"].hint


def test_what_hangs_is_left_after_its_time_and_the_rest_is_not_tried(tmp_path: Path) -> None:
    run = Run(tmp_path / "lib", settings(decode_s=2.0, decode_x=0.01))
    [done] = run.fragile(film(tmp_path / "hang 1.mp4", 100))
    assert isinstance(done, Done)
    hung, rest = done.gaps
    assert (hung["start_s"], hung["end_s"], rest["end_s"]) == (2.0, 6.0, 10.0)
    assert "longer than 2 s" in hung["reason"]
    assert rest["reason"] == "not decoded: other parts of the file took too long"
    assert done.frames_kept > 0


def test_files_are_opened_in_worker_processes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened_here(*args: Any, **options: Any) -> None:
        raise AssertionError(f"{args[0]} was opened in the parent process")

    run = Run(tmp_path / "lib", settings())
    path = film(tmp_path / "a.mp4")
    monkeypatch.setattr("av.open", opened_here)
    for _ in range(2):
        [done] = run.sound(path, jobs=1)
        assert isinstance(done, Done)
        assert done.frames_seen == 6


def test_a_file_under_two_names_is_made_once(tmp_path: Path) -> None:
    run, path = Run(tmp_path / "lib", settings()), film(tmp_path / "a.mp4", 100)
    copy = tmp_path / "b.mp4"
    copy.write_bytes(path.read_bytes())
    done = [r for r in run.sound(path, copy, jobs=2) if isinstance(r, Done)]
    assert sorted((d.segments_made, d.segments_kept) for d in done) == [(0, 5), (5, 0)]


@pytest.mark.slow
def test_workers_killed_from_outside_at_random_moments_change_nothing(tmp_path: Path) -> None:
    import random

    path, rng = film(tmp_path / "long.mp4", 900), random.Random(3)
    clean = Run(tmp_path / "clean", settings())
    clean.sound(path)
    command = [sys.executable, "-m", "workers.cli", "index", str(path), "-l", str(tmp_path / "lib"), "-j", "2"]
    env = {**os.environ, "FOOTAGE_INDEX__OCR": "off", "FOOTAGE_SAMPLING__SEGMENT_S": "2"}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE) as process:
        for _ in range(3):
            time.sleep(rng.uniform(1.5, 3.0))
            for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[-1:]:
                os.kill(int(child), signal.SIGKILL)
        assert process.wait(120) == 0
    assert Run(tmp_path / "lib", settings()).contents() == clean.contents()
