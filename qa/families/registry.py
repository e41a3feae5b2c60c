"""Families by the model_type of a checkpoint, and their towers without the language model."""

import copy
from pathlib import Path
from typing import Any

from footage.errors import ModelError
from qa.families.family import Family
from qa.families.llava_onevision import LlavaOneVision
from qa.families.qwen2_5_vl import Qwen25Vl
from qa.families.qwen3_vl import Qwen3Vl
from qa.families.smolvlm import SmolVlm

FAMILIES: dict[str, Any] = {"smolvlm": SmolVlm, "llava_onevision": LlavaOneVision, "qwen2_5_vl": Qwen25Vl, "qwen3_vl": Qwen3Vl}


def family_of(body: Any, *, folder: Path | None = None, tokenizer: Any = None) -> Family:
    """For a loaded model without its head (`model.model`), or a tower.

    Raises:
        ModelError: of no family known here.
    """
    kind = body.config.model_type
    if kind not in FAMILIES:
        raise ModelError(f"this is a model of type {kind!r}; expected one of {', '.join(FAMILIES)}")
    family: Family = FAMILIES[kind].of(body, folder, tokenizer)
    return family


def load_tower(folder: Path, *, device: Any, dtype: Any) -> Family:
    """The tower and projector of a checkpoint, for `look` alone: no layer of the language model is made or read.

    Raises:
        ModelError: of no family known here, or weights of the tower are missing.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel

    try:
        config = copy.deepcopy(AutoConfig.from_pretrained(folder, local_files_only=True))
        if config.model_type not in FAMILIES:
            raise ModelError(f"{folder} holds a model of type {config.model_type!r}; expected one of {', '.join(FAMILIES)}")
        config.text_config.num_hidden_layers, config.text_config.vocab_size, config.text_config.pad_token_id = 0, 1, None
        body, loaded = AutoModel.from_pretrained(
            folder, config=config, dtype=dtype, local_files_only=True, use_safetensors=True, ignore_mismatched_sizes=True,
            output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(f"{folder} cannot be loaded: {error}", hint="it needs config.json and *.safetensors") from error
    words = tuple(f"{name}." for name, part in body.named_children() if part is family_of(body).decoder)
    if missing := sorted(name for name in loaded["missing_keys"] if not name.startswith(words)):
        raise ModelError(f"{folder} lacks {len(missing)} weights of its own tower, such as {missing[0]}")
    return family_of(body.to(device).eval().requires_grad_(False), folder=folder)
