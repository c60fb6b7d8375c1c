"""Checks that raise, before any work, where a trainer or a model would be judged falsely."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl

from trendtrain.callbacks.trend_early_stopping import TrendEarlyStopping
from trendtrain.errors import InputError

_UNCUT = {
    "overfit_batches": 0.0,
    "limit_val_batches": 1.0,
    "check_val_every_n_epoch": 1,
    "val_check_interval": 1.0,
    "max_steps": -1,  # the last epoch would end without a validation
    "reload_dataloaders_every_n_epochs": 0,  # each reload iterates a loader once more, which draws a batch
}
_LIMITS = ("limit_train_batches", "max_epochs")  # 0 leaves no training
_DEFAULT_EPOCHS = 1000  # of a trainer that is given none
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


def check_stream_trainer(trainer: pl.Trainer, n_warmup: int, n_steps: int | None) -> None:
    """Raise an `InputError` if a trainer would leave out bars of the stream, or save in the middle of a step.

    Args:
        trainer: The trainer.
        n_warmup: Epochs before the first step of the walk.
        n_steps: How many steps the walk has, one an epoch; None where it has no end.
    """
    n_epochs = None if n_steps is None else n_warmup + n_steps
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
    if trainer.state.fn == "fit" and 0 < (trainer.max_epochs or -1) <= n_warmup:
        rule = f"be above the {n_warmup} epochs of warm-up, after which each epoch is a step"
        fix = "`walk.steps` limits the steps, walk.warmup=0 leaves the warm-up out"
        raise InputError(f"`trainer.max_epochs` must {rule} ({fix}), got {trainer.max_epochs}.")
    is_cut = trainer.max_epochs == _DEFAULT_EPOCHS and (n_epochs is None or n_epochs > _DEFAULT_EPOCHS)
    if trainer.state.fn == "fit" and is_cut:
        rule = f"must be given (-1: to the end) where the walk has {n_epochs or 'endless'} epochs"
        raise InputError(f"`trainer.max_epochs` {rule}, got {_DEFAULT_EPOCHS}, which Lightning takes by default.")


def missed_validation(trainer: pl.Trainer) -> InputError:
    """Return the error about an epoch without a validation, which Lightning leaves out without a word."""
    rule = "`trainer.fit` must validate in each epoch, for which a module needs a `validation_step`, and a train loader"
    got = f"{trainer.fit_loop.batch_idx + 1} of {trainer.num_training_batches}"
    return InputError(f"{rule} at least one batch, and as many as its length says, got {got}.")


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
