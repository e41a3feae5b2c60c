"""Text on the screen: what stands in the pictures of one segment, as rows with a span, a place and colours.

Reading a picture costs about a second of CPU, so what has not changed since it was last read is not read again.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from footage import Clip, ConfigError, ModelError, TextRow, TimeSpan
from footage.arrays import AnyArray, Pixels
from ingest.ocr_engine import Engine, RapidOcrEngine
from ingest.ocr_lines import Box, Line, LineTrack, covered, joined, letter_colours, shared_px

log = logging.getLogger(__name__)

CELL_PX = 8
MARGIN_PX = 16  # the detector wants some ground around a line
MAX_REGIONS = 32


@dataclass(frozen=True, slots=True)
class OcrConfig:
    min_side_px: int = 640
    """Smaller pictures (their longer side) are enlarged to this, twice at most."""
    max_side_px: int = 800
    """Larger pictures are reduced to this, to find lines only; they are recognised at full size."""
    min_score: float = 0.6
    """Recogniser's confidence below which a line is no text."""
    min_change: float = 12.0
    """Root mean square change of luma (0 to 255) in a cell of 8 x 8 pixels from which on it is read again: above what
    codecs do to a still picture, below a letter."""
    max_changed: float = 0.6
    """Share of the picture above which all of it is read."""
    threads: int = 1

    def __post_init__(self) -> None:
        if not 32 <= self.min_side_px <= self.max_side_px or self.threads < 1:
            raise ConfigError(f"OCR needs 32 <= min_side_px <= max_side_px and threads >= 1, got {self}")

    def scale(self, size_px: tuple[int, int], region: Box) -> float:
        """What a region of a picture is multiplied by before lines are looked for: as if the whole picture filled
        min_side_px to max_side_px; a part is seen larger than that, for the same cost at most."""
        longer = max(size_px)
        whole = min(self.max_side_px / longer, max(1.0, min(2.0, self.min_side_px / longer)))
        share = (region[2] - region[0]) * (region[3] - region[1]) / (size_px[0] * size_px[1])
        return min(max(1.0, whole), whole / share**0.5)


class OcrReader:
    """Reads any number of segments; holds the engine."""

    def __init__(self, config: OcrConfig | None = None) -> None:
        """
        Raises:
            ConfigError: rapidocr or onnxruntime is not installed.
        """
        self.config = config or OcrConfig()
        RapidOcrEngine.check()

    @cached_property
    def engine(self) -> Engine:
        """Loaded at first use: most questions need none, and it takes seconds."""
        return RapidOcrEngine(self.config.threads)

    def segment(self, recording_id: str) -> "OcrSegment":
        return OcrSegment(recording_id, self.engine, self.config)


class OcrSegment:
    """The text of one segment: add its clips in time order, then take the rows."""

    def __init__(self, recording_id: str, engine: Engine, config: OcrConfig) -> None:
        self._recording_id, self._engine, self._config = recording_id, engine, config
        self._track = LineTrack()
        self._words: list[Line] = []  # all that the last picture shows
        self._luma: AnyArray = np.zeros((0, 0), np.uint8)  # (H, W); each part as it was when it was last read
        self._size_px = (1, 1)

    def add(self, clip: Clip) -> None:
        """A picture that cannot be read costs a warning and itself: what stood before it goes on."""
        for pixels, start_s, end_s in zip(clip.pixels, clip.starts_s, clip.ends_s, strict=True):
            span = TimeSpan(float(start_s), float(end_s))
            try:
                self._look(pixels)
            except ModelError as error:
                log.warning("picture not read recording=%s span=%s error=%r", self._recording_id, span, error)
            self._track.add(joined(self._words), span)

    def stays(self, span: TimeSpan) -> None:
        """What was read last goes on standing there."""
        self._track.add(joined(self._words), span)

    def rows(self) -> list[TextRow]:
        """One row per text and span, by start, then in reading order."""
        return self._track.rows(self._recording_id, *self._size_px)

    def _look(self, pixels: Pixels) -> None:
        """Bring words and luma up to date with one picture; they stay as they are when the engine fails."""
        import cv2

        luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        self._size_px = (luma.shape[1], luma.shape[0])
        if self._luma.shape != luma.shape:
            self._words, self._luma = [], luma ^ 0x80  # everything has changed
        changed = changed_cells(luma, self._luma, self._config.min_change)
        words = [word for word in self._words if not _is_changed(changed, _with_neighbours(word.box))]
        boxes = [word.box for word in self._words]
        for region in regions_to_read(changed, boxes, self._size_px, self._config.max_changed):
            words = self._read(pixels, region, changed, words)
        self._words = words
        pixels_changed = changed.repeat(CELL_PX, 0).repeat(CELL_PX, 1)[: luma.shape[0], : luma.shape[1]]
        self._luma = np.where(pixels_changed, luma, self._luma)  # what creeps adds up until it is read again

    def _read(self, pixels: Pixels, region: Box, changed: AnyArray, words: list[Line]) -> list[Line]:
        """The words, with what is new in a region; a word that is read again within new text gives way to it."""
        left, top, right, bottom = region
        scale = self._config.scale(self._size_px, region)
        picture = _resized(pixels[top:bottom, left:right], max(1.0, scale))
        quads = self._engine.detect(_resized(picture, min(1.0, scale))) / min(1.0, scale)
        boxes = [_box(quad / max(1.0, scale) + np.array((left, top)), self._size_px) for quad in quads]
        known = [any(covered(box, word.box) > 0.5 for word in words) for box in boxes]
        new = [i for i, box in enumerate(boxes) if not known[i] or _is_changed(changed, box)]
        words = [word for word in words if not any(covered(word.box, boxes[i]) > 0.5 for i in new)]
        for i, (text, score) in zip(new, self._engine.recognise(picture, quads[new]), strict=True):
            if score >= self._config.min_score and any(map(str.isalnum, text)):
                x0, y0, x1, y1 = boxes[i]
                words.append(Line(" ".join(text.split()), score, boxes[i], *letter_colours(pixels[y0:y1, x0:x1])))
        return words


