"""One contract over decoders x films: the same frame at the same time."""

from pathlib import Path

import contracts_source
import numpy as np
import pytest
from films import FILMS, number_in, true_times

from footage.errors import ConfigError, DecodeError, FootageError
from ingest.decode import PyAvDecoder, decoder
from ingest.decord_decode import DecordDecoder
from ingest.packets import PacketTable, content_id, scan
from ingest.picture import fitted_px, tone_mapped

DECODERS = {"pyav": PyAvDecoder(), "pyav-sequential": PyAvDecoder(selective=False), "decord": DecordDecoder(batch=7)}
DECORD_REFUSES = {"open_gop.mp4", "hevc.mp4", "ts.ts", "mpeg4.avi", "raw.h264"}  # it would give a wrong frame, or none


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PacketTable]:
    folder = tmp_path_factory.mktemp("films")
    return {name: scan(make(folder / name)) for name, make in FILMS.items()}


@pytest.mark.parametrize("film", FILMS)
def test_frames_go_on_screen_at_their_true_times(tables: dict[str, PacketTable], film: str) -> None:
    table = tables[film]
    assert len(table) == 60
    if film == "raw.h264":  # an elementary stream has no times; it says so
        assert "nominal" in table.facts["times"]
    else:
        assert np.allclose(table.starts_s, true_times(film), atol=1e-9)


@pytest.mark.parametrize("indices", [range(60), range(0, 60, 10), [59], [0], [37, 38], [3, 29, 31, 58]], ids=str)
@pytest.mark.parametrize("film", FILMS)
@pytest.mark.parametrize("name", DECODERS)
def test_each_decoder_gives_the_very_frames_asked_for(tables: dict[str, PacketTable], name: str, film: str, indices: list[int]) -> None:
    if name == "decord" and film in DECORD_REFUSES:
        with pytest.raises(DecodeError, match="decord"):
            list(DECODERS[name].frames(tables[film], indices, 400))
    else:
        contracts_source.gives_the_frame_asked_for(DECODERS[name], tables[film], indices)


def test_both_ways_of_pyav_give_equal_pixels(tables: dict[str, PacketTable]) -> None:
    for film in ("b_frames.mp4", "open_gop.mp4", "hevc.mp4", "vp9.webm"):
        a = dict(PyAvDecoder().frames(tables[film], [5, 21, 44], 100))
        b = dict(PyAvDecoder(selective=False).frames(tables[film], [5, 21, 44], 100))
        assert all(np.array_equal(a[i], b[i]) for i in (5, 21, 44))


def test_real_and_odd_files_decode_alike_whichever_way(shared_videos: Path) -> None:
    """Selective feeding gives the pixels of full decoding; decord gives nearly the same or refuses."""
    for path in sorted([*(shared_videos / "odd").iterdir(), *(shared_videos / "real").glob("[cdfhkt]*.*")]):
        try:
            table = scan(path)
        except FootageError:
            continue
        if table.duration_s > 60:
            continue
        indices = np.unique(np.linspace(0, len(table) - 1, 5).astype(int)).tolist()
        full = dict(PyAvDecoder(selective=False).frames(table, indices, 96))
        few = dict(PyAvDecoder().frames(table, indices, 96))
        assert full.keys() == few.keys(), path.name
        assert all(np.array_equal(full[i], few[i]) for i in full), path.name
        try:
            other = dict(DecordDecoder().frames(table, indices, 96))
        except DecodeError:
            continue
        assert all(np.abs(full[i].astype(int) - other[i]).mean() < 8 for i in full), path.name


def test_on_screen_means_the_last_frame_begun_at_that_time(tables: dict[str, PacketTable]) -> None:
    table = tables["variable_rate.mkv"]
    assert table.on_screen([0.0, 0.05, 0.1, 1.9, 5.49, 5.5, 5.74, 5.75, 1e6]).tolist() == [0, 0, 1, 19, 19, 20, 20, 21, 59]


def test_a_long_stretch_without_wanted_frames_is_jumped_over_and_changes_nothing(tmp_path: Path) -> None:
    from films import write

    table = scan(write(tmp_path / "long.ts", frames=900, options={"preset": "ultrafast", "g": "30", "bf": "2"}))
    got = {i: number_in(p) for i, p in PyAvDecoder().frames(table, [2, 890], 400)}
    assert got == {2: 2, 890: 890}


def test_a_wrong_seek_is_noticed_and_made_good(tables: dict[str, PacketTable], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.decode.SEEK_PACKETS", 5)
    monkeypatch.setattr("ingest.decode.SEEK_MARGIN_S", -100.0)  # every seek lands far too late
    got = {i: number_in(p) for i, p in PyAvDecoder().frames(tables["ts.ts"], [1, 45], 400)}
    assert got == {1: 1, 45: 45}


def test_pictures_are_never_enlarged_and_keep_their_shape() -> None:
    assert fitted_px(1920, 1080, 384) == (384, 216)
    assert fitted_px(192, 112, 384) == (192, 112)
    assert fitted_px(1, 4000, 400) == (1, 400)


def test_the_id_is_the_content_not_the_name(tables: dict[str, PacketTable], tmp_path: Path) -> None:
    copy = tmp_path / "other name.mp4"
    copy.write_bytes(tables["constant.mp4"].path.read_bytes())
    assert content_id(scan(copy)) == content_id(tables["constant.mp4"])
    assert len({content_id(table) for table in tables.values()}) == len(FILMS)


def test_an_unknown_decoder_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError) as error:
        decoder("ffmpeg")
    assert error.value.hint == "known: pyav, pyav-sequential, decord"


@pytest.mark.parametrize("curve", [16, 18])
def test_tone_mapping_keeps_black_and_the_order_of_greys_and_stays_neutral(curve: int) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    mapped = tone_mapped(np.stack([ramp] * 3, axis=1)[None], curve)[0]
    assert mapped[0].tolist() == [0, 0, 0]
    assert np.all(np.diff(mapped[:, 0].astype(int)) >= 0)
    assert np.abs(mapped.astype(int) - mapped[:, :1]).max() <= 2


def test_diffuse_white_stays_white_under_tone_mapping() -> None:
    assert tone_mapped(np.full((1, 1, 3), round(0.5807 * 65535), np.uint16), 16).min() > 200  # 203 nits in PQ
    assert tone_mapped(np.full((1, 1, 3), round(0.75 * 65535), np.uint16), 18).min() > 200
