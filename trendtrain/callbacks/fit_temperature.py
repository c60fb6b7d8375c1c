"""Let a model be as sure as its past verdicts allow."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from trendtrain.callbacks.walk_step import Stream, WalkStep
from trendtrain.errors import check_at_least, check_number
from trendtrain.evaluate.temperature import fit_temperature
from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.validation.predictions import Verdicts
from trendtrain.validation.score import group

_LEAST_CHANCE = 1e-12  # a log of it is finite


@runtime_checkable
class HasTemperature(Protocol):
    """A module that divides its answers to the stream by a temperature."""

    temperature: Tensor


class FitTemperature(pl.Callback):
    """After each step of a stream, fit the module's temperature to the newest judged events.

    What was predicted was divided by the temperature of its time, so that is undone first. Only verdicts known by then
    count, and the new temperature serves from the next step on. A module without a `temperature`, and loaders that are
    no stream, are left as they are.

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
        self._judged = self._judged.joined(_judged(verdicts, np.array(self._divisors)[made_in]))
        self._judged = self._judged.newest(self.n_events if step.change is None else step.change)
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
            "judged": [torch.from_numpy(values) for values in self._judged],
            "ends": self._ends.copy(),
            "divisors": self._divisors.copy(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the callback that gave the state stood."""
        self._temperature = state_dict["temperature"]
        self._judged = _Judged(*(values.numpy() for values in state_dict["judged"]))
        self._ends, self._divisors = list(state_dict["ends"]), list(state_dict["divisors"])


class _Judged(NamedTuple):
    """Judged predictions: logits up to a constant (n, C), the class that came (n,), the share in its event (n,)."""

    scores: FloatArray
    truth: IntArray
    weight: FloatArray

    def joined(self, more: "_Judged") -> "_Judged":
        if not len(self.truth):
            return more
        return _Judged(*(np.concatenate(parts) for parts in zip(self, more, strict=True)))

    def newest(self, n_events: int) -> "_Judged":
        n = int(np.searchsorted(np.cumsum(self.weight[::-1]), n_events + 1e-6))  # whole events: their weights sum to 1
        return _Judged(self.scores[-n:], self.truth[-n:], self.weight[-n:]) if n else self


def _judged(verdicts: Verdicts, divisor: FloatArray) -> _Judged:
    scores = divisor[:, None] * np.log(np.maximum(verdicts.predictions.probability, _LEAST_CHANCE))
    events = group(verdicts.event)
    return _Judged(scores, verdicts.truth.astype(np.int64), 1.0 / events.counts[events.inverse])


def _milliseconds(time: Any) -> Any:
    return time.astype("datetime64[ms]").astype(np.int64)
