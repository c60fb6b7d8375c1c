"""What `TrendValidation` expects of a datamodule with a stream and of its module, and the hooks it calls."""

from typing import Any, Literal, Protocol, runtime_checkable

import lightning.pytorch as pl
from torch import Tensor

from trendtrain.stream.stream import Stream


@runtime_checkable
class HasTemperature(Protocol):
    """A module that divides its logits of the stream by a temperature."""

    temperature: Tensor


@runtime_checkable
class HasStream(Protocol):
    """A datamodule with a stream, after its `setup`."""

    stream: Stream
    n_warmup: int


def call_hooks(trainer: pl.Trainer, hook: Literal["on_walk_step", "on_change", "on_warmup"], *arguments: Any) -> None:
    """Call a hook, `hook(trainer, *arguments)`, on each callback that has it.

    `on_walk_step(trainer, step)` comes after each judged `WalkStep`, then `on_change(trainer, step)` if its verdicts
    show a change of the market; `on_warmup(trainer, n_done, n_total)` after each training epoch before the first step.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if hasattr(callback, hook):
            getattr(callback, hook)(trainer, *arguments)
