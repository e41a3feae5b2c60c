"""How an ONNX detector wants its pictures and what its outputs mean: a small TOML or JSON file (docs/channels.md)."""

import json
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from footage import ConfigError

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class InputDescription:
    """pixel = (value x scale - mean) / std, by colour in the order of `colours`."""

    size_px: tuple[int, int]
    """Width and height of the picture that the network sees."""
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    colours: Literal["RGB", "BGR"] = "RGB"
    scale: float = 1.0
    """Of pixel values 0 to 255."""
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    resize: Literal["stretch", "letterbox"] = "stretch"
    fill: int = 0
    """Pixel value beside the picture in a letterbox, which stands top left."""


@dataclass(frozen=True, slots=True)
class OutputDescription:
    form: Literal["boxes", "rows", "columns", "distances"] = "boxes"
    """"boxes": outputs `boxes` (N, 4) and `scores` (N, C), or (N,) with `classes` (N,). "rows": one output (N, 6) of box, score, class.
    "columns": one output of box, `before` numbers that multiply all scores, C scores. "distances": per stride an output of scores (N, C)
    and one of the four sides' distributions (N, 4 x bins) around each cell's centre (GFL, Li et al., NeurIPS 2020)."""
    boxes: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    classes: str = ""
    """Names of outputs; in order of the strides where there are several."""
    box: Literal["corners", "centre", "corner+size"] = "corners"
    unit: Literal["px", "share"] = "px"
    """Of the picture that the network sees."""
    before: int = 0
    strides_px: tuple[int, ...] = ()
    sigmoid: bool = False
    """Scores are logits."""
    nms_iou: float = 0.0
    """Boxes of one label that overlap more are one; 0: the network has done that."""


@dataclass(frozen=True, slots=True)
class Description:
    labels: tuple[str, ...]
    """In the order of the classes."""
    input: InputDescription
    output: OutputDescription = field(default_factory=OutputDescription)


def read_description(file: Path, model: Path) -> Description:
    """`labels` is a list, or the name of a file with one on each line, beside the description or the model.

    Raises:
        ConfigError: no such file, or it is no description; the message names the key.
    """
    try:
        text = file.read_text()
        values: dict[str, Any] = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
        labels = values["labels"]
        if isinstance(labels, str):
            named = next(place / labels for place in (file.parent, model.parent) if (place / labels).is_file())
            labels = [line.strip() for line in named.read_text().splitlines() if line.strip()]
        made = Description(
            tuple(map(str, labels)), _part(InputDescription, values["input"]), _part(OutputDescription, values.get("output", {}))
        )
        _check(made)
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise ConfigError(
            f"{str(file)!r} is no description of a detector ({type(error).__name__}: {error})",
            hint="docs/channels.md shows one; it names labels, [input] and [output]",
        ) from error
    return made


def _part(kind: type[Part], values: dict[str, Any]) -> Part:
    """Lists become tuples; a key that is none is an error."""
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - known):
        raise ValueError(f"there is no {unknown[0]!r}, known are {', '.join(sorted(known))}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _check(made: Description) -> None:
    one, out = made.input, made.output
    choices = (
        ("layout", one.layout, ("NCHW", "NHWC")), ("colours", one.colours, ("RGB", "BGR")),
        ("resize", one.resize, ("stretch", "letterbox")),
        ("form", out.form, ("boxes", "rows", "columns", "distances")), ("box", out.box, ("corners", "centre", "corner+size")),
        ("unit", out.unit, ("px", "share")),
    )  # fmt: skip
    for name, value, known in choices:
        if value not in known:
            raise ValueError(f"{name} is {value!r}, known are {', '.join(known)}")
    if len(one.size_px) != 2 or min(one.size_px) < 1 or len(one.mean) != 3 or len(one.std) != 3 or 0 in one.std:
        raise ValueError("size_px needs two numbers above 0, mean and std three each, and no std of 0")
    if not made.labels or not out.boxes or (out.form in ("boxes", "distances") and not out.scores):
        raise ValueError("labels, output.boxes and output.scores must name something")
    if out.form == "distances" and not len(out.boxes) == len(out.scores) == len(out.strides_px):
        raise ValueError("boxes, scores and strides_px must be as many as each other")
