"""Predict with weights averaged over the batches."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import lightning.pytorch as pl
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from trendtrain.errors import check_number
from trendtrain.stream.walk_step import WalkStep

_INTERVAL: Final = 4  # batches


class AverageWeights(WeightAveraging):
    """Average the module's weights, and predict the stream with the average.

    It is Lightning's `WeightAveraging` with an exponential average. Its decay starts low, so that the random initial
    weights are soon forgotten, and again after a change of the market. Training continues with its own weights. Every
    fourth batch is averaged: consecutive weights differ little, and averaging costs a tenth of a small net's batch.
    A checkpoint's `state_dict` holds the average, `current_model_state` the weights in training.

    Args:
        decay: Share of the average that each batch keeps, 0 to below 1: .995 averages over some 200 batches.

    Raises:
        InputError: If `decay` lies outside its range.
    """

    def __init__(self, decay: float = 0.995) -> None:
        check_number("decay", decay, 0.0, 0.999999)
        self.decay = decay
        super().__init__(use_buffers=False, multi_avg_fn=partial(exponential_average_, decay=decay))

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return whether the weights after batch `step_idx` are averaged."""
        return step_idx is not None and (step_idx + 1) % _INTERVAL == 0

    def on_change(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Restart the average: weights from before a change belong to another market."""
        if self._average_model is not None:
            self._average_model.n_averaged.zero_()


def exponential_average_(
    averaged: Sequence[Tensor], current: Sequence[Tensor], n_averaged: Tensor | int, decay: float
) -> None:
    """Set each average to D * averaged + (1 - D) * current, D = min(decay, (1 + n) / (10 + n)) ** 4 of n batches.

    Example:
        >>> one, zero = Tensor([1.0]), Tensor([0.0])
        >>> exponential_average_([one], [zero], n_averaged=10, decay=0.995)  # 40 batches so far
        >>> one
        tensor([0.4521])
    """
    n_batches = _INTERVAL * float(n_averaged)
    share = min(decay, (1.0 + n_batches) / (10.0 + n_batches)) ** _INTERVAL
    for mean, newest in zip(averaged, current, strict=True):
        mean.lerp_(newest, 1.0 - share)
