"""Parts of a user's own: swapped by `_target_` alone, and checked by what they return."""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf
from torch import nn

from trendtrain.cli import main
from trendtrain.errors import InputError
from trendtrain.features import bar_features, by_segment
from trendtrain.market import label_bars, random_walk
from trendtrain.market.bars import Series
from trendtrain.models import TrendModule
from trendtrain.parts import drop_defaults

SMALL = (
    *("model=mlp", "data.source.n_bars=3000", "walk.steps=3", "walk.warmup=0", "replay.n_batches=2"),
    *("replay.batch_size=32", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "logger=none"),
)


def with_value(row: int, column: int, value: float) -> Callable[[Any], np.ndarray]:
    def features(bars: Any) -> np.ndarray:
        rows = np.array(bar_features(bars))
        rows[row:, column] = value
        return rows

    return features


class Finds:
    """A detector that finds what it is told."""

    found: Any = 0.5

    def update(self, accuracy: np.ndarray) -> Any:
        return self.found

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing is kept."""


class FindsText(Finds):
    found = "soon"


class Gives(nn.Module):
    """A net that gives what a function makes of logits."""

    made: Callable[[torch.Tensor], Any]

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 2)

    def forward(self, window: torch.Tensor) -> Any:
        return type(self).made(self.layer(window[:, -1]))


def net(function: Callable[[torch.Tensor], Any]) -> type[Gives]:
    return type("Given", (Gives,), {"made": staticmethod(function)})


FEATURES = {
    "None": (lambda bars: None, r"shape \(100, K\) or \(100,\), got object of shape \(\)"),
    "text": (lambda bars: "up", r"got <U2 of shape \(\)"),
    "texts": (lambda bars: np.array(["a"] * len(bars)), r"got <U1 of shape \(100,\)"),
    "objects": (lambda bars: np.array([object()] * len(bars)), "got object of shape"),
    "3-D": (lambda bars: np.zeros((len(bars), 2, 2)), r"got float64 of shape \(100, 2, 2\)"),
    "scalar": (lambda bars: 1.0, r"got float64 of shape \(\)"),
    "times": (lambda bars: bars.open_time, r"got datetime64\[ms\] of shape"),
    "complex": (lambda bars: bars.close * 1j, "got complex128 of shape"),
    "no column": (lambda bars: np.zeros((len(bars), 0)), r"got float64 of shape \(100, 0\)"),
    "too few rows": (lambda bars: bar_features(bars)[1:], r"got float64 of shape \(99, 5\)"),
    "NaN": (with_value(7, 1, np.nan), "got nan at bar 7, column 1"),
    "infinity": (with_value(0, 4, -np.inf), "got -inf at bar 0, column 4"),
    "beyond single precision": (with_value(9, 2, 1e300), r"got 1e\+300 at bar 9, column 2"),
}
LABELS = {
    "None": (lambda bars: None, "`labels` must give Labels of each of 3000 bars, got NoneType"),
    "directions": (lambda bars: np.ones(len(bars)), "`labels` must give Labels of each of 3000 bars, got ndarray"),
    "too few": (lambda bars: label_bars(bars[:-5]), "`labels` must give Labels of each of 3000 bars, got 2995 labels"),
    "float `known_at`": (
        lambda bars: replace(label_bars(bars), run_known_at=label_bars(bars).run_known_at.astype(float)),
        "`labels` must give Labels with whole numbers as run_known_at, got float64",
    ),
}
WEIGHTS = {
    "None": (lambda verdicts: None, r"give numbers of shape \(64,\), one a row, got object of shape"),
    "scalar": (lambda verdicts: 1.0, r"numbers of shape \(64,\), one a row, got float64 of shape \(\)"),
    "two axes": (lambda verdicts: np.ones((len(verdicts), 1)), r"got float64 of shape \(64, 1\)"),
    "NaN": (lambda verdicts: np.where(np.arange(len(verdicts)) < 3, 1, np.nan), "got nan at row 3"),
    "huge": (lambda verdicts: np.full(len(verdicts), 1e300), r"got 1e\+300 at row 0"),
    "negative": (lambda verdicts: -np.ones(len(verdicts)), "give numbers from 0.0001 to 60000, got -1.0 at row 0"),
}
NETS = {
    "None": (net(lambda logits: None), "got NoneType for windows"),
    "tuple": (net(lambda logits: (logits,)), "got tuple for windows"),
    "array": (net(lambda logits: logits.detach().numpy()), "got ndarray for windows"),
    "one axis": (net(lambda logits: logits[:, 0]), r"got \(32,\) for windows \(32, 96, 8\)"),
    "one row": (net(lambda logits: logits[:1]), r"got \(1, 2\) for windows"),
    "whole numbers": (net(lambda logits: logits.long()), r"got torch.int64 \(32, 2\) for windows"),
}
ONE = Series("A", "5m")
OTHERS = {
    "detector": (
        ("replay.detector",),
        Finds,
        "`replay.detector` must give None or .* at least 1, got 0.5",
    ),
    "detector of text": (
        ("replay.detector",),
        FindsText,
        "must give None or a number of events, .*, got 'soon'",
    ),
    "callback": (("+callbacks.mine",), lambda: None, "`callbacks.mine` must be a Callback, got None"),
    "charts": (("callbacks.charts",), lambda: pl.Callback(), "`callbacks.charts` must take config, got"),
    "model": (("model", "~model.net"), lambda **more: {}, "`model` must be a LightningModule, got dict"),
    "walk": (("walk",), lambda **more: None, "`walk` must be a Walk, got None"),
    "replay": (("replay",), lambda **more: None, "`replay` must be a ReplaySampler, got None"),
    "no net": (("+model.net", "~model.net"), lambda: None, "`net` must be an nn.Module, got None"),
    "source": (("data.source",), lambda store, **more: [], "must give a dict of Series to Bars, got list"),
    "no series": (
        ("data.source",),
        lambda store, **more: {"A": random_walk(99, 0)},
        "Bars, got 'A' to Bars",
    ),
    "no bars": (("data.source",), lambda store, **more: {ONE: [1.0]}, r"to Bars, got Series to list"),
    "logger": (("logger", "logger=tensorboard"), lambda **more: "log", "`logger` must be a Logger, got 'log'"),
}
CASES = {
    **{f"features, {name}": (("data.features",), *FEATURES[name]) for name in ("None", "beyond single precision")},
    "side, NaN": (("data.side",), *FEATURES["NaN"]),
    **{f"labels, {name}": (("labels",), *case) for name, case in LABELS.items()},
    **{f"weights, {name}": (("replay.weigh",), *case) for name, case in WEIGHTS.items()},
    "net, tuple": (("+model.net", "~model.net", "model.use_side=false"), *NETS["tuple"]),
    **OTHERS,
}


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the user's, by a name that no other test imports."""
    module = ModuleType("parts_of_mine")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.mark.parametrize("name", CASES)
