"""Predict the stream, and leave the weights as they are."""

from typing import Any

import lightning.pytorch as pl


class PredictOnly(pl.Callback):
    """Make training do nothing: no forward pass, no gradient, no optimizer step, and no draw of the replay.

    A module that optimizes by itself makes a step only in its `training_step`, which is replaced. The optimizer's state
    stays as it is, so that a later run learns on.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Replace the training step of the module."""
        pl_module.automatic_optimization = False
        pl_module.training_step = _do_nothing  # type: ignore[method-assign]


def _do_nothing(*arguments: Any) -> None:
    """Take a batch."""
