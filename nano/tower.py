"""The tower: a small SigLIP, taught with dense labels and, beside them, with texts that are known to match or not.

SigLIP: "Sigmoid Loss for Language Image Pre-Training" (2023). We differ in that matches are not one text a picture: the world
knows for every pair of the batch whether it matches, so every pair is taught with its own truth.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nano import labels
from nano.draw import SIDE
from nano.labels import PATCH, PATCH_SIZES, POOLED, UNSURE, P, labels_of, pooled_mask
from nano.phrases import text_about
from nano.scene import Event, Shot, Thing, make_noise, practice_sign, sample_event, write
from nano.tokenizer import make_tokenizer
from nano.words import SIZES, TEXTURES, kinds

WIDTH, LAYERS, HEADS, TEXT_LIMIT = 192, 4, 6, 24
WAVES = WIDTH // HEADS
OFFSETS = (((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)), ((1, 1), (-1, -1), (1, -1), (-1, 1)))
NONE_WEIGHT = 0.06  # most patches show nothing: at full weight they drown the letters


HARD = {"alike": 2.0, "column": 1.5, "row": 1.5}
"""Weights of the labels that are learned last, where others count once."""


@dataclass(frozen=True, slots=True)
class TowerConfig:
    steps: int = 5600
    batch: int = 32
    rate: float = 1.0e-3
    shots: int = 300
    """Backgrounds drawn before training, then used again and again."""
    texts_from: float = 0.3
    """Share of the steps after which texts are taught too."""
    save_every: int = 200
    seed: int = 0


def make_siglip(vocabulary: int) -> Any:
    from transformers import SiglipConfig, SiglipModel

    common = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_attention_heads": HEADS}
    text = common | {
        "num_hidden_layers": 3, "vocab_size": vocabulary, "max_position_embeddings": TEXT_LIMIT,
        "projection_size": WIDTH, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3,
    }  # fmt: skip
    vision = common | {"num_hidden_layers": LAYERS, "image_size": SIDE, "patch_size": PATCH}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    model.logit_scale.data.fill_(math.log(10.0))
    model.logit_bias.data.fill_(-6.0)
    return model


class Frames:
    """Endless training frames with their labels; a new one every time, on a few hundred backgrounds."""

    def __init__(self, seed: int, shots: int, split: str = "train") -> None:
        self._rng, self._split = np.random.default_rng([seed, 77]), split
        noise = make_noise(self._rng)
        self._shots = [Shot.sample(self._rng, noise) for _ in range(shots)]

    def one(self) -> tuple[np.ndarray, labels.Labels]:
        rng = self._rng
        shot, at_s = self._shots[int(rng.integers(len(self._shots)))], float(rng.uniform(0, 200))
        form = "group" if rng.random() < 0.25 else ""  # what is alike is the last thing learned
        event = sample_event(rng, self._split, form=form) if rng.random() > 0.03 else None
        event_s = float(rng.uniform(0, event.duration_s)) if event else 0.0
        pixels = shot.frame(at_s, event, event_s, int(rng.integers(16)))
        return worn(pixels, rng), labels_of(event, event_s, shot.sway(at_s))

    def practice(self) -> tuple[np.ndarray, labels.Labels]:
        """A frame crowded with shapes and letters: ten times as much to learn from as a frame of the world."""
        rng, pool = self._rng, kinds(self._split)
        things: list[Thing] = []
        signs = []
        for n, y in enumerate((22.0, 64.0, 106.0)):
            if rng.random() < 0.4:
                signs.append(practice_sign(rng, 3 * n + int(rng.integers(0, 2))))
                continue
            for x in (22.0, 64.0, 106.0):
                size = str(rng.choice(list(SIZES)))
                at = (x + float(rng.uniform(-8, 8)), y + float(rng.uniform(-6, 6)))
                again = bool(things) and rng.random() < 0.4
                colour, shape = things[-1].kind if again else pool[int(rng.integers(len(pool)))]
                things.append(Thing(colour, shape, size, str(rng.choice(TEXTURES)), "still", 0.0, 1.0, *at))
        shot, at_s = self._shots[int(rng.integers(len(self._shots)))], float(rng.uniform(0, 200))
        event = Event(1.0, tuple(things), signs[0] if signs else None)
        pixels, made = shot.frame(at_s, event, 0.0, int(rng.integers(16))), labels_of(event, 0.0, shot.sway(at_s))
        for sign in signs[1:]:
            canvas = pixels.astype(np.float32)
            write(canvas, sign)
            pixels = canvas.astype(np.uint8)
            more = labels_of(Event(1.0, (), sign), 0.0, (0.0, 0.0)).patches
            for name in labels.LETTER_LABELS:
                made.patches[name] = np.where(more["letter"] > 0, more[name], made.patches[name])
        return worn(pixels, rng), made

    def some(self, count: int) -> np.ndarray:
        """(count, S, S, 3) practice frames."""
        return np.stack([self.practice()[0] for _ in range(count)])

    def batches(self, size: int, first: int, steps: int) -> Iterator[dict[str, Any]]:
        """pixels (B, S, S, 3) uint8, patch labels (B, N), pooled (B, 5, POOLED), texts, matches (B, texts); from step `first` on.

        Most frames are practice at first, few at the end.
        """
        for step in range(first, steps):
            pairs = [self.practice() if self._rng.random() < 0.85 - 0.7 * step / steps else self.one() for _ in range(size)]
            sights = [made.sight for _, made in pairs]
            abouts = [text_about(self._rng, sight) for sight in sights for _ in range(2)]
            yield {
                "pixels": np.stack([p for p, _ in pairs]),
                **{name: np.stack([made.patches[name] for _, made in pairs]) for name in PATCH_SIZES},
                "pooled": np.stack([made.pooled for _, made in pairs]),
                "texts": [text.lower() for text, _ in abouts],
                "matches": np.array([[target.matches(sight) for _, target in abouts] for sight in sights]),
            }


def worn(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As a codec would leave it: most training frames pass through JPEG at some quality."""
    if rng.random() < 0.3:
        return pixels
    import io

    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "JPEG", quality=int(rng.integers(55, 95)))
    return np.asarray(Image.open(held))


