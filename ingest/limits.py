"""Caps on what a file may ask for, far above what cameras and editors write: a damaged or hostile one costs itself and nothing else."""

from dataclasses import dataclass, fields

from footage.errors import ConfigError, SourceError


@dataclass(frozen=True, slots=True)
class Limits:
    decode_s: float = 60.0
    """Longest time that opening a file, or decoding a segment, may take in a worker process ..."""
    decode_x: float = 20.0
    """... and so many seconds more for each second of footage in it, and each 40 MB of the file."""
    decode_mib: int = 4096
    """Memory that a worker process may grow by while it decodes."""
    tasks: int = 1000
    """Files and segments after which a worker process is replaced by a fresh one."""
    frame_px: int = 8192 * 8192
    """Pixels of a frame."""
    streams: int = 128
    """Streams of a container, attachments and all."""
    packets: int = 10_000_000
    """Packets of the picture that are read, 48 bytes each and some 200 while they are sorted; what comes after them is a gap."""
    jump_h: float = 24.0
    """Time stamps further away than this from all others are taken for damage."""
    span_h: float = 24.0 * 31
    """Longest recording; what comes later is a gap."""
    subtitle_rows: int = 100_000
    """Subtitles of a file, of all tracks and of the files beside it each."""
    subtitle_mib: int = 16
    """Their text, and the size of a file beside it."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not value > 0:
                raise ConfigError(f"limits.{each.name} is {value}", hint="expected more than 0")

    def over(self, name: str, found: str) -> SourceError:
        """The refusal of a file that asks for more; found: in words, from the file's name on."""
        return SourceError(f"{found}, more than limits.{name} allows ({getattr(self, name)})", hint=self.raised(name))

    @staticmethod
    def raised(name: str) -> str:
        return f"if you trust the file, set {name} in [limits] of footage.toml, or FOOTAGE_LIMITS__{name.upper()}"


DEFAULT_LIMITS = Limits()
