"""The experiments that a user tries first run, and show what they say."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trendtrain.cli import main

torch.set_num_threads(1)


def summary_of(folder: Path, *overrides: str) -> dict[str, Any]:
    where = (f"hydra.run.dir={folder / 'run'}", f"db.url=sqlite:///{folder / 'run.db'}")
    quiet = ("model=mlp", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false")
    assert main(["train", *quiet, *where, *overrides]) == 0
    summary: dict[str, Any] = json.loads((folder / "run" / "summary.json").read_text())
    return summary


@pytest.mark.parametrize(
    ("experiment", "series"),
    [
        ("walk_forward", {"SYNTH": {"5m"}}),
        ("multi_symbol", {f"SYNTH-{name}": {"5m"} for name in "ABCD"}),
        ("multi_timeframe", {"SYNTH": {"5m", "15m", "1h"}}),
    ],
)
def test_an_experiment_walks_through_the_series_it_names(
    experiment: str, series: dict[str, set[str]], tmp_path: Path
) -> None:
    small = ("data.source.n_bars=1500", "walk.steps=2", "walk.warmup=0", "logger=none")
    summary = summary_of(tmp_path, f"experiment={experiment}", *small)
    assert summary["steps"] == 2
    assert {symbol: set(timeframes) for symbol, timeframes in summary["series"].items()} == series


def test_one_batch_is_learned_by_heart(tmp_path: Path) -> None:
    summary_of(tmp_path, "experiment=overfit_one_batch")
    charts = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    charts.Reload()
    assert charts.Scalars("train/loss")[-1].value < 0.01
