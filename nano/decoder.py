"""The decoder: a small SmolVLM that answers over compressed evidence, trained on the frozen tower's tokens.

Matryoshka levels: "Matryoshka Multimodal Models" (2024) averages a grid of tokens into nested sizes; so do we, and draw one size a
batch.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nano import TOWER, VLM
from nano.bank import FRAMES, Bank
from nano.contexts import IGNORED, Contexts, collate
from nano.labels import LETTER_IDS, PATCH_SIZES
from nano.phrases import Q_KINDS
from nano.prompt import LEVELS
from nano.tokenizer import make_tokenizer
from nano.tower import HEADS, LAYERS, WIDTH, make_siglip
from nano.words import COLOURS, COLUMNS, NUMBERS, ROWS, SHAPES

WORDS_OF = {
    "colour": list(COLOURS), "shape": list(SHAPES), "letter": list(LETTER_IDS), "alike": NUMBERS[1:6], "column": COLUMNS, "row": ROWS,
}  # fmt: skip
"""The words that a patch label's classes are, in order."""


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    steps: int = 6000
    tokens: int = 6400
    """Of a batch, about: 8 to 32 contexts."""
    questions: int = 8
    """Asked of every context."""
    rate: float = 1.0e-3
    known: float = 0.3
    """Share of the rate for words and the connector: they begin with what the tower knows, and at the full rate lose it in 100 steps."""
    events: int = 8000
    levels: tuple[int, ...] = LEVELS
    details: tuple[int, ...] = (32, 16, 8, 4, 1)
    """Tokens a frame in the order of footage.nested that every second batch is trained on; () for none."""
    says_times: bool = False
    """A baseline: it learns to say a row's times where ours points at the row."""
    save_every: int = 150
    seed: int = 0


def make_vlm(vocabulary: int, image_id: int) -> Any:
    """A SmolVLM whose tower has the SigLIP's own sizes and whose connector maps each of its tokens by itself."""
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration

    from nano.draw import SIDE
    from nano.labels import PATCH

    vision = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS,
              "image_size": SIDE, "patch_size": PATCH}  # fmt: skip
    text = {"model_type": "llama", "hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 5, "num_attention_heads": 3,
            "num_key_value_heads": 3, "head_dim": 64, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
            "vocab_size": vocabulary, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "pad_token_id": 0, "bos_token_id": 2,
            "eos_token_id": 3, "tie_word_embeddings": True}  # fmt: skip
    config = SmolVLMConfig(
        vision_config=vision, text_config=text, image_token_id=image_id, scale_factor=1, pad_token_id=0, tie_word_embeddings=True
    )
    return SmolVLMForConditionalGeneration(config)


def logits_of(vlm: Any, batch: dict[str, Any]) -> Any:
    """(M, vocabulary) at the M places that have a label."""
    import torch

    ids = batch["ids"]
    embeds = vlm.get_input_embeddings()(ids)
    seen = vlm.model.connector.modality_projection(batch["visual"])
    embeds = embeds.masked_scatter((ids == vlm.config.image_token_id)[..., None], seen)
    mask = torch.where(batch["mask"], 0.0, torch.finfo(torch.float32).min)
    out = vlm.model.text_model(inputs_embeds=embeds, attention_mask=mask, position_ids=batch["place"], use_cache=False)
    return vlm.lm_head(out.last_hidden_state[batch["labels"] != IGNORED])


def shape_of(rng: np.random.Generator, step: int, config: DecoderConfig) -> tuple[int, int, bool]:
    """(frames, tokens a frame, whether these are details) of a batch: single frames at first, then up to all; fine levels more often."""
    details = bool(config.details) and rng.random() < 0.5
    levels = config.details if details else config.levels
    odds = np.array(levels) ** 0.5
    level = int(rng.choice(levels, p=odds / odds.sum()))
    frames = 1 if step < 100 or rng.random() < 0.4 else int(rng.integers(1, FRAMES + 1))
    return frames, level, details


def word_targets(heads: dict[str, Any], tokens: Any, name: str) -> tuple[Any, Any]:
    """What the tower's heads read from tokens (M, WIDTH) for one label, (M,) classes, and how much each token weighs, (M,).

    Every class weighs the same however rare it is; all tokens that show none of them count for half of what the classes do together.
    """
    import torch

    at = sum(size for other, size in list(PATCH_SIZES.items())[: list(PATCH_SIZES).index(name)])
    rows = slice(at, at + PATCH_SIZES[name])
    read = (tokens @ heads["patch.weight"][rows].T + heads["patch.bias"][rows]).argmax(-1)
    shares = torch.full((PATCH_SIZES[name],), 1 / (PATCH_SIZES[name] - 1))
    shares[0] = 0.5
    return read, (shares / torch.bincount(read, minlength=PATCH_SIZES[name]).clamp(min=1))[read]


