"""A memory of keys and values that forgets nothing: blocks lie on the host, and a question fetches those that it looks at.

"Streaming Video Question-Answering with In-context Video KV-Cache Retrieval" (ReKV, 2025). A block is known by the mean of its keys
before their turn, in each layer. There a question fetches the blocks whose mean is most like the mean of its queries, in time order, and
reads them as if nothing had stood between them. Ours fetches for the words of a question alone, not for the frames in its prompt, and
maps the oldest blocks to files where it is told how much the host may hold.
Letters: h heads of keys and values, G heads of queries for each, m tokens of a block, d channels of a head, B blocks, L layers.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qa.kv.blocks import Fed
from qa.kv.memory import Seen


@dataclass(slots=True, eq=False)
class _Block:
    ids: Any
    """(m, A) from its own beginning."""
    extent: int
    means: Any
    """(L, h * d) float32, of its keys."""
    device: Any
    """(L, 2, h, m, d) keys and values on the model's device, as long as it is among the latest."""
    held: Any = None
    """The same on the host."""


class Offloaded:
    """While footage is read, the beginning and the latest `window` tokens are seen; a question sees the beginning and `blocks` blocks.

    among: where set, only these blocks, by number, can be fetched, as found by somebody else's search.
    """

    def __init__(
        self, layers: int, *, blocks: int = 64, window: int = 15_000, chunk: int = 1, dtype: Any = None, host_bytes: int | None = None
    ) -> None:
        """chunk: so many neighbours are fetched together, `blocks` in all. dtype: on the host, which holds host_bytes at most."""
        if not 1 <= chunk <= blocks:
            raise ValueError(f"{blocks} blocks cannot be fetched {chunk} at a time")
        self.among: Sequence[int] | None = None
        self._count, self._chunk, self._window, self._dtype, self._most = blocks, chunk, window, dtype, host_bytes
        self._new: list[Any] = [None] * layers
        self._begin: _Block | None = None
        self._blocks: list[_Block] = []
        self._means: Any = None
        self._first, self._spilled = 0, 0

    def read(self, layer: int, fed: Fed, queries: Any = None) -> Seen:
        """Positions are compact: what is read stands together. Each layer may fetch other blocks."""
        import torch

        numbers = range(self._first, len(self._blocks)) if queries is None else self.chosen(layer, queries[:, :, ~fed.visual])
        blocks = [*([self._begin] if self._begin else []), *(self._blocks[number] for number in numbers)]
        begins = np.cumsum([0, *(block.extent for block in blocks)]).tolist()
        ids = [*(block.ids for block in blocks), fed.ids]
        parts = [self._fetched(block, layer, fed.embeds) for block in blocks]
        positions = torch.cat([each + begin for each, begin in zip(ids, begins, strict=True)])[None]
        return Seen(tuple(part[0] for part in parts), tuple(part[1] for part in parts), positions)

    def chosen(self, layer: int, queries: Any) -> list[int]:
        """Numbers, ascending, of the blocks most like queries (h, G, m, d); of equals the earlier."""
        import torch
        from torch.nn.functional import cosine_similarity

        every = range(len(self._blocks)) if self.among is None else sorted(set(self.among))
        if len(every) <= self._count:
            return list(every)
        if self._means is None:
            self._means = torch.stack([block.means for block in self._blocks])
        asked = queries.float().mean((1, 2)).flatten().cpu()
        alike = cosine_similarity(self._means[list(every), layer], asked[None], dim=-1)
        parts = [float(part.mean()) for part in alike.split(self._chunk)]  # the last may be a shorter one
        best = np.argsort(-np.round(parts, 6), kind="stable")[: self._count // self._chunk]
        return [every[number] for part in sorted(best.tolist()) for number in range(part * self._chunk, (part + 1) * self._chunk)
                if number < len(every)]  # fmt: skip

    def add(self, layer: int, keys: Any, values: Any, fed: Fed) -> None:
        import torch

        self._new[layer] = torch.stack([keys, values])

    def settle(self, fed: Fed, *, pinned: bool) -> None:
        import torch

        made, self._new = torch.stack(self._new), [None] * len(self._new)
        block = _Block(fed.ids, fed.extent, made[:, 0].float().mean(2).flatten(1).cpu(), made)
        if pinned:
            self._begin = block
            return
        host = made.to("cpu", self._dtype or made.dtype)
        block.held = host.pin_memory() if made.is_cuda else host
        self._blocks.append(block)
        self._means = None
        while self._first < len(self._blocks) - 1 and sum(len(late.ids) for late in self._blocks[self._first :]) > self._window:
            self._blocks[self._first].device = None
            self._first += 1
        while self._most is not None and self.host_bytes > self._most:
            self._blocks[self._spilled].held = _on_disk(self._blocks[self._spilled].held)
            self._spilled += 1

    def _fetched(self, block: _Block, layer: int, like: Any) -> Any:
        """(2, h, m, d) on the device of the model."""
        held = block.held if block.device is None else block.device
        return held[layer].to(like.device, like.dtype, non_blocking=True)

    @property
    def bytes(self) -> int:
        return sum(block.device.nbytes for block in [self._begin, *self._blocks[self._first :]] if block is not None)

    @property
    def host_bytes(self) -> int:
        """Of keys and values that lie in no file."""
        return sum(block.held.nbytes for block in self._blocks[self._spilled :])

    @property
    def tokens(self) -> int:
        return sum(len(block.ids) for block in [self._begin, *self._blocks] if block is not None)


def _on_disk(held: Any) -> Any:
    """The same tensor in a file that has no name and goes when the tensor does."""
    import torch

    with tempfile.TemporaryFile() as file:
        mapped = np.memmap(file, np.uint8, "w+", shape=held.nbytes)
    mapped[:] = held.flatten().view(torch.uint8).numpy()
    return torch.from_numpy(mapped).view(held.dtype).view(held.shape)
