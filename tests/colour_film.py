"""A film of plain colours, a few seconds each, for streams that are asked about."""

from pathlib import Path
from typing import Any

import av
from live_events import plain


def write(path: Path, colours: str = "red blue", *, each_s: int = 4, rate: int = 10) -> Path:
    """H.264, a key frame each second."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "tune": "zerolatency", "g": str(rate)})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for colour in colours.split():
            for _ in range(each_s * rate):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(plain(colour, 160, 96), format="rgb24")))
        out.mux(stream.encode(None))
    return path
