"""What `TrendValidation` expects of a datamodule with a stream and of its module, and the hooks it calls."""

from typing import Any, Literal, Protocol, runtime_checkable

import lightning.pytorch as pl
from torch import Tensor

from trendtrain.market.bars import Series
from trendtrain.stream.stream import Stream
from trendtrain.validation.predictions import Predictions


@runtime_checkable
class HasTemperature(Protocol):
    """A module that divides its logits of the stream by a temperature."""

    temperature: Tensor


@runtime_checkable
class HasStream(Protocol):
    """A datamodule with a stream, after its `setup`."""

    stream: Stream
    n_warmup: int
    fills_batches: bool  # with the last row of a step


def commit(trainer: pl.Trainer, index: int, predictions: Predictions, series: tuple[Series, ...]) -> Predictions:
    """Call `on_predictions(trainer, index, predictions, series)` on each callback that has it; return what counts.

    It comes before a step is judged, so that a prediction is stored before anything else happens. It returns the
    predictions that count: of a bar that was predicted before the run was killed, that of then.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if hasattr(callback, "on_predictions"):
            predictions = callback.on_predictions(trainer, index, predictions, series)
    return predictions


Hook = Literal["on_walk_step", "on_change", "on_warmup", "on_wait"]


def call_hooks(trainer: pl.Trainer, hook: Hook, *arguments: Any) -> None:
    """Call a hook, `hook(trainer, *arguments)`, on each callback that has it.

    `on_walk_step(trainer, step)` comes after each judged `WalkStep`, then `on_change(trainer, step)` if its verdicts
    show a change of the market; `on_warmup(trainer, n_done, n_total)` after each training epoch before the first step;
    `on_wait(trainer)` several times a second while live bars are waited for, in the set-up too.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if hasattr(callback, hook):
            getattr(callback, hook)(trainer, *arguments)
