"""Odd files and hostile ones: what is shown of them, with which times, and what is refused with which words."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import contracts_source
import numpy as np
import pytest
from films import number_in, picture, write

from footage.errors import ConfigError, FootageError, NotVideo, SourceError
from footage.recordings import Gap
from ingest.decode import PyAvDecoder
from ingest.file_source import FileSource, SamplingConfig
from ingest.limits import Limits
from ingest.packets import scan
from ingest.picture import HLG, PQ, tone_mapped
from memory.local_store import LocalStore
from workers.config import Settings
from workers.indexing import Done, Refused, index

FAST = {"preset": "ultrafast", "g": "10"}
MS = Fraction(1, 1000)


def seen(path: Path, limits: Limits | None = None) -> tuple[list[tuple[float, int]], list[Gap]]:
    """(start, number in the picture) of every sample, and the gaps; together they tile the recording."""
    source = FileSource.open(path, SamplingConfig(), limits=limits or Limits())
    contracts_source.clips_tile_their_segments(source)
    items = [item for segment in source.segments() for item in source.clips(segment)]
    clips, gaps = [c for c in items if not isinstance(c, Gap)], [g for g in items if isinstance(g, Gap)]
    return [(round(t, 3), number_in(p)) for c in clips for t, p in zip(c.starts_s.tolist(), c.pixels, strict=True)], gaps


def encoded(path: Path, frames: list[Any], codec: str = "ffv1", options: dict[str, str] | None = None, **context: Any) -> Path:
    """Frames of any size and format as they are, at 10 a second."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=10, options=options or {})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for frame in frames:
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


# Times


def test_files_joined_end_to_end_go_on_where_the_clock_starts_anew(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.ts", frames=40, options=FAST), write(tmp_path / "b.ts", frames=30, options=FAST)
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    assert seen(both) == ([(0, 0), (1, 10), (2, 20), (3, 30), (4, 0), (5, 10), (6, 20)], [])
    assert "starts anew" in scan(both).facts["times"]
    wanted = [5, 39, 40, 69]
    assert [number_in(p) for _, p in PyAvDecoder().frames(scan(both), wanted, 400)] == [5, 39, 0, 29]


def test_one_damaged_time_stamp_is_no_new_clock(tmp_path: Path) -> None:
    times = [n / 10 for n in range(40)]
    times[20] = 25.0
    table = scan(write(tmp_path / "jump.mkv", times_s=sorted(times), options=FAST, time_base=MS))
    assert not table.clock_restarts


def test_a_transport_stream_whose_clock_wraps_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path / "wrap.ts", frames=60, options=FAST, start_s=2**33 / 90000 - 3.0 - 1.4)
    assert seen(path) == ([(n, 10 * n) for n in range(6)], [])


def test_a_time_stamp_a_day_away_is_left_out_and_one_hours_away_keeps_its_time_at_no_cost(tmp_path: Path) -> None:
    times = [n / 10 for n in range(30)]
    far = write(tmp_path / "far.mkv", times_s=[*times, 1.5 * 86400], options=FAST, time_base=MS)
    assert seen(far) == ([(0, 0), (1, 10), (2, 20)], [])
    assert scan(far).facts["left out"].startswith("1 frames are left out")
    still = write(tmp_path / "still.mkv", times_s=[*times, 72000.0], options=FAST, time_base=MS)
    assert seen(still) == ([(0, 0), (1, 10), (2, 20), (3, 29), (72000, 30)], [])


def test_a_start_below_zero_and_a_single_frame_and_less_than_a_second(tmp_path: Path) -> None:
    assert seen(write(tmp_path / "below.mkv", start_s=-1.0, frames=20, options=FAST, time_base=MS)) == ([(0, 0), (1, 10)], [])
    assert seen(write(tmp_path / "one.mp4", frames=1, options=FAST)) == ([(0, 0)], [])
    assert seen(write(tmp_path / "short.mp4", frames=5, options=FAST)) == ([(0, 0)], [])


