"""Model folders: where a checkpoint lies, which one it is, quiet while it loads. Offline, no network is touched."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from footage import ModelError, ModelMissing

log = logging.getLogger(__name__)

# safetensors only: a pickle runs code when it is read.
PATTERNS = ["*.json", "*.safetensors", "*.model", "*.txt"]


def find_checkpoint(name: str, *, offline: bool) -> Path:
    """The folder of a checkpoint: a local one, or that of a hub id, from the hub's cache or, online, fetched to it.

    Raises:
        ModelMissing: not here and not to be fetched.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ModelMissing(f"there is no folder {name!r}, and it is no hub id (owner/name)", hint="name a folder with a config.json")
    return _cached(name) or _fetched(name, offline=offline)


def _cached(hub_id: str) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(hub_id, local_files_only=True))
    except OSError:  # LocalEntryNotFoundError
        return None
    complete = (folder / "config.json").exists() and any(folder.glob("*.safetensors"))
    return folder if complete else None


def _fetched(hub_id: str, *, offline: bool) -> Path:
    from huggingface_hub import snapshot_download

    hint = f"run `hf download {hub_id}` on a machine that reaches the hub, copy the folder here and name its path"
    if offline:
        raise ModelMissing(f"{hub_id!r} is neither a folder nor in the hub cache, and offline nothing is fetched", hint=hint)
    log.info("fetching hub_id=%s", hub_id)
    try:
        return Path(snapshot_download(hub_id, allow_patterns=PATTERNS))
    except Exception as error:  # the hub client's many network errors have no public common base
        raise ModelMissing(f"{hub_id!r} cannot be fetched from the hub: {error}", hint=hint) from error


def tail_name(name: str, folder: Path) -> str:
    """What people call it: the last part of a hub id or of a folder's true path."""
    return folder.resolve().name if Path(name).expanduser().is_dir() else name.rsplit("/", 1)[-1]


def read_json(path: Path) -> dict[str, Any]:
    """A configuration file, {} where there is none.

    Raises:
        ModelError: it is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a JSON object")
    return content


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no log lines below errors from transformers; as it was before afterwards."""
    from transformers.utils import logging as hf_logging

    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
