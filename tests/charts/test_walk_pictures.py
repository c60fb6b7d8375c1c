import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.colors import to_rgb
from streams import labels_of, positions
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader, TensorDataset
from trainer_parts import SERIES

from trendtrain.callbacks import TrendCharts, TrendValidation, WalkStep
from trendtrain.charts.look import dark
from trendtrain.charts.page import THEMES
from trendtrain.charts.recent_chart import RecentBars, draw_recent, recent_bars
from trendtrain.charts.recent_predictions import NONE, PENDING, RecentPredictions
from trendtrain.data import PivotDataModule, Walk
from trendtrain.market import Bars, Labels, PivotRules, Series, find_pivots, label_bars, synthetic_market
from trendtrain.market.pivots import Pivots
from trendtrain.validation.predictions import CORRECT, VOID_FLAT, WRONG

Make = Callable[..., Any]
SCORES = {f"figures/{name}" for name in ("rules", "lead", "reliability", "confusion", "delays", "accuracy_by_hour")}


class NewestBars(pl.Callback):
    """Keep each step, and the newest bars as they are drawn after it."""

    def __init__(self, datamodule: PivotDataModule) -> None:
        self.datamodule = datamodule
        self.steps: list[WalkStep] = []
        self.recents: list[dict[Series, RecentBars]] = []
        self.predictions = RecentPredictions()

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        module = self.datamodule
        self.steps.append(step)
        self.predictions.update(step)
        self.recents.append(
            {
                step.series[i]: recent_bars(step, i, bars, module.labeler, self.predictions)
                for i, bars in enumerate(module.newest_bars())
            }
        )


@pytest.fixture(scope="module")
def walked(make_trainer: Make, make_module: Make, make_datamodule: Make) -> NewestBars:
    """A walk over two series whose rules void some predictions."""
    labeler = partial(label_bars, max_gap=12, strength=(2, 1), flat_band=0.002)
    datamodule = make_datamodule(labeler=labeler, walk=Walk(start=0.3, step="150bars", warmup=0))
    recents = NewestBars(datamodule)
    make_trainer(TrendValidation(), recents).fit(make_module(), datamodule)
    return recents


def test_a_pivot_chart_shows_nothing_that_was_not_known_then(walked: NewestBars) -> None:
    for step, recents in zip(walked.steps, walked.recents, strict=True):
        for name, recent in recents.items():
            whole = SERIES[name]
            n_closed = int((whole.close_time <= step.now).sum())
            assert recent.bars.open_time[-1] == whole.open_time[n_closed - 1]
            for facts in (*recent.pivots, recent.lines):
                assert facts.known_at.max(initial=0) < len(recent.bars)


def test_the_pivots_drawn_are_those_of_the_whole_series(walked: NewestBars) -> None:
    def drawn(pivots: Pivots, first: int, shift: int) -> list[tuple[int, int, float]]:
        here = pivots.take(pivots.bar + shift >= first)
        return sorted(zip((here.bar + shift).tolist(), here.level.tolist(), here.price.tolist(), strict=True))

    for name, recent in walked.recents[-1].items():
        whole = SERIES[name]
        shift = int(np.searchsorted(whole.open_time, recent.bars.open_time[0]))
        for kind, pivots in zip(find_pivots(whole, strength=(2, 1), max_gap=12), recent.pivots, strict=True):
            expected = drawn(kind, shift + recent.first, 0)
            assert drawn(pivots, shift + recent.first, shift) == expected != []


def test_the_lines_drawn_are_those_that_judge(walked: NewestBars) -> None:
    for i, (name, recent) in enumerate(walked.recents[-1].items()):
        labels = labels_of(SERIES, 12, strength=(2, 1), flat_band=0.002)
        first, last = recent.bars.open_time[recent.first], recent.bars.open_time[-1]
        is_of_it = labels.series_index[labels.lines.first_bar] == i
        expected = labels.lines[is_of_it & (labels.lines.known_at <= labels.offset[i] + len(SERIES[name]) - 1)]
        for name_ in ("start_time", "end_time", "kind", "direction", "first_price", "last_price"):
            ours = getattr(recent.lines, name_)[recent.lines.start_time >= first]
            theirs = getattr(expected, name_)[(expected.start_time >= first) & (expected.end_time <= last)]
            assert ours.tolist() == theirs.tolist() != []


