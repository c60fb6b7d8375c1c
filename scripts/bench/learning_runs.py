"""Walks through the real `trendtrain train` path: its answers on a stream of the bench, or on real bars."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import learning_scenarios
import numpy as np
import pandas as pd
from hydra import compose, initialize_config_module
from learning_scenarios import SCENARIOS, Stream
from learning_scores import Run, scored
from omegaconf import DictConfig
from sqlalchemy import text

from trendtrain.market import Bars, Labels
from trendtrain.market.bars import FloatArray
from trendtrain.market.timeframe import format_timeframe
from trendtrain.storage import BarStore, open_database
from trendtrain.train import train
from trendtrain.validation.score import event_means

stream_of = partial(learning_scenarios.stream_of, one_direction=True)
START = 0.1  # of a scenario, before which all is learned in the warm-up; real bars start where the default does
_PREDICTIONS = "select open_time, direction, confidence from predictions"
_ALARMS = "select known_at from alarms order by known_at"


def labels_of(bars: Bars, scenario: str, n_bars: int, seed: int) -> Labels:
    """Label the first bars of a scenario as it does, whatever their prices say, by what is known at the last."""
    stream, n = stream_of(scenario, n_bars, seed), len(bars)
    is_known = (stream.known_at[:n] >= 0) & (stream.known_at[:n] < n)
    columns = (np.where(is_known, column[:n], -1) for column in (stream.label, stream.known_at, stream.event))
    return Labels.of_bars(bars, *columns)


def features_of(bars: Bars, scenario: str, n_bars: int, seed: int) -> FloatArray:
    """Return what the scenario shows of its first bars, shape (len(bars), K)."""
    return stream_of(scenario, n_bars, seed).features[: len(bars)]


def configured(scenario: str, n_bars: int, seed: int, overrides: list[str]) -> DictConfig:
    """Return the configuration of a run that learns a scenario, or real bars, from the bars stored as SCENARIO."""
    quiet = ["logger=none", "trainer.enable_progress_bar=false", "callbacks.charts=null", "callbacks.checkpoint=null"]
    own = [f"walk.start={START}"] if scenario in SCENARIOS else []
    hidden = scenario in SCENARIOS and stream_of(scenario, n_bars, seed).hides_price
    if hidden:  # a window has three channels of price, which say nothing here
        n_features = 3 + stream_of(scenario, n_bars, seed).features.shape[1]
        own += ["data.side=null", "data.n_side=0", f"data.n_features={n_features}"]
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        cfg = compose("train", ["data=database", "data.symbols=SCENARIO", f"seed={seed}", *quiet, *own, *overrides])
    which = {"_partial_": True, "scenario": scenario, "n_bars": n_bars, "seed": seed}
    if scenario in SCENARIOS:
        cfg.labels = {"_target_": "learning_runs.labels_of", **which}
    if hidden:
        cfg.data.features = {"_target_": "learning_runs.features_of", **which}
    return cfg


def trained(scenario: str, n_bars: int, seed: int, overrides: list[str]) -> Run:
    """Train once from bars in a new database and return what was predicted, as the ledger tells it."""
    stream = stream_of(scenario, n_bars, seed)
    with tempfile.TemporaryDirectory() as name:
        url = f"sqlite:///{name}/run.db"
        engine = open_database(url)
        BarStore(engine).write("SCENARIO", format_timeframe(stream.bars.timeframe), stream.bars)
        summary = train(configured(scenario, n_bars, seed, [f"db.url={url}", *overrides]), Path(name))
        with engine.connect() as connection:
            predictions, alarms = (pd.read_sql(text(query), connection) for query in (_PREDICTIONS, _ALARMS))
        engine.dispose()
    if summary.exit_code:  # interrupted: what it learned so far would pass for the whole
        raise SystemExit(summary.exit_code)
    run = run_of(stream.bars, predictions, alarms)
    _check(stream, run, summary.values)
    return run


def run_of(bars: Bars, predictions: pd.DataFrame, alarms: pd.DataFrame) -> Run:
    """Return what a ledger tells, by bar; a change is noticed at the first bar not closed by then."""
    up = np.full(len(bars), np.nan)
    chance = np.where(predictions.direction == 1, predictions.confidence, 1.0 - predictions.confidence)
    up[np.searchsorted(bars.open_time.astype(np.int64), predictions.open_time)] = chance
    noticed = np.searchsorted(bars.close_time.astype(np.int64), alarms.known_at, side="right")
    return Run(up, noticed.tolist())


def _check(stream: Stream, run: Run, summary: dict[str, Any]) -> None:
    rows, values = scored(stream, run)
    accuracy = event_means(stream.event[rows], values)[1][:, 0].mean()
    if abs(accuracy - summary["event_accuracy"]) > 1e-9:
        raise RuntimeError(f"the run's own event accuracy is {summary['event_accuracy']}, not {accuracy}.")
