import csv
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from trendtrain.callbacks import (
    ReseedGenerators,
    TrendCharts,
    TrendValidation,
    WalkCheckpoint,
    WalkStep,
)
from trendtrain.charts import walk_pictures
from trendtrain.data import Walk
from trendtrain.market import Series, synthetic_market

Make = Callable[..., Any]
HPARAM_SCORES = ("event_accuracy", "over_best", "over_best_low", "over_best_high", "nll", "ece")
BANDS = [f"trend/{name}_{end}" for name in ("event_accuracy", "over_best") for end in ("mid", "low", "high")]
CONFIG = {"seed": 3, "model": {"_target_": "mine.Net", "lr": 0.1}, "walk": {"step": "240bars", "steps": None}}

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
    "trend/over_best",
    "trend/AAA/5m/accuracy",
    "trend/BBB/15m/accuracy",
}


def read(folder: Path) -> EventAccumulator:
    charts = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "images": 0})
    charts.Reload()
    return charts


@pytest.fixture(scope="module")
def charts(finished: SimpleNamespace) -> EventAccumulator:
    return read(finished.folder / "tb")


def test_there_is_a_chart_of_each_score(charts: EventAccumulator) -> None:
    assert {tag for tag in charts.Tags()["scalars"] if tag.startswith("trend/")} == TAGS


def test_points_lie_at_the_date_of_their_bars(charts: EventAccumulator, finished: SimpleNamespace) -> None:
    feed = finished.datamodule.stream.feed
    ends = feed.start + np.arange(1, feed.n_steps + 1) * 90 * np.timedelta64(5, "m")
    ends = np.minimum(ends, finished.labels.close_time.max())
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


