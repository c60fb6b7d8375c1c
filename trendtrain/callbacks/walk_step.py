"""What a judged step is, who hears of it, and what a stream must offer."""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as pl
import numpy as np

from trendtrain.market.bars import IntArray, Series
from trendtrain.market.labels import Labels
from trendtrain.validation.predictions import Predictions, Verdicts
from trendtrain.validation.scoreboard import Scoreboard
from trendtrain.validation.stats import TrendStats


@runtime_checkable
class Stream(Protocol):
    """What a datamodule with a clock offers: labels, baselines, the rows of the step under way, and a way on."""

    labels: Labels
    baselines: dict[str, IntArray]
    clock: Any
    replay: Any
    n_classes: int
    n_warmup: int

    def advance(self) -> np.datetime64:
        """Complete the step, or the epoch of warm-up, under way and return the new `now`."""

    def answer(self, predictions: Predictions) -> None:
        """Take what the model says now of rows that are replayed."""


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


@runtime_checkable
class StepListener(Protocol):
    """A callback that wants to hear of each judged step."""

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Take note of a judged step."""


@runtime_checkable
class WarmupListener(Protocol):
    """A callback that wants to hear of each training epoch before the first step."""

    def on_warmup(self, trainer: pl.Trainer, done: int, total: int) -> None:
        """Take note of how many epochs of warm-up are done."""


@runtime_checkable
class ChangeListener(Protocol):
    """A callback that wants to hear when verdicts show that the market has changed."""

    def on_change(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Take note of a step with a `change`, after all listeners have heard of the step."""