def word_map(heads: dict[str, Any], tokens: Any, words: dict[str, Any]) -> Any:
    """(WIDTH, WIDTH) that turns a patch into the sum of the words for all that it shows, nothing into nothing.

    Least squares, a label at a time, towards what the tower's heads read from the tokens (M, WIDTH). words[label] (classes, WIDTH).
    """
    import torch

    made = torch.zeros(WIDTH, WIDTH)
    for name, said in words.items():
        read, weights = word_targets(heads, tokens, name)
        weighted = tokens * weights[:, None]
        targets = torch.cat([torch.zeros(1, WIDTH), said])[read]
        squares = weighted.T @ tokens
        made += torch.linalg.solve(squares + 1e-6 * squares.trace() / WIDTH * torch.eye(WIDTH), weighted.T @ targets)
    return made


def start_from_heads(vlm: Any, heads: dict[str, Any], tokenizer: Any, tokens: Any) -> None:
    """Begin with what is known: a red patch starts out near the word red, attention looks for what is alike and copies it.

    "Mimetic Initialization of Self-Attention Layers" (2023); ours adds what reading a word takes: a head that tells every token what
    stands before it, and heads that look for the token before which stands what was just said.

    tokens: (M, WIDTH) of the tower; all of them are also given one direction in common.
    """
    import torch
    from torch.nn.functional import normalize

    table = vlm.get_input_embeddings().weight.data
    table.normal_(0, 0.05)
    later = torch.randn(WIDTH) * 0.02  # a letter within a word is the same letter
    for letter in LETTER_IDS:
        table[tokenizer.convert_tokens_to_ids(f"##{letter}")] = table[tokenizer.convert_tokens_to_ids(letter)] + later
    turn = torch.nn.init.orthogonal_(torch.empty(WIDTH, WIDTH))
    words = {name: normalize(table[[tokenizer.convert_tokens_to_ids(word) for word in said]], dim=-1) for name, said in WORDS_OF.items()}
    made, mean = word_map(heads, tokens, words), tokens.mean(0)
    rest = torch.nn.init.orthogonal_(torch.empty(WIDTH, WIDTH))
    common = normalize(torch.randn(WIDTH), dim=0)
    table += 0.35 * common
    shared = 0.35 * torch.outer(mean, common) / mean.square().sum()
    vlm.model.connector.modality_projection.proj.weight.data.copy_((1.0 * made + 0.02 * rest + shared).T)
    speeds = 1e6 ** (-torch.arange(10) / 32)  # of RoPE's first pairs, which tell neighbours apart
    for number, layer in enumerate(vlm.model.text_model.layers):
        attention = layer.self_attn
        alike, copied = (torch.nn.init.orthogonal_(torch.empty(WIDTH, WIDTH)) for _ in range(2))
        attention.q_proj.weight.data.copy_(1.2 * alike)
        attention.k_proj.weight.data.copy_(1.2 * alike)
        attention.v_proj.weight.data.copy_(0.3 * copied)
        attention.o_proj.weight.data.copy_(0.15 * copied.T)
        if number == 0:  # what stands before this
            here, before = torch.zeros(64), torch.zeros(64)
            here[:10], before[:10], before[32:42] = 1.0, speeds.cos(), speeds.sin()
            attention.q_proj.weight.data[-64:] = 1.05 * torch.outer(here, common)
            attention.k_proj.weight.data[-64:] = 1.05 * torch.outer(before, common)
            attention.o_proj.weight.data[:, -64:] = 0.5 * turn @ copied.T[:, -64:]
        if number in (1, 2):
            attention.q_proj.weight.data[-64:] = 1.5 * alike[-64:] @ turn


def load_tower(folder: Path) -> tuple[Any, dict[str, Any]]:
    """The trained SigLIP and the weights of its training heads; without a state in the folder the shipped tower, which has no heads."""
    import torch
    from transformers import SiglipModel

    if not (folder / "tower.pt").exists():
        shipped = SiglipModel.from_pretrained(TOWER, dtype=torch.float32, local_files_only=True)
        return shipped.eval().requires_grad_(False), {}
    kept = torch.load(folder / "tower.pt", weights_only=True)
    model = make_siglip(len(make_tokenizer()))
    model.load_state_dict(kept["model"])
    return model.eval().requires_grad_(False), kept["heads"]


def train_decoder(folder: Path, config: DecoderConfig, *, name: str = "decoder", until: float = math.inf, workers: int = 2) -> Path:
    """Train or go on; the state lies in folder/<name>.pt, what happens in folder/<name>.log.

    workers: processes of one thread each that share every batch: on a few cores twice as fast as one process of many threads.
    until: seconds after which to stop, state kept.
    """
    import torch

    siglip, _ = load_tower(folder)
    Bank.kept(folder, siglip.vision_model, "train", config.events, config.seed)
    Bank.kept(folder, siglip.vision_model, "val", 300, config.seed + 1)
    meeting = folder / f"{name}.meeting"
    meeting.unlink(missing_ok=True)
    torch.multiprocessing.spawn(_train, (workers, meeting, folder, config, name, until), nprocs=workers)
    meeting.unlink(missing_ok=True)
    return folder / f"{name}.pt"