def test_a_logger_of_ones_own_trainer_gets_the_numbers(
    tmp_path: Any, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    logger, trend = CSVLogger(tmp_path), TrendValidation()
    trainer = make_trainer(trend, TrendCharts(), logger=logger, max_epochs=3)
    trainer.fit(make_module(), make_datamodule())
    with (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["market_time"]]
    assert [row["step"] for row in rows] == ["0", "1", "2"]
    assert float(rows[-1]["trend/pending"]) == trend.summary()["stats"]["pending_validations"]


def test_an_interrupt_waits_for_the_figures(
    tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = walk_pictures.draw_pictures

    def interrupted(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return draw(*arguments)

    monkeypatch.setattr(walk_pictures, "draw_pictures", interrupted)
    logger = TensorBoardLogger(tmp_path, name="tb", version="")
    trainer = make_trainer(TrendValidation(), TrendCharts(), logger=logger, max_epochs=1)
    with pytest.raises(SystemExit):
        trainer.fit(make_module(), make_datamodule())
    assert read(tmp_path / "tb").Tags()["images"]


# -- a walk that is long enough for intervals -------------------------------------------------------------------------


class Stop(pl.Callback):
    """Break a run off at the end of a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        if step.index == self.at:
            raise RuntimeError("power cut")


class Intervals(pl.Callback):
    """Keep the scores as they are at the end of each step."""

    def __init__(self) -> None:
        self.scores: dict[int, dict[str, Any]] = {}

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        self.scores[step.index] = step.board.scores()


@pytest.fixture(scope="module")
def start(make_datamodule: Make, make_module: Make, make_trainer: Make) -> Make:
    """A way to start, and to resume, a walk of 60 steps over some 250 lines."""
    bars = {Series("AAA", "5m"): synthetic_market(9000, seed=4)}

    def start(folder: Path, *more: pl.Callback, config: Any = CONFIG) -> None:
        checkpoint = WalkCheckpoint(folder / "checkpoints", every_n_steps=4)
        resumed = checkpoint.path if checkpoint.path.exists() else None
        first = torch.load(resumed, weights_only=True)["PivotDataModule"]["step"] if resumed else 0
        logger = TensorBoardLogger(folder, name="tb", version="", default_hp_metric=False, purge_step=first)
        parts = (TrendValidation(), TrendCharts(config), checkpoint, ReseedGenerators(0), *more)
        datamodule = make_datamodule(series=bars, walk=Walk(start=0.4, step="90bars", warmup=0))
        make_trainer(*parts, logger=logger).fit(make_module(), datamodule, ckpt_path=resumed, weights_only=True)

    return start


@pytest.fixture(scope="module")
def long(start: Make, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder, intervals = tmp_path_factory.mktemp("long"), Intervals()
    start(folder, intervals)
    return SimpleNamespace(folder=folder, charts=read(folder / "tb"), scores=intervals.scores)


def values(charts: EventAccumulator, tag: str) -> dict[int, float]:
    return {point.step: point.value for point in charts.Scalars(tag)}


def test_the_band_ends_as_the_interval_of_the_summary(long: SimpleNamespace) -> None:
    last = max(long.scores)
    ends = [values(long.charts, f"trend/event_accuracy_{end}")[last] for end in ("low", "high")]
    assert ends == pytest.approx(long.scores[last]["accuracy_ci95"], abs=1e-6)


def test_a_band_is_never_far_from_the_interval_of_its_step(long: SimpleNamespace) -> None:
    low, high = (values(long.charts, f"trend/event_accuracy_{end}") for end in ("low", "high"))
    assert len(low) > 10
    assert set(low) == set(range(min(low), max(long.scores) + 1))
    exact = {step: np.subtract(*scores["accuracy_ci95"][::-1]) for step, scores in long.scores.items()}
    first = min(step for step, width in exact.items() if np.isfinite(width))
    n_enough = 1.1 * long.scores[first - 1]["n_events"] + 1  # for the next width, had the last been NaN just before
    assert first <= min(low) <= min(step for step, scores in long.scores.items() if scores["n_events"] >= n_enough)
    for step in low:
        assert np.isfinite(exact[step])
        assert high[step] - low[step] == pytest.approx(exact[step], rel=0.2)  # blocks are few, and move


def test_the_lead_is_over_the_best_rule_and_its_band_has_the_error_of_the_pairs(long: SimpleNamespace) -> None:
    last = max(long.scores)
    best = long.scores[last]["best_baseline"]
    middle, low, high = (values(long.charts, f"trend/over_best_{end}")[last] for end in ("mid", "low", "high"))
    assert middle == pytest.approx(best["difference"], abs=1e-6)
    assert (low, high) == pytest.approx(best["ci95"], abs=1e-6)


def test_the_three_lines_of_a_band_have_the_same_steps(long: SimpleNamespace) -> None:
    for name in ("event_accuracy", "over_best"):
        steps = [list(values(long.charts, f"trend/{name}_{end}")) for end in ("mid", "low", "high")]
        assert steps[0] == steps[1] == steps[2]  # TensorBoard refuses a margin chart otherwise


def test_the_custom_charts_name_scalars_that_exist(long: SimpleNamespace) -> None:
    (event,) = long.charts.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == ["Skill", "More"]
    charts = [chart for category in layout.category for chart in category.chart]
    bands = [tag for chart in charts for part in chart.margin.series for tag in (part.value, part.lower, part.upper)]
    lines = [tag.strip("^$") for chart in charts for tag in chart.multiline.tag]
    assert bands == BANDS
    assert len(lines) > 5
    assert all(len(chart.multiline.tag) < 2 for chart in charts)  # lines of one run share one colour
    assert set(bands + lines) <= set(long.charts.Tags()["scalars"])


def test_a_page_says_what_the_run_is(long: SimpleNamespace) -> None:
    (event,) = long.charts.Tensors("about this run")
    page = event.tensor_proto.string_val[0].decode()
    assert "- *Not checked: facts from the future.* " in page  # this configuration names no labels
    assert "| model | Net |\n| model.lr | 0.1 |\n| walk.step | 240bars |" in page
    assert event.wall_time < 1.6e9  # bars are of 2020


def test_runs_compare_by_their_configuration_and_final_scores(long: SimpleNamespace) -> None:
    content = {tag: plugin_data(long.charts, tag) for tag in long.charts.PluginTagToContent("hparams")}
    start = content["_hparams_/session_start_info"].session_start_info
    assert set(start.hparams) == {"Model", "Learning rate", "Seed", "model", "model.lr", "walk.step"}
    assert (start.hparams["Seed"].number_value, start.hparams["model"].string_value) == (3, "Net")
    metrics = [metric.name.tag for metric in content["_hparams_/experiment"].experiment.metric_infos]
    assert metrics == [f"trend/{name}" for name in HPARAM_SCORES]
    assert set(metrics) <= set(long.charts.Tags()["scalars"])  # the run's own, so that there is no run beside it
    assert content["_hparams_/session_end_info"].session_end_info.status == 1  # success
    assert [path.name for path in (long.folder / "tb").iterdir() if path.is_dir()] == []


def plugin_data(charts: EventAccumulator, tag: str) -> HParamsPluginData:
    return HParamsPluginData.FromString(charts.PluginTagToContent("hparams")[tag])


def test_a_resumed_run_leaves_the_charts_of_one_that_never_stopped(
    long: SimpleNamespace, start: Make, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        start(tmp_path, Stop(at=54))  # the checkpoint is of 52 steps
    assert max(values(read(tmp_path / "tb"), "trend/nll")) == 54
    start(tmp_path)
    charts = read(tmp_path / "tb")
    assert charts.Tags() == long.charts.Tags()
    for tag in charts.Tags()["scalars"]:
        if tag.startswith(("trend/", "replay/")):
            assert values(charts, tag) == values(long.charts, tag)
            assert [p.wall_time for p in charts.Scalars(tag)] == [p.wall_time for p in long.charts.Scalars(tag)]
    for tag in charts.Tags()["images"]:
        assert [picture.step for picture in charts.Images(tag)] == [picture.step for picture in long.charts.Images(tag)]
        assert charts.Images(tag)[-1].encoded_image_string == long.charts.Images(tag)[-1].encoded_image_string
    for tag in charts.Tags()["tensors"]:
        assert [e.step for e in charts.Tensors(tag)] == [e.step for e in long.charts.Tensors(tag)]


def test_a_run_without_a_configuration_has_no_place_in_the_comparison(start: Make, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        start(tmp_path, Stop(at=1), config=None)
    charts = read(tmp_path / "tb")
    assert charts.Tags()["tensors"] == ["about this run", "custom_scalars__config__"]
