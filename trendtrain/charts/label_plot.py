"""Draw a part of a labelled series, and write it to a file: `trendtrain label --plot`."""

import html
import io
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from trendtrain.charts.candles import draw_market, draw_strip, mark_handles
from trendtrain.charts.date_ticks import date_ticks
from trendtrain.errors import InputError, check_at_least
from trendtrain.market.bars import Bars
from trendtrain.market.directions import DIRECTION_COLOURS, UNKNOWN
from trendtrain.market.labelled import Labelled
from trendtrain.market.timeframe import format_minute, to_milliseconds
from trendtrain.storage.whole_file import whole_file

PLOT_ENDINGS: Final = (".png", ".html")

_N_BARS: Final = 300
_MOST_BARS: Final = 3_000  # two bars a pixel
_SIZE: Final = (14.0, 7.4)  # inches
_DOTS: Final = 110  # an inch


def check_ending(path: Path) -> None:
    """Raise an `InputError` unless a file with this ending can be drawn."""
    if path.suffix not in PLOT_ENDINGS:
        raise InputError(f"`--plot` must end in {' or '.join(PLOT_ENDINGS)}, got {path}.")


def draw_labels(labelled: Labelled, n_bars: int | None = None, start: str | None = None) -> Figure:
    """Draw a part of a labelled series.

    Args:
        labelled: The series.
        n_bars: Number of bars, 1 to 3000; None for 300.
        start: Time of the first bar; None for the last bars.

    Raises:
        InputError: If `n_bars` is out of range, or no bar opens at or after `start`.
    """
    part = _part(labelled.bars, n_bars, start)
    with style.context("default"):
        figure = Figure(figsize=_SIZE, layout="constrained")
        chart, strip = figure.subplots(2, 1, sharex=True, height_ratios=[24, 1])
        pivots = (labelled.highs, labelled.lows)
        draw_market(figure, chart, labelled.bars, pivots, labelled.labels.lines, part)
        draw_strip(strip, labelled.labels.direction[part], part, DIRECTION_COLOURS, "label of\neach bar")
        position, dates = date_ticks(labelled.bars.open_time[part])
        strip.set_xticks(part.start + position, dates)
        strip.set_xlabel("open time of the bar (UTC)")
        _explain(figure, chart, labelled, part)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, or as SVG in one HTML page; whole or not at all.

    Raises:
        InputError: If the file has another ending, or cannot be written.
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


def _part(bars: Bars, n_bars: int | None, start: str | None) -> slice:
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


def _explain(figure: Figure, chart: Axes, labelled: Labelled, part: slice) -> None:
    title = f"{' '.join(labelled.series)}: pivots, the trend lines through them, and the labels they give"
    figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold", parse_math=False)
    first, last = (format_minute(labelled.bars.open_time[bar]) for bar in (part.start, part.stop - 1))
    subtitle = f"{first} to {last}, {part.stop - part.start:,} bars   |   {labelled.rules}"
    chart.set_title(subtitle, loc="left", fontsize=10)
    unknown = Patch(color=DIRECTION_COLOURS[UNKNOWN], label="label not known yet")
    figure.legend(handles=[*mark_handles(), unknown], loc="outside lower center", ncols=9, frameon=False)


def _page(figure: Figure, picture: str) -> str:
    """Return a self-contained HTML page: the SVG, as wide as the window."""
    title = html.escape(figure.get_suptitle())
    svg = picture[picture.index("<svg") :]
    style = "body { margin: 0; background: white } svg { display: block; width: 100%; height: auto }"
    head = f'<meta charset="utf-8"><title>{title}</title><style>{style}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{svg}</body></html>\n'
