"""Pictures of measured numbers, as PNG 1600 pixels wide: curves, heat maps and bars, to be read in colour or in grey.

Systems are told apart by mark, line and order as well as by colour; names stand beside the data, never on it.
"""

import io
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from footage.errors import ConfigError
from memory.durable import write_durably
from workers.eval_stats import POINTS, SHARE, Interval, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_IN, DPI = 10.0, 160
INK, FAINT, EMPTY = "#222222", "#dddddd", "#f2f2f2"
# The first three are the high-contrast scheme of Paul Tol's "Colour schemes" (SRON/EPS/TN/09-002, 2021): in grey still three tones.
COLOURS = ("#004488", "#ddaa33", "#bb5566", "#222222", "#66ccee", "#228833", "#aaaaaa")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":")
LOW_TO_HIGH = ("#0b2f5e", "#3f7fbf", "#a9cbe6", "#eef4fa")  # failures are the ink; grey keeps the order
STYLE = {
    "font.size": 11, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "figure.titlesize": 14, "axes.spines.top": False, "axes.spines.right": False,
    "axes.axisbelow": True, "grid.color": FAINT, "grid.linewidth": 0.8, "legend.frameon": False, "hatch.color": "#bbbbbb",
    "text.parse_math": False,  # a name may hold a dollar sign
}  # fmt: skip


