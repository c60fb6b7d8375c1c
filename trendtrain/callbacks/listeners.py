"""What `TrendValidation` expects of a datamodule with a stream and of its module, and the hooks it calls."""

from typing import Any, Literal, Protocol, runtime_checkable

import lightning.pytorch as pl
import numpy as np
from torch import Tensor

from trendtrain.market.bars import IntArray
from trendtrain.market.labels import Labels
from trendtrain.validation.predictions import Predictions


@runtime_checkable
class HasTemperature(Protocol):
    """A module that divides its logits of the stream by a temperature."""

    temperature: Tensor


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


def call_hooks(trainer: pl.Trainer, hook: Literal["on_walk_step", "on_change", "on_warmup"], *arguments: Any) -> None:
    """Call a hook, `hook(trainer, *arguments)`, on each callback that has it.

    `on_walk_step(trainer, step)` comes after each judged `WalkStep`, then `on_change(trainer, step)` if its verdicts
    show a change of the market; `on_warmup(trainer, n_done, n_total)` after each training epoch before the first step.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if hasattr(callback, hook):
            getattr(callback, hook)(trainer, *arguments)
