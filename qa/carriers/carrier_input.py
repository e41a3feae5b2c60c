"""What a carrier begins with: the mean of its frame's tokens, through a map that can be trained.

The map begins as the identity, like the token shuffle of "TimeSuite: Improving MLLMs for Long Video Understanding via Grounded Tuning"
(2025) begins as a mean. Letters: K tokens of a frame, D width of the language model.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from qa.families.family import Group

INPUT = "carrier_input"
"""Under this name a model has its map (D, D); one without it begins carriers with the mean itself."""


def with_carrier(model: Any, group: Group) -> Group:
    """A group of K + 1 tokens, the last of which is its carrier's beginning; planes of DeepStack get their plain mean.

    Where tokens have places, the carrier stands in a row of its own below them.
    """
    import torch

    embed = model.get_input_embeddings().weight
    tokens = torch.as_tensor(group.tokens).to(embed.device, embed.dtype)
    mean, turn = tokens.mean(0), getattr(model, INPUT, None)
    if turn is not None:
        mean = torch.cat([turn(mean[: embed.shape[1]]), mean[embed.shape[1] :]])
    made: Any = torch.cat([tokens, mean[None]])
    if group.places is None:
        return replace(group, tokens=made)
    rows, columns = group.grid
    return Group(made, group.time_s, np.concatenate([group.places, [[rows, 0]]]), (rows + 1, columns))


def give_input(model: Any) -> None:
    """The map, as the identity, where the model has none."""
    import torch

    if hasattr(model, INPUT):
        return
    embed = model.get_input_embeddings().weight
    made = torch.nn.Linear(embed.shape[1], embed.shape[1], bias=False, device=embed.device, dtype=embed.dtype)
    torch.nn.init.eye_(made.weight)
    setattr(model, INPUT, made.requires_grad_(False))
