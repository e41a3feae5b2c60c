"""Frame, Clip, EncodedClip: pixels that know their time."""

from dataclasses import dataclass

import numpy as np

from footage.arrays import Bools, Embeds, Pixels, Seconds, Tokens, shape_text
from footage.timespan import TimeSpan


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture and the time it stands for."""

    recording_id: str
    span: TimeSpan
    """Its display interval from container pts (never index / fps)."""
    pixels: Pixels
    """(H, W, 3) RGB, upright."""

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"pixels must be uint8 (H, W, 3), got {shape_text(self.pixels)}")

    def __repr__(self) -> str:
        return f"Frame({self.recording_id} {self.span} {shape_text(self.pixels)})"


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames in display order: the unit that flows between the stages of recording."""

    recording_id: str
    pixels: Pixels
    """(T, H, W, 3) RGB, T >= 1."""
    starts_s: Seconds
    """(T,) frame i stands for [starts_s[i], ends_s[i])."""
    ends_s: Seconds
    """(T,)"""
    anchors_s: Seconds
    """(T,) a time inside each frame's own display interval; fetching it returns this very frame. Survives gating."""

    def __post_init__(self) -> None:
        T = len(self.pixels)
        if T < 1 or self.pixels.ndim != 4 or self.pixels.shape[3] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"pixels must be uint8 (T>=1, H, W, 3), got {shape_text(self.pixels)}")
        for name in ("starts_s", "ends_s", "anchors_s"):
            if getattr(self, name).shape != (T,):
                raise ValueError(f"{name} must have shape ({T},), got {getattr(self, name).shape}")
        if not (np.all(self.starts_s < self.ends_s) and np.all(self.ends_s[:-1] <= self.starts_s[1:] + 1e-9)):
            raise ValueError("frames must be in display order and must not overlap")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def span(self) -> TimeSpan:
        return TimeSpan(float(self.starts_s[0]), float(self.ends_s[-1]))

    @property
    def weights_s(self) -> Seconds:
        """(T,) seconds that each frame stands for."""
        return self.ends_s - self.starts_s

    def take(self, keep: Bools) -> "Clip":
        """Only the kept frames; each inherits the time of the dropped ones after it, so no time is lost.

        Raises:
            ValueError: keep is not (T,) or its first entry is False (time before a first kept frame has no heir).
        """
        if keep.shape != (len(self),) or not keep[0]:
            raise ValueError(f"keep must be ({len(self)},) and start with True")
        last = np.append(np.flatnonzero(keep)[1:] - 1, len(self) - 1)  # the last frame of each kept frame's run
        return Clip(self.recording_id, self.pixels[keep], self.starts_s[keep], self.ends_s[last], self.anchors_s[keep])

    def __repr__(self) -> str:
        return f"Clip({self.recording_id} {self.span} {shape_text(self.pixels)})"


@dataclass(frozen=True, slots=True, eq=False)
class EncodedClip:
    """A clip as an encoder sees it."""

    encoder_id: str
    """Name, size, our revision: "siglip-b16-384@1"."""
    clip: Clip
    tokens: Tokens
    """(T, P, D) float16 patch tokens."""
    embeds: Embeds
    """(T, E) float32 unit rows, comparable with Encoder.embed_text."""

    def __post_init__(self) -> None:
        T = len(self.clip)
        if self.tokens.ndim != 3 or len(self.tokens) != T or self.tokens.dtype != np.float16:
            raise ValueError(f"tokens must be float16 ({T}, P, D), got {shape_text(self.tokens)}")
        if self.embeds.ndim != 2 or len(self.embeds) != T or self.embeds.dtype != np.float32:
            raise ValueError(f"embeds must be float32 ({T}, E), got {shape_text(self.embeds)}")

    def __repr__(self) -> str:
        return f"EncodedClip({self.encoder_id} {self.clip!r} {shape_text(self.tokens)} {shape_text(self.embeds)})"
