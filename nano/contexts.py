"""Contexts: evidence that is read once, and several questions and captions that hang from it without seeing each other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from footage.nested import nested
from footage.timespan import clock_words
from nano.bank import FRAMES, Bank, caption, visible
from nano.phrases import Q_KINDS
from nano.prompt import ASSISTANT, BEGIN, END, USER, answer_words, row_words
from nano.questions import Asker
from nano.scene import Event
from nano.tower import WIDTH

WEIGHTS = {"existence": 3, "colour": 2, "shape": 2, "count": 8, "direction": 5, "text": 5, "when": 2, "order": 5, "times": 3, "absent": 6}
"""How often each kind is asked; some can be asked of few rows, and then are asked more."""
FORMS = {"sign": 2.5, "sequence": 3.0, "group": 2.0}
"""How often events of some forms are drawn, others once: letters and orders are the hardest to learn and the rarest to meet."""
ODDS = np.array([WEIGHTS[kind] for kind in Q_KINDS]) / sum(WEIGHTS.values())
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

    def __init__(self, bank: Bank, split: str, seed: int, tokenizer: Any, *, says_times: bool = False) -> None:
        self._bank, self._split, self._rng, self._tokenizer = bank, split, np.random.default_rng([seed, 55]), tokenizer
        self._says_times = says_times
        self._words: dict[str, list[int]] = {}
        self._empty = [n for n, event in enumerate(bank.events) if event is None]
        shares = np.array([FORMS.get(event.form, 1.0) if event else 1.0 for event in bank.events])
        self._odds = np.cumsum(shares / shares.sum())

    def one(self, frames: int, level: int, questions: int, odds: Any = ODDS, *, details: bool = False, carriers: bool = False) -> Context:
        """One row of evidence with questions about it.

        odds: (len(Q_KINDS),) of the kinds of question. details: frames are the first `level` tokens of footage.nested.
        carriers: one more image mark after each frame, for which no token is given: the reader makes it.
        """
        rng = self._rng
        event, times, seen = self._row(int(np.searchsorted(self._odds, rng.random())), frames, level, details)
        made = Context(self._ids(f"{BEGIN} {USER}"), [], [], [], [], seen.reshape(-1, WIDTH), [])
        begin_s = float(np.exp(rng.uniform(0, np.log(30000))))
        end_s = begin_s + float(times[-1] - times[0]) + 1
        where = f"{clock_words(begin_s)} {clock_words(end_s)}" if self._says_times else ""
        made.ids += self._ids(row_words(1, begin_s, end_s, [level + carriers] * len(seen)))
        size = len(made.ids)
        made.branch, made.attach, made.place = [0] * size, [size] * size, list(range(size))
        made.labels = [IGNORED] * size
        asker = Asker([event], rng, self._split, times)
        for _ in range(3 * questions):
            kind = str(rng.choice(Q_KINDS, p=odds))
            asked = asker.ask(kind)
            if asked is not None and len(made.kinds) < questions:
                said = self._ids(answer_words(asked, where)) + self._ids(END)
                self._hang(made, size, self._ids(f"{asked.text} {END} {BEGIN} {ASSISTANT}"), said)
                made.kinds.append((kind, made.branch[-1]))
        if rng.random() < 0.5:
            first, *rest = self._ids(caption(event)) + self._ids(END)
            self._hang(made, size, [first], rest)
        return made

    def _row(self, n: int, frames: int, level: int, details: bool) -> tuple[Event | None, list[float], Any]:
        """(what its frames show, their times in the event, (F, level, WIDTH)): some are merged, some stand among empty frames."""
        rng, bank = self._rng, self._bank
        event, shown = bank.events[n], np.sort(rng.choice(FRAMES, frames, replace=False))
        tokens = bank.details[:, :, :level] if details else bank.tokens[level]
        times, seen = bank.times_s[n][shown].tolist(), tokens[n][shown]
        mergeable = frames > 1 and not (event and event.form == "sequence")
        if mergeable and details and rng.random() < 0.25:  # all frames as one carrier
            seen = nested(bank.tokens[64][n][shown].reshape(-1, WIDTH), level)[None]
        elif mergeable and not details and rng.random() < 0.05:  # two frames as one carrier
            seen = np.concatenate([seen[:2].astype(np.float32).mean(0, keepdims=True), seen[2:]])
            times = [(times[0] + times[1]) / 2, *times[2:]]
        event = visible(event, times)
        if self._empty and rng.random() < 0.2:
            blank = tokens[int(rng.choice(self._empty)), :1]
            seen = np.concatenate([blank, seen] if rng.random() < 0.5 else [seen, blank])
        return event, times, seen

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