def curve(
    path: Path,
    series: Mapping[str, Sequence[tuple[float, Interval]]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    log_x: bool = False,
) -> None:
    """One line a system over x (hours of footage, tokens of budget), with its 95 % intervals and its name at the end.

    Args:
        series: system -> points (x, interval), in any order; x above 0 where log_x.
    Raises:
        ConfigError: the path does not end in .png or cannot be written, or matplotlib is missing.
        ValueError: no points, or intervals of several units.
    """
    lines = {name: sorted(points, key=lambda point: point[0]) for name, points in series.items()}
    intervals = [interval for points in lines.values() for _, interval in points]
    _check_units(intervals)
    if not all(lines.values()):
        raise ValueError(f"systems without points: {[name for name, points in lines.items() if not points]}")
    xs = sorted({x for points in lines.values() for x, _ in points})
    if log_x and xs[0] <= 0:
        raise ValueError(f"x on a logarithmic axis lies above 0, got {xs[0]:g}")
    with _picture(path, title, 5.8) as axes:
        _label_x(axes, x_label, xs, log_x)
        _scale(axes, "y", intervals)
        axes.set_ylabel(y_label)
        colours = dict(zip(lines, cycle(COLOURS), strict=False))
        for at, ((name, points), mark, line) in enumerate(zip(lines.items(), cycle(MARKS), cycle(LINES), strict=False)):
            _line(axes, points, min(5, 25 / len(lines)) * (at - (len(lines) - 1) / 2), color=colours[name], marker=mark, linestyle=line)
        _name_lines(axes, {name: points[-1] for name, points in lines.items()}, colours)


def heat_map(
    path: Path,
    values: NDArray[np.float64],
    *,
    row_names: Sequence[str],
    column_names: Sequence[str],
    title: str,
    row_label: str = "",
    column_label: str = "",
) -> None:
    """Shares by two conditions with the per cent in each cell; for needles in a haystack rows are depths and columns lengths.

    Args:
        values: (rows, columns), each 0..1, NaN where nothing was run; the first row is drawn on top.
    Raises:
        ConfigError: as in `curve`.
        ValueError: names that do not fit the shape, or values outside 0..1.
    """
    shape = (len(row_names), len(column_names))
    if values.shape != shape or not values.size:
        raise ValueError(f"expected values of shape {shape} as named, and at least one, got {values.shape}")
    if ((values < 0) | (values > 1)).any():
        raise ValueError(f"shares lie in 0..1, got {np.nanmin(values):g} to {np.nanmax(values):g}")
    with _picture(path, title, 1.8 + min(0.55 * shape[0], 14)) as axes:
        _cells(axes, values)
        axes.set_xticks(range(shape[1]), [textwrap.fill(name, max(4, 100 // shape[1])) for name in column_names])
        axes.set_yticks(range(shape[0]), [textwrap.fill(name, 24) for name in row_names])
        axes.set_xlabel(column_label)
        axes.set_ylabel(row_label)


def bars(path: Path, series: Mapping[str, Mapping[str, Interval]], *, title: str, x_label: str) -> None:
    """Horizontal bars with 95 % intervals: a block a question kind, in it one bar a system.

    Args:
        series: system -> question kind -> interval; a kind that a system was not asked has no bar there.
    Raises:
        ConfigError, ValueError: as in `curve`.
    """
    intervals = [interval for by_kind in series.values() for interval in by_kind.values()]
    _check_units(intervals)
    kinds = list(dict.fromkeys(kind for by_kind in series.values() for kind in by_kind))
    thickness = 0.8 / len(series)
    columns = max(1, min(len(series), 520 // (40 + 7 * max(map(len, series)))))  # in points: what fits above the bars
    height_in = 1.6 + 0.25 * math.ceil(len(series) / columns) + len(kinds) * (0.35 + 0.25 * len(series))
    with _picture(path, title, height_in) as axes:
        for at, ((name, by_kind), colour) in enumerate(zip(series.items(), cycle(COLOURS), strict=False)):
            rows = [kinds.index(kind) - 0.4 + (at + 0.5) * thickness for kind in by_kind]
            _block(
                axes, rows, list(by_kind.values()), 0.9 * thickness, label=name, color=colour, hatch="//" if at >= len(COLOURS) else None
            )
        axes.set_yticks(range(len(kinds)), [_kind_name(kind, series) for kind in kinds])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(kinds) - 0.5, -0.5)
        _scale(axes, "x", intervals)
        axes.set_xlabel(x_label)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, ncols=columns)


@contextmanager
def _picture(path: Path, title: str, height_in: float) -> Iterator["Axes"]:
    """Axes to draw on; what was drawn is written on leaving, whole or not at all. Needs no display, leaves no setting changed."""
    if path.suffix.lower() != ".png":
        raise ConfigError(f"pictures are written as PNG, and {str(path)!r} is named otherwise", hint="give a name that ends in .png")
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise ConfigError(f"pictures need matplotlib: {error}", hint="pip install matplotlib") from error
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, layout=ConstrainedLayoutEngine(h_pad=0.1, w_pad=0.1))
        axes = figure.subplots()
        figure.suptitle(textwrap.fill(title, 86), x=0.012, ha="left")
        yield axes
        data = io.BytesIO()
        figure.savefig(data, format="png")
    try:
        write_durably(path, data.getvalue())
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror}", hint="choose a folder that can be written") from error


def _check_units(intervals: Sequence[Interval]) -> None:
    units = sorted({interval.unit for interval in intervals})
    if len(units) != 1:
        raise ValueError(f"expected intervals of one unit, got {units or 'no interval'}")


def _scale(axes: "Axes", which: Literal["x", "y"], intervals: Sequence[Interval]) -> None:
    """Shares always span 0 to 100 %, so that pictures can be laid side by side; all else begins or is divided at 0.

    Limits are set, not left to the library, which misjudges lines that are drawn aside.
    """
    from matplotlib.ticker import PercentFormatter

    unit = intervals[0].unit
    low, high = min(0.0, *(i.low for i in intervals)), max(0.0, *(i.high for i in intervals))
    margin = 0.05 * (high - low) or 1
    limits = (0, 1) if unit == SHARE else (low - margin * (low < 0), high + margin)
    axes.set(**{f"{which}lim": limits})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.grid(True)
    if unit in (SHARE, POINTS):
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %" if unit == SHARE else ""))
    if low < 0:
        (axes.axvline if which == "x" else axes.axhline)(0, color=INK, linewidth=0.8)


def _label_x(axes: "Axes", label: str, xs: Sequence[float], log_x: bool) -> None:
    axes.set_xlabel(label)
    first, last = xs[0], xs[-1]
    if log_x:
        ratio = (last / first) ** 0.04 if first < last else 2
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xlim(first / ratio, last * ratio)
    else:
        margin = 0.04 * (last - first) or 1
        axes.set_xlim(first - margin, last + margin)
    if len(xs) == 1 or (log_x and len(xs) <= 12):
        axes.set_xticks(xs, [f"{x:,g}" for x in xs])


def _line(axes: "Axes", points: Sequence[tuple[float, Interval]], aside_pt: float, **look: Any) -> None:
    """aside_pt: how far to the right it is drawn, so that intervals at one x stand side by side."""
    from matplotlib.transforms import ScaledTranslation

    values = [interval.value for _, interval in points]
    errors = [[i.value - i.low for _, i in points], [i.high - i.value for _, i in points]]
    shift = ScaledTranslation(aside_pt / 72, 0, axes.figure.dpi_scale_trans)
    axes.errorbar([x for x, _ in points], values, errors, transform=axes.transData + shift, clip_on=False, linewidth=1.8,
                  elinewidth=1.2, markersize=6, zorder=3, **look)  # fmt: skip


def _name_lines(axes: "Axes", ends: Mapping[str, tuple[float, Interval]], colours: Mapping[str, str]) -> None:
    """Names in the right margin at the height of each line's end, moved apart where they would touch."""
    low, high = axes.get_ylim()
    names = sorted(ends, key=lambda name: ends[name][1].value)
    texts = [textwrap.fill(name, 24) for name in names]
    heights = [(ends[name][1].value - low) / (high - low) for name in names]
    gap = 0.05 * max(text.count("\n") + 1 for text in texts)
    for name, text, height in zip(names, texts, _apart(heights, gap), strict=True):
        leader = {"arrowstyle": "-", "color": colours[name], "linewidth": 1, "linestyle": (0, (1, 3)), "shrinkB": 10, "relpos": (0, 0.5)}
        end = (ends[name][0], ends[name][1].value)
        axes.annotate(text, end, (1.06, height), textcoords="axes fraction", va="center", arrowprops=leader)


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Rising heights moved to be at least gap apart and, as long as they fit, not above 1."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else height)
    limit = 1.0
    for at in reversed(range(len(placed))):
        placed[at] = min(placed[at], limit)
        limit = placed[at] - gap
    return placed


def _cells(axes: "Axes", values: NDArray[np.float64]) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    axes.imshow(values, cmap=LinearSegmentedColormap.from_list("shares", LOW_TO_HIGH), vmin=0, vmax=1, aspect="auto")
    size = min(12.0, 190 / values.shape[1])
    for (row, column), share in np.ndenumerate(values):
        not_run = bool(np.isnan(share))
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=not_run, facecolor=EMPTY, hatch="///" if not_run else None,
                                 edgecolor="white", linewidth=2))  # fmt: skip
        if not not_run:
            axes.text(column, row, percent(float(share)), ha="center", va="center", size=size, color="white" if share < 0.35 else INK)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _block(axes: "Axes", rows: Sequence[float], intervals: Sequence[Interval], height: float, **look: Any) -> None:
    """The bars of one system, each with its interval, and its value in the margin."""
    from matplotlib.patheffects import withStroke

    values = [interval.value for interval in intervals]
    errors = [[i.value - i.low for i in intervals], [i.high - i.value for i in intervals]]
    halo = [withStroke(linewidth=3.5, foreground="white")]  # else the interval is lost on a dark bar
    axes.barh(rows, values, height, xerr=errors, error_kw={"ecolor": INK, "elinewidth": 1.3, "path_effects": halo}, **look)
    for row, interval in zip(rows, intervals, strict=True):
        axes.annotate(str(interval).partition(" (")[0], (1.015, row), xycoords=("axes fraction", "data"), va="center", size=9)


def _kind_name(kind: str, series: Mapping[str, Mapping[str, Interval]]) -> str:
    """With the number of questions, where all systems were asked the same."""
    sizes = {by_kind[kind].n for by_kind in series.values() if kind in by_kind}
    return textwrap.fill(kind, 28) + (f" ({sizes.pop()})" if len(sizes) == 1 else "")
