"""Checkpoints of the real families, random and tiny, with a tokenizer trained on the spot."""

import json
from pathlib import Path
from typing import Any

from memory.encoders.checkpoint import quiet

WORDS = "a red car and a blue bus near the old house on the green road when does the man arrive who is it"
TEXT = {"vocab_size": 120, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8}
LIMIT = 16


def save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator([WORDS] * 4, trainers.WordPieceTrainer(vocab_size=110, special_tokens=["<unk>", "</s>"], show_progress=False))
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="</s>", eos_token="</s>", unk_token="<unk>")
    wrapped.save_pretrained(folder)


def save_checkpoint(folder: Path, family: str, *, seed: int = 0) -> Path:
    """One of "siglip" (32 px, 16 patches), "siglip2" (at most 12 patches of 8 px), "clip" (32 px, 16 patches)."""
    import torch
    from transformers import CLIPConfig, CLIPModel, Siglip2Config, Siglip2Model, SiglipConfig, SiglipModel

    text = TEXT | {"max_position_embeddings": LIMIT, "eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 1}
    with quiet():
        torch.manual_seed(seed)
        model: Any
        if family == "clip":
            config = CLIPConfig(text_config=text, vision_config=VISION | {"image_size": 32}, projection_dim=24)
            model = CLIPModel(config)
        elif family == "siglip2":
            model = Siglip2Model(Siglip2Config(text_config=text, vision_config=VISION | {"num_patches": 16}))
        else:
            model = SiglipModel(SiglipConfig(text_config=text, vision_config=VISION | {"image_size": 32}))
        with torch.no_grad():
            for weights in model.parameters():
                if weights.ndim > 1:
                    weights.mul_(4.0)  # larger than the usual start, so that pictures and texts differ visibly
            if family != "clip":
                model.logit_scale.fill_(4.765)
                model.logit_bias.fill_(-12.93)
        model.save_pretrained(folder)
        save_tokenizer(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING[family]))
    return folder


HALF = [0.5, 0.5, 0.5]
PREPROCESSING: dict[str, dict[str, Any]] = {
    "siglip": {
        "image_processor_type": "SiglipImageProcessor", "do_resize": True, "do_rescale": True, "do_normalize": True,
        "rescale_factor": 1 / 255, "image_mean": HALF, "image_std": HALF, "resample": 3,
        "size": {"height": 32, "width": 32},
    },
    "siglip2": {
        "image_processor_type": "Siglip2ImageProcessor", "do_resize": True, "do_rescale": True, "do_normalize": True,
        "rescale_factor": 1 / 255, "image_mean": HALF, "image_std": HALF, "resample": 2,
        "patch_size": 8, "max_num_patches": 12,
    },
    "clip": {
        "image_processor_type": "CLIPImageProcessor", "do_resize": True, "do_rescale": True, "do_normalize": True,
        "do_center_crop": True, "rescale_factor": 1 / 255, "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": {"shortest_edge": 32},
        "crop_size": {"height": 32, "width": 32},
    },
}  # fmt: skip
