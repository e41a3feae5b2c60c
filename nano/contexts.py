"""Contexts: evidence that is read once, and several questions and captions that hang from it without seeing each other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nano.bank import FRAMES, Bank, caption, visible
from nano.phrases import Q_KINDS
from nano.prompt import ASSISTANT, BEGIN, END, USER, answer_words, row_words
from nano.questions import Asker
from nano.tower import WIDTH

ONE_ROW = tuple("existence existence colour shape count direction direction text text when times order absent absent".split())
"""What one row by itself is asked about, as often as it stands here."""
IGNORED = -100
_PIECES = re.compile(r"<[^>\s]+>|\[\d+\]|\w+|[^\w\s]")


@dataclass(slots=True)
class Context:
    ids: list[int]
    branch: list[int]
    """0: evidence; n: the n-th question or caption."""
    attach: list[int]
    """A branch sees this much of the evidence."""
    place: list[int]
    labels: list[int]
    visual: Any
    """(V, D): in the order of the image marks."""
    kinds: list[tuple[str, int]]
    """(kind, branch) of every question."""


class Contexts:
    """Builds contexts from a bank, at random."""

    def __init__(self, bank: Bank, split: str, seed: int, tokenizer: Any) -> None:
        self._bank, self._split, self._rng, self._tokenizer = bank, split, np.random.default_rng([seed, 55]), tokenizer
        self._words: dict[str, list[int]] = {}

    def one(self, rows: int, frames: int, level: int, questions: int, kinds: Sequence[str] = Q_KINDS) -> Context:
        rng = self._rng
        picked = rng.choice(len(self._bank.events), rows, replace=False)
        events, visuals, starts = [], [], []
        made = Context(self._ids(f"{BEGIN} {USER}"), [], [], [], [], None, [])
        begin_s, ends = float(rng.uniform(0, 30)), []
        gap_s = float(np.exp(rng.uniform(np.log(5), np.log(3000))))
        for number, n in enumerate(picked, 1):
            event, shown = self._bank.events[n], np.sort(rng.choice(FRAMES, frames, replace=False))
            times = self._bank.times_s[n][shown]
            events.append(visible(event, times.tolist()))
            seen = self._bank.tokens[level][n][shown]
            if frames > 1 and rng.random() < 0.05:  # two frames as one carrier
                seen = np.concatenate([seen[:2].astype(np.float32).mean(0, keepdims=True), seen[2:]])
                events[-1] = visible(event, [float(times.mean())]) if event and event.form == "sequence" else events[-1]
            visuals.append(seen.reshape(-1, WIDTH))
            starts.append(begin_s + float(times[0]))
            made.ids += self._ids(row_words(number, starts[-1], begin_s + float(times[-1]) + 1, [level] * len(seen)))
            ends.append(len(made.ids))
            begin_s += float(times[-1]) + 2 + float(rng.exponential(gap_s))
        made.visual = np.concatenate(visuals)
        size = len(made.ids)
        made.branch, made.attach, made.place = [0] * size, [size] * size, list(range(size))
        made.labels = [IGNORED] * size
        asker = Asker(events, rng, self._split)
        if kinds is Q_KINDS and rows == 1:
            kinds = ONE_ROW
        for _ in range(3 * questions):
            kind = str(kinds[int(rng.integers(len(kinds)))])
            asked = asker.ask(kind)
            if asked is not None and len(made.kinds) < questions:
                said = self._ids(answer_words(asked)) + self._ids(END)
                self._hang(made, size, self._ids(f"{asked.text} {END} {BEGIN} {ASSISTANT}"), said)
                made.kinds.append((kind, made.branch[-1]))
        if rng.random() < 0.5:
            for end, event in zip(ends, events, strict=True):
                first, *rest = self._ids(caption(event)) + self._ids(END)
                self._hang(made, end, [first], rest)
        return made

    def _hang(self, made: Context, attach: int, given: list[int], said: list[int]) -> None:
        """A branch: `given` is read, `said` is learned."""
        ids, number = given + said, max(made.branch) + 1
        made.ids += ids
        made.branch += [number] * len(ids)
        made.attach += [attach] * len(ids)
        made.place += range(attach, attach + len(ids))
        made.labels += [IGNORED] * (len(given) - 1) + said + [IGNORED]  # the label of a token is the token after it

    def _ids(self, text: str) -> list[int]:
        """As the tokenizer would, piece by piece from memory: it works word by word, and most words come again and again."""
        found: list[int] = []
        for piece in _PIECES.findall(text):
            if piece not in self._words:
                self._words[piece] = self._tokenizer(piece, add_special_tokens=False)["input_ids"]
            found += self._words[piece]
        return found


def collate(contexts: Sequence[Context]) -> dict[str, Any]:
    """ids, place, labels (B, T), mask (B, 1, T, T) bool, visual (V, D) and image places."""
    import torch

    size = max(len(c.ids) for c in contexts)
    ids, place = np.zeros((len(contexts), size), np.int64), np.zeros((len(contexts), size), np.int64)
    labels, branch = np.full((len(contexts), size), IGNORED), np.full((len(contexts), size), -1)
    attach = np.zeros((len(contexts), size), np.int64)
    for n, c in enumerate(contexts):
        k = len(c.ids)
        ids[n, :k], place[n, :k], labels[n, :k], branch[n, :k], attach[n, :k] = c.ids, c.place, c.labels, c.branch, c.attach
    t = torch.arange(size)
    b, at = torch.from_numpy(branch), torch.from_numpy(attach)
    same = b[:, :, None] == b[:, None, :]
    evidence = (b[:, None, :] == 0) & (t[None, None, :] < at[:, :, None])
    mask = (t[:, None] >= t[None, :]) & (same | evidence)
    visual = torch.from_numpy(np.concatenate([c.visual for c in contexts])).float()
    return {"ids": torch.from_numpy(ids), "place": torch.from_numpy(place), "labels": torch.from_numpy(labels),
            "mask": mask[:, None], "visual": visual, "branch": b}  # fmt: skip
