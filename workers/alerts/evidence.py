"""Clips of alerts, cut out of the file or the rolling archive into the library, within a bound on bytes."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from footage.errors import FootageError
from footage.timespan import TimeSpan
from workers.alerts.alert import Alert

if TYPE_CHECKING:
    from workers.engine import Library

log = logging.getLogger(__name__)
FOLDER = "alerts"
BEFORE_S, AFTER_S = 2.0, 2.0  # shown around the event
LONGEST_S = 120.0


def clip_path(directory: Path, alert: Alert) -> Path:
    """Where in a library its clip is, or will be."""
    return directory / FOLDER / f"{alert.id}.mp4"


def cut_clip(library: "Library", alert: Alert) -> Path:
    """Cuts the clip of an alert, again where there is one: the event may have gone on.

    Raises:
        SourceNotFound, SourceError: the footage is away, or not kept any more.
    """
    from workers.export import export_clip

    target, start_s = clip_path(library.directory, alert), max(0.0, alert.start_s - BEFORE_S)
    export_clip(library, alert.recording, TimeSpan(start_s, min(alert.end_s + AFTER_S, start_s + LONGEST_S)), target)
    sweep(target.parent, library.settings.alerts.clips_mib * 2**20, spare=target)
    return target


def try_clip(library: "Library", alert: Alert) -> None:
    """An alert without a clip is better than none."""
    try:
        cut_clip(library, alert)
    except FootageError as error:
        log.info("no clip of alert %s: %s", alert.id, error)


def sweep(folder: Path, most_bytes: int, *, spare: Path) -> None:
    """Deletes the oldest clips until the others fit; one is spared."""
    clips = sorted(folder.glob("*.mp4"), key=lambda path: path.stat().st_mtime, reverse=True)
    taken = spare.stat().st_size
    for path in clips:
        if path != spare:
            taken += path.stat().st_size
            if taken > most_bytes:
                path.unlink(missing_ok=True)