def test_sampling_takes_the_same_frames_as_asking_at_each_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    times = [0.0, *np.cumsum(np.rint(rng.choice([0.001, 0.04, 0.3, 1.0, 2.5], 60) * 1000) / 1000).tolist()]
    path = write(tmp_path / "odd times.mkv", times_s=times, options=FAST, time_base=MS)
    for fps in (0.3, 1.0, 3.0, 29.97):
        source = FileSource.open(path, SamplingConfig(fps=fps, segment_s=5))
        for segment in source.segments():
            samples, _ = source._samples(segment.span)
            grid = np.arange(np.ceil(segment.span.start_s * fps - 1e-6), np.ceil(segment.span.end_s * fps - 1e-6)) / fps
            assert [s.index for s in samples] == np.unique(source.table.on_screen(grid)).tolist()


# Pictures


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 5), (4096, 2), (2, 4096)])
def test_any_size_is_decoded(tmp_path: Path, width: int, height: int) -> None:
    frames = [
        av.VideoFrame.from_ndarray(np.full((height, width, 3), 60 * n, np.uint8), format="rgb24").reformat(format="bgr0") for n in range(3)
    ]
    table = scan(encoded(tmp_path / "odd.mkv", frames))
    assert (table.width_px, table.height_px) == (width, height)
    [(_, pixels)] = PyAvDecoder().frames(table, [2], 384)
    assert pixels.mean() == pytest.approx(120, abs=1)


@pytest.mark.parametrize("curve", [PQ, HLG])
def test_bright_parts_of_hdr_keep_their_detail_and_diffuse_white_is_white(tmp_path: Path, curve: int) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(np.tile(ramp[None, :, None], (64, 1, 3)), format="rgb48le").reformat(format="yuv420p10le")
    path = encoded(tmp_path / "hdr.mkv", [frame], color_trc=curve, color_primaries=9, colorspace=9)
    [(_, pixels)] = PyAvDecoder().frames(scan(path), [0], 384)
    row = pixels[32].mean(axis=1)
    white, nits_1000 = (148, 192) if curve == PQ else (191, 255)
    assert 200 <= row[white] <= 235
    assert np.all(np.diff(row[white:nits_1000:8]) > 0.5)


def test_highlights_roll_off_without_a_step() -> None:
    for curve in (PQ, HLG):
        ramp = np.linspace(0, 65535, 2048).astype(np.uint16)
        greys = tone_mapped(np.stack([ramp] * 3, axis=1)[None], curve)[0, :, 0].astype(int)
        assert np.diff(greys).min() >= 0
        assert np.diff(greys).max() <= 1


def test_combs_of_interlaced_video_are_removed_and_what_stands_still_stays(tmp_path: Path) -> None:
    frames = []
    for number in range(10):
        fields = [picture(7), picture(7)]
        for field, at in zip(fields, (12 * number, 12 * number + 6), strict=True):
            field[40:, at : at + 30] = 255  # a bar that moves between the two fields
        fields[0][1::2] = fields[1][1::2]
        frames.append(av.VideoFrame.from_ndarray(fields[0], format="rgb24").reformat(format="yuv444p"))
    path = encoded(tmp_path / "fields.mkv", frames, "libx264", {"qp": "4", "x264-params": "tff=1"})
    shown = dict(PyAvDecoder().frames(scan(path), range(2, 8), 400))
    assert len(shown) == 6
    for pixels in shown.values():
        lines = pixels[44:108].astype(int).mean(axis=2)
        assert np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).max() < 60
        assert number_in(pixels) == 7


# Caps


def test_a_file_over_a_cap_is_refused_with_what_was_found_and_how_to_raise_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", frames=20, options=FAST, time_base=MS)
    with pytest.raises(SourceError, match=r"192x112 = 21504 px, more than limits\.frame_px allows") as error:
        scan(path, Limits(frame_px=1000))
    assert "FOOTAGE_LIMITS__FRAME_PX" in error.value.hint
    with pytest.raises(ConfigError, match=r"limits\.packets is 0"):
        Limits(packets=0)


def test_more_streams_than_the_cap_are_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "many.mkv"), "w") as out:
        streams: list[Any] = [out.add_stream("libx264", rate=10, options=FAST) for _ in range(5)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for stream in streams:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(1, 64, 48), format="rgb24")))
            out.mux(stream.encode(None))
    scan(tmp_path / "many.mkv", Limits(streams=5))
    with pytest.raises(SourceError, match="holds 5 streams"):
        scan(tmp_path / "many.mkv", Limits(streams=4))


