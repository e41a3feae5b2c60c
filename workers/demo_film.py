"""A short film with known truth, drawn and encoded on the spot: moving shapes, a title, a sign, a blue scene, subtitles."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from footage.timespan import TimeSpan

WIDTH, HEIGHT, FPS = 640, 360, 25
DURATION_S = 120


@dataclass(frozen=True, slots=True)
class Scene:
    """What is on screen in a stretch of time."""

    span: TimeSpan
    ground: tuple[int, int, int]
    title: str = ""
    sign: str = ""


SCENES = (
    Scene(TimeSpan(0, 12.36), (70, 72, 78)),
    Scene(TimeSpan(12.36, 20.2), (24, 24, 26), title="HARBOUR AT DAWN"),
    Scene(TimeSpan(20.2, 46.88), (96, 110, 84)),
    Scene(TimeSpan(46.88, 59.44), (25, 60, 200)),
    Scene(TimeSpan(59.44, 78.04), (118, 92, 70)),
    Scene(TimeSpan(78.04, 93.6), (86, 88, 92), sign="FERRY 47"),
    Scene(TimeSpan(93.6, 120), (60, 64, 60)),
)
SUBTITLES = (
    (TimeSpan(5.0, 8.5), "We left the village before sunrise."),
    (TimeSpan(33.2, 36.4), "The old bridge was closed, so we took the boat."),
    (TimeSpan(101.0, 104.0), "By noon the fog had lifted."),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its truth."""

    question: str
    truth: TimeSpan
    says: str
    """What the answer must contain."""


QUESTIONS = (
    Asked("What is the title in large letters?", TimeSpan(12.36, 20.2), "HARBOUR AT DAWN"),
    Asked("When is the picture blue?", TimeSpan(46.88, 59.44), "00:00:46.880"),
    Asked("When do they say that the bridge was closed?", TimeSpan(33.2, 36.4), "bridge was closed"),
)


def write_film(path: Path) -> Path:
    """Encode the film (H.264, key frame every 4 s) and its subtitles beside it; returns the video's path."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=FPS, options={"crf": "24", "preset": "veryfast", "g": str(4 * FPS)})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for pixels in _frames():
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode(None))
    path.with_suffix(".srt").write_text(_srt(), encoding="utf-8")
    return path


def _frames() -> Iterator[Any]:
    for scene in SCENES:
        still = _still(scene)
        for n in range(round(scene.span.start_s * FPS), round(scene.span.end_s * FPS)):
            picture = still.copy()
            x = int((n * 3) % (WIDTH + 60)) - 60  # something always moves: a pale ball rolling along the bottom
            yy, xx = np.mgrid[HEIGHT - 60 : HEIGHT - 20, max(0, x) : max(0, min(WIDTH, x + 40))]
            ball = (yy - (HEIGHT - 40)) ** 2 + (xx - (x + 20)) ** 2 < 400
            picture[HEIGHT - 60 : HEIGHT - 20, max(0, x) : max(0, min(WIDTH, x + 40))][ball] = (222, 214, 196)
            yield picture


def _still(scene: Scene) -> Any:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (WIDTH, HEIGHT), scene.ground)
    draw = ImageDraw.Draw(image)
    if scene.title:
        draw.text((WIDTH // 2, 150), scene.title, fill="white", font=ImageFont.load_default(size=44), anchor="mm")
    if scene.sign:
        draw.rectangle((400, 90, 590, 150), fill=(240, 130, 20))
        draw.text((495, 120), scene.sign, fill="black", font=ImageFont.load_default(size=30), anchor="mm")
    shade = np.linspace(0.92, 1.08, HEIGHT)[:, None, None]  # a plain ground would be too easy on the encoder
    return np.clip(np.asarray(image) * shade, 0, 255).astype(np.uint8)


def _srt() -> str:
    def stamp(time_s: float) -> str:
        millis = round(time_s * 1000)
        return f"{millis // 3600000:02d}:{millis // 60000 % 60:02d}:{millis // 1000 % 60:02d},{millis % 1000:03d}"

    cues = [f"{i}\n{stamp(span.start_s)} --> {stamp(span.end_s)}\n{text}\n" for i, (span, text) in enumerate(SUBTITLES, 1)]
    return "\n".join(cues)
