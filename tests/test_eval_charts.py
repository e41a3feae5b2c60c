"""The pictures are read back: size, colours where data must be, and nothing half written."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from footage.errors import ConfigError
from workers import eval_charts
from workers.eval_charts import COLOURS, EMPTY, bars, curve, heat_map
from workers.eval_stats import Interval


def share(value: float, n: int = 40) -> Interval:
    return Interval(value, max(0.0, value - 0.1), min(1.0, value + 0.1), n)


def pixels(path: Path) -> NDArray[np.uint8]:
    picture = np.asarray(Image.open(path).convert("RGB"))
    assert picture.shape[1] == 1600
    assert all((edge == 255).all() for edge in (picture[:5], picture[-5:], picture[:, :5], picture[:, -5:])), "something is cut off"
    return picture


def count(picture: NDArray[np.uint8], colour: str) -> int:
    """Pixels of exactly this colour."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((picture == rgb).all(axis=2).sum())


def draw_curve(path: Path, series: dict[str, list[tuple[float, Interval]]], *, log_x: bool = False) -> NDArray[np.uint8]:
    curve(path, series, title="Right answers", x_label="hours", y_label="right", log_x=log_x)
    return pixels(path)


def test_a_curve_has_a_line_for_each_system(tmp_path: Path) -> None:
    points = {"footage": [(16, share(0.9)), (1, share(1.0))], "uniform": [(1, share(0.8)), (16, share(0.2)), (4, share(0.5))]}
    for log_x in (False, True):
        picture = draw_curve(tmp_path / "curve.png", points, log_x=log_x)
        assert picture.shape[0] == 928
        assert all(count(picture, colour) > 500 for colour in COLOURS[:2])
        assert count(picture, COLOURS[2]) == 0
        columns = np.nonzero((picture == (0x00, 0x44, 0x88)).all(axis=2))[1]
        assert np.ptp(columns) > 800  # from the first x to the last
        in_order = {name: sorted(line, key=lambda point: point[0]) for name, line in points.items()}
        assert (draw_curve(tmp_path / "curve.png", in_order, log_x=log_x) == picture).all()


def test_a_curve_of_one_point_shows_its_interval(tmp_path: Path) -> None:
    narrow = draw_curve(tmp_path / "a.png", {"footage": [(3, Interval(0.5, 0.49, 0.51, 9))]})
    wide = draw_curve(tmp_path / "b.png", {"footage": [(3, Interval(0.5, 0.1, 0.9, 9))]})
    assert count(wide, COLOURS[0]) > count(narrow, COLOURS[0]) + 300


def test_curves_of_seconds_and_of_differences_are_drawn(tmp_path: Path) -> None:
    draw_curve(tmp_path / "s.png", {"$\\oops$": [(0, Interval(3.0, 2.5, 3.5, 9, "s")), (1, Interval(40.0, 30, 50, 9, "s"))]})
    picture = draw_curve(tmp_path / "d.png", {"a - b": [(0, Interval(-0.1, -0.2, 0.0, 9, "points"))]})
    assert count(picture, COLOURS[0]) > 100


def test_names_of_lines_that_end_together_are_moved_apart() -> None:
    assert eval_charts._apart([0.2, 0.5, 0.51], 0.05) == pytest.approx([0.2, 0.5, 0.55])
    assert eval_charts._apart([0.98, 0.99, 1.0], 0.05) == pytest.approx([0.9, 0.95, 1.0])


def test_a_curve_that_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no interval"):
        draw_curve(tmp_path / "x.png", {})
    with pytest.raises(ValueError, match=r"without points: \['b'\]"):
        draw_curve(tmp_path / "x.png", {"a": [(1, share(0.5))], "b": []})
    with pytest.raises(ValueError, match="one unit"):
        draw_curve(tmp_path / "x.png", {"a": [(1, share(0.5)), (2, Interval(1, 1, 1, 1, "s"))]})
    with pytest.raises(ValueError, match="above 0"):
        draw_curve(tmp_path / "x.png", {"a": [(0, share(0.5))]}, log_x=True)
    assert not list(tmp_path.iterdir())


def draw_map(path: Path, rows: list[list[float]]) -> NDArray[np.uint8]:
    values = np.array(rows, dtype=np.float64)
    names = [f"{i} %" for i in range(values.shape[0])], [f"{i} h" for i in range(values.shape[1])]
    heat_map(path, values, row_names=names[0], column_names=names[1], title="Needles", row_label="depth", column_label="length")
    return pixels(path)


