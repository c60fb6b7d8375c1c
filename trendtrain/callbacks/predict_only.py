"""Predict the stream, and leave the model as it is: its weights and its temperature."""

from typing import Any

import lightning.pytorch as pl

from trendtrain.callbacks.fit_temperature import FitTemperature


class PredictOnly(pl.Callback):
    """Make training do nothing: no forward pass, no gradient, no optimizer step, and no draw of the replay.

    By default the temperature is not fitted either: a confidence depends on the bars alone, not on how they were cut
    into steps. A module that optimizes by itself makes a step only in its `training_step`, which is replaced. The
    optimizer's state stays as it is, so that a later run learns on.

    Args:
        fixes_temperature: Whether the temperature stays as it is.
    """

    def __init__(self, fixes_temperature: bool = True) -> None:
        self.fixes_temperature = fixes_temperature

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Replace the training step of the module, and fix its temperature."""
        pl_module.automatic_optimization = False
        pl_module.training_step = _do_nothing  # type: ignore[method-assign]
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, FitTemperature):
                callback.is_fixed = self.fixes_temperature


def _do_nothing(*arguments: Any) -> None:
    """Take a batch."""
