"""Predict with weights averaged over time."""

from functools import partial
from typing import Final

import lightning.pytorch as pl
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from trendtrain.callbacks.walk_step import WalkStep
from trendtrain.errors import check_number

BATCHES_A_TIME: Final = 4


class AverageWeights(WeightAveraging):
    """Average the module's weights, and predict the stream with the average.

    It is Lightning's `WeightAveraging` with an exponential average whose decay starts low, so that the random weights
    of the start are soon forgotten; after a change of the market it starts anew. Training goes on with its own weights.
    Every fourth batch is averaged: neighbours differ little, and averaging costs a tenth of a small net's batch.
    A checkpoint's `state_dict` holds the average, `current_model_state` the weights in training.

    Args:
        decay: What the average keeps of itself a batch, 0 to below 1: .995 averages over some 200 batches.

    Raises:
        InputError: If `decay` lies outside its range.
    """

    def __init__(self, decay: float = 0.995) -> None:
        check_number("decay", decay, 0.0, 0.999999)
        self.decay = decay
        super().__init__(use_buffers=False, avg_fn=partial(exponential_average, decay=decay))

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Say whether the batch that was the `step_idx`th is averaged."""
        return step_idx is not None and (step_idx + 1) % BATCHES_A_TIME == 0

    def on_change(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Start anew: weights from before a change answer to a market that is no more."""
        if self._average_model is not None:
            self._average_model.n_averaged.zero_()


def exponential_average(averaged: Tensor, current: Tensor, n_averaged: Tensor | int, decay: float) -> Tensor:
    """Return D * averaged + (1 - D) * current, with D = min(decay, (1 + n) / (10 + n)) ** 4 of n batches so far.

    Example:
        >>> one, zero = Tensor([1.0]), Tensor([0.0])
        >>> [round(exponential_average(one, zero, n, 0.995).item(), 3) for n in (1, 10, 1000)]  # 4 n batches
        [0.016, 0.452, 0.98]
    """
    n_batches = BATCHES_A_TIME * float(n_averaged)
    share = min(decay, (1.0 + n_batches) / (10.0 + n_batches)) ** BATCHES_A_TIME
    return averaged.lerp(current, 1.0 - share)
