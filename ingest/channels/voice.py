"""Where somebody speaks: a probability for each 32 ms of sound, by silero-vad or by loudness, and the stretches that it makes.

Letters: N samples, C chunks.
"""

from pathlib import Path
from typing import Protocol

import numpy as np

from footage import ModelError
from footage.arrays import AnyArray
from ingest.channels.onnx_detector import session
from ingest.channels.sound import RATE_HZ

CHUNK = 512
BEFORE = 64  # samples of the chunk before that silero-vad sees again
LIKELY, UNLIKELY = 0.5, 0.35  # speech begins at the one and ends below the other
PAUSE_S, LEAST_S, PAD_S = 0.3, 0.25, 0.1
LOUD_DB, FLOOR_DB = 12.0, -50.0  # above the usual quiet, and above nearly nothing


class Voice(Protocol):
    text: str
    """What a row says where it is not known what is said."""

    def likely(self, samples: AnyArray) -> AnyArray:
        """(N,) to (C,): how likely each chunk is speech, 0 to 1; a last part of a chunk is left out."""
        ...


class SileroVoice:
    """silero-vad version 5 or 6 as ONNX, 16 kHz."""

    text = "(speech)"

    def __init__(self, model: Path) -> None:
        """Raises ConfigError, ModelError: see `session`; ModelError also where the file is another network."""
        self._session = session(model, 1)
        names = {each.name for each in self._session.get_inputs()}
        if names != {"input", "state", "sr"}:
            raise ModelError(f"{model.name} is no silero-vad: its inputs are {sorted(names)}", hint="expected input, state and sr")

    def likely(self, samples: AnyArray) -> AnyArray:
        chunks = samples[: len(samples) // CHUNK * CHUNK].reshape(-1, CHUNK).astype(np.float32)
        state, before = np.zeros((2, 1, 128), np.float32), np.zeros(BEFORE, np.float32)
        found = np.zeros(len(chunks))
        for i, chunk in enumerate(chunks):
            heard = np.concatenate([before, chunk])[None]
            out, state = self._session.run(None, {"input": heard, "state": state, "sr": np.array(RATE_HZ, np.int64)})
            found[i], before = float(out.item()), chunk[-BEFORE:]
        return found


class LoudVoice:
    """No model: what is clearly louder than the quiet parts. It cannot tell speech from music, and its rows say so."""

    text = "(speech or other sound)"

    def likely(self, samples: AnyArray) -> AnyArray:
        chunks = samples[: len(samples) // CHUNK * CHUNK].reshape(-1, CHUNK)
        level_db = 10 * np.log10(np.square(chunks, dtype=np.float64).mean(1) + 1e-12)
        usual_db = np.percentile(level_db, 10) if len(level_db) else 0.0
        return (level_db >= max(FLOOR_DB, min(usual_db, -20.0) + LOUD_DB)).astype(np.float64)


def spoken(likely: AnyArray) -> list[tuple[int, int]]:
    """Stretches [begin, end) in samples, in order and apart: pauses are bridged, blips dropped, edges padded."""
    runs, begin, last = list[tuple[int, int]](), -1, -1
    for i, share in enumerate(likely.tolist()):
        if share >= (UNLIKELY if begin >= 0 else LIKELY):
            begin, last = (i if begin < 0 else begin), i
        elif begin >= 0 and (i - last) * CHUNK > PAUSE_S * RATE_HZ:
            runs.append((begin, last + 1))
            begin = -1
    runs += [(begin, last + 1)] if begin >= 0 else []
    pad = round(PAD_S * RATE_HZ)
    long = [(a * CHUNK, b * CHUNK) for a, b in runs if (b - a) * CHUNK >= LEAST_S * RATE_HZ]
    return [(max(0, a - pad), min(len(likely) * CHUNK, b + pad)) for a, b in long]


def pieces(begin: int, end: int, likely: AnyArray, most_s: float) -> list[tuple[int, int]]:
    """One stretch cut where speech is least likely, so that no piece is longer than most_s."""
    found = []
    while end - begin > most_s * RATE_HZ:
        first, last = (begin + round(share * most_s * RATE_HZ) for share in (0.5, 1.0))
        at = first // CHUNK + int(np.argmin(likely[first // CHUNK : last // CHUNK]))
        found.append((begin, at * CHUNK))
        begin = at * CHUNK
    return [*found, (begin, end)]
