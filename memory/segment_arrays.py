"""The arrays of a packed segment by name, each read from its own bytes alone and held against its checksum."""

import json
import math
from typing import Any

import numpy as np

from footage.arrays import AnyArray
from footage.errors import StoreError
from memory.segment_bytes import DAMAGE_HINT, Bytes
from memory.segment_format import VERSION, crc32

_TYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(kind)
    for name, kind in {"I8": "i1", "U8": "u1", "F16": "<f2", "U32": "<u4", "F32": "<f4", "I64": "<i8", "F64": "<f8"}.items()
}


class SegmentArrays:
    """Read-only, and no copies where the source maps."""

    def __init__(self, source: Bytes) -> None:
        """Raises StoreError when the header is damaged or away, or of a newer format."""
        self.source = source
        self._sound: set[str] = set()
        try:
            self.version = self._parse()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self.damaged(f"its header cannot be read ({error})") from error

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def array(self, name: str) -> AnyArray:
        """The whole of it. Raises StoreError when it is damaged or away."""
        dtype, shape, start = self._place(name)
        array = self._read(name, dtype, shape, start)
        if name not in self._sound:
            if crc32(array) != self._checks.get(name):
                raise self.damaged(f"{name} does not match its checksum")
            self._sound.add(name)
        return array

    def rows(self, name: str, first: int, count: int) -> AnyArray:
        """Some rows of it, held against nothing."""
        dtype, (_, *rest), start = self._place(name)
        return self._read(name, dtype, (count, *rest), start + first * dtype.itemsize * math.prod(rest))

    def damaged(self, why: str) -> StoreError:
        return StoreError(f"{self.source.name} is damaged: {why}", hint=DAMAGE_HINT)

    def _read(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], start: int) -> AnyArray:
        data = self.source.read(start, start + dtype.itemsize * math.prod(shape))
        try:
            return np.frombuffer(data, dtype).reshape(shape)
        except ValueError as error:
            raise self.damaged(f"{name} is cut off") from error

    def _place(self, name: str) -> tuple[np.dtype[Any], tuple[int, ...], int]:
        """Type, shape and where it begins among all bytes."""
        try:
            entry = self._entries[name]
            dtype, shape, (start, end) = _TYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
            if end - start != dtype.itemsize * math.prod(shape):
                raise ValueError("its length is not that of its shape")
        except (KeyError, TypeError, ValueError) as error:
            raise self.damaged(f"its {name} cannot be found ({error})") from error
        return dtype, shape, self._begin + start

    def _parse(self) -> int:
        """Version. As the safetensors format says: eight bytes of length, JSON, then the arrays."""
        size = self.source.size
        self._begin = 8 + int.from_bytes(self.source.read(0, min(8, size)), "little")
        if not 8 < self._begin <= size:
            raise ValueError("it is cut off")
        self._entries: dict[str, Any] = json.loads(bytes(self.source.read(8, self._begin)))
        metadata = self._entries.pop("__metadata__")
        own = json.loads(metadata["footage"]) if "footage" in metadata else {"version": 1, "crc32": json.loads(metadata["crc32"])}
        if own["version"] > VERSION:
            raise StoreError(
                f"{self.source.name} was written by a newer footage: segment format {own['version']}, this one reads up to {VERSION}",
                hint="update footage",
            )
        self._checks: dict[str, int] = own["crc32"]
        if self._entries.keys() != self._checks.keys() | {"tokens"}:
            raise ValueError("its arrays are others than its checksums")
        if self._begin + max(entry["data_offsets"][1] for entry in self._entries.values()) != size:
            raise ValueError("its arrays end elsewhere")
        return int(own["version"])
