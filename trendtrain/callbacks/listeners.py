"""The protocols between the stream, `TrendValidation` and the callbacks that listen to it."""

from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as pl
import numpy as np

from trendtrain.market.bars import IntArray
from trendtrain.market.labels import Labels
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.predictions import Predictions


@runtime_checkable
class Stream(Protocol):
    """What a datamodule with a clock offers: labels, baselines, the rows of the step under way, and a way on."""

    labels: Labels
    baselines: dict[str, IntArray]
    clock: Any
    replay: Any
    n_classes: int
    n_warmup: int

    def close_step(self) -> np.datetime64:
        """Complete the step, or the epoch of warm-up, under way and return the new `now`."""

    def update_verdicts(self, predictions: Predictions) -> None:
        """Take what the model says now of rows that are replayed."""


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
