"""Confidence fitted to the verdicts of the past, and to nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from trendtrain.callbacks import (
    AverageWeights,
    FitTemperature,
    ReseedGenerators,
    TrendValidation,
    WalkCheckpoint,
    WalkStep,
)
from trendtrain.errors import InputError
from trendtrain.models import CnnNet, TrendModule
from trendtrain.validation import fit_temperature

Make = Callable[..., Any]


class Raw(TrendModule):
    """Remember the logits of each row as they were before they were divided."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(CnnNet(8, 12, width=8, kernels=(3, 4), n_side=0), lr=1e-2)
        self.logits: dict[int, np.ndarray] = {}

    def validation_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> dict[str, torch.Tensor]:
        outputs = super().validation_step(batch, batch_idx)
        raw = (outputs["logits"] * self.temperature).double().numpy()
        self.logits.update(zip(batch["row"].tolist(), raw, strict=True))
        return outputs


class Refit(pl.Callback):
    """Fit from all raw logits that were judged by then, event by event, where one event in twenty is new."""

    def __init__(self, n_events: int, spread: float) -> None:
        self.n_events, self.spread = n_events, spread
        self.events: dict[int, list[tuple[int, int]]] = {}
        self.fitted: list[tuple[float, float]] = []
        self.n_fitted, self.temperature = 0, 1.0

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        module, verdicts = trainer.lightning_module, step.verdicts
        rows = zip(verdicts.row, verdicts.truth, verdicts.event, verdicts.is_validated, strict=True)
        for row, truth, event, is_validated in rows:
            if is_validated:
                self.events.setdefault(int(event), []).append((int(row), int(truth)))
        newest = list(self.events.values())[-self.n_events :]
        flat = [(row, truth, 1.0 / len(event)) for event in newest for row, truth in event]
        scores = np.array([module.logits[row] for row, _, _ in flat]).reshape(-1, 2)
        truth = np.array([truth for _, truth, _ in flat], dtype=np.int64)
        if len(self.events) - self.n_fitted > 0.05 * min(self.n_fitted, self.n_events):
            share = np.array([share for _, _, share in flat])
            self.n_fitted, self.temperature = len(self.events), fit_temperature(scores, truth, share, self.spread)
        self.fitted.append((self.temperature, float(module.temperature)))


def test_it_is_fitted_to_the_newest_judged_events_as_they_were_before_division(
    make_datamodule: Make, make_trainer: Make
) -> None:
    fit, refit = FitTemperature(n_events=40, spread=1.0), Refit(40, 1.0)
    make_trainer(TrendValidation(), fit, refit).fit(Raw(), make_datamodule())
    expected, found = np.array(refit.fitted).T
    assert len(found) > 8
    assert expected.std() > 0.05  # it moved, so that a wrong divisor would show
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_answers_are_divided_by_what_earlier_steps_gave(make_datamodule: Make, make_trainer: Make) -> None:
    seen: list[float] = []

    class Watch(Raw):
        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            seen.append(float(self.temperature))
            return super().validation_step(batch, batch_idx)

    fit, refit = FitTemperature(n_events=40, spread=1.0), Refit(40, 1.0)
    make_trainer(TrendValidation(), fit, refit).fit(Watch(), make_datamodule())
    after = [found for _, found in refit.fitted]
    assert list(dict.fromkeys(seen)) == list(dict.fromkeys([1.0, *after[:-1]]))


def test_the_market_of_before_a_change_does_not_count(make_datamodule: Make, make_trainer: Make) -> None:
    class Alarm:
        def __init__(self) -> None:
            self.n = 0

        def update(self, accuracy: Any) -> int | None:
            self.n += 1
            return 5 if self.n == 6 else None

        def state_dict(self) -> dict[str, int]:
            return {"n": self.n}

    class Count(pl.Callback):
        def __init__(self, fit: FitTemperature) -> None:
            self.fit, self.events = fit, []

        def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
            self.events.append(round(self.fit._fitted.weight.sum()))

    datamodule = make_datamodule()
    datamodule.setup()
    datamodule.replay.detector = Alarm()
    fit = FitTemperature()
    count = Count(fit)
    make_trainer(TrendValidation(), fit, count).fit(Raw(), datamodule)
    assert count.events[5] == 5
    assert count.events[4] > 5 < count.events[6]


def test_a_module_without_a_temperature_is_left_as_it_is(make_datamodule: Make, make_trainer: Make) -> None:
    class Mine(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(96, 2))

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return torch.nn.functional.cross_entropy(self.net(batch["window"]), batch["label"])

        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            return self.net(batch["window"])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=1e-3)

    module, fit = Mine(), FitTemperature()
    make_trainer(TrendValidation(), fit, max_epochs=3).fit(module, make_datamodule())
    assert not hasattr(module, "temperature")
    assert fit.state_dict()["temperature"] is None


class Log(pl.Callback):
    """Keep the steps, and the temperature that the module in training has after each."""

    def __init__(self) -> None:
        self.steps: list[WalkStep] = []
        self.temperatures: list[float] = []

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        self.steps.append(step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.temperatures.append(float(pl_module.temperature))


def test_the_order_of_temperature_and_averaging_does_not_matter(
    make_datamodule: Make, make_module: Make, make_trainer: Make
) -> None:
    found = []
    for swap in (False, True):
        module, log = make_module(), Log()
        both = [FitTemperature(n_events=200), AverageWeights(0.9)]
        callbacks = [TrendValidation(), ReseedGenerators(0), *(reversed(both) if swap else both), log]
        make_trainer(*callbacks).fit(module, make_datamodule())
        found.append((torch.cat([values.flatten() for values in module.state_dict().values()]), log))
    (state, log), (other_state, other_log) = found
    torch.testing.assert_close(state, other_state, rtol=0, atol=0)
    assert len(set(log.temperatures)) > 5
    assert log.temperatures == other_log.temperatures
    for a, b in zip(log.steps, other_log.steps, strict=True):
        np.testing.assert_array_equal(a.predictions.probability, b.predictions.probability)


def parts(folder: Path) -> list[pl.Callback]:
    more = [FitTemperature(spread=1.0), AverageWeights(0.9), WalkCheckpoint(folder, every_n_steps=5)]
    return [TrendValidation(), ReseedGenerators(0), *more]


def test_a_resumed_run_has_the_temperature_and_the_average_of_one_that_never_stopped(
    tmp_path: Path, make_datamodule: Make, make_trainer: Make
) -> None:
    for name, max_epochs, ckpt in (("whole", 12, None), ("cut", 5, None), ("cut", 12, tmp_path / "cut" / "last.ckpt")):
        trainer = make_trainer(*parts(tmp_path / name), max_epochs=max_epochs)
        trainer.fit(Raw(), make_datamodule(), ckpt_path=ckpt, weights_only=True)
    whole, resumed = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("whole", "cut"))
    assert whole["state_dict"]["temperature"] != 1.0
    for key in ("state_dict", "current_model_state"):
        assert whole[key].keys() == resumed[key].keys()
        for name, values in whole[key].items():
            torch.testing.assert_close(resumed[key][name], values, rtol=0, atol=0)
    assert whole["state_dict"]["temperature"] == whole["current_model_state"]["temperature"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_events": 0}, "`n_events` must be an integer of at least 1, got 0"),
        ({"spread": 0.0}, "`spread` must be a number of at least 1e-06, got 0"),
    ],
)
def test_a_bad_argument_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FitTemperature(**options)
