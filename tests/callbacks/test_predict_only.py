"""A model that only predicts depends on the bars alone, and can learn on later."""

from collections.abc import Callable
from typing import Any

import numpy as np

from trendtrain.callbacks import FitTemperature, PredictOnly, TrendValidation
from trendtrain.data import Walk
from trendtrain.data.datamodule import Live
from trendtrain.validation import Verdicts

Make = Callable[..., Any]


def predict(
    make: tuple[Make, Make, Make], step: str, temperature: FitTemperature, **options: bool
) -> list[tuple[Any, ...]]:
    """Return the judged predictions of a walk without training, by row."""
    make_datamodule, make_module, make_trainer = make
    judged: list[tuple[Any, ...]] = []

    def keep(verdicts: Verdicts) -> None:
        made = verdicts.predictions
        columns = (made.row, made.direction, made.confidence, verdicts.outcome, verdicts.truth, verdicts.known_at)
        judged.extend(zip(*(column.tolist() for column in columns), strict=True))

    walk = Walk(start=0.7, step=step, warmup=0)
    trainer = make_trainer(TrendValidation(on_verdicts=keep), temperature, PredictOnly(**options))
    trainer.fit(make_module(), make_datamodule(walk=walk, live=Live(max_batches=0)))
    assert len(judged) > 400
    return sorted(judged)


def test_it_predicts_the_same_to_the_bit_however_bars_are_cut_into_steps(
    make_datamodule: Make, make_module: Make, make_trainer: Make
) -> None:
    make = make_datamodule, make_module, make_trainer
    assert predict(make, "1bars", FitTemperature()) == predict(make, "90bars", FitTemperature())


def test_its_temperature_stays_and_verdicts_are_kept_for_a_later_fit(
    make_datamodule: Make, make_module: Make, make_trainer: Make
) -> None:
    fit = FitTemperature(n_events=20)
    fit.load_state_dict({"temperature": 2.0, "judged": fit.state_dict()["judged"]})
    predict((make_datamodule, make_module, make_trainer), "90bars", fit)
    state = fit.state_dict()
    assert state["temperature"] == 2.0
    n_events = [float(weight.sum()) for _, _, weight in state["judged"]]
    np.testing.assert_allclose(n_events[0], 20)  # and no more: memory stays as it is
    assert sum(n_events) < 22


def test_its_temperature_is_fitted_where_another_process_trains(
    make_datamodule: Make, make_module: Make, make_trainer: Make
) -> None:
    fit = FitTemperature(n_events=20)
    predict((make_datamodule, make_module, make_trainer), "90bars", fit, fixes_temperature=False)
    assert fit.state_dict()["temperature"] is not None
