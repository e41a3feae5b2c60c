"""Objects: what a detector finds in the kept frames of one segment, as rows with a label, a count, a box and a span."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from footage import Clip, ConfigError, TextRow, TimeSpan
from ingest.channels.boxes import Detector
from ingest.channels.channel import Once
from ingest.channels.tracks import Tracker


@dataclass(frozen=True, slots=True)
class ObjectsConfig:
    model: str = ""
    """A detector: an ONNX file, or a folder with a checkpoint of transformers (D-FINE, RT-DETR, DETR, YOLOS ...); "": no objects."""
    description: str = ""
    """What says how to use an ONNX file (docs/channels.md); "": the .toml or .json of the same name beside it."""
    min_score: float = 0.4
    """Detector's confidence below which nothing is there."""
    sure_score: float = 0.6
    """What only one sample shows counts from this confidence on."""
    side_px: int = 640
    """Frames come with at least this longer side, where they are that large."""
    threads: int = 1
    """Of an ONNX file; a checkpoint of transformers takes as many as torch does."""

    def __post_init__(self) -> None:
        if not (0 < self.min_score <= self.sure_score <= 1 and self.side_px >= 16 and self.threads >= 1):
            raise ConfigError(f"objects need 0 < min_score <= sure_score <= 1, side_px >= 16 and threads >= 1, got {self}")


class ObjectReader:
    """Reads any number of segments; the detector is loaded with the first one."""

    def __init__(self, config: ObjectsConfig) -> None:
        """
        Raises:
            ConfigError: the settings name a model, or an ONNX file's description, that is not there.
        """
        self.config, self._detector = config, Once(lambda: load_detector(config))
        files_of(config)

    def segment(self, recording_id: str) -> "ObjectSegment":
        """Raises what loading the detector raised."""
        return ObjectSegment(recording_id, self._detector(), Tracker(self.config.sure_score))

    @cached_property
    def shaping(self) -> list[object]:
        """What rows depend on: settings, and the model by its content, wherever it lies."""
        return [self.config.min_score, self.config.sure_score, self.config.side_px, *(fingerprint(f) for f in files_of(self.config))]


class ObjectSegment:
    def __init__(self, recording_id: str, detector: Detector, tracker: Tracker) -> None:
        self._recording_id, self._detector, self._tracker = recording_id, detector, tracker

    def add(self, clip: Clip) -> None:
        for pixels, start_s, end_s in zip(clip.pixels, clip.starts_s, clip.ends_s, strict=True):
            self._tracker.add(self._detector.detect(pixels), TimeSpan(float(start_s), float(end_s)))

    def stays(self, span: TimeSpan) -> None:
        self._tracker.stays(span)

    def rows(self) -> list[TextRow]:
        return self._tracker.rows(self._recording_id)


def load_detector(config: ObjectsConfig) -> Detector:
    """Raises ConfigError or ModelError saying what is wrong with the model or its description."""
    model, *description = files_of(config)
    if not description:
        from ingest.channels.transformers_detector import TransformersDetector

        return TransformersDetector(model, min_score=config.min_score)
    from ingest.channels.description import read_description
    from ingest.channels.onnx_detector import OnnxDetector

    return OnnxDetector(model, read_description(description[0], model), min_score=config.min_score, threads=config.threads)


def files_of(config: ObjectsConfig) -> list[Path]:
    """The model, and the description of an ONNX file. Raises ConfigError where one is not there."""
    model = Path(config.model).expanduser()
    if model.is_dir():
        return [model]
    if not model.is_file():
        raise ConfigError(f"objects.model is {config.model!r}, which is not there", hint="name an ONNX file or a folder with a checkpoint")
    named = [Path(config.description).expanduser()] if config.description else [model.with_suffix(end) for end in (".toml", ".json")]
    if found := next((file for file in named if file.is_file()), None):
        return [model, found]
    raise ConfigError(f"{model.name} comes without a description: there is no {str(named[0])!r}", hint="docs/channels.md shows one")


def fingerprint(path: Path) -> str:
    """Of a file's content; of a folder the names and sizes of its files, since weights are long to read."""
    digest = hashlib.blake2b(digest_size=8)
    if path.is_file():
        digest.update(path.read_bytes())
    for part in sorted(path.iterdir()) if path.is_dir() else ():
        digest.update(f"{part.name} {part.stat().st_size}\n".encode())
    return digest.hexdigest()
