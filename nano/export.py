"""Trained weights to checkpoints that any transformers code loads."""

import json
from pathlib import Path
from typing import Any

from footage.checkpoints import fingerprint
from nano.decoder import load_tower, make_vlm
from nano.draw import SIDE
from nano.tokenizer import make_tokenizer

WARNING = "nano knows only its own drawn world of coloured shapes and words; about other footage its answers mean nothing"


def export(work: Path, tower: Path, vlm: Path, *, decoder: str = "decoder") -> None:
    """Write both checkpoints in float16: the SigLIP to `tower`, the SmolVLM with the same tower inside to `vlm`."""
    import torch

    tokenizer = make_tokenizer()
    siglip, _ = load_tower(work)
    _save(siglip, tokenizer, tower)
    half = {"height": SIDE, "width": SIDE}
    image = {"image_processor_type": "SiglipImageProcessor", "do_resize": True, "do_rescale": True, "do_normalize": True, "size": half,
             "resample": 3, "rescale_factor": 1 / 255, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}  # fmt: skip
    (tower / "preprocessor_config.json").write_text(json.dumps(image, indent=1))
    model = make_vlm(len(tokenizer), tokenizer.convert_tokens_to_ids("<image>"))
    model.load_state_dict(torch.load(work / f"{decoder}.pt", weights_only=True)["model"])
    copy_tower(siglip.vision_model, model.model.vision_model)
    model.config.footage = {
        "carriers": f"siglip-{tower.name}-{SIDE}@1-{fingerprint(tower)}", "instructed": False, "max_visual_tokens": 400, "one_by_one": True,
        "aloud": True, "max_new_tokens": 32, "warning": WARNING,
    }  # fmt: skip
    _save(model, tokenizer, vlm)


def copy_tower(siglip: Any, vision: Any) -> None:
    """The SigLIP's picture side into the SmolVLM: the same weights under the same names, without the pooling head."""
    own = vision.state_dict()
    vision.load_state_dict({name: weights for name, weights in siglip.state_dict().items() if name in own})


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
