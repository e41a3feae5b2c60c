"""Parts as files that are written once under names of their own, and the manifest that says which of them count.

index/GENERATION/
    NAME.halves      (N, W) float16, the vectors, without a header
    NAME.rows        (N,) ROW: times, and a CRC-32 of each row
    NAME.json        which segments the rows came from
    NAME.faiss       of a sealed part: one-bit codes in lists
    manifest.json    written last: names, sizes, SHA-256 of each file, and of itself

Opening reads what is small, and all of an unsealed part. Of a sealed one it checks sizes, the segments and the structure of the lists:
codes that are damaged behind it cost recall alone, and vectors and times are checked row by row as they are found.
"""

import hashlib
import json
import os
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from footage.arrays import AnyArray
from memory.durable import LEFTOVER, file_sha256, make_folder, sync_folder, write_durably
from memory.recall.one_bit import OneBitLists, write_lists
from memory.recall.part import ROW, Block, Part, gather, live_blocks
from memory.recall.vectors import BLOCK_ROWS, flat

MANIFEST = "manifest.json"
HALF = np.dtype("<f2")
HALVES, ROWS, BLOCKS, LISTS = ".halves", ".rows", ".json", ".faiss"


class Damaged(ValueError):
    """A file is not what the manifest says of it."""


@dataclass(frozen=True, slots=True)
class PartFiles:
    """What the manifest says of one part."""

    name: str
    rows: int
    width: int
    files: dict[str, tuple[int, str]]
    """By suffix: bytes and SHA-256."""
    structure_bytes: int = 0
    """Of a sealed part: how much of the lists is structure; the codes follow."""
    structure_sha256: str = ""


# The manifest


def write_manifest(folder: Path, about: dict[str, Any], kinds: dict[str, list[PartFiles]]) -> None:
    body = json.dumps({**about, "kinds": {kind: [asdict(part) for part in parts] for kind, parts in kinds.items()}})
    write_durably(folder / MANIFEST, json.dumps({"sha256": _sha256(body.encode()), "body": body}).encode())


def read_manifest(folder: Path) -> tuple[str, dict[str, list[PartFiles]]]:
    """What the store held (KeyStore.content), and the parts by kind. Raises FileNotFoundError where there is none, OSError, and Damaged."""
    data = (folder / MANIFEST).read_bytes()
    try:
        outer = json.loads(data)
        if outer["sha256"] != _sha256(outer["body"].encode()):
            raise Damaged(f"{MANIFEST} does not match its checksum")
        about = json.loads(outer["body"])
        return about.get("content", ""), {kind: [PartFiles(**part) for part in parts] for kind, parts in about["kinds"].items()}
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(str(error)) from error


def sweep(folder: Path, kept: Iterable[PartFiles]) -> None:
    """Remove what no manifest names any more, and what a crash left; maps of removed files stay good."""
    named = {MANIFEST, *(part.name + suffix for part in kept for suffix in part.files)}
    for path in folder.iterdir():
        if path.name not in named and path.is_file():
            path.unlink(missing_ok=True)


def damaged_files(folder: Path) -> list[str]:
    """Reads every file whole and says which are missing or damaged; empty when none is, or nothing was saved."""
    try:
        parts = [part for parts in read_manifest(folder)[1].values() for part in parts]
    except FileNotFoundError:
        return []
    except (OSError, Damaged) as error:
        return [f"{folder / MANIFEST} is damaged: {error}"]
    found = []
    for part in parts:
        for suffix, (_, checksum) in part.files.items():
            path = folder / (part.name + suffix)
            if not path.is_file():
                found.append(f"{path} is missing")
            elif file_sha256(path) != checksum:
                found.append(f"{path} is damaged: its checksum differs")
    return found


# Parts