def test_what_was_read_before_the_cap_on_packets_and_on_length_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", frames=60, options=FAST)
    samples, [gap] = seen(path, Limits(packets=35))
    assert samples == [(0, 0), (1, 10), (2, 20), (3, 30)]
    assert (gap.span.start_s, gap.span.end_s) == (3.5, 6.0)
    assert "limits.packets (35)" in gap.reason
    samples, [gap] = seen(path, Limits(span_h=2.95 / 3600))
    assert samples == [(0, 0), (1, 10), (2, 20)]
    assert "limits.span_h" in gap.reason


def test_frames_that_grow_beyond_the_cap_in_the_middle_are_a_gap(tmp_path: Path) -> None:
    small, large = (write(tmp_path / f"{n}.ts", frames=30, options=FAST) for n in "ab")
    with av.open(str(large), "w") as out:
        stream: Any = out.add_stream("libx264", rate=10, options=FAST)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for number in range(30):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number, 640, 480), format="rgb24")))
        out.mux(stream.encode(None))
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    samples, gaps = seen(both, Limits(frame_px=192 * 112))
    assert [s for s, _ in samples] == [0, 1, 2]
    assert gaps[0].span.start_s == 3.0
    assert gaps[-1].span.end_s == pytest.approx(6.0, abs=0.11)
    assert len(seen(both)[0]) == 6


# Through the whole of indexing


def no_moov(path: Path) -> Path:
    write(path, options=FAST)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    return path


def no_codec(path: Path) -> Path:
    data = bytearray(write(path, options=FAST).read_bytes())
    at = data.find(b"avc1", data.find(b"stsd"))
    data[at : at + 4] = b"zzzz"
    path.write_bytes(data)
    return path


def cut_fragments(path: Path) -> Path:
    from fuzz import boxed

    whole = boxed(write(path.with_suffix(".mkv"), options=FAST, time_base=MS), path, "frag_keyframe+empty_moov")
    path.with_suffix(".mkv").unlink()
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    return path


def with_attachment(path: Path) -> Path:
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=10, options=FAST)
        stream.width, stream.height, stream.pix_fmt = 192, 112, "yuv420p"
        out.add_attachment("font.ttf", "font/ttf", bytes(5000))
        for number in range(20):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        out.mux(stream.encode(None))
    return path


def many_lines(path: Path) -> Path:
    rows = "\n\n".join(
        f"00:00:{n // 1000:02d},{n % 1000:03d} --> 00:00:{n // 1000:02d},{n % 1000 + 1:03d}\nline {n}" for n in range(0, 6000, 2)
    )
    path.with_suffix(".srt").write_text(rows)
    return write(path, options=FAST)


ODD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "moov.mp4": (no_moov, "cut off: its index (moov) is missing"),
    "codec.mp4": (no_codec, "cannot decode"),
    "nothing.mp4": (lambda path: path.touch(), "empty"),
    "words.mp4": (lambda path: path.write_text("not a film " * 99), "not a media file"),
    "fragments.mp4": (cut_fragments, ""),
    "attachment.mkv": (with_attachment, ""),
    "lines.mp4": (many_lines, ""),
    "one.mp4": (lambda path: write(path, frames=1, options=FAST), ""),
}  # fmt: skip


def test_odd_files_in_one_folder_are_indexed_or_refused_in_words_and_none_costs_another(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    for name, (make, _) in ODD.items():
        make(folder / name)
    settings = Settings(index={"ocr": "off"})  # type: ignore[arg-type]
    with LocalStore(tmp_path / "lib") as store:
        results = list(index([str(folder)], store, settings, jobs=1))
    refused = {Path(r.location).name: r.error for r in results if isinstance(r, Refused)}
    done = {r.name: r for r in results if isinstance(r, Done)}
    assert set(refused) == {name for name, (_, says) in ODD.items() if says}
    for name, error in refused.items():
        assert isinstance(error, FootageError)
        assert ODD[name][1] in str(error)
        assert error.hint
    assert isinstance(refused["moov.mp4"], NotVideo)
    assert done["lines.mp4"].text_rows == 3000
    assert 2.0 < done["fragments.mp4"].duration_s < 6.0
    assert done["one.mp4"].frames_seen == 1
