"""Any detector in an ONNX file, run by onnxruntime on one thread, one picture at a time, as its description says.

Letters: N boxes, C labels, K bins of a distribution.
"""

from pathlib import Path
from typing import Any

import numpy as np

from footage import ConfigError, ModelError
from footage.arrays import AnyArray, Pixels
from ingest.channels.boxes import Detection, detections, suppressed
from ingest.channels.description import Description

MOST = 300  # boxes of one picture before suppression; a broken network may claim thousands


def session(model: Path, threads: int) -> Any:
    """An onnxruntime session on the CPU that keeps to its threads and logs errors alone.

    Raises:
        ConfigError: onnxruntime is not installed. ModelError: the file is no network that it can load.
    """
    try:
        from onnxruntime import InferenceSession, SessionOptions
    except ImportError as error:
        raise ConfigError(f"running {model.name} needs onnxruntime: {error}", hint='pip install "footage[channels]"') from error
    options = SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        raise ModelError(f"{model.name} cannot be loaded: {error}", hint="is it an ONNX file?") from error


class OnnxDetector:
    def __init__(self, model: Path, description: Description, *, min_score: float, threads: int = 1) -> None:
        """Raises ConfigError, ModelError (see `session`); ConfigError also where the description names outputs that are not there."""
        self._session, self._about, self._min_score = session(model, threads), description, min_score
        self._input = self._session.get_inputs()[0].name
        out, there = description.output, [output.name for output in self._session.get_outputs()]
        if missing := sorted({*out.boxes, *out.scores, *filter(None, [out.classes])} - set(there)):
            raise ConfigError(f"{model.name} has no output {missing[0]!r}", hint=f"its outputs: {', '.join(there)}")

    def detect(self, picture: Pixels) -> list[Detection]:
        tensor, shown_px = prepared(picture, self._about)
        out = self._about.output
        names = [*out.boxes, *out.scores, *filter(None, [out.classes])]
        try:
            made = dict(zip(names, self._session.run(names, {self._input: tensor}), strict=True))
        except Exception as error:  # as above
            raise ModelError(f"the detector cannot be run: {error}") from error
        boxes, scores, labels = read(made, self._about, self._min_score)
        if out.unit == "share":
            boxes = boxes * np.tile(self._about.input.size_px, 2)
        boxes = boxes / np.tile(shown_px, 2)
        if out.nms_iou:
            kept = suppressed(boxes, scores, labels, out.nms_iou)
            boxes, scores, labels = boxes[kept], scores[kept], labels[kept]
        return list(detections(boxes, scores, labels, self._about.labels))


def prepared(picture: Pixels, about: Description) -> tuple[AnyArray, tuple[int, int]]:
    """The network's input (1, ...), and how many pixels of it, from the left and from the top, the picture fills."""
    from PIL import Image

    one, (height, width) = about.input, picture.shape[:2]
    shown = one.size_px
    if one.resize == "letterbox":
        share = min(one.size_px[0] / width, one.size_px[1] / height)
        shown = max(1, round(width * share)), max(1, round(height * share))
    image = Image.fromarray(picture).resize(shown, Image.Resampling.BILINEAR, reducing_gap=2.0)
    pixels = np.full((one.size_px[1], one.size_px[0], 3), one.fill, np.float32)
    pixels[: shown[1], : shown[0]] = np.asarray(image)[..., :: -1 if one.colours == "BGR" else 1]
    values = (pixels * one.scale - np.array(one.mean, np.float32)) / np.array(one.std, np.float32)
    return np.ascontiguousarray((values.transpose(2, 0, 1) if one.layout == "NCHW" else values)[None], np.float32), shown


def read(made: dict[str, AnyArray], about: Description, min_score: float) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Boxes (N, 4) as corners, scores (N,) and labels (N,) that reach min_score, best first, MOST at most.

    Raises:
        ModelError: the outputs have other shapes than described.
    """
    out = about.output
    if out.form == "distances":
        parts = [_cells(made[b], made[s], step, about) for b, s, step in zip(out.boxes, out.scores, out.strides_px, strict=True)]
        boxes, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
    elif out.form == "boxes":
        boxes = _rows(made[out.boxes[0]], 4)
        scores = _rows(made[out.scores[0]], 1 if out.classes else len(about.labels))
    else:
        rows = _rows(made[out.boxes[0]], 6 if out.form == "rows" else 4 + out.before + len(about.labels))
        boxes, scores = rows[:, :4], rows[:, 4:5] if out.form == "rows" else rows[:, 4 + out.before :]
    scores = 1 / (1 + np.exp(-scores)) if out.sigmoid else scores
    if out.form == "columns" and out.before:
        scores = scores * rows[:, 4 : 4 + out.before].prod(1, keepdims=True)
    named = rows[:, 5] if out.form == "rows" else made[out.classes].reshape(-1) if out.classes else scores.argmax(1)
    best = scores.max(1)
    few = np.argsort(-best, kind="stable")[:MOST]
    few = few[np.isfinite(best[few]) & (best[few] >= min_score) & np.isfinite(boxes[few]).all(1)]
    return _corners(boxes[few], out.box), best[few], named[few].astype(int)


def _rows(array: AnyArray, columns: int) -> AnyArray:
    """(1, N, columns), (1, columns, N) or (N,) as (N, columns)."""
    array = np.asarray(array, np.float32)
    if columns == 1:
        return array.reshape(-1, 1)
    rows = array.reshape(array.shape[-2:]) if array.ndim > 1 else array[None]
    if columns not in rows.shape:
        raise ModelError(f"an output has the shape {array.shape}, but the description says {columns} numbers for each box")
    return rows if rows.shape[1] == columns else rows.T


def _cells(sides: AnyArray, scores: AnyArray, step_px: int, about: Description) -> tuple[AnyArray, AnyArray]:
    """One stride: each side's mean distance from the cell's centre, under the softmax over its K bins."""
    logits = sides.reshape(-1, 4, sides.shape[-1] // 4)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    away_px = (weights / weights.sum(-1, keepdims=True)) @ np.arange(logits.shape[-1]) * step_px
    y, x = np.divmod(np.arange(len(logits)), -(-about.input.size_px[0] // step_px))
    centres = (np.stack([x, y], 1) + 0.5) * step_px
    return np.concatenate([centres - away_px[:, :2], centres + away_px[:, 2:]], 1), _rows(scores, len(about.labels))


def _corners(boxes: AnyArray, kind: str) -> AnyArray:
    if kind == "corners":
        return boxes
    begin = boxes[:, :2] - boxes[:, 2:] / 2 if kind == "centre" else boxes[:, :2]
    return np.concatenate([begin, begin + boxes[:, 2:]], 1)
