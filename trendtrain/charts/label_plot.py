"""Draw a part of a labelled series as a picture: `trendtrain label --plot FILE.png`."""

import io
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from trendtrain.charts.candles import draw_market, draw_strip, in_sight, mark_handles
from trendtrain.charts.date_ticks import date_ticks
from trendtrain.charts.look import light
from trendtrain.market.directions import DIRECTION_COLOURS, UNKNOWN
from trendtrain.market.labelled import Labelled
from trendtrain.market.timeframe import format_minute

_SIZE: Final = (14.0, 7.4)  # inches
_DOTS: Final = 110  # an inch


def draw_labels(labelled: Labelled, part: slice) -> Figure:
    """Draw a part of a labelled series."""
    with light():
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


def label_picture(labelled: Labelled, part: slice) -> bytes:
    """Return a part of a labelled series, drawn, as a PNG."""
    content = io.BytesIO()
    draw_labels(labelled, part).savefig(content, format="png", dpi=_DOTS)
    return content.getvalue()


def _explain(figure: Figure, chart: Axes, labelled: Labelled, part: slice) -> None:
    title = f"{' '.join(labelled.series)}: pivots, the trend lines through them, and the labels they give"
    figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold", parse_math=False)
    first, last = (format_minute(labelled.bars.open_time[bar]) for bar in (part.start, part.stop - 1))
    subtitle = f"{first} to {last}, {part.stop - part.start:,} bars   |   {labelled.rules}"
    chart.set_title(subtitle, loc="left", fontsize=10)
    handles: list[Any] = list(mark_handles(*in_sight((labelled.highs, labelled.lows), labelled.labels.lines, part)))
    if (labelled.labels.direction[part] == UNKNOWN).any():
        handles.append(Patch(color=DIRECTION_COLOURS[UNKNOWN], label="label not known yet"))
    figure.legend(handles=handles, loc="outside lower center", ncols=9, frameon=False)
