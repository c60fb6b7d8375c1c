"""Describe the labels of a series in numbers."""

from dataclasses import dataclass

import numpy as np

from trendtrain.market.bars import Series
from trendtrain.market.directions import DOWN, FLAT, UP
from trendtrain.market.labelled import Labelled
from trendtrain.validation.scoreboard import delay_quantile


@dataclass(frozen=True)
class LabelReport:
    """What the labels of a series are like.

    Attributes:
        series: Symbol and timeframe.
        n_bars: How many bars there are.
        n_pivots: Highs and lows of each level, from L1.
        n_lines: Trend lines.
        n_events: Lines that label any bar.
        labelled: Share of bars with a label.
        up, down, flat: Shares of the labelled bars; NaN where there are none.
        delay_p50, delay_p95: Bars from a bar to the one at whose close its label is known; NaN where there are none.
    """

    series: Series
    n_bars: int
    n_pivots: tuple[tuple[int, int], ...]
    n_lines: int
    n_events: int
    labelled: float
    up: float
    down: float
    flat: float
    delay_p50: float
    delay_p95: float


def describe_labels(labelled: Labelled) -> LabelReport:
    """Return the report on a labelled series."""
    labels = labelled.labels
    bar = np.flatnonzero(labels.event >= 0)
    direction = labels.direction[bar]
    up, down, flat = (float((direction == code).mean()) if len(bar) else float("nan") for code in (UP, DOWN, FLAT))
    delays = np.bincount(labels.known_at[bar] - bar)
    return LabelReport(
        series=labelled.series,
        n_bars=len(labels),
        n_pivots=tuple(
            (int((labelled.highs.level == level).sum()), int((labelled.lows.level == level).sum()))
            for level in range(1, len(labelled.rules.strength) + 1)
        ),
        n_lines=len(labels.lines),
        n_events=len(labels.events[0]),
        labelled=len(bar) / len(labels) if len(labels) else float("nan"),
        up=up,
        down=down,
        flat=flat,
        delay_p50=delay_quantile(delays, 0.5),
        delay_p95=delay_quantile(delays, 0.95),
    )
