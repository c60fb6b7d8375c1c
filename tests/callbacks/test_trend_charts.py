from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trendtrain.callbacks import TrendCharts, TrendValidation

Make = Callable[..., Any]

TAGS = {
    "trend/accuracy",
    "trend/accuracy_fading",
    "trend/event_accuracy",
    "trend/pending",
    "trend/void",
    "trend/delay_bars",
    "trend/nll",
    "trend/ece",
    "trend/baseline_majority",
    "trend/baseline_persistence",
    "trend/baseline_reversal",
    "trend/baseline_ema_reversal",
    "trend/baseline_online_logistic",
    "trend/expected_accuracy",
    "trend/AAA/5m/accuracy",
    "trend/BBB/15m/accuracy",
}


@pytest.fixture(scope="module")
def charts(finished: SimpleNamespace) -> EventAccumulator:
    charts = EventAccumulator(str(finished.folder / "tb"), size_guidance={"scalars": 0})
    charts.Reload()
    return charts


def test_there_is_a_chart_of_each_score(charts: EventAccumulator) -> None:
    assert {tag for tag in charts.Tags()["scalars"] if tag.startswith("trend/")} == TAGS


def test_points_lie_at_the_date_of_their_bars(charts: EventAccumulator, finished: SimpleNamespace) -> None:
    labels, clock = finished.datamodule.labels, finished.datamodule.clock
    ends = clock.start + np.arange(1, clock.n_steps + 1) * 90 * np.timedelta64(5, "m")
    ends = np.minimum(ends, labels.close_time.max())
    dates = [point.wall_time for point in charts.Scalars("trend/pending")]
    assert dates == (ends.astype(np.int64) / 1000.0).tolist()


@pytest.mark.parametrize("tag", ["trend/accuracy", "trend/event_accuracy", "trend/nll", "trend/delay_bars"])
def test_points_are_the_running_scores(tag: str, charts: EventAccumulator, finished: SimpleNamespace) -> None:
    name = tag.removeprefix("trend/")
    points = {point.step: point.value for point in charts.Scalars(tag)}
    for step in finished.recorder.steps:
        value = step.stats.accuracy if name == "accuracy" else step.metrics[name]
        assert points.get(step.index, np.nan) == pytest.approx(value, rel=1e-6, nan_ok=True)


def test_a_series_has_its_own_accuracy(charts: EventAccumulator, finished: SimpleNamespace) -> None:
    points = {point.step: point.value for point in charts.Scalars("trend/BBB/15m/accuracy")}
    for step in finished.recorder.steps:
        expected = step.series_stats["BBB", "15m"].accuracy
        assert points.get(step.index, np.nan) == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_what_does_not_exist_yet_draws_no_point(charts: EventAccumulator) -> None:
    assert not any(np.isnan(point.value) for tag in TAGS for point in charts.Scalars(tag))


def test_the_loss_keeps_real_time(charts: EventAccumulator) -> None:
    assert min(point.wall_time for point in charts.Scalars("train/loss")) > 1.7e9  # bars are of 2020


def test_another_logger_is_left_alone(
    tmp_path: Any, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    logger = CSVLogger(tmp_path)
    trainer = make_trainer(TrendValidation(), TrendCharts(), logger=logger, max_epochs=1)
    trainer.fit(make_module(), make_datamodule())
    assert "trend/" not in (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").read_text()
