"""Files that survive a crash, and the lock that keeps writers apart."""

import fcntl
import hashlib
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from footage.errors import StoreError

LEFTOVER = ".tmp"  # a crash while writing leaves such a file behind; the next writer sweeps it


def path_part(name: str) -> str:
    """Any name as one part of a path: no slashes, nothing hidden, no way up."""
    quoted = quote(name, safe="@+,=")
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted


def write_durably(path: Path, data: bytes) -> None:
    """Whole and on the disk when this returns; before that, not there at all under that name."""
    make_folder(path.parent)
    temporary = path.with_name(path.name + LEFTOVER)
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def replace_file(path: Path, write: Callable[[Path], None]) -> str:
    """Whole under that name for every reader, but not forced to the disk: for caches. Returns the checksum."""
    temporary = path.with_name(path.name + LEFTOVER)
    write(temporary)
    checksum = file_sha256(temporary)
    temporary.replace(path)
    return checksum


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, each entry on the disk."""
    if not folder.exists():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class WriterLock:
    """Advisory lock on a file, held until released or until the process ends; the file holds the owner's process id."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError when another writer has it; OSError when the file cannot be made."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self.release = weakref.finalize(self, os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(handle, 32).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise StoreError(
                f"{path.parent} is being written by process {owner}",
                hint="wait until it is done, or use another library (--library DIR); reading and asking need no lock",
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
