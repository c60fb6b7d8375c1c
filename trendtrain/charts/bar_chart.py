"""Draw bars as an interactive chart: pivots, trend lines, and strips of what was predicted or labelled."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from trendtrain.charts.page import CLEAR, axis, figure
from trendtrain.market.bars import Bars, FloatArray, IntArray, TimeArray
from trendtrain.market.directions import DIRECTION_COLOURS, DIRECTION_WORDS, DOWN, FLAT, UP
from trendtrain.market.lines import KIND_NAMES, Lines
from trendtrain.market.pivots import HIGH, Pivots
from trendtrain.market.timeframe import format_minute

_AT_FIRST: Final = 300  # bars in sight
_STRIP: Final = 0.045  # of the height, each


@dataclass(frozen=True, eq=False)
class Strip:
    """A row of coloured cells below the bars.

    Attributes:
        name: Written beside it.
        code: Of each bar drawn, shape (n_bars,); a code that is not in `looks` is left empty.
        looks: What each code means, and its colour.
    """

    name: str
    code: IntArray
    looks: Mapping[int, tuple[str, str]]


def bar_chart(
    bars: Bars, pivots: tuple[Pivots, Pivots], lines: Lines, part: slice, strips: Sequence[Strip], notes: Sequence[str]
) -> go.Figure:
    """Return a chart of a part of a series; it opens on the newest 300 bars.

    Args:
        bars: One series.
        pivots: Its highs and its lows.
        lines: Its lines.
        part: The bars to draw.
        strips: What to show below them, at least one.
        notes: What to show where the pointer is on a bar, for each bar drawn; plain text.
    """
    times, drawn = bars.open_time, bars[part]
    looks = [look for strip in strips for code, look in strip.looks.items() if (strip.code == code).any()]
    top = _STRIP * len(strips) + 0.03
    half = bars.timeframe / 2
    edges = (drawn.open_time[max(0, len(drawn) - _AT_FIRST)] - half, drawn.open_time[-1] + half)
    first = drawn[max(0, len(drawn) - _AT_FIRST) :]
    margin = 0.06 * (first.high.max() - first.low.min()) or 0.01 * first.high.max()
    data = [
        _candles(drawn, [_as_html(note) for note in notes]),
        *_lines(lines[(lines.known_at >= part.start) & (lines.first_bar < part.stop)], times),
        *(trace for kind in pivots for trace in _pivots(kind, part, times, margin / 4)),
        _cells(drawn.open_time, strips),
        *(_key(name, colour) for name, colour in looks),
    ]
    return figure(
        data,
        height=620,
        hovermode="x",
        xaxis=axis(type="date", range=edges, anchor="y2", rangeslider={"visible": False}, showspikes=True),
        yaxis=axis("price", domain=(top, 1), range=(first.low.min() - margin, first.high.max() + margin)),
        yaxis2=axis(domain=(0, top - 0.03), fixedrange=True, autorange="reversed", showgrid=False),
        legend={"orientation": "h", "x": 0, "y": -0.11, "yanchor": "top", "bgcolor": CLEAR},
    )


def line_text(kind: str, direction: int, times: Sequence[Any], prices: Sequence[float]) -> str:
    """Return a line in words: its direction and kind, and its two pivots.

    Example:
        >>> line_text("L2H", 1, np.array(["2024-01-01T10:00", "2024-01-01T11:30"], "datetime64[ms]"), (101.0, 102.5))
        'up line L2H: 2024-01-01 10:00 at 101 to 2024-01-01 11:30 at 102.5'
    """
    first, last = (f"{format_minute(time)} at {price:.6g}" for time, price in zip(times, prices, strict=True))
    return f"{DIRECTION_WORDS[direction]} line {kind}: {first} to {last}"


def bar_text(bars: Bars, bar: int) -> str:
    """Return a bar in words."""
    prices = (f"{name} {getattr(bars, name)[bar]:.6g}" for name in ("open", "high", "low", "close"))
    return f"{format_minute(bars.open_time[bar])} UTC, bar {bar}\n{', '.join(prices)}"


def _as_html(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


def _candles(bars: Bars, notes: list[str]) -> go.Candlestick:
    prices = {name: getattr(bars, name) for name in ("open", "high", "low", "close")}
    up, down = ({"line": {"color": "var(--muted)", "width": 1}, "fillcolor": fill} for fill in (CLEAR, "var(--muted)"))
    texts = {"hovertext": notes, "hoverinfo": "text", "name": "bars", "showlegend": False}
    return go.Candlestick(x=bars.open_time, **prices, increasing=up, decreasing=down, **texts)


def _lines(lines: Lines, times: TimeArray) -> list[go.Scatter]:
    """Return each line, dotted from its second pivot to the bar at which it was known."""
    traces = []
    for code in (UP, DOWN, FLAT):
        one, colour = lines[lines.direction == code], DIRECTION_COLOURS[code]
        if not len(one):
            continue
        known, group = times[one.known_at], f"line {code}"
        same: dict[str, Any] = {"mode": "lines", "legendgroup": group, "hoverinfo": "skip"}
        x, y = _joined(one.start_time, one.end_time), _joined(one.first_price, one.last_price)
        name = f"{DIRECTION_WORDS[code]} line, dotted until it is known"
        traces.append(go.Scatter(x=x, y=y, line={"color": colour, "width": 2}, name=name, **same))
        x, y = _joined(one.end_time, known), _joined(one.last_price, one.last_price)
        dotted = {"color": colour, "width": 1.5, "dash": "dot"}
        traces.append(go.Scatter(x=x, y=y, line=dotted, showlegend=False, **same))
        ends = zip(one.kind, one.start_time, one.end_time, one.first_price, one.last_price, strict=True)
        texts = [_as_html(f"known here: {line_text(KIND_NAMES[k], code, (a, b), (c, d))}") for k, a, b, c, d in ends]
        mark = {"symbol": "line-ns-open", "size": 10, "color": colour, "line": {"width": 2}}
        about = {"text": texts, "hoverinfo": "text", "showlegend": False, "legendgroup": group, "mode": "markers"}
        traces.append(go.Scatter(x=known, y=one.last_price, marker=mark, **about))
    return traces


def _joined(first: Any, last: Any) -> list[Any]:
    """Return pairs one after another, with a gap behind each."""
    gaps = np.full(len(first), None)
    values = (first.astype("datetime64[s]").astype(str), last.astype("datetime64[s]").astype(str))
    pairs = values if first.dtype.kind == "M" else (first, last)
    return list(np.column_stack([*(pair.astype(object) for pair in pairs), gaps]).reshape(-1))


def _pivots(pivots: Pivots, part: slice, times: TimeArray, distance: float) -> list[go.Scatter]:
    """Return L1 pivots small and hollow, L2 pivots large and filled; above highs, below lows."""
    level2 = pivots.at_level(2)
    level1 = pivots.take((pivots.level == 1) & ~np.isin(pivots.bar, level2.bar))
    name, shape, side = ("high", "triangle-down", 1) if pivots.kind == HIGH else ("low", "triangle-up", -1)
    traces = []
    for points, symbol, size, level in ((level2, shape, 11, "L2"), (level1, f"{shape}-open", 7, "L1")):
        here = points.take((points.bar >= part.start) & (points.bar < part.stop))
        price: FloatArray = here.price + side * distance
        look = {"symbol": symbol, "size": size, "color": "var(--ink)"}
        about = {"mode": "markers", "marker": look, "hoverinfo": "skip", "name": f"{level} {name}"}
        traces.append(go.Scatter(x=times[here.bar], y=price, **about))
    return traces


def _cells(times: TimeArray, strips: Sequence[Strip]) -> go.Heatmap:
    """Return the strips as one picture, whose values are the numbers of all looks in their order."""
    colours = [colour for strip in strips for _, colour in strip.looks.values()]
    rows, n = np.full((len(strips), len(times)), np.nan), 0
    for row, strip in zip(rows, strips, strict=True):
        for code in strip.looks:
            row[strip.code == code] = n
            n += 1
    edges = [(i + side) / max(n, 1) for i in range(n) for side in (0, 1)]
    scale = [[edge, colours[i // 2]] for i, edge in enumerate(edges)]
    values = {"z": rows, "zmin": -0.5, "zmax": n - 0.5, "colorscale": scale, "showscale": False}
    return go.Heatmap(x=times, y=[strip.name for strip in strips], yaxis="y2", ygap=3, hoverinfo="skip", **values)


def _key(name: str, colour: str) -> go.Scatter:
    """Return an entry of the legend for cells of a colour."""
    mark = {"symbol": "square", "size": 11, "color": colour}
    return go.Scatter(x=[None], y=[None], mode="markers", marker=mark, name=name, hoverinfo="skip")
