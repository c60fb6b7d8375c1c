"""The standing controls: no skill where none can be, and most of the skill that there is."""

from functools import partial
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate

from trendtrain.callbacks import ReseedGenerators, TrendValidation
from trendtrain.data import PivotDataModule, Walk
from trendtrain.market import Bars, Series, bayes_filter, planted_market, random_walk
from trendtrain.parts import fill_counts

torch.set_num_threads(1)  # small nets: on busy cores a second thread costs tenfold, and gains nothing


class Filter:
    """The Bayes filter, worked out once: over whole history in each step it would take long."""

    def __init__(self, bars: Bars) -> None:
        self._is_up = (bayes_filter(bars) > 0.5).astype(np.int8)

    def update(self, bars: Bars) -> np.ndarray:
        is_up, self._is_up = np.split(self._is_up, [len(bars)])
        return is_up


def walk(bars: Bars, start: float, seed: int, with_filter: bool = False) -> dict[str, Any]:
    """Walk the configured model through bars and return the scores."""
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        config = compose("train")
    fill_counts(config)
    pl.seed_everything(seed, verbose=False)
    datamodule = PivotDataModule(
        {Series("CONTROL", "1m"): bars},
        walk=Walk(start=start, warmup=0),
        replay=instantiate(config.replay),
        seed=seed,
        baselines={"filter": partial(Filter, bars)} if with_filter else None,
    )
    validation = TrendValidation()
    trainer = pl.Trainer(
        callbacks=[validation, ReseedGenerators(seed)],
        accelerator="cpu",
        max_epochs=-1,
        gradient_clip_val=config.trainer.gradient_clip_val,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(instantiate(config.model), datamodule)
    return validation.summary()


def share_of_edge(n_bars: int, seed: int) -> float:
    """Return the model's edge over one half, as a share of the Bayes filter's on the same events."""
    scores = walk(planted_market(n_bars, seed), start=0.5, seed=seed, with_filter=True)
    best = scores["baselines"]["filter"]["event_accuracy"] - 0.5
    assert best > 0.05
    return (scores["event_accuracy"] - 0.5) / best


def test_a_random_walk_shows_no_skill() -> None:
    scores = walk(random_walk(30_000, seed=1), start=0.25, seed=1)
    assert scores["n_events"] > 1000
    assert abs(scores["event_accuracy"] - 0.5) <= 3.0 * scores["accuracy_se"]


def test_a_planted_market_shows_most_of_its_skill() -> None:
    assert share_of_edge(40_000, seed=0) >= 0.6


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
def test_a_long_random_walk_shows_no_skill(seed: int) -> None:
    scores = walk(random_walk(200_000, seed), start=0.25, seed=seed)
    assert scores["accuracy_se"] < 0.006
    assert abs(scores["event_accuracy"] - 0.5) <= 3.0 * scores["accuracy_se"]


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
def test_a_long_planted_market_shows_nearly_all_of_its_skill(seed: int) -> None:
    assert share_of_edge(100_000, seed) >= 0.8
