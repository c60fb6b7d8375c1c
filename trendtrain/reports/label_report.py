"""Statistics of the labels of a series."""

from dataclasses import dataclass

import numpy as np

from trendtrain.market.bars import Series
from trendtrain.market.directions import DOWN, FLAT, UP
from trendtrain.market.labelled import Labelled
from trendtrain.validation.scoreboard import delay_quantile


@dataclass(frozen=True)
class LabelReport:
    """Statistics of the labels of a series.

    Attributes:
        series: Symbol and timeframe.
        n_bars: Number of bars.
        n_pivots: Number of highs and of lows, for each level from L1.
        n_lines: Number of trend lines.
        n_events: Number of lines that label a bar.
        labelled: Share of bars with a label.
        up, down, flat: Shares of the labelled bars; NaN where there are none.
        delay_p50, delay_p95: Quantiles of the delay from a bar to its label, in bars; NaN where there are none.
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
