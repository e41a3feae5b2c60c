"""Subtitles become rows with the times of the picture, whatever wrote them."""

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.subtitles.subtitle import SubtitleSet

from footage import TextRow
from ingest.limits import Limits
from ingest.subtitles import container_subtitles, sidecar_subtitles

SHARED = Path(__file__).parents[2] / "shared" / "videos" / "odd"
STYLES = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour
Style: Default,Arial,16,&Hffffff

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
Cue = tuple[int, int, str | bytes]  # start and end in milliseconds; dialogue in ASS markup, or the bytes of a packet


def write_media(path: Path, codec: str, cues: list[Cue], *, language: str = "", title: str = "") -> Path:
    """Five seconds of black with one subtitle track."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        track = out.add_stream(codec)
        track.metadata.update({"language": language} if language else {"title": title})
        track.codec_context.subtitle_header = STYLES
        track.time_base = track.codec_context.time_base = Fraction(1, 1000)
        for i in range(50):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            frame.pts = i
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for start_ms, end_ms, content in cues:
            if isinstance(content, str):
                event = f"0,0,Default,,0,0,0,,{content}".encode()
                packet = track.codec_context.encode_subtitle(SubtitleSet.create(event, 0, end_ms - start_ms, start_ms))
            else:
                packet = av.Packet(content)
                packet.pts, packet.dts, packet.duration = start_ms, start_ms, end_ms - start_ms
            packet.stream, packet.time_base = track, Fraction(1, 1000)
            out.mux(packet)
    return path


def timed(rows: list[TextRow]) -> list[tuple[float, float, str]]:
    return [(round(row.span.start_s, 3), round(row.span.end_s, 3), row.text) for row in rows]


def beside(folder: Path, name: str, content: str | bytes) -> Path:
    """A subtitle file; returns the video that it lies beside."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / "talk.mp4"


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "subrip"), ("a.mkv", "ass"), ("a.mkv", "webvtt"), ("a.mp4", "mov_text")])
def test_every_text_codec_gives_the_same_plain_rows(tmp_path: Path, name: str, codec: str) -> None:
    cues: list[Cue] = [(1000, 2000, r"Hello {\i1}world{\i0}\Nagain"), (3000, 4500, "second")]
    rows = container_subtitles(write_media(tmp_path / name, codec, cues, language="eng"), "r", origin_s=0.0)
    assert timed(rows) == [(1.0, 2.0, "Hello world again"), (3.0, 4.5, "second")]
    assert {(row.recording_id, row.kind, row.track) for row in rows} == {("r", "subtitle", "eng")}


def test_rows_count_from_the_first_shown_frame_and_are_cut_there(tmp_path: Path) -> None:
    cues: list[Cue] = [(0, 500, "before"), (500, 2000, "across"), (3000, 4000, "after")]
    rows = container_subtitles(write_media(tmp_path / "a.mkv", "subrip", cues), "r", origin_s=1.0)
    assert timed(rows) == [(0.0, 1.0, "across"), (2.0, 3.0, "after")]


def test_ass_drawings_overrides_and_comments_leave_no_trace(tmp_path: Path) -> None:
    cues: list[Cue] = [
        (0, 1000, r"{\an8\pos(10,20)\p1}m 0 0 l 9 0 9 9{\p0}{\c&HFF&}red{a note} line"),
        (2000, 3000, r"{\p1}m 0 0 l 9 9"),
        (3000, 4000, r"\h \N"),
        (4000, 5000, "C:\\\u2060new \\{x\\}"),
    ]
    assert timed(container_subtitles(write_media(tmp_path / "a.mkv", "ass", cues), "r", origin_s=0.0)) == [
        (0.0, 1.0, "red line"),
        (4.0, 5.0, r"C:\new {x}"),
    ]


def test_a_line_without_an_end_stands_until_the_next_one_and_five_seconds_at_most(tmp_path: Path) -> None:
    cues: list[Cue] = [(1000, 1000, b"one"), (3000, 3000, b"two"), (20000, 20000, b"three")]
    rows = container_subtitles(write_media(tmp_path / "a.mkv", "subrip", cues), "r", origin_s=0.0)
    assert timed(rows) == [(1.0, 3.0, "one"), (3.0, 8.0, "two"), (20.0, 25.0, "three")]


def test_a_damaged_packet_costs_itself_and_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cues: list[Cue] = [(0, 1000, "good"), (1000, 2000, b"not \xff\xfe text"), (2000, 3000, "good too")]
    rows = container_subtitles(write_media(tmp_path / "a.mkv", "subrip", cues), "r", origin_s=0.0)
    assert [row.text for row in rows] == ["good", "good too"]
    assert "damaged_packets=1" in caplog.text


