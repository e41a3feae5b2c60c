"""A detector, a film with sound and a speech model, all tiny and made on the spot."""

import json
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

SIDE, CELL = 64, 16
LABELS = ("cat", "dog", "car")
DESCRIPTION = f"""
labels = {json.dumps(LABELS)}
[input]
size_px = [{SIDE}, {SIDE}]
scale = {1 / 255}
[output]
form = "columns"
boxes = ["found"]
box = "centre"
"""
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
Square = tuple[int, int, tuple[int, int, int]]  # column and row of a cell, colour


# An ONNX file, written by hand: what stands in a cell of 16 x 16 px is a red "cat", a green "dog" or a blue "car"


def _field(number: int, value: int | bytes | str | float) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    body = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind)
    for name, value in attributes.items():
        kept = _field(3, value) + _field(20, 2) if isinstance(value, int) else b"".join(_field(8, n) for n in value) + _field(20, 7)
        body += _field(5, _field(1, name) + kept)
    return _field(1, body)


def _constant(name: str, array: np.ndarray) -> bytes:
    kind = 7 if array.dtype == np.int64 else 1
    dims = b"".join(_field(1, n) for n in array.shape)
    return _field(5, dims + _field(2, kind) + _field(8, name) + _field(9, array.tobytes()))


def _value(number: int, name: str, shape: Sequence[int]) -> bytes:
    dims = b"".join(_field(1, _field(1, n)) for n in shape)
    return _field(number, _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims))))


def save_detector(folder: Path) -> Path:
    """squares.onnx and its description beside it."""
    cells = (np.arange(4, dtype=np.float32) + 0.5) * CELL
    x, y = np.meshgrid(cells, cells)
    boxes = np.stack([x.ravel(), y.ravel(), np.full(16, 16), np.full(16, 16)]).astype(np.float32)[None]
    graph = (
        _node("AveragePool", ["picture"], "means", kernel_shape=[CELL, CELL], strides=[CELL, CELL])
        + _node("Reshape", ["means", "shape"], "scores")
        + _node("Concat", ["boxes", "scores"], "found", axis=1)
        + _field(2, "squares")
        + _constant("shape", np.array([1, 3, 16], np.int64))
        + _constant("boxes", boxes)
        + _value(11, "picture", [1, 3, SIDE, SIDE])
        + _value(12, "found", [1, 7, 16])
    )
    model = folder / "squares.onnx"
    model.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    model.with_suffix(".toml").write_text(DESCRIPTION)
    return model


def picture(*squares: Square) -> np.ndarray:
    pixels = np.zeros((SIDE * 2, SIDE * 2, 3), np.uint8)
    for column, row, colour in squares:
        pixels[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32] = colour
    return pixels


def film(path: Path, scenes: Sequence[tuple[float, Sequence[Square]]], sound: np.ndarray | None = None, codec: str = "pcm_s16le") -> Path:
    """Scenes of (seconds, squares) at 4 fps; sound: float (N,) at 16 kHz, in a file that takes the codec."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=4, options={"preset": "ultrafast", "g": "4", "tune": "zerolatency"})
        stream.width = stream.height = SIDE * 2
        stream.pix_fmt = "yuv420p"
        track: Any = out.add_stream(codec, rate=16000, layout="mono") if sound is not None else None
        shown = [squares for seconds, squares in scenes for _ in range(round(seconds * 4))]
        for number, squares in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(picture(*squares), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 4)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if track is not None and sound is not None:
            for part in _sound_frames(sound):
                out.mux(track.encode(part))
            out.mux(track.encode(None))
    return path


def _sound_frames(sound: np.ndarray) -> list[Any]:
    """Frames of 20 ms; where the sound is not a number there is none at all."""
    frames = []
    for at in range(0, len(sound) - 319, 320):
        piece = sound[at : at + 320]
        if not np.isnan(piece).any():
            frame = av.AudioFrame.from_ndarray((piece * 32767).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, at, Fraction(1, 16000)
            frames.append(frame)
    return frames


def tone(seconds: float, *loud: tuple[float, float]) -> np.ndarray:
    """Silence with a loud tone in the given stretches, float (N,) at 16 kHz."""
    time_s = np.arange(round(seconds * 16000)) / 16000
    on = np.zeros(len(time_s))
    for begin_s, end_s in loud:
        on[(time_s >= begin_s) & (time_s < end_s)] = 0.5
    made: np.ndarray = on * np.sin(2 * np.pi * 330 * time_s)
    return made


def save_whisper(folder: Path) -> Path:
    """A random Whisper that says the letter h over and over, with time stamps in its vocabulary."""
    import torch
    from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizerFast

    marks = "endoftext startoftranscript en de translate transcribe startoflm startofprev nospeech notimestamps".split()
    tokenizer = WhisperTokenizerFast(vocab={chr(c): c - 97 for c in range(97, 123)}, merges=[])
    tokenizer.add_tokens([f"<|{name}|>" for name in [*marks, *(f"{n * 0.02:.2f}" for n in range(1501))]], special_tokens=True)
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in marks}
    ends = dict.fromkeys(["eos_token_id", "bos_token_id", "pad_token_id"], ids["endoftext"])
    start = {"decoder_start_token_id": ids["startoftranscript"]}
    small = {
        f"{part}_{name}": n for part in ("encoder", "decoder") for name, n in {"layers": 1, "attention_heads": 2, "ffn_dim": 32}.items()
    }
    torch.manual_seed(0)
    model: Any = WhisperForConditionalGeneration(
        WhisperConfig(vocab_size=len(tokenizer), d_model=16, max_target_positions=64, suppress_tokens=None, begin_suppress_tokens=None,
                      **small, **ends, **start)
    )  # fmt: skip
    with torch.no_grad():
        model.model.decoder.layer_norm.bias.copy_(2000 * model.model.decoder.embed_tokens.weight[ord("h") - 97])
    model.generation_config = GenerationConfig(
        no_timestamps_token_id=ids["notimestamps"], is_multilingual=True, lang_to_id={f"<|{n}|>": ids[n] for n in ("en", "de")},
        task_to_id={n: ids[n] for n in ("transcribe", "translate")}, max_length=16, max_initial_timestamp_index=50, **ends, **start,
    )  # fmt: skip
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    return folder


def save_yolos(folder: Path) -> Path:
    """A random YOLOS of two labels, for pictures of 32 x 32."""
    import torch
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor

    torch.manual_seed(0)
    config = YolosConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_detection_tokens=5,
                         image_size=[32, 32], patch_size=8, id2label={0: "lamp", 1: "kettle"})  # fmt: skip
    YolosForObjectDetection(config).save_pretrained(folder)
    YolosImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder
