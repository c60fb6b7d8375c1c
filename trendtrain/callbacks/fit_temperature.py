"""Calibrate a model's confidence on its past verdicts, by temperature scaling."""

from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch

from trendtrain.callbacks.listeners import HasStream, HasTemperature
from trendtrain.errors import check_at_least, check_number
from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.predictions import Verdicts
from trendtrain.validation.score import group
from trendtrain.validation.temperature import fit_temperature

_SMALLEST_PROBABILITY = 1e-12  # its log is finite
_REFIT_SHARE = 0.05  # of the events fitted to


class FitTemperature(pl.Callback):
    """At the end of a stream's step, fit the module's temperature to the newest judged events.

    Stored predictions carry the temperature that divided their logits, so this is undone first. Only verdicts known by
    then count, and the new temperature applies from the next step on. It is fitted again when one event in twenty is
    new, or after a change of the market: a few new events would not move it by its own error. A module without a
    `temperature`, and loaders that are no stream, are left alone.

    Args:
        n_events: How many of the newest judged events count; after a change of the market, those that followed it.
        spread: Prior standard deviation of 1 / temperature around 1.

    Attributes:
        is_fixed: Whether the temperature stays as it is; verdicts are kept for a later fit. `PredictOnly` sets it.

    Raises:
        InputError: If a number lies outside its range.
    """

    def __init__(self, n_events: int = 2000, spread: float = 0.5) -> None:
        check_at_least("n_events", n_events, 1)
        check_number("spread", spread, 1e-6)
        self.n_events = n_events
        self.spread = spread
        self.is_fixed = False
        self._temperature: float | None = None  # before the first fit
        self._fitted = _Sample(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), np.zeros(0))
        self._new: list[_Sample] = []  # since the last fit

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Add the step's verdicts, fit if enough are new, and set the temperature."""
        module = trainer.lightning_module
        if not isinstance(module, HasTemperature) or not isinstance(getattr(trainer, "datamodule", None), HasStream):
            return
        verdicts = step.verdicts[step.verdicts.is_validated]
        if len(verdicts):
            self._new.append(_sample_of(verdicts))
        n_new = sum(sample.weight.sum() for sample in self._new)
        if step.change is not None or n_new > _REFIT_SHARE * self._fitted.weight.sum():
            self._fitted = self._fitted.joined(self._new).newest(step.change or self.n_events)
            self._new = []
            if not self.is_fixed:
                self._temperature = fit_temperature(*self._fitted, self.spread)
        self._set(module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the temperature again: with averaged weights, `on_walk_step` set it in the average, now put away."""
        if isinstance(pl_module, HasTemperature):
            self._set(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return the temperature and the sample."""
        return {
            "temperature": self._temperature,
            "judged": [[torch.from_numpy(values) for values in part] for part in (self._fitted, *self._new)],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        self._temperature = state_dict["temperature"]
        self._fitted, *self._new = [_Sample(*(values.numpy() for values in part)) for part in state_dict["judged"]]

    def _set(self, module: HasTemperature) -> None:
        if self._temperature is not None:
            module.temperature.fill_(self._temperature)


class _Sample(NamedTuple):
    """Predictions with a verdict: logits up to a constant (n, C), true class (n,), weight within the event (n,)."""

    logits: FloatArray
    truth: IntArray
    weight: FloatArray

    def joined(self, more: list["_Sample"]) -> "_Sample":
        parts = [part for part in (self, *more) if len(part.truth)]  # an empty one has the wrong number of classes
        return _Sample(*(np.concatenate(columns) for columns in zip(*parts, strict=True))) if parts else self

    def newest(self, n_events: int) -> "_Sample":
        n = int(np.searchsorted(np.cumsum(self.weight[::-1]), n_events + 1e-6))  # whole events: their weights sum to 1
        return _Sample(self.logits[-n:], self.truth[-n:], self.weight[-n:]) if n else self


def _sample_of(verdicts: Verdicts) -> _Sample:
    made = verdicts.predictions
    logits = made.temperature[:, None] * np.log(np.maximum(made.probability, _SMALLEST_PROBABILITY))
    events = group(verdicts.event)
    return _Sample(logits, verdicts.truth.astype(np.int64), 1.0 / events.counts[events.inverse])