def test_a_track_without_a_language_is_called_by_its_title(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mkv", "subrip", [(0, 1000, "line")], title="Director")
    assert container_subtitles(path, "r", origin_s=0.0)[0].track == "Director"


def test_what_is_no_media_gives_no_rows_and_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.mkv").write_bytes(b"hello")
    assert container_subtitles(tmp_path / "a.mkv", "r", origin_s=0.0) == []
    assert "subtitles unreadable file=a.mkv" in caplog.text


def test_srt_quirks_are_read_as_people_meant_them(tmp_path: Path) -> None:
    text = """1
00:00:01,000 --> 00:00:02,000
<i>One</i> <font color="#ff0000">red</font>
{\\an8}top

00:00:03.500 --> 00:00:05.000 X1:10 X2:20
no index

but a blank line

3
00:06,000 --> 00:07
1 &lt; 2 and 3 < 4

4
00:00:06,500 --> 00:00:08,250
1984
"""
    rows = sidecar_subtitles(beside(tmp_path, "talk.srt", text.replace("\n", "\r\n")), "r", start_offset_s=0.0)
    assert timed(rows) == [
        (1.0, 2.0, "One red top"),
        (3.5, 5.0, "no index but a blank line"),
        (6.0, 7.0, "1 < 2 and 3 < 4"),
        (6.5, 8.25, "1984"),
    ]


def test_vtt_blocks_names_settings_voices_and_stamps_are_not_text(tmp_path: Path) -> None:
    text = """WEBVTT - a title
X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000

STYLE
::cue { color: red }

REGION
id:fred

NOTE a comment
over two lines

intro
00:01.000 --> 00:02.500 align:start position:0%
<v Mary>Hello &amp; <b>welcome</b>

NOTE another

100:00:00.000 --> 100:00:02.000
hello<00:00:01.000><c> world</c><00:00:02.000><c.red> again</c>
"""
    rows = sidecar_subtitles(beside(tmp_path, "talk.vtt", text), "r", start_offset_s=0.5)
    assert timed(rows) == [(0.5, 2.0, "Hello & welcome"), (359999.5, 360001.5, "hello world again")]


def test_a_malformed_cue_is_skipped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "1\n00:00:01,000 --> oops\nlost\n\n2\n00:00:05,000 --> 00:00:04,000\nbackwards\n\n3\n0:0:6,5 --> 0:0:7\nkept\n"
    assert timed(sidecar_subtitles(beside(tmp_path, "talk.srt", text), "r", start_offset_s=0.0)) == [(6.5, 7.0, "kept")]
    assert "cues=1 skipped=2" in caplog.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_told_apart(tmp_path: Path, encoding: str) -> None:
    data = "1\n00:00:01,000 --> 00:00:02,000\nGrüße\n".encode(encoding)
    assert sidecar_subtitles(beside(tmp_path, "talk.srt", data), "r", start_offset_s=0.0)[0].text == "Grüße"


def test_files_beside_the_video_are_found_by_stem_and_named_by_language(tmp_path: Path) -> None:
    cue = "00:00:01,000 --> 00:00:02,000\nline\n"
    names = ["talk.srt", "talk.en.SRT", "talk.pt-BR.vtt", "talk.part2.srt", "other.srt", "talking.srt", "talk.txt"]
    for name in names:
        beside(tmp_path, name, cue)
    (tmp_path / "talk.de.srt").mkdir()
    rows = sidecar_subtitles(tmp_path / "talk.mp4", "r", start_offset_s=0.0)
    assert sorted(row.track for row in rows) == ["", "en", "pt-BR"]


@pytest.mark.parametrize("content", [b"", b"just words\n", b"\x00\xff\x80" * 100])
def test_a_file_without_cues_is_a_warning(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert sidecar_subtitles(beside(tmp_path, "talk.srt", content), "r", start_offset_s=0.0) == []
    assert "cues=0" in caplog.text


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    video = beside(tmp_path, "talk.srt", "00:00:01,000 --> 00:00:02,000\nline\n" * 60_000)
    assert sidecar_subtitles(video, "r", start_offset_s=0.0, limits=Limits(subtitle_mib=1)) == []
    assert "talk.srt holds 2 MiB, more than limits.subtitle_mib allows (1)" in caplog.text


@pytest.mark.skipif(not SHARED.is_dir(), reason="no third-party media here")
def test_third_party_files_give_the_lines_that_their_makers_wrote(caplog: pytest.LogCaptureFixture) -> None:
    first = (0.0, 1.234, "This is the first subtitle.")
    assert timed(container_subtitles(SHARED / "subs_srt.mkv", "r", origin_s=0.0)) == [first]
    assert timed(container_subtitles(SHARED / "subs_ssa.mkv", "r", origin_s=0.0)) == [(0.0, 0.5, first[2])]
    rows = timed(container_subtitles(SHARED / "nasa_multistream_subs.mp4", "r", origin_s=0.0))
    assert rows[0] == rows[4] == (0.21, 4.26, "NAR: This is the optical and science segment of the Webb")
    with caplog.at_level(logging.INFO):
        assert container_subtitles(SHARED / "subs_pgs.mkv", "r", origin_s=0.0) == []
    assert "subtitles are pictures" in caplog.text
