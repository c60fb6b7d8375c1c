"""Early stopping on a score that is NaN before the first verdict."""

import math

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping


class TrendEarlyStopping(EarlyStopping):
    """Stop when a `trend/` metric stops improving, counting from its first number on.

    The arguments are those of Lightning's `EarlyStopping`. While the metric is NaN (nothing is judged yet) nothing is
    checked: training does not stop, and no patience is used up.

    Example:
        >>> stopping = TrendEarlyStopping(monitor="trend/event_accuracy", mode="max", patience=5)
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check, unless the metric is NaN."""
        if not self._is_waiting(trainer):
            super().on_train_epoch_end(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check, unless the metric is NaN."""
        if not self._is_waiting(trainer):
            super().on_validation_end(trainer, pl_module)

    def _is_waiting(self, trainer: pl.Trainer) -> bool:
        value = trainer.callback_metrics.get(self.monitor)
        return value is not None and math.isnan(float(value))
