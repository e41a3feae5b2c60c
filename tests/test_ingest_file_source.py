"""FileSource and FileFetcher: samples, segments, damage, random access."""

from pathlib import Path

import av
import contracts_source
import numpy as np
import pytest
from films import FILMS, HEIGHT, WIDTH, number_in, picture, write

from footage.errors import ConfigError, DecodeError, FootageError, NotVideo, SourceNotFound
from footage.questions import Redecode
from footage.recordings import Gap
from ingest.file_source import FileFetcher, FileSource, SamplingConfig
from ingest.synthetic import SyntheticSource


def numbers(source: FileSource) -> list[tuple[float, int]]:
    """(start, number in the picture) of every sample."""
    clips = [c for s in source.segments() for c in source.clips(s) if not isinstance(c, Gap)]
    return [(t, number_in(p)) for c in clips for t, p in zip(c.starts_s.tolist(), c.pixels, strict=True)]


def gaps(source: FileSource) -> list[Gap]:
    return [c for s in source.segments() for c in source.clips(s) if isinstance(c, Gap)]


@pytest.mark.parametrize("film", FILMS)
@pytest.mark.parametrize("mode", ["exact", "keyframes"])
def test_every_source_tiles_its_recording(tmp_path: Path, film: str, mode: str) -> None:
    path = FILMS[film](tmp_path / film)
    contracts_source.clips_tile_their_segments(FileSource.open(path, SamplingConfig(mode=mode, segment_s=2, clip_frames=2)))


def test_a_sample_is_the_frame_on_screen_at_its_time(tmp_path: Path) -> None:
    source = FileSource.open(FILMS["b_frames.mp4"](tmp_path / "b.mp4"))
    assert numbers(source) == [(0, 0), (1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]


def test_a_frame_that_stays_is_sampled_once_and_stands_for_all_its_time(tmp_path: Path) -> None:
    source = FileSource.open(FILMS["variable_rate.mkv"](tmp_path / "v.mkv"))
    assert numbers(source)[:5] == [(0, 0), (1, 10), (2, 19), (6, 22), (7, 26)]


def test_segments_begin_where_a_key_frame_lets_them(tmp_path: Path) -> None:
    source = FileSource.open(FILMS["constant.mp4"](tmp_path / "c.mp4"), SamplingConfig(segment_s=2))
    assert [(s.index, s.span.start_s, s.span.end_s) for s in source.segments()] == [(0, 0, 2), (1, 2, 4), (2, 4, 6)]


def test_cutting_into_segments_changes_no_sample(tmp_path: Path) -> None:
    path = FILMS["open_gop.mp4"](tmp_path / "o.mp4")
    assert numbers(FileSource.open(path, SamplingConfig(segment_s=1))) == numbers(FileSource.open(path, SamplingConfig(segment_s=99)))


def test_key_frame_mode_gives_key_frames_at_their_own_times_and_knows_how_late_it_is(tmp_path: Path) -> None:
    source = FileSource.open(FILMS["constant.mp4"](tmp_path / "c.mp4"), SamplingConfig(mode="keyframes", fps=0.5))
    assert numbers(source) == [(0, 0), (2, 20), (4, 40)]
    long_groups = FileSource.open(FILMS["b_frames.mp4"](tmp_path / "b.mp4"), SamplingConfig(mode="keyframes"))
    assert long_groups.worst_lateness_s == pytest.approx(2.5)


def test_a_file_without_its_tail_gives_what_is_there_and_a_gap(tmp_path: Path) -> None:
    whole = write(tmp_path / "w.mp4", frames=200, options={"preset": "ultrafast", "g": "20"})
    front = tmp_path / "front.mp4"  # with its index first, as files made for the web have it
    with av.open(str(whole)) as source, av.open(str(front), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    data = front.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 6 // 10])
    source_cut = FileSource.open(cut)
    contracts_source.clips_tile_their_segments(source_cut)
    assert source_cut.recording.duration_s == pytest.approx(20.0)
    [gap] = gaps(source_cut)
    assert "cut off" in gap.reason
    assert gap.span.end_s == 20.0
    assert numbers(source_cut) == [(float(t), 10 * t) for t in range(len(numbers(source_cut)))]


def test_damage_in_the_middle_costs_only_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "d.ts", frames=100, options={"preset": "ultrafast", "g": "10", "bf": "0"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle : middle + 188 * 12] = bytes(188 * 12)
    path.write_bytes(data)
    source = FileSource.open(path)
    contracts_source.clips_tile_their_segments(source)
    seen = dict(numbers(source))
    assert len(seen) >= 8
    assert seen[0.0] == 0
    assert seen[9.0] in (90, 89, 88, 87)  # packets that are gone are not frames: later ones keep their own times


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "empty"), (b"just some words, no video\n" * 9, "not a media file"), (bytes(range(256)) * 40, "not a media file")],
)
def test_what_is_no_video_is_refused_by_name_with_a_hint(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(NotVideo, match=says) as error:
        FileSource.open(path)
    assert "x.mp4" in str(error.value)
    assert error.value.hint


def test_sound_alone_and_a_missing_file_say_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(NotVideo, match="no video stream: it holds audio"):
        FileSource.open(tmp_path / "a.wav")
    with pytest.raises(SourceNotFound, match=r"missing\.mp4"):
        FileSource.open(tmp_path / "missing.mp4")


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"fps": 0}, {"fps": -1}, {"fps": float("nan")}, {"mode": "fast"}, {"segment_s": 0}, {"clip_frames": 0}):
        with pytest.raises(ConfigError):
            SamplingConfig(**wrong)  # type: ignore[arg-type]