def test_lines_are_drawn_where_ours_label_however_the_labeler_is_given(walked: NewestBars) -> None:
    def lines_by(labeler: Callable[[Bars], Labels]) -> int:
        step = walked.steps[-1]
        return len(recent_bars(step, 0, SERIES[step.series[0]], labeler, walked.predictions).lines)

    ours = [label_bars, partial(label_bars), partial(label_bars, rules=PivotRules())]
    assert len({lines_by(labeler) for labeler in ours}) == 1
    assert lines_by(label_bars) > 0
    assert lines_by(lambda bars: label_bars(bars)) == 0


def test_each_bar_has_what_was_predicted_at_it_and_what_came_of_it(walked: NewestBars) -> None:
    said: dict[int, int] = {}
    came: dict[int, int] = {}
    seen = set()
    for step, recents in zip(walked.steps, walked.recents, strict=True):
        made, verdicts = step.predictions, step.verdicts
        said |= dict(zip(positions(SERIES, made.row).tolist(), made.direction.tolist(), strict=True))
        came |= dict(zip(positions(SERIES, verdicts.row).tolist(), verdicts.outcome.tolist(), strict=True))
        for i, name in enumerate(step.series):
            recent, bars = recents[name], SERIES[name]
            offset = (0, len(SERIES["AAA", "5m"]))[i]
            first = int(offset + np.searchsorted(bars.open_time, recent.bars.open_time[0]))
            for bar in range(recent.first, len(recent.bars)):
                expected = came.get(first + bar, PENDING if first + bar in said else NONE)
                assert recent.outcome[bar] == expected
                assert recent.direction[bar] == said.get(first + bar, NONE)
                seen.add(expected)
    assert seen >= {NONE, PENDING, WRONG, CORRECT, VOID_FLAT}


def test_predictions_are_coloured_by_verdict_and_pending_ones_are_grey(walked: NewestBars) -> None:
    recent = walked.recents[-1]["AAA", "5m"]
    with dark():
        figure = draw_recent(recent)
    _, said, came = figure.axes
    colours = {CORRECT: "#009e73", WRONG: "#c2528b", PENDING: "#a9b1ba", NONE: THEMES["dark"]["card"]}
    picture = came.collections[0].get_array()[0]
    assert len(picture) == len(recent.bars) - recent.first <= 240
    for code, colour in colours.items():
        here = recent.outcome[recent.first :] == code
        assert np.allclose(picture[here], to_rgb(colour))
    assert np.allclose(said.collections[0].get_array()[0][recent.direction[recent.first :] == 1], to_rgb("#0072b2"))
    assert f"{(recent.outcome[recent.first :] == PENDING).sum()} pending" in figure.axes[0].get_title(loc="left")


# -- in TensorBoard ---------------------------------------------------------------------------------------------------


def images(folder: Path) -> EventAccumulator:
    charts = EventAccumulator(str(folder / "tb"), size_guidance={"images": 0})
    charts.Reload()
    return charts


def fit(folder: Path, make_trainer: Make, make_module: Make, datamodule: Any, **options: Any) -> EventAccumulator:
    logger = TensorBoardLogger(folder, name="tb", version="", default_hp_metric=False)
    make_trainer(TrendValidation(), TrendCharts(), logger=logger, **options).fit(make_module(), datamodule)
    return images(folder)


