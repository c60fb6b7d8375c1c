"""The result of a walk step, as every listener gets it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trendtrain.market.bars import Bars, Series
from trendtrain.validation.judge import Judge
from trendtrain.validation.predictions import Predictions, Verdicts
from trendtrain.validation.scoreboard import Scoreboard
from trendtrain.validation.stats import TrendStats


@dataclass(frozen=True, eq=False)
class WalkStep:
    """One judged step, as listeners get it.

    Attributes:
        index: The step's number, from 0.
        now: Until when labels counted as known.
        predictions: What was predicted in this step.
        verdicts: What was judged at its end.
        stats: The six numbers so far, of all series.
        series_stats: The six numbers of each series.
        metrics: The running scores, by TensorBoard name without `trend/`.
        series: The name of each series; predictions and verdicts hold their number.
        board: The scores so far; it moves on with the walk.
        pending: The predictions that wait for their label.
        is_partial: Whether rows were left out (`fast_dev_run`).
        pass_: Which pass over loaders that are walked again and again; 0 for a stream.
        n_steps: How many steps there are; None where there is no end.
        replay: What the replay drew and holds, by TensorBoard name without `replay/`.
        change: Where the verdicts showed a change of the market: how many of the newest events follow it.
        is_cut: Whether the replay forgot what came before that change.
        bars: The bars of a stream that came in this step, by series.
    """

    index: int
    now: np.datetime64
    predictions: Predictions
    verdicts: Verdicts
    stats: TrendStats
    series_stats: dict[Series, TrendStats]
    metrics: dict[str, float]
    series: tuple[Series, ...]
    board: Scoreboard
    pending: Predictions
    is_partial: bool
    pass_: int = 0
    n_steps: int | None = None
    replay: dict[str, float] = field(default_factory=dict)
    change: int | None = None
    is_cut: bool = False
    bars: Mapping[Series, Bars] = field(default_factory=dict)

    @classmethod
    def of(cls, judge: Judge, predictions: Predictions, verdicts: Verdicts, **rest: Any) -> "WalkStep":
        """Return what a judge has after verdicts; `rest` are the other fields."""
        pending = judge.buffer.pending
        return cls(
            predictions=predictions,
            verdicts=verdicts,
            stats=judge.buffer.stats,
            series_stats=judge.board.stats(pending),
            metrics=judge.board.metrics(pending),
            series=judge.board.series,
            board=judge.board,
            pending=pending,
            **rest,
        )

    @property
    def scalars(self) -> dict[str, float]:
        """The step's numbers of all series, by TensorBoard name without `trend/`."""
        return scalars(self.metrics, self.stats)


def scalars(metrics: dict[str, float], stats: TrendStats) -> dict[str, float]:
    """Return running scores and counts by TensorBoard name without `trend/`."""
    return {**metrics, "accuracy": stats.accuracy, "pending": float(stats.pending), "void": float(stats.void)}
