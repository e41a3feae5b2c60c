"""The seam to RapidOCR: where lines stand in a picture, and what is written there."""

from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from footage import ConfigError, ModelError, ModelMissing
from footage.arrays import AnyArray

MODELS = {"Det": "PP-OCRv6_det_small.onnx", "Rec": "PP-OCRv6_rec_small.onnx"}
SETTINGS = {
    "Global.log_level": "critical",
    "Global.use_preprocess_img": False,
    "Global.use_vertical_padding": False,
    "Global.use_cls": False,
    "Det.limit_type": "max",  # never resize: pictures come at the size they are to be seen at
    "Det.limit_side_len": 1 << 16,
    "Rec.rec_batch_num": 1,  # one line at a time, hardly padded: a third of the CPU of batches of 6 padded to 320,
    "Rec.rec_img_shape": [3, 48, 96],  # and what is read in one line does not depend on the others
}


class Engine(Protocol):
    """Pictures are uint8 (H, W, 3) RGB, quads float32 (N, 4, 2): corners in pixels, clockwise from top left.

    Both raise ModelError when a picture cannot be read.
    """

    def detect(self, picture: AnyArray) -> AnyArray:
        """Quads around the words or lines; N may be 0."""
        ...

    def recognise(self, picture: AnyArray, quads: AnyArray) -> list[tuple[str, float]]:
        """Text and score of each quad."""
        ...


class RapidOcrEngine:
    """PP-OCRv6 small on onnxruntime; the models lie in RapidOCR's wheel, nothing is fetched."""

    @staticmethod
    def check() -> None:
        """Raises ConfigError when rapidocr or onnxruntime is not installed; loads neither."""
        missing = [name for name in ("rapidocr", "onnxruntime") if find_spec(name) is None]
        if missing:
            raise ConfigError(f"reading text on the screen needs {' and '.join(missing)}", hint='pip install "footage[ocr]"')

    def __init__(self, threads: int) -> None:
        """
        Raises:
            ConfigError: rapidocr, onnxruntime or OpenCV cannot be imported.
            ModelMissing: another version of rapidocr, with other models.
        """
        try:
            import rapidocr
            from onnxruntime import InferenceSession, SessionOptions
            from rapidocr import RapidOCR
        except ImportError as error:
            raise ConfigError(
                f"reading text on the screen needs rapidocr and onnxruntime: {error}",
                hint='pip install "footage[ocr]"',
            ) from error
        self._rapid = RapidOCR(params=SETTINGS)
        options = SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False  # every line has another shape: an arena would only grow
        for part, name in MODELS.items():
            model = Path(rapidocr.__file__).parent / "models" / name
            if not model.is_file():
                raise ModelMissing(f"rapidocr comes without {name}", hint='pip install "rapidocr>=3.10,<4"')
            self._rapid.cfg[part]._set_flag("allow_objects", True)  # a session of our own: RapidOCR's would spin
            self._rapid.cfg[part].session = InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def detect(self, picture: AnyArray) -> AnyArray:
        import cv2

        height, width = picture.shape[:2]
        try:
            picture = cv2.copyMakeBorder(picture, 0, -height % 32, 0, -width % 32, cv2.BORDER_REPLICATE)  # 5 halvings
            found = self._rapid(_bgr(picture), use_det=True, use_cls=False, use_rec=False).boxes
        except Exception as error:  # RapidOCR, onnxruntime, OpenCV and shapely have no base in common
            raise ModelError(f"no lines can be looked for in a picture of {width} x {height}: {error!r}") from error
        if found is None:
            return np.zeros((0, 4, 2), np.float32)
        return np.minimum(np.asarray(found, np.float32), np.array([width, height], np.float32))

    def recognise(self, picture: AnyArray, quads: AnyArray) -> list[tuple[str, float]]:
        if not len(quads):
            return []
        try:
            found = self._rapid.recognize_txt(self._rapid.crop_text_regions(_bgr(picture), quads))
        except Exception as error:  # as above
            raise ModelError(f"{len(quads)} lines cannot be read: {error!r}") from error
        return list(zip(found.txts, map(float, found.scores), strict=True))


def _bgr(picture: AnyArray) -> AnyArray:
    return np.ascontiguousarray(picture[..., ::-1])
