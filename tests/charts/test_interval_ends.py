"""The bands in TensorBoard keep to the range of what they show."""

from types import SimpleNamespace
from typing import Any

import pytest

from trendtrain.charts.tensorboard import Intervals


def step(accuracy: float, ci95: list[float], best: dict[str, Any] | None) -> Any:
    scores = {"event_accuracy": accuracy, "accuracy_ci95": ci95, "best_baseline": best}
    board = SimpleNamespace(n_events=90, scores=lambda: scores)
    metrics = {"event_accuracy": accuracy, "baseline_majority": 0.1}
    return SimpleNamespace(n_steps=None, index=0, board=board, metrics=metrics)


def test_an_end_beyond_the_range_is_cut_off_and_the_other_stays() -> None:
    ends = Intervals().update(step(0.975, [0.9159, 1.0], {"difference": 0.875, "ci95": [0.6, 1.0]}))
    assert ends["event_accuracy_mid"] == pytest.approx(0.975)
    assert ends["event_accuracy_low"] == pytest.approx(0.9159)
    assert ends["event_accuracy_high"] == 1.0
    assert (ends["over_best_low"], ends["over_best_high"]) == (pytest.approx(0.6), 1.0)


def test_a_missing_interval_draws_no_band() -> None:
    ends = Intervals().update(step(0.5, [float("nan")] * 2, None))
    assert all(ends[f"event_accuracy_{end}"] != ends[f"event_accuracy_{end}"] for end in ("mid", "low", "high"))
