"""A small datamodule, module and trainer as fixtures: a conftest.py that needs them imports them from here."""

from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from trendtrain.data import PivotDataModule, Walk
from trendtrain.market import Series, label_bars, synthetic_market
from trendtrain.models import CnnNet, TrendModule
from trendtrain.replay import make_sampler, weigh

torch.set_num_threads(1)  # small nets: on busy cores a second thread costs tenfold, and gains nothing

SERIES = {
    Series("AAA", "5m"): synthetic_market(1400, seed=10, timeframe="5m"),
    Series("BBB", "15m"): synthetic_market(500, seed=1, timeframe="15m"),
}


@pytest.fixture(scope="session")
def make_datamodule() -> Callable[..., PivotDataModule]:
    def make(**options: Any) -> PivotDataModule:
        defaults = {
            "series": SERIES,
            "labeler": partial(label_bars, max_gap=12),
            "max_gap": 12,
            "window": 12,
            "walk": Walk(start=0.3, step="90bars", batch_size=32, warmup=0),
            "replay": partial(make_sampler, batch_size=32, n_batches=2, weigh=weigh),
        }
        return PivotDataModule(**(defaults | options))

    return make


@pytest.fixture(scope="session")
def make_module() -> Callable[[], TrendModule]:
    def make() -> TrendModule:
        torch.manual_seed(0)
        return TrendModule(CnnNet(8, 12, width=8, kernels=(3, 4), n_side=0), lr=1e-3)

    return make


@pytest.fixture(scope="session")
def make_trainer() -> Callable[..., pl.Trainer]:
    def make(*callbacks: pl.Callback, **options: Any) -> pl.Trainer:
        defaults = {
            "accelerator": "cpu",
            "max_epochs": -1,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_model_summary": False,
            "enable_progress_bar": False,
        }
        return pl.Trainer(callbacks=list(callbacks), **(defaults | options))

    return make
