"""Draw bars with their pivots and trend lines, each with the bar at which it was known."""

import html
import io
from pathlib import Path
from typing import Final, TypedDict

import matplotlib as mpl
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import offset_copy

from trendtrain.date_ticks import date_ticks
from trendtrain.errors import InputError, check_at_least
from trendtrain.labelled import Labelled
from trendtrain.market.bars import Bars, FloatArray, IntArray
from trendtrain.market.directions import DOWN, FLAT, UNKNOWN, UP
from trendtrain.market.pivots import HIGH, Pivots
from trendtrain.storage.moments import to_milliseconds
from trendtrain.storage.whole_file import whole_file

PLOT_ENDINGS: Final = (".png", ".html")

_N_BARS: Final = 300
_MOST_BARS: Final = 3_000  # two bars a pixel
_COLOURS: Final = {UP: "#0072b2", DOWN: "#d55e00", FLAT: "#a07cc5", UNKNOWN: "#dddddd"}  # told apart by every eye
_NAMES: Final = {UP: "up", DOWN: "down", FLAT: "flat", UNKNOWN: "not known yet"}
_SIZE: Final = (14.0, 7.4)  # inches
_DOTS: Final = 110  # an inch
_INK: Final = "#444444"
_PALE: Final = "#9a9a9a"


class _Look(TypedDict):
    """How a marker is drawn, in matplotlib's words."""

    markersize: float
    markerfacecolor: str
    markeredgecolor: str
    markeredgewidth: float


_L1: Final = _Look(markersize=3.5, markerfacecolor="none", markeredgecolor=_INK, markeredgewidth=0.7)
_L2: Final = _Look(markersize=7.0, markerfacecolor=_INK, markeredgecolor=_INK, markeredgewidth=0.7)


def check_ending(path: Path) -> None:
    """Raise an `InputError` unless a file with this ending can be drawn."""
    if path.suffix not in PLOT_ENDINGS:
        raise InputError(f"`--plot` must end in {' or '.join(PLOT_ENDINGS)}, got {path}.")