def start_well(model: Any, frames: Any) -> None:
    """Begin where a convolution would: whitened patches, places as waves, and first heads that look at the patches around.

    Without this the tower spends most of a short training on finding out which patches are neighbours.
    """
    import torch

    vision, room = model.vision_model, WIDTH - WAVES
    patches = normal(frames).unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * PATCH * PATCH)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    rows = (vectors[:, -room:] / (values[-room:] + 1e-4).sqrt()).T * 0.5
    embedding = vision.embeddings.patch_embedding
    embedding.weight.data.zero_()[:room] = rows.reshape(room, *embedding.weight.shape[1:])
    embedding.bias.data.zero_()[:room] = -rows @ mean
    speeds = math.pi * torch.linspace(0.1, 0.9, WAVES // 4)
    y, x = torch.meshgrid(torch.arange(P), torch.arange(P), indexing="ij")
    turns = torch.cat([x.flatten()[:, None] * speeds, y.flatten()[:, None] * speeds], 1)
    places = vision.embeddings.position_embedding.weight
    places.data.zero_()[:, room:] = 0.7 * torch.cat([turns.sin(), turns.cos()], 1)
    for layer, offsets in zip(vision.encoder.layers, OFFSETS, strict=False):
        for head, (dx, dy) in enumerate(offsets):
            turn = torch.cat([dx * speeds, dy * speeds])
            sin, cos = torch.diag(turn.sin()), torch.diag(turn.cos())
            at = slice(head * WAVES, (head + 1) * WAVES)
            for projection, matrix in (
                (layer.self_attn.k_proj, torch.eye(WAVES)),
                (layer.self_attn.q_proj, torch.cat([torch.cat([cos, sin], 1), torch.cat([-sin, cos], 1)])),
            ):
                projection.weight.data[at] = 0
                projection.weight.data[at, room:] = matrix


def normal(pixels: Any) -> Any:
    """(B, S, S, 3) uint8 to (B, 3, S, S) float in -1..1, as preprocessor_config.json says."""
    import torch

    return torch.as_tensor(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


class Heads:
    """Training only: linear readings of patch tokens and of their means; none of them is kept in the checkpoint."""

    def __init__(self) -> None:
        import torch

        self.module = torch.nn.ModuleDict(
            {
                "patch": torch.nn.Linear(WIDTH, sum(PATCH_SIZES.values())),
                "frame": torch.nn.Linear(WIDTH, POOLED),
                "quarter": torch.nn.Linear(WIDTH, POOLED),
            }
        )
        self._mask = torch.from_numpy(pooled_mask())

    def loss(self, tokens: Any, batch: dict[str, Any]) -> tuple[Any, dict[str, float]]:
        """tokens (B, N, WIDTH)."""
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

        seen, told, total = self.module["patch"](tokens), {}, 0.0
        at = 0
        for name, size in PATCH_SIZES.items():
            logits, truth = seen[..., at : at + size].flatten(0, 1), torch.as_tensor(batch[name]).flatten()
            at += size
            weight = torch.ones(size)
            weight[0] = NONE_WEIGHT
            total = total + HARD.get(name, 1.0) * cross_entropy(logits, truth, weight, ignore_index=UNSURE)
            some = truth > 0
            told[name] = float((logits.argmax(-1) == truth)[some].float().mean())
        pooled, grid = torch.as_tensor(batch["pooled"]), tokens.unflatten(1, (2, 4, 2, 4)).mean((2, 4)).flatten(1, 2)
        for name, logits, truth in (
            ("frame", self.module["frame"](tokens.mean(1)), pooled[:, 0]),
            ("quarter", self.module["quarter"](grid), pooled[:, 1:]),
        ):
            each = binary_cross_entropy_with_logits(logits, truth, reduction="none", pos_weight=torch.tensor(4.0))
            total = total + 8 * (each * self._mask).mean()
            some = truth[..., :100] > 0
            told[name] = float((logits[..., :100] > 0)[some].float().mean())
        return total, told


def train_tower(folder: Path, config: TowerConfig, *, until: float = math.inf, say: Any = print) -> Path:
    """Train or go on training; the state lies in folder/tower.pt."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, normalize

    torch.manual_seed(config.seed)
    tokenizer = make_tokenizer()
    model, heads = make_siglip(len(tokenizer)), Heads()
    weights = [*model.parameters(), *heads.module.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=config.rate, betas=(0.9, 0.98), weight_decay=0.02)
    begun, state = 0, folder / "tower.pt"
    if state.exists():
        kept = torch.load(state, weights_only=True)
        model.load_state_dict(kept["model"])
        heads.module.load_state_dict(kept["heads"])
        optimizer.load_state_dict(kept["optimizer"])
        begun = kept["step"]
    batches = Frames(config.seed + begun, config.shots).batches(config.batch, begun, config.steps)
    if not begun:
        start_well(model, Frames(config.seed, 20).some(600))
    clock = time.monotonic()
    for step in range(begun, config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.rate * _schedule(step, config.steps)
        batch = next(batches)
        seen = model.vision_model(normal(batch["pixels"]))
        loss, told = heads.loss(seen.last_hidden_state, batch)
        if step >= config.texts_from * config.steps:
            ids = tokenizer(batch["texts"], padding="max_length", truncation=True, max_length=TEXT_LIMIT, return_tensors="pt")
            read = normalize(model.text_model(ids["input_ids"]).pooler_output, dim=-1)
            logits = normalize(seen.pooler_output, dim=-1) @ read.T * model.logit_scale.exp() + model.logit_bias
            truth = torch.as_tensor(batch["matches"]).float()
            each = binary_cross_entropy_with_logits(logits, truth, reduction="none")
            loss = loss + 0.3 * (each.sum() / len(truth))
            told["recall"] = float((logits > 0)[truth > 0].float().mean())
            told["precision"] = float(truth[logits > 0].mean())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        if step % 100 == 0:
            say(
                f"tower {step} loss {float(loss.detach()):.3f} "
                + " ".join(f"{k} {v:.2f}" for k, v in told.items())
                + f" {time.monotonic() - clock:.0f} s"
            )
        last = step + 1 == config.steps or time.monotonic() - clock > until
        if (step + 1) % config.save_every == 0 or last:
            half = state.with_suffix(".half")
            torch.save(
                {"model": model.state_dict(), "heads": heads.module.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1},
                half,
            )
            half.replace(state)
        if last:
            break
    return state


def _schedule(step: int, steps: int) -> float:
    """Warm-up, then a cosine down to a fiftieth."""
    return min(1.0, (step + 1) / 150) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))
