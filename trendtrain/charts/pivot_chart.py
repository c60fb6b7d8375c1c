"""Draw the newest bars of a walk: what the market did, what was predicted, and what came of it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from trendtrain.charts.candles import draw_market, mark_handles, minute
from trendtrain.charts.date_ticks import date_ticks
from trendtrain.market.bars import Bars, IntArray, Series
from trendtrain.market.directions import DIRECTION_COLOURS, DIRECTION_WORDS, DOWN, UP
from trendtrain.market.lines import Lines
from trendtrain.market.pivots import Pivots
from trendtrain.validation.predictions import CORRECT, VOID_FLAT, VOID_GAP, WRONG

PENDING: Final = -1  # beside the outcomes of verdicts
NONE: Final = -2  # no prediction, or no outcome

_VERDICTS: Final = {  # told apart by every eye, and other than the directions
    CORRECT: ("correct", "#009e73"),
    WRONG: ("wrong", "#882255"),
    PENDING: ("pending", "#b8b8b8"),
    VOID_FLAT: ("void", "#f0e442"),
}
_EMPTY: Final = "#ffffff"
_SIZE: Final = (11.5, 5.8)  # inches


@dataclass(frozen=True, eq=False)
class Stretch:
    """The newest bars of a series, as they were known at the close of the last.

    Attributes:
        series: Symbol and timeframe.
        bars: The bars, some before those drawn.
        pivots: Highs and lows that were certain by the last bar.
        lines: The lines that were.
        first: The first bar drawn.
        direction: UP, DOWN or FLAT as predicted at each bar, NONE without a prediction, shape (n_bars,).
        outcome: WRONG, CORRECT, VOID_FLAT, VOID_GAP, PENDING or NONE of each, shape (n_bars,).
    """

    series: Series
    bars: Bars
    pivots: tuple[Pivots, Pivots]
    lines: Lines
    first: int
    direction: IntArray
    outcome: IntArray


def draw_stretch(stretch: Stretch) -> Figure:
    """Draw candles with pivots and lines, and below each bar what was predicted at its close and what came of it."""
    part = slice(stretch.first, len(stretch.bars))
    figure = Figure(figsize=_SIZE)
    figure.subplots_adjust(left=0.085, right=0.99, top=0.895, bottom=0.17, hspace=0.03)
    chart, said, came = figure.subplots(3, 1, sharex=True, height_ratios=[22, 1, 1])
    draw_market(figure, chart, stretch.bars, stretch.pivots, stretch.lines, part)
    _draw_strip(said, stretch.direction[part], part, DIRECTION_COLOURS, "predicted")
    outcome = np.where(stretch.outcome == VOID_GAP, VOID_FLAT, stretch.outcome)[part]
    _draw_strip(came, outcome, part, {code: colour for code, (_, colour) in _VERDICTS.items()}, "verdict")
    position, dates = date_ticks(stretch.bars.open_time[part])
    came.set_xticks(part.start + position, dates)
    _explain(figure, chart, stretch, part)
    return figure


def _draw_strip(strip: Axes, code: IntArray, part: slice, colours: dict[int, str], name: str) -> None:
    """Colour the place of each bar by its code."""
    picture = np.tile(to_rgb(_EMPTY), (1, len(code), 1))
    for value, colour in colours.items():
        picture[0, code == value] = to_rgb(colour)
    strip.imshow(picture, aspect="auto", interpolation="nearest", extent=(part.start - 0.5, part.stop - 0.5, 0, 1))
    strip.set_yticks([])
    strip.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)


def _explain(figure: Figure, chart: Axes, stretch: Stretch, part: slice) -> None:
    title = f"{' '.join(stretch.series)}: the newest bars, what was predicted at each, and what came of it"
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", parse_math=False)
    times = stretch.bars.open_time
    counts = {name: int((stretch.outcome[part] == code).sum()) for code, (name, _) in _VERDICTS.items()}
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no prediction"
    span = f"{minute(times[part.start])} to {minute(times[-1])} UTC, {part.stop - part.start:,} bars"
    chart.set_title(f"{span}   |   {said}", loc="left", fontsize=10, y=1.01)
    verdicts = [Patch(color=colour, label=name) for name, colour in _VERDICTS.values()]
    said_codes = [
        Patch(color=DIRECTION_COLOURS[code], label=f"predicted {DIRECTION_WORDS[code]}") for code in (UP, DOWN)
    ]
    handles = [*mark_handles(), *said_codes, *verdicts]
    figure.legend(handles=handles, loc="lower center", ncols=7, frameon=False, fontsize=8.5)
