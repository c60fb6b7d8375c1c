"""Groups that are set to nothing, values that need quotes, and limits that leave no training: one line, exit code 2."""

from pathlib import Path

import pytest
from train_runs import RunIn

MODELS = "cnn, dqn, mlp, transformer, two_heads"
REFUSED = {
    "replay=null": "`replay` must be one of gradient, incorrect, naive, uniform, got null.",
    "model=1": f"`model` must be one of {MODELS}, got 1.",
    "model=true": f"`model` must be one of {MODELS}, got true.",
    "model=[1]": f"`model` must be one of {MODELS}, got [1].",
    "callbacks=null": "`callbacks` must be one of default, got null.",
    "~callbacks": "`callbacks` must be a part of the configuration, got None.",
    "model.net=null": "`model.net` must be a net with a `_target_`, got None.",
    "trainer.max_epochs=0": "`trainer.max_epochs` must leave training to do, got 0.",
    "+trainer.max_steps=0": "`trainer.max_steps` must leave training to do, got 0.",
    "+trainer.limit_train_batches=0": "`trainer.limit_train_batches` must leave training to do, got 0.",
    "+trainer.limit_train_batches=0.0": "`trainer.limit_train_batches` must leave training to do, got 0.0.",
    "init_from=/tmp/a=b.csv": "in quotes where it holds signs such as = ( { : or letters beyond ASCII"
    " ('init_from=\"/tmp/a=b.csv\"'), got",
    "init_from=/tmp/a(1).csv": "('init_from=\"/tmp/a(1).csv\"'), got",
    "init_from=/tmp/ü.csv": "('init_from=\"/tmp/ü.csv\"'), got",
}


@pytest.mark.parametrize("override", REFUSED)
def test_it_is_refused_in_one_line(override: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = [] if override == "model.net=null" else ["data.source.n_bars=1500"]
    run = RunIn(tmp_path)
    run.overrides = [one for one in run.overrides if not (override in ("model.net=null",) and "model.net" in one)]
    run.overrides = [one for one in run.overrides if override != "~callbacks" or "callbacks" not in one]
    assert run.here(*overrides, override) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "compiling" not in one]
    assert REFUSED[override] in line


@pytest.mark.parametrize("override", ["logger=null", "logger=false"])
def test_without_a_logger_no_charts_are_named(
    override: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert RunIn(tmp_path).here("data.source.n_bars=1500", "experiment=null", override) == 0
    out = capsys.readouterr().out
    assert "summary.json" in out
    assert "tensorboard" not in out


def test_a_model_that_diverged_is_told_the_step_and_the_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert RunIn(tmp_path).here("data.source.n_bars=1500", "model.lr=1e30") == 2
    assert "may have diverged at step 0; try a lower `model.lr`." in capsys.readouterr().err
