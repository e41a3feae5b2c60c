"""What a session keeps of what it has read: keys, not turned, and values, by layer. This one keeps everything.

Letters: h heads of keys and values, n tokens kept, m new ones, d channels of a head, A axes of a position, L layers.
"""

from dataclasses import dataclass, fields
from typing import Any, Protocol

from qa.kv.attention import closed
from qa.kv.blocks import Fed, slots_of


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What new tokens read in one layer, before themselves, and where all of it stands."""

    keys: tuple[Any, ...]
    """Of (h, ., d), n in all, in time order."""
    values: tuple[Any, ...]
    positions: Any
    """(h or 1, n + m, A), the new ones last."""


class Memory(Protocol):
    """Told of every block layer by layer, and then that the block is over."""

    def read(self, layer: int, fed: Fed, queries: Any = None) -> Seen:
        """For tokens of a new block. queries: (h, G, m, d), not turned, of a question; None where footage is read."""

    def add(self, layer: int, keys: Any, values: Any, fed: Fed) -> None:
        """(h, m, d) each, not turned."""

    def settle(self, fed: Fed, *, pinned: bool) -> None:
        """The block is over. pinned: it stays whatever happens, as what a prompt begins with must."""

    @property
    def bytes(self) -> int:
        """On the device of the model."""

    @property
    def tokens(self) -> int:
        """Kept in a layer."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Tokens of one layer; every array begins with (h, n), since heads may keep different ones."""

    keys: Any
    values: Any
    ids: Any
    """(h, n, A) int32: positions in all that was ever read."""
    frames: Any
    """(h, n) int32: number of the frame, from the beginning."""
    slots: Any
    """(h, n) int32: where in its frame; -1 where nobody knows."""
    norms: Any
    """(h, n) float32: how large its value is."""

    def joined(self, later: "Kept") -> "Kept":
        import torch

        return Kept(*(torch.cat([a, b], 1) for a, b in zip(self._arrays(), later._arrays(), strict=True)))

    def at(self, places: Any) -> "Kept":
        """Of each head those at places (h, k)."""
        heads = places.new_tensor(range(len(places)))[:, None]
        return Kept(*(array[heads, places] for array in self._arrays()))

    def _arrays(self) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]

    @property
    def bytes(self) -> int:
        return sum(array.nbytes for array in self._arrays())


class Whole:
    """Keeps every token.

    Positions are the prompt's own for as long as they stay below `limit`, the range that a model was trained on; beyond it gaps that
    were left by what is gone are closed, in each head by itself.
    """

    def __init__(self, layers: int, *, limit: int) -> None:
        self._kept: list[Kept | None] = [None] * layers
        self._limit, self._next, self._frame, self._pinned = limit, 0, 0, 0

    def read(self, layer: int, fed: Fed, queries: Any = None) -> Seen:
        import torch

        kept, own = self._kept[layer], (fed.ids + self._next)[None]
        if kept is None:
            return Seen((), (), own)
        positions = torch.cat([kept.ids.long(), own.expand(len(kept.ids), -1, -1)], 1)
        beyond = int(own.max()) >= self._limit
        return Seen((kept.keys,), (kept.values,), closed(positions) if beyond else positions)

    def add(self, layer: int, keys: Any, values: Any, fed: Fed) -> None:
        import torch

        def each(array: Any) -> Any:
            return array.to(torch.int32).expand(len(keys), *array.shape)

        new = Kept(
            keys, values, each(fed.ids + self._next), each(fed.frames + self._frame), each(slots_of(fed)), self._norms(layer, values, fed)
        )
        kept = self._kept[layer]
        self._kept[layer] = new if kept is None else kept.joined(new)

    def _norms(self, layer: int, values: Any, fed: Fed) -> Any:
        return values.float().norm(dim=-1)

    def settle(self, fed: Fed, *, pinned: bool) -> None:
        self._next += fed.extent
        self._frame += fed.frame_count
        self._pinned += len(fed.ids) if pinned else 0

    @property
    def kept(self) -> list[Kept]:
        """By layer."""
        return [kept for kept in self._kept if kept is not None]

    @property
    def bytes(self) -> int:
        return sum(kept.bytes for kept in self.kept)

    @property
    def tokens(self) -> int:
        return self.kept[0].keys.shape[1] if self.kept else 0
