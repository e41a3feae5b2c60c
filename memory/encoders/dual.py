"""Picture and text towers with one shared space: SigLIP, SigLIP 2 and CLIP checkpoints through transformers."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from footage import Clip, EncodedClip, ModelError, OutOfDeviceMemory
from footage.arrays import AnyArray, Embeds, Pixels
from footage.checkpoints import fingerprint
from memory.encoders.checkpoint import find_checkpoint, quiet, read_json, tail_name
from memory.encoders.place import place
from memory.encoders.preprocess import Preprocess
from memory.encoders.text_inputs import TextInputs

log = logging.getLogger(__name__)

FAMILIES = ("siglip", "siglip2", "clip")  # model_type in config.json; fixed-size SigLIP 2 checkpoints say "siglip"
FLOOR_PROBABILITY = 0.01  # SigLIP: what its sigmoid gives to a pair that it would not call a match
CLIP_FLOOR = 0.2  # CLIP has no bias to derive it from: unrelated pairs lie around 0.1 to 0.2, captions around 0.3


class DualEncoder:
    """Patch tokens from the vision tower's last layer, and unit embeds of picture and text in one space."""

    def __init__(self, model: Any, text_inputs: TextInputs, preprocess: Preprocess, *, id: str, batch: int) -> None:
        self._model, self._text_inputs, self._preprocess = model, text_inputs, preprocess
        self._id, self._batch = id, batch

    @classmethod
    def load(cls, name: str, *, offline: bool = False, device: str = "auto", dtype: str = "auto", batch: int = 16) -> Self:
        """From a folder or a hub id.

        Args:
            device: a torch device, "auto" for CUDA where there is one.
            dtype: "float32", "bfloat16", or "auto": bfloat16 where the hardware has it.
            batch: frames per forward pass.
        Raises:
            ModelMissing: not on this machine and not to be fetched. ModelError: not a checkpoint that this can run.
        """
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        folder = find_checkpoint(str(name), offline=offline)
        config = _dual_config(folder)
        preprocess = Preprocess.of(folder, config)
        with quiet():
            model = _load_model(folder, *place(device, dtype))
            text_inputs = TextInputs.load(folder, model.config)
        id = f"{config['model_type']}-{tail_name(str(name), folder)}-{preprocess.size}@1-{fingerprint(folder)}"
        log.info("encoder id=%s device=%s dtype=%s", id, model.device, model.dtype)
        return cls(model, text_inputs, preprocess, id=id, batch=batch)

    @property
    def id(self) -> str:
        """Family, name, size, our revision and a hash of the weights: "siglip-mine-224@1-0f3a9c1d"."""
        return self._id

    @property
    def floor(self) -> float:
        """The cosine at which SigLIP's own sigmoid says FLOOR_PROBABILITY; CLIP_FLOOR for CLIP."""
        if self._model.config.model_type == "clip":
            return CLIP_FLOOR
        scale, bias = math.exp(float(self._model.logit_scale)), float(self._model.logit_bias)
        cosine = (math.log(FLOOR_PROBABILITY / (1 - FLOOR_PROBABILITY)) - bias) / scale
        return min(1.0, max(-1.0, cosine))

    def encode(self, clip: Clip) -> EncodedClip:
        """Frame by frame or all at once: the same within 1e-4 in float32, 2e-2 in bfloat16."""
        batches = [self._look(clip.pixels[at : at + self._batch]) for at in range(0, len(clip), self._batch)]
        tokens, embeds = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        return EncodedClip(self.id, clip, tokens, embeds)

    def _look(self, pixels: Pixels) -> tuple[AnyArray, AnyArray]:
        import torch

        inputs = {name: value.to(self._model.device) for name, value in self._preprocess.inputs(pixels).items()}
        inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        try:
            with torch.inference_mode():
                seen = self._model.get_image_features(**inputs)
        except torch.OutOfMemoryError as error:
            raise OutOfDeviceMemory(f"{len(pixels)} frames do not fit the device", hint="use a smaller batch") from error
        patches = seen.last_hidden_state
        if self._model.config.model_type == "clip":
            patches = patches[:, 1:]  # without the class token
        limit = torch.finfo(torch.float16).max
        return patches.float().clamp(-limit, limit).half().cpu().numpy(), _unit_rows(seen.pooler_output)

    def embed_text(self, texts: Sequence[str]) -> Embeds:
        """(Q, E) unit rows. A text beyond the tower's limit is the mean of its parts; one without words is all zero."""
        rows = np.zeros((len(texts), self._width), np.float32)
        for row, text in zip(rows, texts, strict=True):
            if parts := self._text_inputs.split(text):
                row[:] = self._read(parts).mean(axis=0)
        unit: Embeds = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
        return unit

    def _read(self, parts: list[str]) -> Embeds:
        import torch

        inputs = {name: value.to(self._model.device) for name, value in self._text_inputs.tensors(parts).items()}
        with torch.inference_mode():
            return _unit_rows(self._model.get_text_features(**inputs).pooler_output)

    @property
    def _width(self) -> int:
        config = self._model.config
        return int(config.projection_dim if config.model_type == "clip" else config.vision_config.hidden_size)


def _dual_config(folder: Path) -> dict[str, Any]:
    """config.json of a checkpoint with two towers; ModelError for any other."""
    config = read_json(folder / "config.json")
    family = config.get("model_type")
    if family not in FAMILIES:
        found = f"a model of type {family!r}" if family else "no config.json with a model_type"
        raise ModelError(
            f"{folder} holds {found}; expected one of {', '.join(FAMILIES)}",
            hint="take one with a picture and a text tower, such as google/siglip2-base-patch16-224",
        )
    return config


def _unit_rows(features: Any) -> Embeds:
    """Features of any dtype and device as unit rows on the CPU."""
    import torch

    rows: Embeds = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
    return rows


def _load_model(folder: Path, where: Any, dtype: Any) -> Any:
    """Raises ModelError: no safetensors, damaged, or weights missing (transformers would fill them in at random)."""
    from safetensors import SafetensorError
    from transformers import AutoModel

    try:
        model, loaded = AutoModel.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder} cannot be loaded: {error}", hint="it needs whole *.safetensors files beside config.json") from error
    if missing := sorted(loaded["missing_keys"]):
        raise ModelError(f"{folder} lacks {len(missing)} weights of its own model, such as {missing[0]}")
    return model.to(where).eval().requires_grad_(False)