def test_a_heat_map_tells_cells_that_were_not_run_from_failures_and_from_successes(tmp_path: Path) -> None:
    run = draw_map(tmp_path / "run.png", [[1.0, 0.0], [0.5, 1.0]])
    some = draw_map(tmp_path / "some.png", [[1.0, 0.0], [0.5, float("nan")]])
    none = draw_map(tmp_path / "none.png", [[float("nan")] * 2] * 2)
    assert count(run, EMPTY) < 100  # smoothed edges of digits
    assert 0 < 3 * count(some, EMPTY) < count(none, EMPTY)
    assert count(some, "#bbbbbb") > 100  # hatched, so that grey shows it too


def test_a_heat_map_keeps_its_order_in_grey(tmp_path: Path) -> None:
    draw_map(tmp_path / "map.png", [[0.0, 0.25, 0.5, 0.75, 1.0]])
    grey = np.asarray(Image.open(tmp_path / "map.png").convert("L")).astype(int)
    line = grey[int(grey.shape[0] * 0.35)]  # through the cells, above their numbers
    tones = [line[int(x)] for x in np.linspace(300, 1400, 5)]
    assert all(b - a > 20 for a, b in pairwise(tones))


def test_each_cell_has_its_number(tmp_path: Path) -> None:
    a, b = (draw_map(tmp_path / f"{v}.png", [[v, 0.5]]).astype(int) for v in (0.600, 0.6001))
    c = draw_map(tmp_path / "c.png", [[0.61, 0.5]]).astype(int)
    assert np.abs(a - b).max() < 10  # both read 60
    assert np.abs(a - c).max() > 100  # 61 has another digit


def test_a_heat_map_that_does_not_fit_its_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        heat_map(tmp_path / "x.png", np.zeros((2, 3)), row_names=["a", "b"], column_names=["c", "d"], title="")
    with pytest.raises(ValueError, match="shares lie in"):
        draw_map(tmp_path / "x.png", [[93.0]])
    draw_map(tmp_path / "one.png", [[0.5]])
    draw_map(tmp_path / "many.png", np.linspace(0, 1, 300).reshape(12, 25).tolist())


def test_bars_are_as_long_as_what_they_show(tmp_path: Path) -> None:
    by_kind = {"footage": {"counting": share(0.8), "order": share(0.4)}, "uniform": {"order": share(0.4, 30)}}
    bars(tmp_path / "bars.png", by_kind, title="By kind", x_label="right")
    picture = pixels(tmp_path / "bars.png")
    ours = (picture == (0x00, 0x44, 0x88)).all(axis=2).sum(axis=1)
    lengths, rows = np.unique(ours[ours > 100], return_counts=True)
    assert sorted(lengths[np.argsort(rows)[-2:]].tolist()) == pytest.approx([lengths.max() / 2, lengths.max()], abs=3)
    assert 0 < count(picture, COLOURS[1]) < 0.5 * count(picture, COLOURS[0])


def test_bars_of_many_systems_with_long_names_fit(tmp_path: Path) -> None:
    names = [f"system number {i} with a long name" for i in range(9)]
    bars(tmp_path / "x.png", {name: {"a long kind of question about order": share(0.5)} for name in names}, title="t " * 80, x_label="")
    assert count(pixels(tmp_path / "x.png"), COLOURS[6]) > 100
    bars(tmp_path / "d.png", {"a - b": {"k": Interval(-0.1, -0.2, 0.05, 9, "points")}}, title="", x_label="points")


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "map.png"
    draw_map(path, [[0.5]])
    before = path.read_bytes()
    assert [p.name for p in path.parent.iterdir()] == ["map.png"]

    def broken(*_: object) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(eval_charts, "_cells", broken)
    with pytest.raises(RuntimeError):
        draw_map(path, [[0.1]])
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["map.png"]


def test_the_same_numbers_give_the_same_file(tmp_path: Path) -> None:
    draw_map(tmp_path / "a.png", [[0.5]])
    draw_map(tmp_path / "b.png", [[0.5]])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_what_the_user_can_put_right_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="PNG"):
        draw_map(tmp_path / "map.jpg", [[0.5]])
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write"):
        draw_map(tmp_path / "file" / "map.png", [[0.5]])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match="matplotlib") as caught:
        draw_map(tmp_path / "map.png", [[0.5]])
    assert caught.value.hint == "pip install matplotlib"


def test_importing_loads_no_matplotlib() -> None:
    code = "import sys, workers.eval_charts; print([m for m in ('matplotlib', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_settings_of_the_user_are_neither_used_nor_changed(tmp_path: Path) -> None:
    import matplotlib

    usual = draw_map(tmp_path / "map.png", [[0.5]])
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert (draw_map(tmp_path / "map.png", [[0.5]]) == usual).all()
        assert matplotlib.rcParams["font.size"] == 30
