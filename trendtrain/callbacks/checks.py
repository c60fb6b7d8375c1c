"""Checks that raise, before any work, where a trainer or a model would be judged falsely."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np

from trendtrain.callbacks.listeners import Stream
from trendtrain.callbacks.trend_early_stopping import TrendEarlyStopping
from trendtrain.errors import InputError
from trendtrain.market.bars import IntArray
from trendtrain.validation.predictions import Predictions

_UNCUT = {"overfit_batches": 0.0, "limit_val_batches": 1.0, "check_val_every_n_epoch": 1, "val_check_interval": 1.0}
_LIMITS = ("limit_train_batches", "max_steps", "max_epochs")  # 0 leaves no training; -1 and None are no limit
_SWAPS_WEIGHTS = ("WeightAveraging", "StochasticWeightAveraging")
_SAVES_MID_STEP = ("every_n_train_steps", "train_time_interval", "save_on_exception")


def check_trainer(trainer: pl.Trainer) -> None:
    """Raise an `InputError` on several devices, an early stopping at the first NaN, and two that swap weights."""
    if trainer.world_size > 1:  # each process would see its part of the bars only
        raise InputError(f"`trainer.devices` must be 1, got {trainer.world_size} processes.")
    _check_swaps(trainer.callbacks)  # type: ignore[attr-defined]
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        monitor = str(getattr(callback, "monitor", None))
        is_ours = isinstance(callback, TrendEarlyStopping)
        if _is_a(callback, "EarlyStopping") and not is_ours and monitor.startswith("trend/"):
            rule = "`EarlyStopping` must be a `TrendEarlyStopping`, which waits for the first verdict"
            raise InputError(f'{rule}, got monitor="{monitor}".')


def _check_swaps(callbacks: Sequence[Any]) -> None:
    """Raise if two callbacks put other weights in the module: each would take the other's for those in training."""
    swaps = [type(callback).__name__ for callback in callbacks if any(_is_a(callback, name) for name in _SWAPS_WEIGHTS)]
    if len(swaps) > 1:
        rule = "`trainer.callbacks` must hold one callback that swaps the weights"
        fix = "callbacks.averaging=null leaves ours out" if "AverageWeights" in swaps else "leave all but one out"
        raise InputError(f"{rule} ({fix}), got {' and '.join(swaps)}.")


def check_stream_trainer(trainer: pl.Trainer) -> None:
    """Raise an `InputError` if a trainer would leave out bars of the stream, or save in the middle of a step."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        _check_checkpoint(callback)
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    for name in _LIMITS if trainer.state.fn == "fit" else ():
        if getattr(trainer, name) == 0:
            raise InputError(f"`trainer.{name}` must leave training to do, got {getattr(trainer, name)}.")
    for name, whole in _UNCUT.items():
        got = getattr(trainer, name)
        if got != whole or type(got) is not type(whole):  # 1 is one batch, 1.0 is all of them
            raise InputError(f"`trainer.{name}` must be {whole}: every bar of the stream is predicted, got {got}.")


def check_pass(row: IntArray, n_rows: int) -> None:
    """Raise an `InputError` if the rows of a pass, at least one, are no labelled bars, or come twice."""
    if not 0 <= row.min() <= row.max() < n_rows:
        raise InputError(f"`key` must give bars from 0 to {n_rows - 1}, as labelled, got {row.min()} to {row.max()}.")
    times = np.bincount(row - row.min())  # linear in the bars of the pass, not in all there are
    if times.max() > 1:
        rule, bar = "`key` must give each bar once a pass", times.argmax() + row.min()
        raise InputError(f"{rule}, got bar {bar} {times.max()} times: are these bar positions?")


def check_step(predictions: Predictions, stream: Stream, is_partial: bool) -> None:
    """Raise if predictions are not those of a stream's step, each of its rows once.

    Raises:
        InputError: If the model has other classes than the stream.
        RuntimeError: If the step is incomplete, or has other rows, unless it `is_partial`.
    """
    row, due = predictions.row, stream.clock.rows
    n_classes, got = stream.n_classes, predictions.probability.shape[1]
    if len(row) and got != n_classes:
        raise InputError(f"`n_classes` must be what the model tells apart, got {n_classes} and a model of {got}.")
    is_allowed = np.isin(row, due).all() if is_partial else np.array_equal(np.sort(row), np.sort(due))
    if not is_allowed:
        got = f"{len(row)} predictions for {len(due)} rows"
        raise RuntimeError(f"A walk step must predict each of its rows once: {got}.")


def _check_checkpoint(callback: Any) -> None:
    rule = "must not save in the middle of a walk step, from which none can go on"
    if _is_a(callback, "OnExceptionCheckpoint"):
        raise InputError(f"`trainer.callbacks` {rule}, got an OnExceptionCheckpoint.")
    for name in _SAVES_MID_STEP if _is_a(callback, "ModelCheckpoint") else ():
        got = getattr(callback, f"_{name}", None) or getattr(callback, name, None)
        if got:
            raise InputError(f"`ModelCheckpoint` {rule}, got {name}={got}.")


def _is_a(callback: Any, name: str) -> bool:
    """Compare by name, since each class exists twice: in `lightning.pytorch` and in `pytorch_lightning`."""
    return any(kind.__name__ == name for kind in type(callback).__mro__)