def test_a_part_that_returns_the_wrong_thing_is_refused_in_one_line(
    name: str, mine: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (key, *more), part, message = CASES[name]
    vars(mine)["part"] = part
    where = (f"hydra.run.dir={tmp_path}", f"db.url=sqlite:///{tmp_path / 'run.db'}")
    assert main(["train", *SMALL, *more, f"{key}._target_=parts_of_mine.part", *where]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "compiling" not in line]
    key = key.strip("+").replace("model.net", "net")
    assert line.startswith(f"trendtrain: error: `{key}` must ")
    assert re.search(message, line), line


@pytest.mark.parametrize("name", FEATURES)
def test_features_that_are_no_row_of_numbers_a_bar_are_refused(name: str) -> None:
    function, message = FEATURES[name]
    with pytest.raises(InputError, match=rf"^`data.features` must .*{message}"):
        by_segment(function, random_walk(100, seed=0), max_gap=None)


@pytest.mark.parametrize("name", NETS)
def test_a_net_that_gives_no_logits_is_refused(name: str) -> None:
    make, message = NETS[name]
    with pytest.raises(InputError, match=f"^`net` must .*{message}"):
        TrendModule(make(), use_side=False)(torch.zeros(32, 96, 8))


def composed(*overrides: str) -> DictConfig:
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        cfg = compose("train", list(overrides), return_hydra_config=False)
    drop_defaults(cfg)
    return cfg


def test_keys_of_a_default_that_the_new_part_does_not_take_are_left_out(mine: ModuleType) -> None:
    vars(mine)["weigh"] = lambda verdicts: None
    vars(mine)["labels"] = lambda bars, max_gap: None
    vars(mine)["net"] = lambda n_features, width: None
    cfg = composed(
        *(f"{key}._target_=parts_of_mine.{key.split('.')[-1]}" for key in ("replay.weigh", "labels", "model.net"))
    )
    assert set(cfg.replay.weigh) == {"_target_", "_partial_"}
    assert set(cfg.labels) == {"_target_", "_partial_", "max_gap"}
    assert set(cfg.model.net) == {"_target_", "n_features", "width"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "replay.weigh.floor=0.2",
            r"`replay.weigh.floor` must be left out .* for parts_of_mine.weigh,",
        ),
        ("+replay.weigh.more=1", r"`replay.weigh.more` must be left out .* which does not take it, got 1\."),
    ],
)
def test_a_key_that_the_user_gave_to_a_part_that_does_not_take_it_is_refused(
    mine: ModuleType, override: str, message: str
) -> None:
    vars(mine)["weigh"] = lambda verdicts: None
    with pytest.raises(InputError, match=message):
        composed("replay.weigh._target_=parts_of_mine.weigh", override)


def test_a_key_that_our_own_part_does_not_take_is_refused_even_with_the_value_of_another_option() -> None:
    with pytest.raises(InputError, match=r"`replay.weigh.wrong` must be left out .*weigh_by_gradient, which does not"):
        composed("replay=gradient", "+replay.weigh.wrong=3.0")


OPTIONS = ("mlp", "transformer", "dqn", "two_heads")


@pytest.mark.parametrize("option", OPTIONS)
def test_no_option_of_ours_loses_a_key(option: str) -> None:
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        before = compose("train", [f"model={option}"])
    after = composed(f"model={option}")
    assert OmegaConf.to_container(after) == OmegaConf.to_container(before)