def _train(rank: int, workers: int, meeting: Path, folder: Path, config: DecoderConfig, name: str, until: float) -> None:
    """One of the processes."""
    import torch
    from torch import distributed
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    distributed.init_process_group("gloo", init_method=meeting.resolve().as_uri(), rank=rank, world_size=workers)
    tokenizer = make_tokenizer()
    siglip, heads = load_tower(folder)
    vlm = make_vlm(len(tokenizer), tokenizer.convert_tokens_to_ids("<image>"))
    bank = Bank.kept(folder, siglip.vision_model, "train", config.events, config.seed)
    if heads:
        start_from_heads(vlm, heads, tokenizer, torch.from_numpy(bank.tokens[64][:500].astype(np.float32).reshape(-1, WIDTH)))
    else:
        vlm.load_state_dict(type(vlm).from_pretrained(VLM, dtype=torch.float32, local_files_only=True).state_dict())
    unseen = Bank.kept(folder, siglip.vision_model, "val", 300, config.seed + 1)
    weights = [*vlm.model.text_model.parameters(), *vlm.model.connector.parameters()]
    known = {id(w) for w in (vlm.get_input_embeddings().weight, *vlm.model.connector.parameters())}
    optimizer = torch.optim.AdamW(
        [
            {"params": [w for w in weights if id(w) not in known]},
            {"params": [w for w in weights if id(w) in known], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98), weight_decay=0.02,
    )  # fmt: skip
    begun, state = 0, folder / f"{name}.pt"
    if state.exists():
        kept = torch.load(state, weights_only=True)
        vlm.load_state_dict(kept["model"])
        if "optimizer" in kept:  # not in one that carry.begin_with_shipped wrote
            optimizer.load_state_dict(kept["optimizer"])
        begun = kept["step"]
    shapes = np.random.default_rng([config.seed, begun])  # the same in every process, so that none waits for another
    contexts = Contexts(bank, "train", config.seed + begun * workers + rank, tokenizer, says_times=config.says_times)
    clock, said = time.monotonic(), (folder / f"{name}.log").open("a", buffering=1)
    for step in range(begun, config.steps):
        for group, share in zip(optimizer.param_groups, (1.0, config.known), strict=True):
            group["lr"] = (
                share * config.rate * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / config.steps)))
            )
        frames, level, details = shape_of(shapes, step, config)
        size = int(np.clip(config.tokens // (frames * level + 24 * config.questions), 8, 32)) // workers
        batch = collate([contexts.one(frames, level, config.questions, details=details) for _ in range(max(1, size))])
        loss = cross_entropy(logits_of(vlm, batch), batch["labels"][batch["labels"] != IGNORED])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        _share(weights, workers)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        stop = torch.tensor(float(time.monotonic() - clock > until))
        distributed.broadcast(stop, 0)
        last = step + 1 == config.steps or bool(stop)
        if rank == 0 and step % 50 == 0:
            lost, spent_s = float(loss.detach()), time.monotonic() - clock
            print(f"{name} {step} frames {frames} level {level}{' details' * details} loss {lost:.3f} {spent_s:.0f} s", file=said)
        if rank == 0 and ((step + 1) % config.save_every == 0 or last):
            half = state.with_suffix(".half")
            torch.save({"model": vlm.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}, half)
            half.replace(state)
            for seen in ((1, 64, False), (1, 8, True), (4, 64, False), (4, 16, True), (4, 4, False)):
                print(f"  frames, level, details {seen}: {check(vlm, unseen, seen, tokenizer, says_times=config.says_times)}", file=said)
        if last:
            break
    distributed.destroy_process_group()


def _share(weights: Sequence[Any], workers: int) -> None:
    """Every process gets the mean of all gradients."""
    import torch
    from torch import distributed

    some = [w.grad for w in weights if w.grad is not None]
    flat = torch.cat([g.flatten() for g in some])
    distributed.all_reduce(flat)
    for grad, part in zip(some, (flat / workers).split([g.numel() for g in some]), strict=True):
        grad.copy_(part.view_as(grad))


def check(vlm: Any, bank: Bank, shape: tuple[int, int, bool], tokenizer: Any, count: int = 96, *, says_times: bool = False) -> str:
    """Share of answers that are right in every token, by kind."""
    import torch

    contexts = Contexts(bank, "val", 1, tokenizer, says_times=says_times)
    found: dict[str, list[bool]] = {kind: [] for kind in Q_KINDS}
    for _ in range(count // 16):
        made = [contexts.one(*shape[:2], 8, details=shape[2]) for _ in range(16)]
        batch = collate(made)
        with torch.inference_mode():
            right = logits_of(vlm, batch).argmax(-1) == batch["labels"][batch["labels"] != IGNORED]
        where = torch.nonzero(batch["labels"] != IGNORED)
        branches = batch["branch"][where[:, 0], where[:, 1]]
        for n, context in enumerate(made):
            for kind, branch in context.kinds:
                found[kind].append(bool(right[(where[:, 0] == n) & (branches == branch)].all()))
    return " ".join(f"{kind} {np.mean(values):.2f}" for kind, values in found.items() if values)
