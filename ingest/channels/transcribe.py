"""Speech to text: a local checkpoint of transformers, Whisper or any other that its speech recognition pipeline runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from footage import ModelError
from footage.arrays import AnyArray
from ingest.channels.quiet import quiet
from ingest.channels.sound import RATE_HZ

MOST_S = 28.0  # Whisper hears 30 s at a time


class Transcriber:
    def __init__(self, folder: Path, *, language: str = "") -> None:
        """Only files of this folder are read. Raises ModelError where it holds no such checkpoint."""
        from transformers import AutoConfig, pipeline

        try:
            with quiet():
                self._pipe: Any = pipeline("automatic-speech-recognition", model=str(folder), device="cpu")
                self._config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # transformers, safetensors and torch have no base in common
            raise ModelError(
                f"{str(folder)!r} is no checkpoint of speech recognition: {error}",
                hint="expected config.json, preprocessor_config.json, a tokenizer and model.safetensors, as of Whisper",
            ) from error
        self._says_times = self._config.model_type == "whisper"
        self._asked: dict[str, Any] = {"generate_kwargs": {"language": language}} if language and self._says_times else {}

    def read(self, samples: AnyArray) -> Iterator[tuple[float, float, str]]:
        """(start, end, words) in seconds from the first of (N,) samples, in order; raises ModelError when it cannot be run."""
        length_s = len(samples) / RATE_HZ
        heard = {"raw": samples, "sampling_rate": RATE_HZ}
        try:
            with quiet():
                made = self._pipe(heard, return_timestamps=True, **self._asked) if self._says_times else self._pipe(heard)
        except Exception as error:  # as above
            raise ModelError(f"{length_s:.1f} s of speech cannot be transcribed: {error}") from error
        for chunk in made.get("chunks") or [{"timestamp": (0.0, length_s), "text": made["text"]}]:
            start_s, end_s = (length_s if time_s is None else min(float(time_s), length_s) for time_s in chunk["timestamp"])
            if words := " ".join(chunk["text"].split()):
                yield (start_s, end_s, words) if start_s < end_s else (0.0, length_s, words)  # times that cannot be: somewhere in it