def test_fetching_gives_the_frame_on_screen_in_the_order_asked(tmp_path: Path) -> None:
    path = FILMS["open_gop.mp4"](tmp_path / "o.mp4")
    recording = FileSource.open(path).recording.recording_id
    fetcher = FileFetcher(lambda _: [str(path)])
    frames = fetcher.fetch([Redecode(recording, t, 400) for t in (5.95, 0.0, 3.14)])
    assert [number_in(f.pixels) for f in frames] == [59, 0, 31]
    assert frames[2].span.start_s == pytest.approx(3.1)
    assert frames[2].span.end_s == pytest.approx(3.2)
    assert fetcher.extent(recording).end_s == pytest.approx(6.0)  # type: ignore[union-attr]


def test_fetching_past_the_end_or_from_a_file_that_is_gone_says_so(tmp_path: Path) -> None:
    path = FILMS["constant.mp4"](tmp_path / "c.mp4")
    recording = FileSource.open(path).recording.recording_id
    with pytest.raises(DecodeError, match="can be seen until 00:00:06"):
        FileFetcher(lambda _: [str(path)]).fetch([Redecode(recording, 6.0, 400)])
    path.write_bytes(FILMS["b_frames.mp4"](tmp_path / "b.mp4").read_bytes())  # another film took its place
    gone = FileFetcher(lambda _: [str(path)])
    assert gone.extent(recording) is None
    with pytest.raises(SourceNotFound):
        gone.fetch([Redecode(recording, 1.0, 400)])


def test_an_anchor_fetches_the_very_frame_that_was_sampled(tmp_path: Path) -> None:
    path = FILMS["vp9.webm"](tmp_path / "v.webm")
    source = FileSource.open(path, max_side_px=100)
    fetcher = FileFetcher(lambda _: [str(path)])
    [clip] = [c for s in source.segments() for c in source.clips(s)]
    assert not isinstance(clip, Gap)
    for anchor_s, pixels in zip(clip.anchors_s.tolist(), clip.pixels, strict=True):
        [frame] = fetcher.fetch([Redecode(source.recording.recording_id, anchor_s, 100)])
        assert np.array_equal(frame.pixels, pixels)


def test_a_colour_script_is_a_source_with_known_truth() -> None:
    source = SyntheticSource.parse("synthetic:red=3,blue=2")
    contracts_source.clips_tile_their_segments(source)
    [clip] = [c for s in source.segments() for c in source.clips(s)]
    assert not isinstance(clip, Gap)
    assert clip.pixels[2, 0, 0].tolist() == [220, 30, 30]
    assert clip.pixels[3, 0, 0].tolist() == [30, 70, 215]
    for wrong in ("synthetic:", "synthetic:red", "synthetic:mauve=3", "synthetic:red=0"):
        with pytest.raises(ConfigError):
            SyntheticSource.parse(wrong)


def test_durations_of_real_footage_are_those_of_the_container_to_a_frame(shared_videos: Path) -> None:
    for path in sorted((shared_videos / "real").iterdir()):
        with av.open(str(path)) as container:
            said, rate = container.duration / av.time_base, container.streams.video[0].average_rate or 25
        assert abs(FileSource.open(path).recording.duration_s - said) <= 1 / rate, path.name


def test_the_last_picture_stays_while_the_sound_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        for number in range(20):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        out.mux(video.encode(None))
        for n in range(35):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, 800 * n
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    source = FileSource.open(path)
    assert source.recording.duration_s == pytest.approx(3.5, abs=0.002)
    assert numbers(source) == [(0, 0), (1, 10), (2, 19)]
    contracts_source.clips_tile_their_segments(source)


def test_every_odd_file_is_taken_with_true_times_or_refused_by_name(shared_videos: Path) -> None:
    for path in sorted((shared_videos / "odd").iterdir()):
        if path.name == "long_black_363s.mp4":
            continue
        refusal = None
        try:
            contracts_source.clips_tile_their_segments(FileSource.open(path, max_side_px=64))
        except FootageError as error:
            refusal = error
        assert refusal is None or (path.name in str(refusal) and refusal.exit_code != 1)