def _resized(picture: AnyArray, scale: float) -> AnyArray:
    import cv2

    if scale == 1:
        return picture
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized: AnyArray = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=how)
    return resized


def _box(quad: AnyArray, size_px: tuple[int, int]) -> Box:
    """The upright box around a quad, inside the picture and at least a pixel large."""
    left, top = np.floor(quad.min(0)).astype(int).tolist()
    right, bottom = np.ceil(quad.max(0)).astype(int).tolist()
    left, top = min(max(left, 0), size_px[0] - 1), min(max(top, 0), size_px[1] - 1)
    return left, top, min(max(right, left + 1), size_px[0]), min(max(bottom, top + 1), size_px[1])


# What to read again


def changed_cells(luma: AnyArray, before: AnyArray, min_change: float) -> AnyArray:
    """(rows, columns) uint8, 1 where a cell of CELL_PX changed."""
    import cv2

    height, width = luma.shape
    change = cv2.absdiff(luma, before)
    change = cv2.copyMakeBorder(change, 0, -height % CELL_PX, 0, -width % CELL_PX, cv2.BORDER_REFLECT)
    rows, columns = change.shape[0] // CELL_PX, change.shape[1] // CELL_PX
    squares = np.square(change, dtype=np.float32).reshape(rows, CELL_PX, columns, CELL_PX)
    return (squares.mean((1, 3)) >= min_change**2).astype(np.uint8)


def _with_neighbours(word: Box) -> Box:
    """As far to the sides as the next word of the line may stand."""
    left, top, right, bottom = word
    return left - (bottom - top), top, right + (bottom - top), bottom


def _is_changed(changed: AnyArray, box: Box) -> bool:
    left, top, right, bottom = (max(0, side) for side in box)
    return bool(changed[top // CELL_PX : -(-bottom // CELL_PX), left // CELL_PX : -(-right // CELL_PX)].any())


def regions_to_read(changed: AnyArray, words: Sequence[Box], size_px: tuple[int, int], max_share: float) -> list[Box]:
    """Boxes around the changed cells that cut no word and do not overlap, or the whole picture, or none."""
    import cv2

    near = cv2.dilate(changed, np.ones((3, 5), np.uint8))  # joins the letters of a word and the words of a line
    stats = cv2.connectedComponentsWithStats(near)[2][1:].tolist()
    cells = [(x * CELL_PX, y * CELL_PX, (x + w) * CELL_PX, (y + h) * CELL_PX) for x, y, w, h, _ in stats]
    if len(cells) > MAX_REGIONS:
        return [(0, 0, *size_px)]
    whole_words = [_with_neighbours(word) for word in words]
    regions = [_clipped(region, size_px) for region in grown([_padded(cell) for cell in cells], whole_words)]
    area = sum((right - left) * (bottom - top) for left, top, right, bottom in regions)
    return [(0, 0, *size_px)] if area > max_share * size_px[0] * size_px[1] else regions


def grown(regions: Sequence[Box], words: Sequence[Box]) -> list[Box]:
    """Regions that hold all of every word they touch, and do not touch each other."""
    apart: list[Box] = []
    for region in regions:
        while True:
            touched = [box for box in (*apart, *words) if shared_px(region, box)]
            apart = [box for box in apart if box not in touched]
            lefts, tops, rights, bottoms = zip(region, *touched, strict=True)
            hull = (min(lefts), min(tops), max(rights), max(bottoms))
            if hull == region:
                break
            region = hull
        apart.append(region)
    return apart


def _padded(box: Box) -> Box:
    return box[0] - MARGIN_PX, box[1] - MARGIN_PX, box[2] + MARGIN_PX, box[3] + MARGIN_PX


def _clipped(box: Box, size_px: tuple[int, int]) -> Box:
    return max(0, box[0]), max(0, box[1]), min(size_px[0], box[2]), min(size_px[1], box[3])
