"""Encoders by name: what `--encoder` takes."""

from difflib import get_close_matches
from pathlib import Path

from footage import ConfigError
from footage.protocols import Encoder
from memory.encoders.color import ColorEncoder

NAMES = ("color",)


def load_encoder(name: str, *, offline: bool = False, device: str = "auto", dtype: str = "auto", batch: int = 16) -> Encoder:
    """The encoder of a name in NAMES, of a checkpoint folder, or of a hub id (owner/name).

    Raises:
        ConfigError: none of these. ModelMissing, ModelError: see DualEncoder.load.
    """
    if name == "color":
        return ColorEncoder()
    if "/" not in name and not Path(name).expanduser().is_dir():
        near = get_close_matches(name, NAMES, n=1)
        raise ConfigError(
            f"there is no encoder {name!r}; known: {', '.join(NAMES)}, a checkpoint folder, or a hub id (owner/name)",
            hint=f"did you mean {near[0]}?" if near else "an example of a hub id: google/siglip2-base-patch16-224",
        )
    from memory.encoders.dual import DualEncoder

    return DualEncoder.load(name, offline=offline, device=device, dtype=dtype, batch=batch)
