"""A detector of transformers: any checkpoint folder that AutoModelForObjectDetection loads (D-FINE, RT-DETR, DETR, YOLOS ...)."""

from pathlib import Path
from typing import Any

import numpy as np

from footage import ModelError
from footage.arrays import Pixels
from ingest.channels.boxes import Detection, detections
from ingest.channels.quiet import quiet


class TransformersDetector:
    def __init__(self, folder: Path, *, min_score: float) -> None:
        """Only files of this folder are read. Raises ModelError where it holds no such checkpoint."""
        from transformers import AutoImageProcessor, AutoModelForObjectDetection

        self._min_score = min_score
        try:
            with quiet():
                self._processor: Any = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
                self._model: Any = AutoModelForObjectDetection.from_pretrained(folder, local_files_only=True).eval()
        except Exception as error:  # transformers, safetensors and torch have no base in common
            raise ModelError(
                f"{str(folder)!r} is no detector that transformers loads: {error}",
                hint="expected config.json, preprocessor_config.json and model.safetensors of an object detector",
            ) from error
        names = {int(n): str(name) for n, name in self._model.config.id2label.items()}
        self._names = [names.get(n, f"class {n}") for n in range(max(names, default=-1) + 1)]

    def detect(self, picture: Pixels) -> list[Detection]:
        import torch

        try:
            with torch.inference_mode():
                inputs = self._processor(images=[picture], return_tensors="pt")
                made = self._model(**{name: value for name, value in inputs.items() if name in ("pixel_values", "pixel_mask")})
                height, width = picture.shape[:2]
                found = self._processor.post_process_object_detection(made, threshold=self._min_score, target_sizes=[(height, width)])[0]
        except Exception as error:  # as above
            raise ModelError(f"the detector cannot be run on a picture of {picture.shape[1]} x {picture.shape[0]}: {error}") from error
        scores, labels, boxes = (found[name].float().numpy() for name in ("scores", "labels", "boxes"))
        order = np.argsort(-scores, kind="stable")
        shares = boxes[order] / np.tile((width, height), 2)
        return list(detections(shares, scores[order], labels[order].astype(int), self._names))
