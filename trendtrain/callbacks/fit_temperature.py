"""Let a model be as sure as its past verdicts allow."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from trendtrain.callbacks.listeners import Stream
from trendtrain.errors import check_at_least, check_number
from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.predictions import Verdicts
from trendtrain.validation.score import group
from trendtrain.validation.temperature import fit_temperature

_LEAST_CHANCE = 1e-12  # a log of it is finite
_LEAST_NEW = 0.05  # of the events fitted to


@runtime_checkable
class HasTemperature(Protocol):
    """A module that divides its answers to the stream by a temperature."""

    temperature: Tensor


class FitTemperature(pl.Callback):
    """At the end of a stream's step, fit the module's temperature to the newest judged events.

    What was predicted was divided by the temperature of its time, so that is undone first. Only verdicts known by then
    count, and the new temperature serves from the next step on. It is fitted again as soon as one event in twenty is
    new, or after a change of the market: a few new ones would not move it by its own error. A module without a
    `temperature`, and loaders that are no stream, are left as they are.

    Args:
        n_events: How many of the newest judged events count; after a change of the market, those that followed it.
        spread: How far 1 / temperature goes from 1 without evidence, as a standard deviation.

    Raises:
        InputError: If a number lies outside its range.
    """

    def __init__(self, n_events: int = 2000, spread: float = 0.5) -> None:
        check_at_least("n_events", n_events, 1)
        check_number("spread", spread, 1e-6)
        self.n_events = n_events
        self.spread = spread
        self._temperature = 1.0
        self._judged = _Judged(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), np.zeros(0))
        self._fresh: list[_Judged] = []  # since the last fit
        self._ends: list[int] = []  # when each step ended
        self._divisors: list[float] = []  # what its answers were divided by

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Take a step's verdicts in, and fit."""
        module = trainer.lightning_module
        if not isinstance(module, HasTemperature) or not isinstance(getattr(trainer, "datamodule", None), Stream):
            return
        self._ends.append(int(_milliseconds(step.now)))
        self._divisors.append(float(module.temperature))
        verdicts = step.verdicts[step.verdicts.is_validated]
        made_in = np.searchsorted(self._ends, _milliseconds(step.labels.close_time[verdicts.row]))
        if len(verdicts):
            self._fresh.append(_judged(verdicts, np.array(self._divisors)[made_in]))
        n_new = sum(fresh.weight.sum() for fresh in self._fresh)
        if step.change is not None or n_new > _LEAST_NEW * self._judged.weight.sum():
            self._judged = self._judged.joined(self._fresh).newest(step.change or self.n_events)
            self._fresh = []
            self._temperature = fit_temperature(*self._judged, self.spread)
        module.temperature.fill_(self._temperature)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set it once more: where weights are averaged, the module of the step was the average, now put away."""
        if self._ends and isinstance(pl_module, HasTemperature):
            pl_module.temperature.fill_(self._temperature)

    def state_dict(self) -> dict[str, Any]:
        """Return the judged events, and what was divided by what."""
        return {
            "temperature": self._temperature,
            "judged": [[torch.from_numpy(values) for values in part] for part in (self._judged, *self._fresh)],
            "ends": self._ends.copy(),
            "divisors": self._divisors.copy(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the callback that gave the state stood."""
        self._temperature = state_dict["temperature"]
        self._judged, *self._fresh = [_Judged(*(values.numpy() for values in part)) for part in state_dict["judged"]]
        self._ends, self._divisors = list(state_dict["ends"]), list(state_dict["divisors"])


class _Judged(NamedTuple):
    """Judged predictions: logits up to a constant (n, C), the class that came (n,), the share in its event (n,)."""

    scores: FloatArray
    truth: IntArray
    weight: FloatArray

    def joined(self, more: list["_Judged"]) -> "_Judged":
        parts = [part for part in (self, *more) if len(part.truth)]  # an empty one does not know how many classes
        return _Judged(*(np.concatenate(columns) for columns in zip(*parts, strict=True))) if parts else self

    def newest(self, n_events: int) -> "_Judged":
        n = int(np.searchsorted(np.cumsum(self.weight[::-1]), n_events + 1e-6))  # whole events: their weights sum to 1
        return _Judged(self.scores[-n:], self.truth[-n:], self.weight[-n:]) if n else self


def _judged(verdicts: Verdicts, divisor: FloatArray) -> _Judged:
    scores = divisor[:, None] * np.log(np.maximum(verdicts.predictions.probability, _LEAST_CHANCE))
    events = group(verdicts.event)
    return _Judged(scores, verdicts.truth.astype(np.int64), 1.0 / events.counts[events.inverse])


def _milliseconds(time: Any) -> Any:
    return time.astype("datetime64[ms]").astype(np.int64)
