"""Settings of what may be reached over a network, and how long is waited for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NetConfig:
    """The command line is its owner's hand: an address that is named there may be private (a NAS, a test server), but nothing that
    the far end says, a redirect or a line of a playlist, leads to a private address. A server trusts neither.
    """

    serving: bool = False
    """Addresses and paths come from others: no private address is reached, no camera that is not in allow_hosts, no path outside roots."""
    roots: tuple[str, ...] = ()
    """Folders that paths may lie in while serving; links are followed before it is checked. None: no path at all."""
    allow_private: bool = False
    """Private addresses are reached however they were named. Those of clouds' metadata services never are, unless in allow_hosts."""
    allow_hosts: tuple[str, ...] = ()
    """Names ("nas.example"), addresses and networks ("10.1.0.0/16") that are always reached."""
    connect_s: float = 10.0
    read_s: float = 20.0
    """Longest wait for the next bytes."""
    retries: int = 3
    """How often a read that broke off is tried again."""
    cache_mib: int = 16
    """Of each open file, read ahead and kept."""
    download_gib: float = 8.0
    """Largest file that is downloaded whole, to a temporary file, where a server cannot send parts."""

    def __post_init__(self) -> None:
        if not (self.connect_s > 0 and self.read_s > 0 and self.download_gib > 0):
            raise ValueError("connect_s, read_s and download_gib must be above 0")
        if self.retries < 0 or self.cache_mib < 4:
            raise ValueError("retries must be 0 or more, cache_mib 4 or more")
