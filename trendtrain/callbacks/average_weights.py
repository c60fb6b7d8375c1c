"""Predict with weights averaged over the optimizer steps."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import lightning.pytorch as pl
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from trendtrain.errors import check_number
from trendtrain.stream.walk_step import WalkStep

_INTERVAL: Final = 4  # optimizer steps


class AverageWeights(WeightAveraging):
    """Average the module's weights, and predict the stream with the average.

    It is Lightning's `WeightAveraging` with an exponential average. Its decay starts low, so that the random initial
    weights are soon forgotten, and again after a change of the market. Training continues with its own weights. Every
    fourth optimizer step (a batch, unless the trainer accumulates gradients) is averaged: consecutive weights differ
    little, and averaging costs a tenth of a small net's batch. Until the first one, also after a change of the market,
    there is no average: the stream is predicted with the weights in training.
    A checkpoint's `state_dict` holds the average, `current_model_state` the weights in training.

    Args:
        decay: Share of the average that each optimizer step keeps, 0 to below 1: .995 averages over some 200 steps.

    Raises:
        InputError: If `decay` lies outside its range.
    """

    def __init__(self, decay: float = 0.995) -> None:
        check_number("decay", decay, 0.0, 0.999999)
        self.decay = decay
        self._is_swapped = False  # whether the module holds the average
        super().__init__(use_buffers=False, multi_avg_fn=partial(exponential_average_, decay=decay))

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return whether the weights after optimizer step `step_idx` are averaged."""
        return step_idx is not None and (step_idx + 1) % _INTERVAL == 0

    def on_change(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Restart the average: weights from before a change belong to another market."""
        if self._average_model is not None:
            self._average_model.n_averaged.zero_()

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average in place, if there is one."""
        if self._has_average:
            self._swap_models(pl_module)
            self._is_swapped = True

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights in training back; a change may have restarted the average since."""
        if self._is_swapped:
            self._swap_models(pl_module)
            self._is_swapped = False

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the average in the module, if there is one."""
        if self._has_average:
            self._copy_average_to_current(pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the average and the weights in training; these also as the average until there is one."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self._average_model is not None and not self._has_average:
            checkpoint["state_dict"] = dict(checkpoint["current_model_state"])

    @property
    def _has_average(self) -> bool:
        return self._average_model is not None and bool(self._average_model.n_averaged > 0)


def exponential_average_(
    averaged: Sequence[Tensor], current: Sequence[Tensor], n_averaged: Tensor | int, decay: float
) -> None:
    """Set each average to D * averaged + (1 - D) * current, D = min(decay, (1 + n) / (10 + n)) ** 4 of n steps.

    Example:
        >>> one, zero = Tensor([1.0]), Tensor([0.0])
        >>> exponential_average_([one], [zero], n_averaged=10, decay=0.995)  # 40 steps so far
        >>> one
        tensor([0.4521])
    """
    n_steps = _INTERVAL * float(n_averaged)
    share = min(decay, (1.0 + n_steps) / (10.0 + n_steps)) ** _INTERVAL
    for mean, newest in zip(averaged, current, strict=True):
        mean.lerp_(newest, 1.0 - share)
