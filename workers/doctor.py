"""What works on this machine, what is missing, and whether the library is sound."""

import importlib.metadata
import os
import platform
from dataclasses import dataclass

from footage.errors import FootageError
from workers.engine import Library

PARTS = (  # (distribution, needed, what for, what to do)
    ("av", True, "decoding", "pip install footage"),
    ("torch", True, "encoders", "pip install footage"),
    ("transformers", True, "encoders", "pip install footage"),
    ("faiss-cpu", False, "vector search (numpy serves without it)", 'pip install "footage[cpu]", or footage[gpu]'),
    ("rapidocr", False, "text on the screen", 'pip install "footage[ocr]"'),
    ("decord", False, "a second decoder", 'pip install "footage[decord]"'),
    ("redis", False, "libraries on a Redis server", 'pip install "footage[redis]"'),
)


@dataclass(frozen=True)
class Check:
    """name; ok; finding: what was seen; needed: nothing works without it; hint: what to do."""

    name: str
    ok: bool
    finding: str
    needed: bool = False
    hint: str = ""


def examine(library: Library) -> list[Check]:
    checks = [Check("python", True, f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores")]
    checks += [_part(*part) for part in PARTS]
    checks += [_ffmpeg(), _accelerator(), *_library(library)]
    return checks


def _part(name: str, needed: bool, use: str, hint: str) -> Check:
    names = ("faiss-cpu", "faiss-gpu-cu12") if name == "faiss-cpu" else (name,)
    for each in names:
        try:
            return Check(each, True, f"{importlib.metadata.version(each)}, for {use}", needed)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Check(name, False, f"not installed: for {use}", needed, hint)


def _ffmpeg() -> Check:
    import av

    codecs = [c for c in ("h264", "hevc", "vp9", "av1", "vvc", "mpeg4") if c in av.codecs_available]
    return Check("codecs", True, f"{', '.join(codecs)} by libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}")


def _accelerator() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("gpu", True, torch.cuda.get_device_name(0))
    return Check("gpu", False, "none that torch can use: encoders run on the CPU")


def _library(library: Library) -> list[Check]:
    try:
        store = library.store
    except FootageError as error:
        return [Check("library", False, str(error), hint=error.hint)]
    damaged = store.verify()
    hours = sum(r.duration_s for r in store.recordings()) / 3600
    checks = [Check("library", not damaged, f"{library.location}: {len(store.recordings())} recordings, {hours:.2f} hours, "
                    + (f"{len(damaged)} damaged segments" if damaged else "every segment is sound"), bool(damaged),
                    "index the same footage again: only what is damaged is made anew")]  # fmt: skip
    away = [store.names(r.recording_id)[0] for r in store.recordings() if not any(map(_is_there, store.locations(r.recording_id)))]
    if away:
        checks.append(
            Check(
                "sources",
                False,
                f"{len(away)} files are away: {', '.join(away[:5])}",
                hint="answers still work; clips and exact edges do not",
            )
        )
    return checks


def _is_there(place: str) -> bool:
    return "://" in place or place.startswith("synthetic:") or os.path.exists(place)
