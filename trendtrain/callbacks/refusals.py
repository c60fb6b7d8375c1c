"""Refuse, before any work, what would make a trainer judge falsely."""

from typing import Any

import lightning.pytorch as pl
import numpy as np

from trendtrain.callbacks.trend_early_stopping import TrendEarlyStopping
from trendtrain.errors import InputError
from trendtrain.market.bars import IntArray
from trendtrain.validation.predictions import Predictions


def refuse_many_devices(trainer: pl.Trainer) -> None:
    """Refuse to judge in one of several processes: each would see its part of the bars only."""
    if trainer.world_size > 1:
        raise InputError(f"`trainer.devices` must be 1, got {trainer.world_size} processes.")


def refuse_impatience(trainer: pl.Trainer) -> None:
    """Refuse an early stopping that would stop at the NaN that stands before the first verdict."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        monitor = getattr(callback, "monitor", None)
        is_ours = isinstance(callback, TrendEarlyStopping)
        if _is_a(callback, "EarlyStopping") and not is_ours and str(monitor).startswith("trend/"):
            rule = "`EarlyStopping` must be a `TrendEarlyStopping`, which waits for the first verdict"
            raise InputError(f'{rule}, got monitor="{monitor}".')


def refuse_cuts(trainer: pl.Trainer) -> None:
    """Refuse what would leave bars of the stream out, or save it in the middle of a step."""
    _refuse_checkpoints(trainer)
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    for name, whole in (
        ("overfit_batches", 0.0),
        ("limit_val_batches", 1.0),
        ("check_val_every_n_epoch", 1),
        ("val_check_interval", 1.0),
    ):
        got = getattr(trainer, name)
        if got != whole or type(got) is not type(whole):  # 1 is one batch, 1.0 is all of them
            raise InputError(f"`trainer.{name}` must be {whole}: every bar of the stream is predicted, got {got}.")


def _refuse_checkpoints(trainer: pl.Trainer) -> None:
    rule = "must not save in the middle of a walk step, from which none can go on"
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if _is_a(callback, "OnExceptionCheckpoint"):
            raise InputError(f"`trainer.callbacks` {rule}, got an OnExceptionCheckpoint.")
        if not _is_a(callback, "ModelCheckpoint"):
            continue
        for name in ("every_n_train_steps", "train_time_interval", "save_on_exception"):
            got = getattr(callback, f"_{name}", None) or getattr(callback, name, None)
            if got:
                raise InputError(f"`ModelCheckpoint` {rule}, got {name}={got}.")


def _is_a(callback: Any, name: str) -> bool:
    """Tell by name, as there are two of each class: in `lightning.pytorch` and in `pytorch_lightning`."""
    return any(kind.__name__ == name for kind in type(callback).__mro__)


def check_rows(row: IntArray, n_rows: int) -> None:
    """Refuse bars that have no label."""
    if len(row) and not 0 <= row.min() <= row.max() < n_rows:
        raise InputError(f"`key` must give bars from 0 to {n_rows - 1}, as labelled, got {row.min()} to {row.max()}.")


def check_once(row: IntArray) -> None:
    """Refuse bars predicted twice in a pass."""
    times = np.bincount(row - row.min())  # linear in the bars of the pass, not in all there are
    if times.max() > 1:
        rule, bar = "`key` must give each bar once a pass", times.argmax() + row.min()
        raise InputError(f"{rule}, got bar {bar} {times.max()} times: are these bar positions?")


def check_classes(given: int, n_classes: int) -> None:
    """Refuse a model that tells other classes apart than the labels do."""
    if given != n_classes:
        raise InputError(f"`n_classes` must be what the model tells apart, got {n_classes} and a model of {given}.")


def check_complete(predictions: Predictions, rows: IntArray) -> None:
    """Make sure that a step of the stream predicted each of its rows once."""
    if not np.array_equal(np.sort(predictions.row), np.sort(rows)):
        made, due = len(predictions), len(rows)
        raise RuntimeError(f"A walk step must predict each of its rows once: {made} predictions for {due} rows.")
