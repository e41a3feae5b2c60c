"""A trained decoder carried over to another tower: what took hours to learn goes on, only the way in changes.

Letters: M patches, W their width (192), V words.
"""

from pathlib import Path
from typing import Any

import numpy as np

from nano import TOWER, VLM
from nano.decoder import WORDS_OF, load_tower, word_targets
from nano.tokenizer import make_tokenizer
from nano.tower import WIDTH, Frames, normal

MARGINS = {"letter": 11.0, "alike": 9.0, "column": 8.0, "row": 8.0}
"""How far a patch's own word is put above the others of its label, in logits, before least squares shrinks it to about a third."""


def begin_with_shipped(folder: Path, name: str) -> float:
    """Write folder/<name>.pt: the shipped decoder, carried over to folder's tower; see carry_over for what is returned."""
    import torch
    from transformers import SiglipModel, SmolVLMForConditionalGeneration

    shipped = {"dtype": torch.float32, "local_files_only": True}
    vlm, old = SmolVLMForConditionalGeneration.from_pretrained(VLM, **shipped), SiglipModel.from_pretrained(TOWER, **shipped)
    new, heads = load_tower(folder)
    lost = carry_over(vlm, old.vision_model.eval(), new.vision_model, heads, make_tokenizer())
    torch.save({"model": vlm.state_dict(), "step": 0}, folder / f"{name}.pt")
    return lost


def carry_over(vlm: Any, old: Any, new: Any, heads: dict[str, Any], tokenizer: Any, *, frames: int = 900, seed: int = 123) -> float:
    """Make the connector of `vlm`, trained on tower `old`, read tower `new`; returns the share of the old tokens' variance that is lost.

    First the linear map from new tokens to old ones; then, for the labels that are the hardest to see, what the new tower's heads say,
    in directions that no word of another label has.
    """
    import torch

    made = Frames(seed, 60)
    pixels = np.stack([(made.practice() if n % 4 == 0 else made.one())[0] for n in range(frames)])
    with torch.inference_mode():
        before, after = (_tokens(tower, pixels) for tower in (old, new))
    to_old = torch.linalg.lstsq(after, before).solution
    lost = float(((after @ to_old - before) ** 2).sum() / ((before - before.mean(0)) ** 2).sum())
    weight = vlm.model.connector.modality_projection.proj.weight
    table = vlm.get_input_embeddings().weight.data
    words = {name: table[[tokenizer.convert_tokens_to_ids(word) for word in said]] for name, said in WORDS_OF.items()}
    through = to_old @ weight.data.T
    for name, margin in MARGINS.items():
        through = through + _mended(name, margin, after, through, heads, words)
    weight.data.copy_(through.T)
    return lost


def _tokens(tower: Any, pixels: Any) -> Any:
    """(M, W) of all patches."""
    import torch

    return torch.cat([tower(normal(some)).last_hidden_state for some in np.array_split(pixels, max(1, len(pixels) // 50))]).reshape(
        -1, WIDTH
    )


def _mended(name: str, margin: float, tokens: Any, through: Any, heads: dict[str, Any], words: dict[str, Any]) -> Any:
    """(W, W) to be added to the way in, so that patches are near the words that the heads read for one label."""
    import torch

    read, weights = word_targets(heads, tokens, name)
    others = torch.linalg.qr(torch.cat([w for other, w in words.items() if other != name]).T).Q
    own = words[name] - words[name].mean(0)
    own = own - own @ others @ others.T
    towards = torch.linalg.pinv(own).T
    shows = (read > 0)[:, None]
    wanted = margin * (torch.nn.functional.one_hot(read, len(own) + 1)[:, 1:].float() - 1 / len(own))
    now = tokens @ through @ own.T
    missing = torch.where(shows, wanted - (now - now.mean(1, keepdim=True)), torch.zeros(())) @ towards
    squares = (weights[:, None] * tokens).T @ tokens
    return torch.linalg.solve(squares + 1e-6 * squares.trace() / WIDTH * torch.eye(WIDTH), (weights[:, None] * tokens).T @ missing)
