"""Draw the newest bars of a walk: pivots and lines, and below each bar its prediction and its verdict."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from trendtrain.charts.candles import draw_market, draw_strip, in_sight, mark_handles
from trendtrain.charts.date_ticks import date_ticks
from trendtrain.charts.look import THUMBNAIL
from trendtrain.charts.recent_predictions import N_BARS, PENDING, RecentPredictions
from trendtrain.market.bars import Bars, IntArray, Series
from trendtrain.market.directions import DIRECTION_COLOURS
from trendtrain.market.labels import label_bars
from trendtrain.market.lines import NO_LINES, Lines
from trendtrain.market.pivots import Pivots, find_pivots
from trendtrain.stream.tape import Labeler, label_rules
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.predictions import CORRECT, VOID_FLAT, VOID_GAP, WRONG

_VERDICTS: Final = {  # distinguishable with any kind of colour vision, also from the directions
    CORRECT: ("correct", "#009e73"),
    WRONG: ("wrong", "#c2528b"),
    PENDING: ("pending", "#a9b1ba"),
    VOID_FLAT: ("void", "#f0e442"),
}
_BEFORE: Final = 300  # read besides, so that the first pivots are those of the whole series


@dataclass(frozen=True, eq=False)
class RecentBars:
    """The newest bars of a series, as they were known at the close of the last.

    Attributes:
        series: Symbol and timeframe.
        bars: The bars, from some before those drawn.
        pivots: Highs and lows known at the last bar.
        lines: Lines known at the last bar.
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


def draw_recent(recent: RecentBars) -> Figure:
    """Draw candles with pivots and lines, and below each bar its prediction and its verdict."""
    part = slice(recent.first, len(recent.bars))
    figure = Figure(figsize=THUMBNAIL)
    figure.subplots_adjust(left=0.165, right=0.985, top=0.86, bottom=0.29, hspace=0.03)
    chart, predicted, verdict = figure.subplots(3, 1, sharex=True, height_ratios=[22, 1, 1])
    draw_market(figure, chart, recent.bars, recent.pivots, recent.lines, part)
    draw_strip(predicted, recent.direction[part], part, DIRECTION_COLOURS, "predicted")
    outcome = np.where(recent.outcome == VOID_GAP, VOID_FLAT, recent.outcome)[part]
    draw_strip(verdict, outcome, part, {code: colour for code, (_, colour) in _VERDICTS.items()}, "verdict")
    position, dates = date_ticks(recent.bars.open_time[part], most=5)
    verdict.set_xticks(part.start + position, dates)
    _explain(figure, chart, recent, part)
    return figure


def _explain(figure: Figure, chart: Axes, recent: RecentBars, part: slice) -> None:
    figure.suptitle(f"{' '.join(recent.series)}: the newest bars", x=0.02, ha="left", weight="bold", parse_math=False)
    counts = {name: int((recent.outcome[part] == code).sum()) for code, (name, _) in _VERDICTS.items()}
    outcomes = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no prediction"
    chart.set_title(f"{part.stop - part.start:,} bars: {outcomes}", loc="left", fontsize=11, y=1.0, x=-0.175)
    verdicts = [Patch(color=colour, label=name) for name, colour in _VERDICTS.values() if counts[name]]
    handles = [*mark_handles(*in_sight(recent.pivots, recent.lines, part)), *verdicts]
    figure.legend(handles=handles, loc="lower center", ncols=4, fontsize=9, columnspacing=1.2, handletextpad=0.5)


def recent_bars(step: WalkStep, index: int, bars: Bars, labeler: Labeler, predictions: RecentPredictions) -> RecentBars:
    """Return the newest bars of a series as they were known when the step ended, with predictions and verdicts.

    Args:
        step: The step.
        index: The number of the series.
        bars: Its bars.
        labeler: What labels them. Pivots are by its rules, or by the default rules where it is not `label_bars`; then
            there are no lines.
        predictions: The newest predictions.
    """
    stop = int(np.searchsorted(bars.close_time, step.now, side="right"))
    part = bars[max(0, stop - N_BARS - _BEFORE) : stop]
    rules = label_rules(labeler)
    lines = NO_LINES if rules is None else label_bars(part, rules).lines
    direction, outcome = predictions.at(index, part.close_time)
    first = max(0, len(part) - N_BARS)
    return RecentBars(step.series[index], part, find_pivots(part, rules), lines, first, direction, outcome)
