"""The packets of a video wherever it lies: on a disk of this machine, or behind http(s)."""

import logging
from pathlib import Path

from footage.addresses import HIDDEN, scheme_of, without_credentials
from footage.errors import ConfigError, SourceNotFound
from ingest.net.policy import Policy, check_path
from ingest.packets import PacketTable, scan
from workers.config import Settings, find_library

log = logging.getLogger(__name__)

FOLDER = "remote"  # of a library: what its videos behind a network looked like
MIB = 1 << 20
_whole: dict[str, str] = {}  # addresses by what is remembered of them; credentials live as long as this process


def table_at(place: str, settings: Settings) -> PacketTable:
    """Of a path or an address.

    Raises:
        SourceNotFound, NotVideo, SourceError, DecodeError, ConfigError: what is wrong with it, and what to do.
    """
    scheme = scheme_of(place)
    if not scheme:
        return scan(check_path(Path(place), settings.net), settings.limits)
    if scheme not in ("http", "https"):
        raise ConfigError(f"{scheme}:// sources cannot be indexed", hint="give a path or an http(s):// address; streams: footage watch")
    shown = without_credentials(place)
    if place != shown:
        _whole[shown] = place
    elif shown not in _whole and HIDDEN in shown:
        raise SourceNotFound(f"{shown} is remembered without its secret", hint="index its whole address again, or a copy on this machine")
    return _remote_table(_whole.get(shown, place), settings)


def _remote_table(address: str, settings: Settings) -> PacketTable:
    from ingest.net.kept_tables import keep_table, kept_table
    from ingest.net.remote import RemoteFile

    remote = RemoteFile(address, Policy(settings.net), heard=_Told())
    folder = find_library(settings) / FOLDER
    table = kept_table(remote, folder)
    if table is None:
        table = scan(remote, settings.limits)
        keep_table(table, remote, folder)
    return table


class _Told:
    """Says how far a download is, every 64 MiB."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, size: int, whole: int) -> None:
        if size >= self._next:
            log.info("downloading: %d MiB of %s", size // MIB, f"{whole // MIB} MiB" if whole else "an unknown size")
            self._next = size + 64 * MIB
