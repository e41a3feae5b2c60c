"""CarrierBank: a stream of frames as the keys and values of one carrier each, in constant memory.

"VideoScan: Enabling Efficient Streaming Video Understanding via Frame-level Semantic Carriers" (2025). Ours keeps all positions as they
were read, so that none collide after something left, and copies no cache.
Letters: n tokens of a prompt, M carriers, D width of the language model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from footage.arrays import AnyArray
from qa.carriers.semantic_mask import Layout, decoder_inputs
from qa.families.family import Family, Prompt

FIRST_WORDS, GONE = -1, -2
"""Whose a token is, where it is no frame's: the words before the first frame never leave."""


class CarrierBank:
    """Reads a prompt, or several one after the other; of each frame only its carrier stays, of carriers at most `capacity`.

    The words between two frames belong to the later one and leave with it.
    """

    def __init__(self, family: Family, *, capacity: int = 64) -> None:
        from transformers import DynamicCache

        if capacity < 1:
            raise ValueError(f"a bank holds at least one carrier, got {capacity}")
        self._decoder, self._capacity = family.decoder, capacity
        self._cache: Any = DynamicCache(config=family.decoder.config)
        self._owner = np.zeros(0, int)
        self._inputs: dict[int, AnyArray] = {}
        self._frames, self._next, self._place = 0, 0, None

    @property
    def carriers(self) -> list[int]:
        """Which frames are still told of, by their number in the stream."""
        return list(self._inputs)

    @property
    def tokens(self) -> int:
        """Whose keys and values are held in each layer."""
        return len(self._owner)

    @property
    def bytes(self) -> int:
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self._cache.layers if layer.is_initialized)

    def read(self, prompt: Prompt, layout: Layout) -> Any:
        """(1, n, D) of every token after the decoder's norm. Positions go on behind all that was read before."""
        import torch

        hidden, begin = [], 0
        for end in dict.fromkeys([*(np.flatnonzero(layout.carrier) + 1).tolist(), len(layout.frame)]):
            inputs = decoder_inputs(prompt, slice(begin, end))
            hidden.append(self._through(inputs))
            self._keep(layout.frame[begin:end] < 0, inputs["inputs_embeds"][0, -1] if layout.carrier[end - 1] else None)
            begin = end
        self._next += int(prompt.positions.max()) + 1
        self._place = torch.zeros_like(prompt.positions[..., :1])
        return torch.cat(hidden, 1)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is read inside, a question and its answer, is forgotten afterwards. Frames cannot be read there."""
        owner, place = self._owner, self._next
        try:
            yield
        finally:
            for layer in self._cache.layers:
                layer.crop(len(owner) - layer.get_seq_length())
            self._owner, self._next = owner, place

    def say(self, model: Any, hidden: Any, *, end: int | None, most: int) -> list[int]:
        """Token ids that follow `hidden` (1, n, D), the most likely one at a time, until `end` or so many; forgotten at once."""
        import torch

        made: list[int] = []
        with self.aside():
            while not made or (made[-1] != end and len(made) < most):
                if made:
                    embeds = model.get_input_embeddings()(torch.tensor([made[-1:]], device=hidden.device))
                    hidden = self._through({"inputs_embeds": embeds, "position_ids": self._place})
                    self._next += 1
                made.append(int(model.lm_head(hidden[:, -1:]).argmax()))
        return made

    def _through(self, inputs: dict[str, Any]) -> Any:
        placed = inputs | {"position_ids": inputs["position_ids"] + self._next}
        return self._decoder(**placed, past_key_values=self._cache, use_cache=True).last_hidden_state

    def _keep(self, words: AnyArray, carrier: Any) -> None:
        """Of what was read last: the words (bool), and the carrier at its end where there is one, whose input is given."""
        owner = np.append(self._owner, np.where(words, self._frames or FIRST_WORDS, GONE))
        if carrier is not None:
            owner[-1] = self._frames
            vector = carrier.detach().float().cpu().numpy()
            self._inputs[self._frames] = vector / max(np.linalg.norm(vector), 1e-12)
            self._frames += 1
        if len(self._inputs) > self._capacity:
            owner[owner == self._leaving()] = GONE
        stays = np.flatnonzero(owner != GONE)
        if len(stays) < len(owner):
            for layer in self._cache.layers:
                layer.keys, layer.values = layer.keys[:, :, stays], layer.values[:, :, stays]
        self._owner = owner[stays]

    def _leaving(self) -> int:
        """The older of the two adjacent carriers whose inputs are the most alike; of equal pairs the earlier."""
        numbers, vectors = list(self._inputs), np.stack(list(self._inputs.values()))
        oldest = numbers[int(np.round((vectors[1:] * vectors[:-1]).sum(1), 6).argmax())]
        del self._inputs[oldest]
        return oldest