def draw_labels(labelled: Labelled, n_bars: int | None = None, start: str | None = None) -> Figure:
    """Draw a stretch of a labelled series.

    Args:
        labelled: The series.
        n_bars: How many bars, 1 to 3000; None for 300.
        start: Time of the first; None for the last bars.

    Raises:
        InputError: If `n_bars` is out of range, or no bar opens at or after `start`.
    """
    part = _stretch(labelled.bars, n_bars, start)
    with style.context("default"):
        figure = Figure(figsize=_SIZE, layout="constrained")
        chart, strip = figure.subplots(2, 1, sharex=True, height_ratios=[24, 1])
        _draw_candles(chart, labelled.bars, part)
        _limit(chart, labelled.bars, part)
        _draw_lines(chart, labelled, _shrink(part))
        for pivots in (labelled.highs, labelled.lows):
            _draw_pivots(figure, chart, pivots, part)
        _draw_strip(strip, labelled.labels.direction[part], part)
        position, dates = date_ticks(labelled.bars.open_time[part])
        strip.set_xticks(part.start + position, dates)
        strip.set_xlabel("open time of the bar (UTC)")
        _explain(figure, chart, labelled, part)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, or as one HTML page that holds it as SVG; whole or not at all.

    Raises:
        InputError: If the ending is another, or the file cannot be written.
    """
    check_ending(path)
    content = io.BytesIO()
    if path.suffix == ".png":
        figure.savefig(content, format="png", dpi=_DOTS)
    else:
        with mpl.rc_context({"svg.hashsalt": "trendtrain", "svg.fonttype": "none"}):  # the same bytes each time
            figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    picture = content.getvalue()
    with whole_file(path, "--plot") as file:
        file.write(picture if path.suffix == ".png" else _page(figure, picture.decode()).encode())


def _stretch(bars: Bars, n_bars: int | None, start: str | None) -> slice:
    n_bars = _N_BARS if n_bars is None else n_bars
    check_at_least("--plot-bars", n_bars, 1)
    if n_bars > _MOST_BARS:
        raise InputError(f"`--plot-bars` must be at most {_MOST_BARS}, got {n_bars}.")
    first = max(0, len(bars) - n_bars)
    if start is not None:
        time = np.datetime64(to_milliseconds("--plot-start", start), "ms")
        first = int(np.searchsorted(bars.open_time, time))
        if first == len(bars):
            raise InputError(f"`--plot-start` must not lie after the last bar {bars.open_time[-1]}, got {start}.")
    return slice(first, min(len(bars), first + n_bars))


def _draw_candles(chart: Axes, bars: Bars, part: slice) -> None:
    """Draw bars in greys: colours belong to the lines."""
    bar = np.arange(part.start, part.stop)
    width = max(0.7, 600.0 / len(bar))  # of a body, in points
    chart.add_collection(_verticals(bar, bars.low[part], bars.high[part], 0.7, _PALE))
    is_up = bars.close[part] >= bars.open[part]
    for here, colour in ((is_up, "#cdcdcd"), (~is_up, "#868686")):
        body = _verticals(bar[here], bars.open[part][here], bars.close[part][here], width, colour)
        body.set_capstyle("butt")
        chart.add_collection(body)


def _verticals(bar: IntArray, low: FloatArray, high: FloatArray, width: float, colour: str) -> LineCollection:
    return _segments(np.column_stack([bar, low]), np.column_stack([bar, high]), width, colour)


def _segments(first: FloatArray, last: FloatArray, width: float, colour: str) -> LineCollection:
    return LineCollection(list(np.stack([first, last], axis=1)), linewidths=width, colors=colour)


def _limit(chart: Axes, bars: Bars, part: slice) -> None:
    low, high = bars.low[part].min(), bars.high[part].max()
    margin = 0.06 * (high - low) or 0.01 * high
    chart.set_ylim(low - margin, high + margin)
    chart.set_xlim(part.start - 0.5, part.stop - 0.5)
    chart.set_ylabel("price")
    chart.grid(color="#eeeeee", linewidth=0.8)
    chart.set_axisbelow(True)


def _draw_lines(chart: Axes, labelled: Labelled, shrink: float) -> None:
    """Draw each line, and from its second pivot a dotted wait to the bar at which it was known."""
    left, right = chart.get_xlim()
    lines = labelled.labels.lines
    lines = lines[(lines.known_at >= left) & (lines.first_bar <= right)]
    first = np.column_stack([lines.first_bar, lines.first_price])
    last = np.column_stack([lines.last_bar, lines.last_price])
    known = np.column_stack([lines.known_at, lines.last_price])
    for code in (UP, DOWN, FLAT):
        here, colour = lines.direction == code, _COLOURS[code]
        chart.add_collection(_segments(first[here], last[here], 1.0 + 0.8 * shrink, colour))
        wait = _segments(last[here], known[here], 1.1, colour)
        wait.set_linestyle(":")
        chart.add_collection(wait)
        chart.plot(*known[here].T, "|", color=colour, markersize=9 * shrink, markeredgewidth=2.0 * shrink, zorder=4)


def _draw_pivots(figure: Figure, chart: Axes, pivots: Pivots, part: slice) -> None:
    """Draw L1 pivots small and hollow, those that are L2 pivots too large and full; above highs, below lows."""
    level2 = pivots.at_level(2)
    level1 = pivots.take((pivots.level == 1) & ~np.isin(pivots.bar, level2.bar))
    marker, side = ("v", 1) if pivots.kind == HIGH else ("^", -1)
    for points, look, distance in ((level1, _L1, 4), (level2, _L2, 7)):
        here = points.take((points.bar >= part.start) & (points.bar < part.stop))
        beside = offset_copy(chart.transData, figure, y=side * distance, units="points")
        (drawn,) = chart.plot(here.bar, here.price, marker, transform=beside, zorder=5, **look)
        drawn.set_markersize(look["markersize"] * _shrink(part))


def _shrink(part: slice) -> float:
    """Return by how much marks shrink, so that those of many bars do not bury them."""
    return float(min(1.0, 2.0 * _N_BARS / (part.stop - part.start)))


def _draw_strip(strip: Axes, direction: IntArray, part: slice) -> None:
    """Colour each bar by the direction that its prediction is judged by."""
    codes = (UP, DOWN, FLAT, UNKNOWN)
    for code in codes:
        bar = part.start + np.flatnonzero(direction == code)
        strip.bar(bar, 1.0, width=1.0, color=_COLOURS[code])
    strip.set_ylim(0, 1)
    strip.set_yticks([])
    strip.set_ylabel("label of\neach bar", rotation=0, ha="right", va="center", fontsize=9)


def _explain(figure: Figure, chart: Axes, labelled: Labelled, part: slice) -> None:
    title = f"{' '.join(labelled.series)}: pivots, the trend lines through them, and the labels they give"
    figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold", parse_math=False)
    first, last = (_minute(labelled.bars.open_time[bar]) for bar in (part.start, part.stop - 1))
    what = f"{first} to {last}, {part.stop - part.start:,} bars   |   {labelled.rules}"
    chart.set_title(what, loc="left", fontsize=10)
    marks = [
        Line2D([], [], linestyle="", marker=marker, label=f"{level} {kind}", **look)
        for level, look in (("L2", _L2), ("L1", _L1))
        for marker, kind in (("v", "high"), ("^", "low"))
    ]
    lines = [Line2D([], [], color=_COLOURS[code], lw=1.8, label=f"{_NAMES[code]} line") for code in (UP, DOWN, FLAT)]
    known = Line2D([], [], color=_INK, marker="|", ms=9, mew=2.0, ls=":", lw=1.1, label="line known from this bar on")
    unknown = Patch(color=_COLOURS[UNKNOWN], label=f"label {_NAMES[UNKNOWN]}")
    figure.legend(handles=[*marks, *lines, known, unknown], loc="outside lower center", ncols=9, frameon=False)


def _minute(time: np.datetime64) -> str:
    return str(np.datetime_as_string(time, unit="m")).replace("T", " ")


def _page(figure: Figure, picture: str) -> str:
    """Return an HTML page that needs nothing else: the SVG, as wide as the window."""
    title = html.escape(figure.get_suptitle())
    svg = picture[picture.index("<svg") :]
    style = "body { margin: 0; background: white } svg { display: block; width: 100%; height: auto }"
    head = f'<meta charset="utf-8"><title>{title}</title><style>{style}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{svg}</body></html>\n'
