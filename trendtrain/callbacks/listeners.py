"""The protocols between the stream, `TrendValidation`, and the callbacks that listen to it."""

from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as pl
import numpy as np

from trendtrain.market.bars import IntArray
from trendtrain.market.labels import Labels
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.predictions import Predictions


@runtime_checkable
class Stream(Protocol):
    """A datamodule with a clock: labels, baselines, and the rows of the step under way."""

    labels: Labels
    baselines: dict[str, IntArray]
    clock: Any
    replay: Any
    n_classes: int
    n_warmup: int

    def close_step(self) -> np.datetime64:
        """Complete the step, or the epoch of warm-up, under way and return the new `now`."""

    def update_verdicts(self, predictions: Predictions) -> None:
        """Reweight replayed rows by the model's newest predictions."""


@runtime_checkable
class StepListener(Protocol):
    """A callback that is told of each judged step."""

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Handle a judged step."""


@runtime_checkable
class WarmupListener(Protocol):
    """A callback that is told of each training epoch before the first step."""

    def on_warmup(self, trainer: pl.Trainer, done: int, total: int) -> None:
        """Handle a completed epoch of the warm-up, the `done`th of `total`."""


@runtime_checkable
class ChangeListener(Protocol):
    """A callback that is told when verdicts show that the market has changed."""

    def on_change(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Handle a step with a `change`, after all listeners have handled the step."""
