"""`footage bench decode`: sampled decoding at 1 fps against the ffmpeg command line doing the same work, on the same files."""

import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from footage.arrays import Pixels
from footage.errors import ConfigError, FootageError
from footage.recordings import Gap
from ingest.decode import PyAvDecoder
from ingest.file_source import FileSource, SamplingConfig
from ingest.packets import scan
from ingest.picture import fitted_px
from workers.bench_film import FILMS, make, number_of

SIDE_PX = 682  # 384 on the short side of 16:9
BAR = 1.1
OURS = {
    "pyav (default)": SamplingConfig(decoder="pyav"),
    "pyav-sequential": SamplingConfig(decoder="pyav-sequential"),
    "decord": SamplingConfig(decoder="decord"),
    "pyav key frames": SamplingConfig(mode="keyframes"),
}
BASELINE = "ffmpeg command line"


@dataclass(frozen=True, slots=True)
class Run:
    wall_s: float
    cpu_s: float
    frames: list[tuple[float, Pixels]]
    """(anchor in seconds, small picture) of each sample."""


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one file. ratio: baseline's wall time over this method's, pair by pair: above 1 is faster."""

    file: str
    method: str
    frames: int
    exact: str
    """"all", or "k of n" frames that are the one on screen at their time; "key" where only key frames are asked for."""
    x_realtime: float
    cpu_ms_per_s: float
    ratio: float
    ratio_min: float
    ratio_max: float


def run_bench(files: Sequence[Path], *, quick: bool, repeats: int, emit: Callable[[dict[str, Any]], None] | None) -> bool:
    """Prints a table (or JSON lines); True when the default holds the bar and is exact."""
    repeats = 1 if quick else repeats
    with tempfile.TemporaryDirectory() as folder:
        films = {p.name: p for p in files} or {f.name: make(f.halved() if quick else f, Path(folder), 8 if quick else 60) for f in FILMS}
        rows = [row for name, path in films.items() for row in _measure(name, path, repeats, is_ours=not files)]
    mean = float(np.exp(np.mean([np.log(r.ratio) for r in rows if r.method == "pyav (default)"])))
    exact = all(r.exact == "all" for r in rows if r.method == "pyav (default)")
    bars = [
        {
            "name": "sampled decode, geometric mean of ratios to the ffmpeg command line",
            "value": round(mean, 3),
            "bar": BAR,
            "holds": mean >= BAR,
        },
        {"name": "every sampled frame exact", "value": exact, "bar": True, "holds": exact},
    ]
    if emit is None:
        _print_table(rows, bars)
    else:
        for row in rows:
            emit({"file": row.file, "method": row.method, **{k: getattr(row, k) for k in Row.__slots__[2:]}})
        emit(
            {
                "bars": bars,
                "baseline": _ffmpeg_version(),
                "repeats": repeats,
                "versions": _versions(),
                "machine": machine(),
            }
        )
    return exact and (quick or mean >= BAR)  # a quick run is too short to judge speed by


def _measure(name: str, path: Path, repeats: int, *, is_ours: bool) -> Iterator[Row]:
    """Baseline and methods in turn, A B C A B C ..., so that a drifting machine hits all alike."""
    table = scan(path)
    methods: dict[str, Callable[[], Run]] = {BASELINE: lambda: _ffmpeg(path, table.width_px, table.height_px)}
    methods |= {label: (lambda c=config: _ours(path, c)) for label, config in OURS.items()}  # type: ignore[misc]
    runs: dict[str, list[Run]] = {label: [] for label in methods}
    for _ in range(repeats + 1):  # the first round warms the page cache and is not counted
        for label in list(methods):
            try:
                runs[label].append(methods[label]())
            except FootageError as error:
                print(f"{label} on {name}: {error}", file=sys.stderr)
                del methods[label], runs[label]
    for label, counted in runs.items():
        counted = counted[1:]
        ratios = [base.wall_s / run.wall_s for base, run in zip(runs[BASELINE][1:], counted, strict=True)]
        wall_s, cpu_s = statistics.median(r.wall_s for r in counted), statistics.median(r.cpu_s for r in counted)
        yield Row(
            name, label, len(counted[0].frames), _exactness(label, counted[0], path, is_ours),
            round(table.duration_s / wall_s, 1), round(1000 * cpu_s / table.duration_s, 1),
            round(statistics.median(ratios), 3), round(min(ratios), 3), round(max(ratios), 3),
        )  # fmt: skip


def _ours(path: Path, config: SamplingConfig) -> Run:
    before, begun = _cpu_s(), time.perf_counter()
    source = FileSource.open(path, config, max_side_px=SIDE_PX)
    frames: list[tuple[float, Pixels]] = []
    for segment in source.segments():
        for clip in source.clips(segment):
            if not isinstance(clip, Gap):
                frames += list(zip(clip.anchors_s.tolist(), clip.pixels, strict=True))
    return Run(time.perf_counter() - begun, _cpu_s() - before, frames)


def _ffmpeg(path: Path, width_px: int, height_px: int) -> Run:
    """Decode, take one frame a second, scale by area, RGB, through a pipe into this process."""
    width, height = fitted_px(width_px, height_px, SIDE_PX)
    command = [ffmpeg_binary(), "-v", "error", "-i", str(path), "-an", "-sn", "-vf", f"fps=1:round=up,scale={width}:{height}:flags=area",
               "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]  # fmt: skip
    before, begun = _cpu_s(), time.perf_counter()
    frames: list[tuple[float, Pixels]] = []
    size = width * height * 3
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        while len(data := process.stdout.read(size)) == size:
            frames.append((float(len(frames)), np.frombuffer(data, np.uint8).reshape(height, width, 3)))
    return Run(time.perf_counter() - begun, _cpu_s() - before, frames)


def _exactness(label: str, run: Run, path: Path, is_ours: bool) -> str:
    """Against the number in the pixels of our films; against decoding every frame for other files."""
    if label == "pyav key frames":
        return "key"
    table = scan(path)
    wanted = table.on_screen([t for t, _ in run.frames]).tolist()
    if is_ours:
        good = sum(number_of(p, table.coded_px[0]) == i for i, (_, p) in zip(wanted, run.frames, strict=True))
    else:
        truth = dict(PyAvDecoder(selective=False).frames(table, sorted(set(wanted)), SIDE_PX))
        good = sum(i in truth and float(np.abs(truth[i].astype(int) - p).mean()) < 2 for i, (_, p) in zip(wanted, run.frames, strict=True))
    return "all" if good == len(wanted) else f"{good} of {len(wanted)}"


def ffmpeg_binary() -> str:
    """The system's ffmpeg, else the one in the imageio-ffmpeg wheel. Raises ConfigError when there is neither."""
    found = os.environ.get("IMAGEIO_FFMPEG_EXE") or shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ConfigError("the baseline needs an ffmpeg binary", hint='install ffmpeg, or pip install "footage[dev]"') from error
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _ffmpeg_version() -> str:
    text = subprocess.run([ffmpeg_binary(), "-version"], capture_output=True, text=True, check=True).stdout
    return " ".join(text.split()[:3])


def _cpu_s() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def machine() -> dict[str, Any]:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        "",
    )
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("footage", "av", "numpy", "decord")}


def _print_table(rows: list[Row], bars: list[dict[str, Any]]) -> None:
    print(
        f"baseline: {_ffmpeg_version()}; 1 frame a second, longer side {SIDE_PX} px, RGB; {machine()['cores']} cores, {machine()['cpu']}\n"
    )
    print(f"| {'file':10} | {'method':20} | frames | exact | x real time | CPU ms per s | ratio to ffmpeg (min-max) |")
    print("|---|---|---|---|---|---|---|")
    for r in rows:
        ratio = f"{r.ratio:.2f} ({r.ratio_min:.2f}-{r.ratio_max:.2f})"
        print(f"| {r.file:10} | {r.method:20} | {r.frames:6} | {r.exact:5} | {r.x_realtime:11.1f} | {r.cpu_ms_per_s:12.1f} | {ratio} |")
    print()
    for bar in bars:
        print(f"{bar['name']}: {bar['value']} (bar {bar['bar']}: {'holds' if bar['holds'] else 'MISSED'})")
