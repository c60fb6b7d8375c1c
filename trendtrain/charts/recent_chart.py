"""Draw the newest bars of a walk: pivots and lines, and below each bar its prediction and its verdict."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from trendtrain.charts.candles import draw_market, draw_strip, mark_handles
from trendtrain.charts.date_ticks import date_ticks
from trendtrain.market.bars import Bars, IntArray, Series
from trendtrain.market.directions import DIRECTION_COLOURS, DIRECTION_WORDS, DOWN, FLAT, UNKNOWN, UP
from trendtrain.market.labels import Labels, label_bars
from trendtrain.market.lines import Lines
from trendtrain.market.pivots import Pivots, find_pivots
from trendtrain.market.timeframe import format_minute
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.predictions import CORRECT, VOID_FLAT, VOID_GAP, WRONG

PENDING: Final = -1  # beside the outcomes of verdicts
NONE: Final = -2  # no prediction, or no outcome

_VERDICTS: Final = {  # distinguishable with any kind of colour vision, also from the directions
    CORRECT: ("correct", "#009e73"),
    WRONG: ("wrong", "#882255"),
    PENDING: ("pending", "#b8b8b8"),
    VOID_FLAT: ("void", "#f0e442"),
}
_N_BARS: Final = 240  # drawn
_BEFORE: Final = 300  # read besides, so that the first pivots are those of the whole series
_SIZE: Final = (11.5, 5.8)  # inches


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
    figure = Figure(figsize=_SIZE)
    figure.subplots_adjust(left=0.085, right=0.99, top=0.895, bottom=0.17, hspace=0.03)
    chart, predicted, verdict = figure.subplots(3, 1, sharex=True, height_ratios=[22, 1, 1])
    draw_market(figure, chart, recent.bars, recent.pivots, recent.lines, part)
    draw_strip(predicted, recent.direction[part], part, DIRECTION_COLOURS, "predicted")
    outcome = np.where(recent.outcome == VOID_GAP, VOID_FLAT, recent.outcome)[part]
    draw_strip(verdict, outcome, part, {code: colour for code, (_, colour) in _VERDICTS.items()}, "verdict")
    position, dates = date_ticks(recent.bars.open_time[part])
    verdict.set_xticks(part.start + position, dates)
    _explain(figure, chart, recent, part)
    return figure


def _explain(figure: Figure, chart: Axes, recent: RecentBars, part: slice) -> None:
    title = f"{' '.join(recent.series)}: the newest bars, what was predicted at each, and what came of it"
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", parse_math=False)
    times = recent.bars.open_time
    counts = {name: int((recent.outcome[part] == code).sum()) for code, (name, _) in _VERDICTS.items()}
    outcomes = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no prediction"
    span = f"{format_minute(times[part.start])} to {format_minute(times[-1])} UTC, {part.stop - part.start:,} bars"
    chart.set_title(f"{span}   |   {outcomes}", loc="left", fontsize=10, y=1.01)
    verdicts = [Patch(color=colour, label=name) for name, colour in _VERDICTS.values()]
    said_codes = [
        Patch(color=DIRECTION_COLOURS[code], label=f"predicted {DIRECTION_WORDS[code]}") for code in (UP, DOWN)
    ]
    handles = [*mark_handles(), *said_codes, *verdicts]
    figure.legend(handles=handles, loc="lower center", ncols=7, frameon=False, fontsize=8.5)


def recent_bars(step: WalkStep, name: Series, bars: Bars, labeler: Any) -> RecentBars:
    """Return the newest bars of a series as they were known when the step ended, with predictions and verdicts."""
    offset = int(step.labels.offset[step.labels.series.index(name)])
    stop = int(np.searchsorted(bars.close_time, step.now, side="right"))
    start = max(0, stop - _N_BARS - _BEFORE)
    part = bars[start:stop]
    direction, outcome = _predicted(step, offset + start, offset + stop)
    return RecentBars(
        series=name,
        bars=part,
        pivots=_pivots(labeler, part),
        lines=_lines(step.labels, offset + start, offset + stop),
        first=max(0, len(part) - _N_BARS),
        direction=direction,
        outcome=outcome,
    )


def _predicted(step: WalkStep, start: int, stop: int) -> tuple[IntArray, IntArray]:
    """Return the prediction and the outcome of each row from `start` to `stop`."""
    direction, outcome = np.full(stop - start, NONE), np.full(stop - start, NONE)
    scored = step.board.scored()
    here = (scored.row >= start) & (scored.row < stop)
    row = scored.row[here] - start
    direction[row], outcome[row] = scored.direction[here], np.where(scored.is_correct[here], CORRECT, WRONG)
    pending = step.pending[(step.pending.row >= start) & (step.pending.row < stop)]
    direction[pending.row - start], outcome[pending.row - start] = pending.direction, PENDING
    seen = np.flatnonzero(outcome != NONE)
    rows = np.arange(start + (seen[0] if len(seen) else stop - start), stop)  # the board keeps no void predictions
    is_void = step.labels.known(step.now, rows) & (outcome[rows - start] == NONE)
    truth = step.labels.direction[rows]
    outcome[rows[is_void & (truth == FLAT)] - start] = VOID_FLAT
    outcome[rows[is_void & (truth == UNKNOWN)] - start] = VOID_GAP
    return direction, outcome


def _lines(labels: Labels, start: int, stop: int) -> Lines:
    """Return the lines that became known at rows from `start` to `stop`; bars count from `start`."""
    lines = labels.lines[(labels.lines.known_at >= start) & (labels.lines.known_at < stop)]
    bars = (lines.first_bar - start, lines.last_bar - start, lines.first_price, lines.last_price)
    return Lines(lines.kind, *bars, lines.start_time, lines.end_time, lines.known_at - start, lines.direction)


def _pivots(labeler: Any, bars: Bars) -> tuple[Pivots, Pivots]:
    """Return highs and lows by the labeler's rules, or by the default rules where it is not `label_bars`."""
    options = dict(labeler.keywords) if isinstance(labeler, partial) and labeler.func is label_bars else {}
    options.pop("flat_band", None)
    return find_pivots(bars, **options)
