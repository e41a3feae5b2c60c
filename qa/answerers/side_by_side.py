"""Replies that are written at the same time share each pass over the weights; every one keeps a cache of its own.

Selective batching, after "Orca: A Distributed Serving System for Transformer-Based Generative Models" (2022): what works token by token
runs for all rows at once, attention for each row by itself, so caches of any length stand side by side without padding, masks or copies.
Ours has no scheduler: a pass takes all that wait, and waits itself no longer than a tenth of a pass for those of the last two.
Letters: R rows, D width, V vocabulary, A axes of a position, H heads of keys and values, n tokens of a cache, d channels of a head.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from threading import Condition
from typing import Any

NAME = "footage_side_by_side"
PATIENCE = 0.1  # of a pass


@dataclass(slots=True, eq=False)
class Row:
    """One reply that is being written."""

    cache: Any
    offset: Any
    """From a place in the cache to a position, (1, 1) or (A, 1, 1)."""
    embed: Any = None
    """(1, 1, D) of the token that was written last."""
    logits: Any = None
    error: Exception | None = None

    @property
    def position(self) -> Any:
        return self.offset + self.cache.get_seq_length()


@dataclass(slots=True)
class _Caches:
    """Stands for one cache before the decoder; each layer gives a list of keys and of values, (1, H, n, d) of each row."""

    rows: Sequence[Row]
    layers: tuple[Any, ...] = ()
    is_compileable: bool = False

    def get_seq_length(self, layer: int = 0) -> int:
        return max(int(row.cache.get_seq_length(layer)) for row in self.rows)

    def update(self, keys: Any, values: Any, layer: int, *_: Any, **__: Any) -> tuple[list[Any], list[Any]]:
        parts = [row.cache.update(keys[n : n + 1], values[n : n + 1], layer) for n, row in enumerate(self.rows)]
        return [keys for keys, _ in parts], [values for _, values in parts]


def _each_by_itself(module: Any, queries: Any, keys: Sequence[Any], values: Sequence[Any], _: Any, **more: Any) -> tuple[Any, None]:
    """queries (R, heads, 1, d): one new token a row, which sees all of its own cache."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    rows = zip(queries.split(1), keys, values, strict=True)
    return torch.cat([sdpa_attention_forward(module, *row, None, **more)[0] for row in rows]), None


@dataclass(slots=True, eq=False)
class SideBySide:
    """Of one model. Threads share it."""

    model: Any
    decoder: Any
    runs: Executor
    """Of one thread, which runs the model for all: with several, each brings its own team of cores, and they fight over them."""
    most: int = 16
    """Rows of a pass."""
    passes: int = 0
    rows: int = 0
    """Summed over passes."""
    _waiting: list[Row] = field(default_factory=list)
    _came: Condition = field(default_factory=Condition)
    _last: tuple[int, int] = 0, 0
    """Rows of the last two passes."""
    _pass_s: float = 0.0

    def step(self, row: Row, embed: Any) -> Any:
        """(V,) float32 logits after one more token."""
        row.embed, row.error = embed, None
        with self._came:
            self._waiting.append(row)
            self._came.notify()
        self.runs.submit(self._next).result()  # it, or one that was asked for before, has the row in it
        if row.error is not None:
            raise row.error
        return row.logits

    def _next(self) -> None:
        """One pass for those that wait."""
        with self._came:
            if self._waiting:
                self._came.wait_for(lambda: len(self._waiting) >= min(self.most, sum(self._last)), PATIENCE * self._pass_s)
            rows, self._waiting = self._waiting[: self.most], self._waiting[self.most :]
        if not rows:
            return
        begun = time.perf_counter()
        try:
            self._run(rows)
        except Exception as error:  # each of them learns of it, in its own thread
            for row in rows:
                row.error = error
        self._pass_s, self._last = time.perf_counter() - begun, (self._last[1], len(rows))
        self.passes, self.rows = self.passes + 1, self.rows + len(rows)

    def _run(self, rows: Sequence[Row]) -> None:
        import torch

        with torch.inference_mode():
            made = self._alone(rows[0]) if len(rows) == 1 else self._together(rows)
            logits = self.model.lm_head(made.last_hidden_state[:, -1]).float()
        for row, own in zip(rows, logits, strict=True):
            row.logits = own

    def _alone(self, row: Row) -> Any:
        import torch

        seen = torch.ones(1, row.cache.get_seq_length() + 1, dtype=torch.long, device=row.embed.device)
        return self.decoder(
            inputs_embeds=row.embed, position_ids=row.position, past_key_values=row.cache, use_cache=True, attention_mask=seen
        )

    def _together(self, rows: Sequence[Row]) -> Any:
        import torch
        from transformers import AttentionInterface

        AttentionInterface.register(NAME, _each_by_itself)
        config, usual = self.decoder.config, self.decoder.config._attn_implementation
        config._attn_implementation = NAME  # it has no masks: one new token sees everything before it
        try:
            return self.decoder(
                inputs_embeds=torch.cat([row.embed for row in rows]), position_ids=torch.cat([row.position for row in rows], -2),
                past_key_values=_Caches(rows), use_cache=True,
            )  # fmt: skip
        finally:
            config._attn_implementation = usual
