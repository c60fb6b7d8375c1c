"""Groups that are set to nothing, values that need quotes, and limits that leave no training: one line, exit code 2."""

import os
import re
from pathlib import Path

import pytest
from train_runs import RunIn

from trendtrain.cli import main

MODELS = "cnn, dqn, mlp, transformer, two_heads"
REFUSED = {
    "replay=null": "`replay` must be one of gradient, incorrect, naive, uniform, got null.",
    "model=1": f"`model` must be one of {MODELS}, got 1.",
    "model=true": f"`model` must be one of {MODELS}, got true.",
    "model=[1]": f"`model` must be one of {MODELS}, got [1].",
    "callbacks=null": "`callbacks` must be one of default, early_stopping, learning_rate, model_summary, got null.",
    "~callbacks": "`callbacks` must be a part of the configuration, got None.",
    "model.net=null": "`model.net` must be a net with a `_target_`, got None.",
    "trainer.max_epochs=0": "`trainer.max_epochs` must leave training to do, got 0.",
    "+trainer.max_time=00:00:00:00": "`trainer.max_time` must leave training to do, got 00:00:00:00.",
    "+trainer.max_time={seconds:0}": "`trainer.max_time` must leave training to do, got {'seconds': 0}.",
    "+trainer.max_time={hours:-1}": "`trainer.max_time` must leave training to do, got {'hours': -1}.",
    "+trainer.max_time=0": "`trainer.max_time` must be DD:HH:MM:SS or such as {minutes: 90}, got 0.",
    "+trainer.max_steps=0": "`trainer.max_steps` must be -1: every bar of the stream is predicted, got 0.",
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


@pytest.mark.parametrize("values", ["mlp,1", "1,mlp", "null,mlp", "mlp,true"])
def test_a_sweep_over_what_is_no_name_is_refused(values: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--multirun", f"model={values}"]) == 2
    assert f"`model` must be one of {MODELS}, got {values}." in capsys.readouterr().err


def test_where_hydra_changes_the_folder_errors_name_the_key_and_the_closing_lines_paths_that_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    there = [f"db.url=sqlite:///{tmp_path / 'run.db'}", "hydra.run.dir=runs/one", "hydra.job.chdir=true"]
    small = ["model=mlp", "data.source.n_bars=1500", "walk.steps=1", "walk.warmup=0", "trainer.accelerator=cpu"]
    try:
        assert main(["train", "data=files", "data.path=bars.csv", *there]) == 2
        missing = capsys.readouterr().err
        os.chdir(tmp_path)
        assert main(["train", *small, *there]) == 0
    finally:
        os.chdir(tmp_path)
    assert (
        f"`data.path` must name a file or folder that exists in {tmp_path / 'runs' / 'one'}, got bars.csv." in missing
    )
    named = re.findall(r"(?:summary|report|charts|tensorboard): +(?:.*--logdir )?(\S+)", capsys.readouterr().out)
    assert named
    assert all((tmp_path / name).exists() for name in named), named