def test_a_run_ends_with_its_pictures_at_the_date_of_its_last_bar(
    tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    datamodule = make_datamodule()
    charts = fit(tmp_path, make_trainer, make_module, datamodule)
    assert set(charts.Tags()["images"]) == SCORES | {"figures/pivots/AAA/5m", "figures/pivots/BBB/15m"}
    seconds = datamodule.stream.now.astype("datetime64[ms]").astype(np.int64) / 1000.0
    for tag in charts.Tags()["images"]:
        (picture,) = charts.Images(tag)
        assert (picture.step, picture.wall_time) == (datamodule.stream.feed.n_steps - 1, seconds)
        assert picture.encoded_image_string.startswith(b"\x89PNG")
        size = [int.from_bytes(picture.encoded_image_string[i : i + 4]) for i in (16, 20)]
        assert size == [picture.width, picture.height]
        assert 5_000 < len(picture.encoded_image_string) < 150_000


class Foreign(pl.LightningModule):
    """Someone's module, which knows nothing of trendtrain."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Linear(4, 2)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1] % 2)

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        return self.net(batch[0])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_foreign_trainer_gets_the_figures_of_its_last_pass(tmp_path: Path, make_trainer: Make) -> None:
    bars = synthetic_market(4000, seed=2)
    rows = torch.arange(len(bars))
    loader = DataLoader(TensorDataset(torch.randn(len(bars), 4), rows), batch_size=500)
    logger = TensorBoardLogger(tmp_path, name="tb", version="")
    trainer = make_trainer(TrendValidation(labels=label_bars(bars)), TrendCharts(), logger=logger, max_epochs=3)
    trainer.fit(Foreign(), loader, loader)
    charts = images(tmp_path)
    assert set(charts.Tags()["images"]) == SCORES - {"figures/lead"}  # there are no rules
    assert [picture.step for picture in charts.Images("figures/reliability")] == [2]
    assert [point.step for point in charts.Scalars("trend/event_accuracy_low")] == [0, 1, 2]


def test_a_walk_without_a_verdict_has_pivots_alone(
    tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    datamodule = make_datamodule(walk=Walk(start=0.3, step="5bars", steps=1, warmup=0))
    tags = fit(tmp_path, make_trainer, make_module, datamodule).Tags()["images"]
    assert set(tags) == {"figures/pivots/AAA/5m", "figures/pivots/BBB/15m"}


def test_a_series_that_has_not_begun_has_no_picture_yet(
    tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    early, late = synthetic_market(700, seed=2), synthetic_market(700, seed=3)
    late = replace(late, open_time=late.open_time + np.timedelta64(90, "D"))
    series = {Series("AAA", "5m"): early, Series("BBB", "5m"): late}
    for steps, drawn in ((2, {"AAA"}), (None, {"AAA", "BBB"})):
        walk = Walk(start=str(early.open_time[300]), step="200bars", steps=steps, warmup=0)
        charts = fit(tmp_path / str(steps), make_trainer, make_module, make_datamodule(series=series, walk=walk))
        assert set(charts.Tags()["images"]) == SCORES | {f"figures/pivots/{name}/5m" for name in drawn}


def test_pictures_come_a_handful_of_times_in_between(
    tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trendtrain.callbacks.trend_charts._FIRST_FIGURES", 2)
    bars = {Series("AAA", "5m"): synthetic_market(700, seed=2)}
    charts = fit(
        tmp_path, make_trainer, make_module, make_datamodule(series=bars, walk=Walk(0.3, "50bars", 9, warmup=0))
    )
    assert [picture.step + 1 for picture in charts.Images("figures/pivots/AAA/5m")] == [2, 4, 8, 9]


def test_without_matplotlib_a_line_says_so_once(
    tmp_path: Path,
    make_trainer: Make,
    make_module: Make,
    make_datamodule: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith("trendtrain.charts.")]:
        monkeypatch.delitem(sys.modules, name)
    charts = fit(tmp_path, make_trainer, make_module, make_datamodule())
    assert charts.Tags()["images"] == []
    assert "trend/nll" in charts.Tags()["scalars"]
    line = "no figures in TensorBoard: they need matplotlib (pip install trendtrain[plot])"
    assert capsys.readouterr().out.count(line) == 1
