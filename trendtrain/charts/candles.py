"""Draw bars with their pivots and trend lines, each with the bar at which it was known."""

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import offset_copy

from trendtrain.market.bars import Bars, FloatArray, IntArray
from trendtrain.market.directions import DIRECTION_COLOURS, DIRECTION_WORDS, DOWN, FLAT, UP
from trendtrain.market.lines import Lines
from trendtrain.market.pivots import HIGH, Pivots

INK: Final = "#444444"
PALE: Final = "#9a9a9a"

_FEW_BARS: Final = 300  # with more, marks shrink

_L1: Final[dict[str, Any]] = {"markersize": 3.5, "mfc": "none", "mec": INK, "markeredgewidth": 0.7}
_L2: Final[dict[str, Any]] = {"markersize": 7.0, "mfc": INK, "mec": INK, "markeredgewidth": 0.7}


def draw_market(
    figure: Figure, chart: Axes, bars: Bars, pivots: tuple[Pivots, Pivots], lines: Lines, part: slice
) -> None:
    """Draw a part of a series as candles, with its pivots and lines.

    Args:
        figure, chart: Where to draw.
        bars: One series.
        pivots: Its highs and its lows.
        lines: Its lines.
        part: The bars to draw.
    """
    _draw_candles(chart, bars, part)
    _limit(chart, bars, part)
    _draw_lines(chart, lines, _shrink_of(part))
    for kind in pivots:
        _draw_pivots(figure, chart, kind, part)


def draw_strip(strip: Axes, code: IntArray, part: slice, colours: dict[int, str], name: str) -> None:
    """Colour each bar of a strip below the candles by its code; a code without a colour stays white."""
    picture = np.ones((1, len(code), 3))
    for value, colour in colours.items():
        picture[0, code == value] = to_rgb(colour)
    strip.pcolormesh(np.arange(part.start, part.stop + 1) - 0.5, (0, 1), picture)  # stays a vector in an SVG
    strip.set_yticks([])
    strip.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)


def _draw_candles(chart: Axes, bars: Bars, part: slice) -> None:
    """Draw bars in greys: colours are for the lines."""
    bar = np.arange(part.start, part.stop)
    width = max(0.7, 600.0 / len(bar))  # of a body, in points
    low, high = np.column_stack([bar, bars.low[part]]), np.column_stack([bar, bars.high[part]])
    chart.add_collection(_segments(low, high, 0.7, PALE))
    opened, closed = np.column_stack([bar, bars.open[part]]), np.column_stack([bar, bars.close[part]])
    is_up = bars.close[part] >= bars.open[part]
    for here, colour in ((is_up, "#cdcdcd"), (~is_up, "#868686")):
        body = _segments(opened[here], closed[here], width, colour)
        body.set_capstyle("butt")
        chart.add_collection(body)


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


def _draw_lines(chart: Axes, lines: Lines, shrink: float) -> None:
    """Draw each line, dotted from its second pivot to the bar at which it was known."""
    left, right = chart.get_xlim()
    lines = lines[(lines.known_at >= left) & (lines.first_bar <= right)]
    first = np.column_stack([lines.first_bar, lines.first_price])
    last = np.column_stack([lines.last_bar, lines.last_price])
    known = np.column_stack([lines.known_at, lines.last_price])
    for code in (UP, DOWN, FLAT):
        here, colour = lines.direction == code, DIRECTION_COLOURS[code]
        chart.add_collection(_segments(first[here], last[here], 1.0 + 0.8 * shrink, colour))
        delay = _segments(last[here], known[here], 1.1, colour)
        delay.set_linestyle(":")
        chart.add_collection(delay)
        chart.plot(*known[here].T, "|", color=colour, markersize=9 * shrink, markeredgewidth=2.0 * shrink, zorder=4)


def _draw_pivots(figure: Figure, chart: Axes, pivots: Pivots, part: slice) -> None:
    """Draw L1 pivots small and hollow, L2 pivots large and filled; above highs, below lows."""
    level2 = pivots.at_level(2)
    level1 = pivots.take((pivots.level == 1) & ~np.isin(pivots.bar, level2.bar))
    marker, side = ("v", 1) if pivots.kind == HIGH else ("^", -1)
    for points, look, distance in ((level1, _L1, 4), (level2, _L2, 7)):
        here = points.take((points.bar >= part.start) & (points.bar < part.stop))
        beside = offset_copy(chart.transData, figure, y=side * distance, units="points")
        (drawn,) = chart.plot(here.bar, here.price, marker, transform=beside, zorder=5, **look)
        drawn.set_markersize(look["markersize"] * _shrink_of(part))


def _shrink_of(part: slice) -> float:
    """Return the factor by which marks shrink where there are many bars."""
    return float(min(1.0, 2.0 * _FEW_BARS / (part.stop - part.start)))


def mark_handles() -> list[Line2D]:
    """Return the legend of the marks."""
    marks = [
        Line2D([], [], linestyle="", marker=marker, label=f"{level} {kind}", **look)
        for level, look in (("L2", _L2), ("L1", _L1))
        for marker, kind in (("v", "high"), ("^", "low"))
    ]
    lines = [
        Line2D([], [], color=DIRECTION_COLOURS[code], lw=1.8, label=f"{DIRECTION_WORDS[code]} line")
        for code in (UP, DOWN, FLAT)
    ]
    known = Line2D([], [], color=INK, marker="|", ms=9, mew=2.0, ls=":", lw=1.1, label="line known from this bar on")
    return [*marks, *lines, known]
