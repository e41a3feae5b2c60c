"""Packet tables of remote files, kept on this disk: reading all packets means reading all of the file, which is dear over a network.

One .npz for each address. A table is used again only while the server says that the file is the same (ETag or Last-Modified, and length).
"""

import hashlib
import json
import logging
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ingest.net.remote import RemoteFile
from ingest.packets import PacketTable

log = logging.getLogger(__name__)
FORMAT = 1


def keep_table(table: PacketTable, remote: RemoteFile, folder: Path) -> None:
    """For the next time; where it cannot be kept, it is read again then."""
    if not any(remote.version[1:]):  # nothing would tell that the file changed
        return
    values = {f.name: getattr(table, f.name) for f in fields(PacketTable) if f.name != "path"}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    plain = {name: value for name, value in values.items() if name not in arrays} | {"time_base": str(table.time_base)}
    about = {"format": FORMAT, "version": remote.version, "table": plain}
    path = _path(remote, folder)
    half = path.with_suffix(".part")
    try:
        folder.mkdir(exist_ok=True)
        with half.open("wb") as file:
            np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)  # type: ignore[arg-type]  # its other keywords are typed too
        half.replace(path)
    except OSError as error:
        log.info("packets of %s are not kept: %s", remote, error)


def kept_table(remote: RemoteFile, folder: Path) -> PacketTable | None:
    """None where none is kept of this very version, or what is kept cannot be read."""
    try:
        with _path(remote, folder).open("rb") as file, np.load(file, allow_pickle=False) as kept:
            about: dict[str, Any] = json.loads(kept["about"].tobytes())
            if about["format"] != FORMAT or tuple(about["version"]) != remote.version:
                return None
            values = about["table"] | {name: kept[name] for name in kept.files if name != "about"}
        values |= {"path": remote, "time_base": Fraction(values["time_base"]), "coded_px": tuple(values["coded_px"])}
        return PacketTable(**values)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        log.info("kept packets of %s are not used: %s", remote, error)
        return None


def _path(remote: RemoteFile, folder: Path) -> Path:
    return folder / f"{hashlib.blake2b(str(remote).encode(), digest_size=8).hexdigest()}.npz"
