"""Options, experiments and features of the user's, as docs/models.md, experiments.md and features.md say."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_module

from trendtrain.cli import main
from trendtrain.errors import InputError
from trendtrain.market import Bars
from trendtrain.parts import fill_counts

DOCS = Path(__file__).parents[1] / "docs"
EXPERIMENT = """# @package _global_
data:
  timeframes: [5m, 15m]
"""
SMALL = (
    *("data.source.n_bars=3000", "walk.steps=1", "walk.warmup=0", "replay.n_batches=2", "replay.batch_size=32"),
    *("trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "logger=none"),
)


def test_a_net_for_each_timeframe_is_an_option_in_a_folder_of_the_users(tmp_path: Path) -> None:
    (option,) = re.findall(
        r"```yaml\n# myconfigs/model/per_timeframe.yaml\n(.*?)```", (DOCS / "models.md").read_text(), re.S
    )
    for group, name, content in (("model", "per_timeframe", option), ("experiment", "mine", EXPERIMENT)):
        (tmp_path / "myconfigs" / group).mkdir(parents=True)
        (tmp_path / "myconfigs" / group / f"{name}.yaml").write_text(content)
    own = ("--config-dir", str(tmp_path / "myconfigs"), "model=per_timeframe", "experiment=mine")
    where = (f"hydra.run.dir={tmp_path / 'run'}", f"db.url=sqlite:///{tmp_path / 'run.db'}")
    assert main(["train", *own, *SMALL, *where]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["config"]["model"]["net"]["timeframes"] == ["5m", "15m"]
    assert set(summary["series"]["SYNTH"]) == {"5m", "15m"}


@pytest.mark.parametrize(("name", "n_features"), [("with_wick", 10), ("Drawdown", 4)])
def test_features_of_the_users_own_need_no_counting(
    name: str, n_features: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.findall(r"```python\n(.*?)```", (DOCS / "features.md").read_text(), re.S)
    (tmp_path / f"own_{name}.py").write_text("\n\n".join(code))
    monkeypatch.syspath_prepend(tmp_path)
    own = (f"data.features._target_=own_{name}.{name}", "data.side=null", "model.use_side=false", "labels.max_gap=5")
    where = (f"hydra.run.dir={tmp_path / 'run'}", f"db.url=sqlite:///{tmp_path / 'run.db'}")
    assert main(["train", *own, *SMALL, *where]) == 0
    config = json.loads((tmp_path / "run" / "summary.json").read_text())["config"]
    for counts in (config["data"], config["model"]["net"]):
        assert (counts["n_features"], counts["n_side"]) == (n_features, 0)


def counted(*overrides: str) -> tuple[Any, Any]:
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        config = compose("train", list(overrides))
    fill_counts(config)
    return config.data.n_features, config.data.n_side


def fails(bars: Bars) -> np.ndarray:
    raise KeyError("no such bar")


def test_channels_and_side_inputs_are_counted() -> None:
    assert counted() == (8, 24)
    assert counted("data.side=null") == (8, 0)
    assert counted("data.features=${data.side}") == (26, 24)


def test_counts_that_are_given_stay() -> None:
    assert counted("data.n_features=9") == (9, 24)
    assert counted("data.n_side=7") == (8, 7)


def test_features_that_fail_on_other_bars_need_their_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trendtrain.features.bar_features", fails)
    rule = "must be given where `data.features` or `data.side` fails on bars that are not its own"
    with pytest.raises(InputError, match=rf"`data.n_features` and `data.n_side` {rule}, got KeyError: 'no such bar'"):
        counted("data.n_side=24")
    assert counted("data.n_features=9", "data.n_side=24") == (9, 24)
