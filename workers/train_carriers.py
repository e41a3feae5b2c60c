"""Train nano to read a frame through one carrier: `python -m workers.train_carriers OUT`, then `footage eval carriers OUT`.

On one core half an hour; what is drawn to train on is kept in WORK. Any other family: qa.carriers.training.train_carriers.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from nano import VLM
from nano.bank import FRAMES, Bank
from nano.contexts import Context, Contexts
from nano.decoder import load_tower
from nano.tokenizer import make_tokenizer
from nano.tower import WIDTH
from qa.carriers.adapter import Rank, save
from qa.carriers.training import Lesson, Recipe, loss_of, train_carriers
from qa.families.family import Family, Group
from qa.families.registry import family_of

LEVEL = 64
"""Tokens of a frame, before its carrier."""


@dataclass(frozen=True, slots=True)
class NanoRun:
    recipe: Recipe = field(default_factory=lambda: Recipe(Rank(32, 64, mlp=True), steps=800, rate=2.0e-3))
    contexts: int = 4
    """Of a batch."""
    questions: int = 10
    """Asked of every context."""
    events: int = 8000
    seed: int = 0


def train_nano(work: Path, out: Path, run: NanoRun) -> Path:
    """Adapters for the shipped nano, in a folder; WORK as of nano.train, or a new one.

    What happens is written to out/training.jsonl.
    """
    import torch

    torch.manual_seed(run.seed)
    model, tower, tokenizer = shipped(), load_tower(work)[0].vision_model, make_tokenizer()
    family = family_of(model.model, tokenizer=tokenizer)
    made = Contexts(Bank.kept(work, tower, "train", run.events, run.seed), "train", run.seed, tokenizer)
    unseen = Contexts(Bank.kept(work, tower, "val", 300, run.seed + 1), "val", 1, tokenizer)
    held = [lesson_of(unseen.one(1 + n % FRAMES, LEVEL, run.questions, carriers=True), family) for n in range(24)]
    out.mkdir(parents=True, exist_ok=True)
    with (out / "training.jsonl").open("w", buffering=1) as file:
        print(json.dumps(asdict(run)), file=file)
        log = _Log(file, lambda: float(np.mean([float(loss_of(model, family, lesson)) for lesson in held])))
        wrapped = train_carriers(model, family, _batches(made, family, run), run.recipe, say=log)
    save(wrapped, out)
    return out


class _Log:
    """A line every 25 steps, with the loss on what is not trained on every 250."""

    def __init__(self, file: TextIO, unseen: Callable[[], float]) -> None:
        self._file, self._unseen, self._begun_s = file, unseen, time.monotonic()
        self._losses: list[float] = []

    def __call__(self, step: int, loss: float) -> None:
        import torch

        self._losses.append(loss)
        if (step + 1) % 25:
            return
        line = {"step": step + 1, "loss": round(float(np.mean(self._losses)), 4), "seconds": round(time.monotonic() - self._begun_s)}
        if (step + 1) % 250 == 0:
            with torch.inference_mode():
                line["unseen"] = round(self._unseen(), 4)
        print(json.dumps(line), file=self._file)
        self._losses.clear()


def shipped() -> Any:
    """The nano decoder that comes with footage, in float32."""
    import torch
    from transformers import SmolVLMForConditionalGeneration

    return SmolVLMForConditionalGeneration.from_pretrained(VLM, dtype=torch.float32, local_files_only=True).eval().requires_grad_(False)


def lesson_of(context: Context, family: Family) -> Lesson:
    """A context of nano's training, whose frames have LEVEL tokens and a place for a carrier, as any family's lesson."""
    import torch

    frames = torch.from_numpy(context.visual.reshape(-1, LEVEL, WIDTH).astype(np.float32))
    with torch.no_grad():
        groups = [Group(tokens, 0.0) for tokens in family.ready(frames)]
    return Lesson(context.ids, [groups], context.labels, context.branch)


def _batches(contexts: Contexts, family: Family, run: NanoRun) -> Iterator[Sequence[Lesson]]:
    """Single frames in two of five contexts, as nano was taught."""
    rng = np.random.default_rng([run.seed, 7])
    while True:
        frames = [1 if rng.random() < 0.4 else int(rng.integers(1, FRAMES + 1)) for _ in range(run.contexts)]
        yield [lesson_of(contexts.one(count, LEVEL, run.questions, carriers=True), family) for count in frames]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.train_carriers", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the adapter")
    parser.add_argument("--work", type=Path, default=Path("nano-work"), help="folder of nano.train, or a new one")
    parser.add_argument("--steps", type=int, default=NanoRun().recipe.steps)
    parser.add_argument("--rate", type=float, default=NanoRun().recipe.rate)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(NanoRun().recipe.rank, given.steps, given.rate)
    print(f"wrote {train_nano(given.work, given.out, NanoRun(recipe))}", flush=True)


if __name__ == "__main__":
    main()