def write_part(folder: Path, parts: Sequence[Part], list_rows: int = 0) -> PartFiles:
    """The live rows of some parts, on the disk as one part when this returns; sealed where list_rows says how long lists are."""
    make_folder(folder)
    mark = uuid4().hex
    at = {suffix: folder / (mark + suffix + LEFTOVER) for suffix in (HALVES, ROWS, BLOCKS, *([LISTS] if list_rows else []))}
    rows, width = sum(part.live for part in parts), max((part.halves.shape[1] for part in parts if len(part)), default=0)
    _write_array(at[HALVES], gather(parts, "halves", BLOCK_ROWS))
    _write_array(at[ROWS], gather(parts, "rows", BLOCK_ROWS))
    at[BLOCKS].write_text(json.dumps([list(b) for b in live_blocks(parts)]))
    structure_bytes, structure = 0, ""
    if list_rows:
        structure_bytes = write_lists(at[LISTS], _array(at[HALVES], HALF, (rows, width), mapped=True), list_rows)
        structure = _head_sha256(at[LISTS], structure_bytes)
    files = {suffix: (path.stat().st_size, file_sha256(path)) for suffix, path in at.items()}
    name = _sha256("".join(checksum for _, checksum in files.values()).encode())[:16]
    for suffix, path in at.items():
        _sync(path)
        path.replace(folder / (name + suffix))
    sync_folder(folder)
    return PartFiles(name, rows, width, files, structure_bytes, structure)


def open_part(folder: Path, about: PartFiles) -> Part:
    """Raises FileNotFoundError, OSError and Damaged."""
    sealed = LISTS in about.files
    for suffix, (size, checksum) in about.files.items():
        path = folder / (about.name + suffix)
        if path.stat().st_size != size:
            raise Damaged(f"{path.name} has {path.stat().st_size} bytes, expected {size}")
        if (not sealed or suffix == BLOCKS) and file_sha256(path) != checksum:
            raise Damaged(f"{path.name} does not match its checksum")
    path = folder / about.name
    blocks = tuple(Block(*each) for each in json.loads(path.with_name(about.name + BLOCKS).read_bytes()))
    if sum(block.rows for block in blocks) != about.rows:
        raise Damaged(f"{about.name} has blocks of other rows than {about.rows}")
    halves = _array(path.with_name(about.name + HALVES), HALF, (about.rows, about.width), mapped=sealed)
    rows = _array(path.with_name(about.name + ROWS), ROW, (about.rows,), mapped=sealed)
    if sealed:
        lists, read = _open_lists(path.with_name(about.name + LISTS), about), RowReader(path.with_name(about.name + HALVES), about.width)
        return Part(blocks, rows, None, halves, lists, read, about.name)
    vectors = flat(halves) if about.rows else None
    return Part(blocks, rows, vectors, halves if vectors is None else vectors.halves, name=about.name)


def _open_lists(path: Path, about: PartFiles) -> OneBitLists:
    if _head_sha256(path, about.structure_bytes) != about.structure_sha256:
        raise Damaged(f"the structure of {path.name} does not match its checksum")
    try:
        return OneBitLists(path, about.rows, about.width)
    except (ValueError, RuntimeError) as error:  # FAISS knows no OSError
        raise Damaged(str(error)) from error


class RowReader:
    """Vectors of a file by row, read and not mapped: a map brings 64 KB and more around every row, and counts it as memory of ours."""

    def __init__(self, path: Path, width: int) -> None:
        self._file, self._width = os.open(path, os.O_RDONLY), width
        weakref.finalize(self, os.close, self._file)
        if hasattr(os, "posix_fadvise"):  # not everywhere
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_RANDOM)

    def expect(self, rows: AnyArray) -> None:
        """Have the disk fetch them meanwhile."""
        if hasattr(os, "posix_fadvise"):
            size = self._width * HALF.itemsize
            for row in rows.tolist():
                os.posix_fadvise(self._file, row * size, size, os.POSIX_FADV_WILLNEED)

    def __call__(self, rows: AnyArray) -> AnyArray:
        """(R,) ascending to (R, W); rows that follow each other are read at once."""
        halves = np.empty((len(rows), self._width), HALF)
        begins = [0, *(np.flatnonzero(rows[1:] - rows[:-1] != 1) + 1).tolist()] if len(rows) else []
        for first, end in pairwise([*begins, len(rows)]):
            os.preadv(self._file, [halves[first:end].view(np.uint8).data], int(rows[first]) * self._width * HALF.itemsize)
        return halves


def _array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], *, mapped: bool) -> AnyArray:
    """Its size must have been checked before."""
    if mapped:
        return np.asarray(np.memmap(path, dtype, mode="r", shape=shape))  # np.memmap itself costs 10 us at every touch
    array: AnyArray = np.fromfile(path, dtype).reshape(shape)
    return array


def _write_array(path: Path, chunks: Iterable[AnyArray]) -> None:
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(np.ascontiguousarray(chunk).data)


def _head_sha256(path: Path, size: int) -> str:
    with path.open("rb") as file:
        return _sha256(file.read(size))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
