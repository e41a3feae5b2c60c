"""The bytes of one packed segment: what a store must offer for memory.segment_file to read them, and a mapped file that does."""

import ctypes
import mmap
import os
from pathlib import Path
from typing import Protocol

import numpy as np

from footage.errors import StoreError

DAMAGE_HINT = "run the same `footage index` again, it makes that segment anew; `footage library verify` looks for more"
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value


class Bytes(Protocol):
    """Wherever they lie; they never change."""

    @property
    def name(self) -> str:
        """For messages; what follows its last slash is another one for other content."""
        ...

    @property
    def size(self) -> int: ...

    def read(self, start: int, end: int) -> memoryview:
        """Bytes start to end, no copy where they lie in memory. Raises StoreError where they are away."""
        ...


class MappedBytes:
    """A file, mapped without a file handle: it reads the same after it was removed, and ten thousand of them can be open.

    By `mmap` of the C library, since that of Python keeps a handle for each map (until 3.13 and its trackfd=False).
    """

    def __init__(self, path: Path) -> None:
        """Raises StoreError when the file is missing or cannot be mapped."""
        self.name = str(path)
        try:
            self._data = _mapped(path)
        except FileNotFoundError as error:
            raise StoreError(f"{path} is missing", hint=DAMAGE_HINT) from error
        except OSError as error:
            raise StoreError(
                f"{path} cannot be mapped: {error.strerror}", hint="name fewer recordings (-r), or let more be mapped"
            ) from error
        self.size = len(self._data)

    def read(self, start: int, end: int) -> memoryview:
        return self._data[start:end]


def _mapped(path: Path) -> memoryview:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        return np.asarray(_Map(handle, size)).data if size else memoryview(b"")
    finally:
        os.close(handle)


class _Map:
    """The owner of a map, held by every array that points into it; unmapped when the last of them is gone."""

    def __init__(self, handle: int, size: int) -> None:
        self._size, self._unmap = size, _libc.munmap  # held: module globals may be gone first when Python ends
        self._address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_PRIVATE, handle, 0)
        if self._address == _FAILED:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    @property
    def __array_interface__(self) -> dict[str, object]:
        return {"version": 3, "typestr": "|u1", "shape": (self._size,), "data": (self._address, True)}

    def __del__(self) -> None:
        if self._address != _FAILED:
            self._unmap(self._address, self._size)
