"""Teaching a model of any family to put a frame into its carrier: answers alone are learned, under the mask of carriers.

VideoScan (see semantic_mask) trains in two stages, the first with one token a frame and the tower too. Ours has the second alone, on
adapters; the tower stays as it is, so that what is indexed stays readable.
Letters: n tokens of a lesson.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from qa.carriers.adapter import Rank, adapted
from qa.carriers.carrier_input import with_carrier
from qa.carriers.semantic_mask import Layout, additive, decoder_inputs
from qa.families.family import Family, Group

IGNORED = -100


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A prompt about frames, with one answer or several."""

    ids: Sequence[int]
    """(n,) words and placeholders, one more a group than it has tokens: its carrier."""
    videos: Sequence[Sequence[Group]]
    """The groups, without carriers, stretch by stretch."""
    labels: Sequence[int]
    """(n,) the token that is to be said after each; IGNORED where nothing is learned."""
    branch: Sequence[int] = field(default=())
    """(n,) 0: the evidence; 1, 2, ...: questions with their answers, all after the evidence and blind to each other. (): all is one."""

    @classmethod
    def asked(cls, prompt: Sequence[int], answer: Sequence[int], videos: Sequence[Sequence[Group]]) -> Self:
        """One answer, its end mark included, to one prompt."""
        return cls([*prompt, *answer], videos, [*[IGNORED] * (len(prompt) - 1), *answer, IGNORED])


@dataclass(frozen=True, slots=True)
class Recipe:
    rank: Rank = field(default_factory=Rank)
    steps: int = 1000
    rate: float = 1.0e-3
    """At its highest: it rises over a twentieth of the steps and falls as a cosine to a fiftieth."""

    def rate_at(self, step: int) -> float:
        rise, fall = (step + 1) / max(1.0, self.steps / 20), 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.rate * min(1.0, rise) * (0.02 + 0.98 * fall)


def train_carriers(
    model: Any, family: Family, batches: Iterable[Sequence[Lesson]], recipe: Recipe, *, say: Callable[[int, float], None] = lambda *_: None
) -> Any:
    """Train adapters of `model`, of whichever family, on so many batches; what peft wraps comes back (adapter.save keeps it).

    say: told of every step's number and loss.
    """
    import torch

    wrapped = adapted(model, family, recipe.rank)
    weights = [weight for weight in wrapped.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, betas=(0.9, 0.98), weight_decay=0.01)
    for step, batch in zip(range(recipe.steps), batches, strict=False):
        optimizer.param_groups[0]["lr"] = recipe.rate_at(step)
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for lesson in batch:  # one at a time: families lay prompts out alone, and graphs of one are small
            loss = loss_of(model, family, lesson) / len(batch)
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        say(step, total)
    return wrapped.eval()


def loss_of(model: Any, family: Family, lesson: Lesson) -> Any:
    """Mean cross entropy of the labels."""
    import torch

    labels = torch.tensor(lesson.labels)
    learned = labels != IGNORED
    logits = model.lm_head(hidden_of(model, family, lesson)[0, learned])
    return torch.nn.functional.cross_entropy(logits.float(), labels[learned].to(logits.device))


def hidden_of(model: Any, family: Family, lesson: Lesson) -> Any:
    """(1, n, D) of a lesson read at once under the mask; a branch stands where the evidence ends, whatever stands before it."""
    import torch

    videos = [[with_carrier(model, group) for group in groups] for groups in lesson.videos]
    prompt = family.prompt(lesson.ids, videos)
    seen = Layout.of(prompt, videos).seen()
    if len(lesson.branch):
        branch = np.asarray(lesson.branch)
        seen &= (branch[:, None] == branch) | (branch == 0)
        begins = np.maximum.accumulate(np.where(np.diff(branch, prepend=0) != 0, np.arange(len(branch)), 0))
        first = int(np.flatnonzero(branch)[0])
        ahead = torch.from_numpy(np.where(branch > 0, begins - first, 0)).to(prompt.positions.device)
        prompt.positions = prompt.positions - ahead
    inputs = decoder_inputs(prompt) | {"attention_mask": additive(seen, prompt.embeds)}
    return family.decoder(**inputs, use_cache=False).last_hidden_state
