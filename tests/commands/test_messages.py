"""What a user reads who mistypes, whose own code fails, or who closes a pipe."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from trendtrain.cli import main
from trendtrain.keys import choices_of

COMMAND = [sys.executable, "-m", "trendtrain.cli"]
SMALL = ("data.source.n_bars=1500", "walk.steps=1", "walk.warmup=0", "trainer.enable_progress_bar=false")
NETS = """
from torch import nn


class Fails(nn.Module):
    def __init__(self, early=False):
        super().__init__()
        if early:
            self.layer = self.missing_layer
        self.layer = nn.Linear(1, 2)

    def forward(self, window):
        return self.layer(window[:, -1])
"""
OWN_NET = ("~model.net", "+model.net._target_=nets.Fails")


def ran(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *arguments], cwd=folder, capture_output=True, text=True)


MISTYPED = {
    "trian": "did you mean `train`?",
    "stats --compair": "unrecognized arguments: --compair; did you mean `--compare`?",
    "label x.csv --out o.csv --flatband 1": "unrecognized arguments: --flatband 1; did you mean `--flat-band`?",
    "db inof": "did you mean `info`?",
    "live statsu": "invalid choice: 'statsu' (choose from 'status', 'models'); did you mean `status`?",
    "stats --xyzzy": "unrecognized arguments: --xyzzy.",
}


@pytest.mark.parametrize("command", MISTYPED)
def test_the_command_or_option_meant_is_named_in_one_line(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    assert caught.value.code == 2
    printed = capfd.readouterr()
    assert MISTYPED[command] in printed.err
    assert (printed.err.count("\n"), printed.out) == (1, "")


OVERRIDES = {
    "model=mpl": "`model` must be one of cnn, dqn, mlp, transformer, two_heads, got 'mpl'; did you mean `mlp`?",
    "modle=mlp": "`modle` must be a known key, got modle; did you mean `model`?",
    "walk.stepz=3": "`walk.stepz` must be a known key, got walk.stepz; did you mean `walk.step`?",
    "model.net.widht=8": "got model.net.widht; did you mean `model.net.width`?",
    "+model.net.widht=8": "(~model.net.widht) for trendtrain.models.CnnNet, which does not take it, got 8; did",
    "trainer.max_epoch=3": "got trainer.max_epoch; did you mean `trainer.max_epochs`?",
    "trainer.limit_train_batches=3": "since the configuration has no such key yet: +trainer.limit_train_batches=3",
    "hydra.run.dri=x": "`hydra.run.dri` must be a known key, got hydra.run.dri.",
    "labels.tie=stirct": "`tie` must be one of plateau, strict, got 'stirct'; did you mean `strict`?",
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_the_key_or_choice_meant_is_named_in_one_line(
    override: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "data.source.n_bars=600", override]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "compiling" not in line]
    assert OVERRIDES[override] in line
    assert "append" not in line


def test_the_help_is_short_and_names_every_choice(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["live", "--help"]) == 0
    assert "trendtrain live status --help, live models --help" in capfd.readouterr().out
    assert main(["train", "--help"]) == 0
    printed = capfd.readouterr().out
    assert len(printed.splitlines()) < 40
    assert max(map(len, printed.splitlines())) <= 118
    for group in ("data", "model", "replay", "logger", "experiment"):
        assert all(choice in printed for choice in choices_of(group)), group
    assert " _" not in printed


def test_the_version_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capfd.readouterr().out.startswith("trendtrain 0.")


@pytest.mark.parametrize("early", [True, False])
def test_a_net_of_ones_own_that_fails_shows_its_own_frames(early: bool, tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    done = ran(tmp_path, "train", *SMALL, *OWN_NET, *(["+model.net.early=true"] if early else []))
    assert done.returncode == (2 if early else 1)
    assert f'nets.py", line {9 if early else 13}, in {"__init__" if early else "forward"}' in done.stderr
    *frames, last = done.stderr.splitlines()
    assert not [line for line in frames if "hydra" in line or "site-packages" in line or "trendtrain/" in line]
    expected = "has no attribute 'missing_layer'" if early else "nets.py raised RuntimeError: mat1 and mat2 shapes"
    assert last.startswith("trendtrain: error: ")
    assert expected in last


def test_a_command_leaves_argv_and_path_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = list(sys.argv), list(sys.path)
    assert main(["train", *SMALL, "model=mlp"]) == 0
    assert (sys.argv, sys.path) == before
    (checkpoint,) = Path("runs").glob("*/checkpoints/last.ckpt")
    assert main(["db", "export", "SYNTH", "5m", "--out", "SYNTH_5m.csv"]) == 0
    assert main(["predict", "--ckpt", str(checkpoint), "SYNTH_5m.csv", "--out", "o.csv"]) == 0
    assert (sys.argv, sys.path) == before


@pytest.mark.parametrize("command", ["train --cfg job", "train --help", "db --help", "stats --help"])
def test_a_closed_pipe_ends_a_command_quietly(command: str, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, *command.split()], cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == (141 if command.startswith("train") else 0)  # argparse itself ends with 0


def test_a_run_shows_its_first_line_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    terminal, inner = pty.openpty()
    code = "import sys; sys.modules.update(dict.fromkeys(['lightning', 'torch', 'numba', 'hydra'])); "
    code += "from trendtrain.cli import main; sys.exit(main(['train']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=inner, stderr=subprocess.PIPE, text=True)
    os.close(inner)
    assert done.returncode != 0  # there is no torch
    assert os.read(terminal, 1000).decode().startswith("trendtrain 0.1.0: loading PyTorch and Lightning")
    os.close(terminal)
