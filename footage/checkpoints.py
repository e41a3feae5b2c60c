"""Which checkpoint it is: what encoders put into their ids and models name as the encoder they were made for."""

import hashlib
from pathlib import Path

SAMPLES, SAMPLE_BYTES = 64, 4096


def fingerprint(folder: Path) -> str:
    """Eight hex digits that tell checkpoints apart: configuration and evenly sampled bytes of every weights file."""
    digest = hashlib.blake2b(digest_size=4)
    for path in sorted([*folder.glob("*config.json"), *folder.glob("*.safetensors")]):
        size = path.stat().st_size
        digest.update(f"{path.name} {size};".encode())
        with path.open("rb") as file:
            for at in range(0, size, max(SAMPLE_BYTES, size // SAMPLES)):
                file.seek(at)
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()
