"""A whole run, with everything switched on: bars to come change nothing that it said, learned or showed before."""

from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from train_runs import AlarmsOften

from trendtrain.callbacks import AverageWeights, FitTemperature, ReseedGenerators, TrendValidation, WalkStep
from trendtrain.charts.recent_chart import recent_bars
from trendtrain.charts.recent_predictions import RecentPredictions
from trendtrain.charts.tensorboard import Intervals
from trendtrain.data import PivotDataModule, Walk
from trendtrain.market import Bars, Series, label_bars, synthetic_market
from trendtrain.market.bars import FloatArray
from trendtrain.models import CnnNet, DuelingQNet, QModule, TrendModule, TwoHeads
from trendtrain.replay import make_sampler, weigh_by_gradient

torch.set_num_threads(1)  # small nets: on busy cores a second thread costs tenfold, and gains nothing

LABELER = partial(label_bars, max_gap=12)
REPLAY = {"batch_size": 128, "n_batches": 2, "weigh": weigh_by_gradient, "half_life": 30.0}
PAST = {
    Series("A", "5m"): synthetic_market(1500, seed=1, timeframe="5m", tick=0.1),
    Series("B", "15m"): synthetic_market(500, seed=2, timeframe="15m"),
}
MODULES = {
    "cnn": lambda f, s: TrendModule(CnnNet(f, 12, n_side=s, width=8, kernels=(3, 4)), lr=1e-2, use_side=True),
    "two heads": lambda f, s: TrendModule(
        TwoHeads(partial(CnnNet, f, 12, n_side=s, width=8, kernels=(3, 4))), lr=1e-2, use_side=True
    ),
    "dqn": lambda f, s: QModule(DuelingQNet(f, 12, n_side=s, width=8, kernels=(3, 4)), lr=1e-2, use_side=True),
}


def upside_down(bars: Bars, after: np.datetime64) -> Bars:
    """Return the same bars up to a time, and the mirror image, far more violent, of those that close later."""
    is_later = bars.close_time > after
    level = bars.close[~is_later][-1]

    def or_mirrored(price: FloatArray, mirrored: FloatArray) -> FloatArray:
        return np.where(is_later, level * (level / mirrored) ** 3, price)

    return replace(
        bars,
        open=or_mirrored(bars.open, bars.open),
        high=or_mirrored(bars.high, bars.low),
        low=or_mirrored(bars.low, bars.high),
        close=or_mirrored(bars.close, bars.close),
        volume=np.where(is_later, 9.0 * bars.volume, bars.volume),
    )


class Watch(pl.Callback):
    """Keep all that a step said, learned or could show."""

    def __init__(self) -> None:
        self.now: list[np.datetime64] = []
        self.seen: list[list[Any]] = []
        self.trained: list[list[FloatArray]] = []  # what each step was predicted with
        self.bands = Intervals()
        self.recent = RecentPredictions()

    def on_validation_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any) -> None:
        if len(self.trained) == len(self.now):
            self.trained.append(weights(pl_module))

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        datamodule, verdicts = trainer.datamodule, step.verdicts  # type: ignore[attr-defined]
        said = [step.predictions.row, step.predictions.probability]
        came = [verdicts.row, verdicts.truth, verdicts.outcome, verdicts.known_at, step.change, step.replay]
        rules = [step.predictions.baselines]
        scores = [step.metrics, step.board.scores(), step.board.breakdown(), self.bands.update(step)]
        self.recent.update(step)
        bars = datamodule.newest_bars()
        shown = [recent_bars(step, i, one, LABELER, self.recent) for i, one in enumerate(bars)]
        self.now.append(step.now)
        self.seen.append([*said, *came, *weights(trainer.lightning_module), *rules, *scores, *shown])


def weights(module: pl.LightningModule) -> list[FloatArray]:
    return [values.clone().numpy() for values in module.state_dict().values()]


def walk(series: dict[Series, Bars], model: str) -> Watch:
    replay = REPLAY | ({"half_life": [30.0, None]} if model == "two heads" else {})
    datamodule = PivotDataModule(
        series,
        labeler=LABELER,
        max_gap=12,
        window=12,
        transitions=model == "dqn",
        walk=Walk(start=0.3, step="90bars", batch_size=64, warmup=0.5),
        replay=partial(make_sampler, **replay, detector=AlarmsOften()),
    )
    datamodule.setup()
    torch.manual_seed(0)
    module = MODULES[model](datamodule.n_features, datamodule.n_side)
    watch = Watch()
    callbacks = [TrendValidation(), FitTemperature(50), watch, AverageWeights(0.9), ReseedGenerators(0)]
    pl.Trainer(
        accelerator="cpu", max_epochs=-1, callbacks=callbacks, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    ).fit(module, datamodule)  # fmt: skip
    return watch


@pytest.mark.parametrize("model", sorted(MODULES))
def test_bars_to_come_change_nothing_of_a_run(model: str) -> None:
    whole = walk(PAST, model)
    for n_steps in (3, 6, 9):
        other = {name: upside_down(bars, after=whole.now[n_steps - 1]) for name, bars in PAST.items()}
        turned = walk(other, model)
        assert_same(whole.seen[:n_steps], turned.seen[:n_steps])
        assert_same(whole.trained[: n_steps + 1], turned.trained[: n_steps + 1])
        assert repr(whole.seen[n_steps][1]) != repr(turned.seen[n_steps][1])  # what comes then is another market


def assert_same(one: Any, other: Any) -> None:
    """Compare to the bit; of dataclasses, each field."""
    if isinstance(one, np.ndarray):
        assert one.tobytes() == other.tobytes()
    elif isinstance(one, list | tuple):
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    elif is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    else:
        assert repr(one) == repr(other)
