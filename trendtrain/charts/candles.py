"""Draw bars with their pivots and trend lines, each with the bar at which it was known."""

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import offset_copy

from trendtrain.charts.look import bodies, ink, paper
from trendtrain.market.bars import Bars, FloatArray, IntArray
from trendtrain.market.directions import DIRECTION_COLOURS, DIRECTION_WORDS, DOWN, FLAT, UP
from trendtrain.market.lines import Lines
from trendtrain.market.pivots import HIGH, Pivots

_FEW_BARS: Final = 300  # with more, marks shrink

_L1_SIZE: Final = 3.5  # points
_L2_SIZE: Final = 7.0


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
    _draw_candles(figure, chart, bars, part)
    _limit(chart, bars, part)
    _draw_lines(chart, lines, _shrink_of(part))
    for kind in pivots:
        _draw_pivots(figure, chart, kind, part)


def draw_strip(strip: Axes, code: IntArray, part: slice, colours: dict[int, str], name: str) -> None:
    """Colour each bar of a strip below the candles by its code; a code without a colour stays empty."""
    picture = np.tile(np.array(to_rgb(paper())), (1, len(code), 1))
    for value, colour in colours.items():
        picture[0, code == value] = to_rgb(colour)
    strip.pcolormesh(np.arange(part.start, part.stop + 1) - 0.5, (0, 1), picture)  # stays a vector in an SVG
    strip.set_yticks([])
    strip.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)


def _draw_candles(figure: Figure, chart: Axes, bars: Bars, part: slice) -> None:
    """Draw bars without colour: colours are for the lines."""
    bar = np.arange(part.start, part.stop)
    width = max(0.7, 40.0 * figure.get_figwidth() / len(bar))  # of a body, in points
    low, high = np.column_stack([bar, bars.low[part]]), np.column_stack([bar, bars.high[part]])
    chart.add_collection(_segments(low, high, 0.8, ink()))
    opened, closed = np.column_stack([bar, bars.open[part]]), np.column_stack([bar, bars.close[part]])
    is_up = bars.close[part] >= bars.open[part]
    for here, colour in zip((is_up, ~is_up), bodies(), strict=True):
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
    chart.grid(linewidth=0.8)
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
    for points, look, distance in ((level1, _mark(1), 4), (level2, _mark(2), 7)):
        here = points.take((points.bar >= part.start) & (points.bar < part.stop))
        beside = offset_copy(chart.transData, figure, y=side * distance, units="points")
        (drawn,) = chart.plot(here.bar, here.price, marker, transform=beside, zorder=5, **look)
        drawn.set_markersize(look["markersize"] * _shrink_of(part))


def _mark(level: int) -> dict[str, Any]:
    size, face = (_L1_SIZE, "none") if level == 1 else (_L2_SIZE, ink())
    return {"markersize": size, "mfc": face, "mec": ink(), "markeredgewidth": 0.7}


def _shrink_of(part: slice) -> float:
    """Return the factor by which marks shrink where there are many bars."""
    return float(min(1.0, 2.0 * _FEW_BARS / (part.stop - part.start)))


def mark_handles(pivots: tuple[Pivots, Pivots], lines: Lines) -> list[Line2D]:
    """Return the legend of the marks that are drawn."""
    marks = [
        Line2D([], [], linestyle="", marker="v" if one.kind == HIGH else "^", label=f"L{level} {name}", **_mark(level))
        for level in (2, 1)
        for one, name in zip(pivots, ("high", "low"), strict=True)
        if (one.level == level).any()
    ]
    drawn = [
        Line2D([], [], color=DIRECTION_COLOURS[code], lw=1.8, label=f"{DIRECTION_WORDS[code]} line")
        for code in (UP, DOWN, FLAT)
        if (lines.direction == code).any()
    ]
    known = Line2D([], [], color=ink(), marker="|", ms=9, mew=2.0, ls=":", lw=1.1, label="line known from here on")
    return [*marks, *drawn, *([known] if len(lines) else [])]


def in_sight(pivots: tuple[Pivots, Pivots], lines: Lines, part: slice) -> tuple[tuple[Pivots, Pivots], Lines]:
    """Return what of pivots and lines lies in a part of the bars."""
    highs, lows = (one.take((one.bar >= part.start) & (one.bar < part.stop)) for one in pivots)
    return (highs, lows), lines[(lines.known_at >= part.start) & (lines.first_bar < part.stop)]
