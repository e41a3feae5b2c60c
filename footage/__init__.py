"""footage: ask questions of hours of video and get answers whose times are true.

This package is the floor: nouns, seams and errors, on the standard library and numpy alone. `open` is the one look upwards.
"""

from typing import TYPE_CHECKING, Any

from footage.carriers import Carrier, MemoryView, SegmentMemory
from footage.errors import (
    Anachronism,
    AnswererUnavailable,
    ConfigError,
    DecodeError,
    EncoderMismatch,
    FootageError,
    ModelError,
    ModelMissing,
    NothingRecorded,
    NotVideo,
    OutOfDeviceMemory,
    SourceError,
    SourceNotFound,
    SourceStalled,
    StoreError,
)
from footage.frames import Clip, EncodedClip, Frame
from footage.questions import Answer, Budget, Evidence, Moment, Pick, Plan, Query, Question, Redecode
from footage.recordings import Gap, Recording, Segment, TextRow
from footage.timespan import TimeSpan

if TYPE_CHECKING:
    from workers.engine import Library

__version__ = "0.1.0"
__all__ = [
    "Anachronism",
    "Answer",
    "AnswererUnavailable",
    "Budget",
    "Carrier",
    "Clip",
    "ConfigError",
    "DecodeError",
    "EncodedClip",
    "EncoderMismatch",
    "Evidence",
    "FootageError",
    "Frame",
    "Gap",
    "MemoryView",
    "ModelError",
    "ModelMissing",
    "Moment",
    "NotVideo",
    "NothingRecorded",
    "OutOfDeviceMemory",
    "Pick",
    "Plan",
    "Query",
    "Question",
    "Recording",
    "Redecode",
    "Segment",
    "SegmentMemory",
    "SourceError",
    "SourceNotFound",
    "SourceStalled",
    "StoreError",
    "TextRow",
    "TimeSpan",
    "open",
]


def open(library: str = "", **settings: Any) -> "Library":
    """Open a library of recordings (made when it is not there) and get an object with the verbs of the command line.

    Args:
        library: a directory; by default what FOOTAGE_LIBRARY or footage.toml says, else ./.footage.
        settings: any setting of `footage config`, nested as keyword dictionaries: index={"fps": 2}.
    """
    from workers.engine import open_library

    return open_library(library, **settings)
