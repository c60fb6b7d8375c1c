"""Stop early on a score that does not exist before the first verdict."""

import math

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping


class TrendEarlyStopping(EarlyStopping):
    """Stop when a `trend/` metric stops improving, counting from its first number on.

    The arguments are those of Lightning's `EarlyStopping`. A check while the metric is NaN (nothing is judged yet) is
    left out: it neither stops nor costs patience.

    Example:
        >>> stopping = TrendEarlyStopping(monitor="trend/event_accuracy", mode="max", patience=5)
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check, if there is a number."""
        if not self._is_waiting(trainer):
            super().on_train_epoch_end(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check, if there is a number."""
        if not self._is_waiting(trainer):
            super().on_validation_end(trainer, pl_module)

    def _is_waiting(self, trainer: pl.Trainer) -> bool:
        value = trainer.callback_metrics.get(self.monitor)
        return value is not None and math.isnan(float(value))
