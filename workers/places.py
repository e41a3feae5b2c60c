"""What people name to be indexed, as locations: files, folders, globs and addresses. Nothing is opened here, so no pipe can hang us."""

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from footage.addresses import is_live, scheme_of, without_credentials
from footage.errors import FootageError, SourceError, SourceNotFound
from ingest.synthetic import PREFIX

SUFFIXES = frozenset(
    """
    .3g2 .3gp .asf .avi .divx .dv .f4v .flv .gif .h264 .hevc .m2t .m2ts .m2v .m4v .mjpeg .mjpg .mkv .mov .mp4 .mpe .mpeg .mpg .mts
    .mxf .nut .ogm .ogv .qt .rm .rmvb .ts .vob .webm .wmv .y4m
    """.split()
)  # which files of a folder are taken for video; a file named by itself is always tried
PARTIAL = (".part", ".partial", ".crdownload", ".download", ".tmp", ".aria2", ".ytdl", ".!qb")  # beside or after a download's name


@dataclass(slots=True)
class Found:
    """What targets lead to."""

    locations: list[str] = field(default_factory=list)
    """In the order of the targets, sorted within each, none twice."""
    refused: list[tuple[str, FootageError]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """What folders hold beside: kind, in words, to count."""

    @property
    def note(self) -> str:
        """What was skipped, in words; "" when nothing was."""
        return ", ".join(f"{count} {kind}" for kind, count in sorted(self.skipped.items()))


def find(targets: Iterable[str]) -> Found:
    found = Found()
    for target in targets:
        try:
            found.locations += _places(target, found.skipped)
        except FootageError as error:
            found.refused.append((without_credentials(target), error))
    found.locations = list(dict.fromkeys(found.locations))
    return found


def _places(target: str, skipped: Counter[str]) -> list[str]:
    """Raises SourceNotFound where the target names nothing."""
    if target.startswith(PREFIX) or scheme_of(target) or is_live(target):
        return [target]
    path = next((p for p in _spellings(target) if _kind(p)), target)
    if _kind(path) == "folder":
        before = skipped.total()
        inside = sorted(files_below(path, skipped))
        if not inside:
            passed = f", and {skipped.total() - before} files or folders that are skipped" if skipped.total() > before else ""
            raise SourceNotFound(f"folder {target!r} holds no video files{passed}", hint="name a file itself to try it whatever its suffix")
        return inside
    matches = [path] if _kind(path) else _matches(target)
    if not matches:
        raise SourceNotFound(f"there is no file, folder or match for {target!r}", hint="check the path; quote names that hold spaces")
    return matches


def _spellings(target: str) -> Iterator[str]:
    """As typed, and with accents in one and in two code points: file systems keep either."""
    yield target
    for form in ("NFC", "NFD"):
        if (other := unicodedata.normalize(form, target)) != target:
            yield other


def _kind(path: str) -> str:
    """ "file", "folder", "other" (a pipe, a device), "broken" (a link to nothing); "" where there is nothing.

    Raises:
        SourceError: it may not be looked at.
    """
    try:
        mode = os.stat(path).st_mode
    except PermissionError as error:
        raise SourceError(f"may not read {path!r}", hint="check the permissions of the folders above it") from error
    except (OSError, ValueError):  # too long, or no name at all
        return "broken" if os.path.islink(path) else ""
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def files_below(folder: str, skipped: Counter[str]) -> Iterator[str]:
    """Video files by suffix, each folder once whatever links lead to it; what is passed over is counted."""
    visited: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            facts = os.stat(here)
            names = sorted(os.listdir(here))
        except OSError:
            skipped["folders that cannot be read"] += 1
            continue
        if (facts.st_dev, facts.st_ino) in visited:
            skipped["links to folders that were looked at already"] += 1
            continue
        visited.add((facts.st_dev, facts.st_ino))
        beside = frozenset(names)
        for name in names:
            path = os.path.join(here, name)
            if os.path.isdir(path):
                if name.startswith("."):
                    skipped["hidden folders"] += 1
                else:
                    waiting.append(path)
            elif (reason := _why_not(name, path, beside)) == "":
                yield path
            elif reason is not None:
                skipped[reason] += 1


def _why_not(name: str, path: str, beside: frozenset[str]) -> str | None:
    """Why a file of a folder is skipped; "": it is not; None: it is no video, nobody asks why."""
    lower = name.lower()
    bare = next((lower.removesuffix(end) for end in PARTIAL if lower.endswith(end)), lower)
    if os.path.splitext(bare)[1] not in SUFFIXES:
        return None
    if name.startswith("."):
        return "hidden files"
    if bare != lower or any(name + end in beside for end in PARTIAL):
        return "unfinished downloads"
    kind = _kind(path)
    return {"file": "", "broken": "broken links", "other": "pipes and devices"}.get(kind, "files that are gone")


def _matches(pattern: str) -> list[str]:
    """Files that a glob names; ** does not descend into links, whose loops would be walked for ever (glob.glob does)."""
    path = Path(pattern)
    try:
        found = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
        return sorted(str(p) for p in found if not p.name.startswith(".") and _kind(str(p)) == "file")
    except (ValueError, NotImplementedError, OSError):  # no pattern that means anything
        return []


def grew(location: str, size_bytes: int) -> bool:
    """A file is no longer as large as it was."""
    try:
        return scheme_of(location) == "" and not location.startswith(PREFIX) and Path(location).stat().st_size != size_bytes
    except OSError:
        return False
