"""The result of a walk step, as every listener gets it."""

from dataclasses import dataclass, field

import numpy as np

from trendtrain.market.bars import Series
from trendtrain.market.labels import Labels
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
        labels: The labels that judged.
        board: The scores so far; it moves on with the walk.
        pending: The predictions that wait for their label.
        is_partial: Whether rows were left out (`fast_dev_run`).
        pass_: Which pass over loaders that are walked again and again; 0 for a stream.
        n_steps: How many steps there are; None where there is no end.
        replay: What the replay drew and holds, by TensorBoard name without `replay/`.
        change: Where the verdicts showed a change of the market: how many of the newest events follow it.
        is_cut: Whether the replay forgot what came before that change.
    """

    index: int
    now: np.datetime64
    predictions: Predictions
    verdicts: Verdicts
    stats: TrendStats
    series_stats: dict[Series, TrendStats]
    metrics: dict[str, float]
    labels: Labels
    board: Scoreboard
    pending: Predictions
    is_partial: bool
    pass_: int = 0
    n_steps: int | None = None
    replay: dict[str, float] = field(default_factory=dict)
    change: int | None = None
    is_cut: bool = False

    @property
    def scalars(self) -> dict[str, float]:
        """The step's numbers of all series, by TensorBoard name without `trend/`."""
        return scalars(self.metrics, self.stats)


def scalars(metrics: dict[str, float], stats: TrendStats) -> dict[str, float]:
    """Return running scores and counts by TensorBoard name without `trend/`."""
    return {**metrics, "accuracy": stats.accuracy, "pending": float(stats.pending), "void": float(stats.void)}
