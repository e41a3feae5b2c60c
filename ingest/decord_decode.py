"""decord as a second decoder: for bounded batches of files that it is known to decode right."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from footage.arrays import Pixels
from footage.errors import ConfigError, DecodeError
from ingest.packets import PacketTable
from ingest.picture import fitted_px


@dataclass(frozen=True, slots=True)
class DecordDecoder:
    """decord, fed one bounded batch a reader: an idle reader decodes ahead without bound, so none is ever held."""

    threads: int = 0
    batch: int = 32
    """Frames a reader hands out before it is closed."""

    @property
    def name(self) -> str:
        return "decord"

    def frames(self, table: PacketTable, indices: Sequence[int], max_side_px: int) -> Iterator[tuple[int, Pixels]]:
        wanted = sorted(int(i) for i in indices)
        for at in range(0, len(wanted), self.batch):
            chunk = wanted[at : at + self.batch]
            yield from zip(chunk, self._batch(table, chunk, max_side_px), strict=True)

    def _batch(self, table: PacketTable, indices: list[int], max_side_px: int) -> Pixels:
        """Raises DecodeError where decord disagrees with the packet table: a wrong frame is worse than none."""
        if not isinstance(table.path, Path):  # its FFmpeg would make connections of its own
            raise ConfigError("decord reads files on this machine only", hint="use the default decoder: --decoder pyav")
        try:
            import decord
        except ImportError as error:
            raise ConfigError("decord is not installed", hint='pip install "footage[decord]"') from error
        width, height = fitted_px(table.width_px, table.height_px, max_side_px)
        decord.logging.set_level(decord.logging.QUIET)
        try:
            reader = decord.VideoReader(str(table.path), width=width, height=height, num_threads=self.threads)
            self._check(reader, table, indices)
            pixels: Pixels = reader.get_batch(indices).asnumpy()
        except (decord.DECORDError, RuntimeError, IndexError) as error:
            raise DecodeError(f"decord cannot read {str(table.path)!r}: {str(error).splitlines()[0]}",
                              hint="use the default decoder: --decoder pyav") from error  # fmt: skip
        return pixels

    def _check(self, reader: Any, table: PacketTable, indices: list[int]) -> None:
        if table.has_open_groups or table.stamps != "pts" or "mpegts" in table.facts.get("container", ""):
            raise DecodeError(f"decord gives wrong frames for files such as {str(table.path)!r} (open groups, or no index)",
                              hint="use the default decoder: --decoder pyav")  # fmt: skip
        if len(reader) != len(table):
            raise DecodeError(f"decord sees {len(reader)} frames in {str(table.path)!r}, the container shows {len(table)}",
                              hint="use the default decoder: --decoder pyav")  # fmt: skip
        theirs = reader.get_frame_timestamp(indices)[:, 0]
        ours = table.starts_s[indices] + table.origin_s
        worst = float(np.abs((theirs - theirs[0]) - (ours - ours[0])).max())
        if worst > 0.002 or table.rotation_deg:
            raise DecodeError(f"decord's times for {str(table.path)!r} are {worst:.3f} s off, or the picture is turned",
                              hint="use the default decoder: --decoder pyav")  # fmt: skip
