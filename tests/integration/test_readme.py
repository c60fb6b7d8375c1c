"""The README's commands and code run as they stand."""

import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from trendtrain.market import random_walk

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


MY_NET = """
from torch import nn

class MyNet(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(96 * 8, 2))
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("bash") for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with some bars in it."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "bars").mkdir()
    bars = random_walk(1_500, seed=0, timeframe="1h")
    columns = {name: getattr(bars, name) for name in ("open_time", "open", "high", "low", "close", "volume")}
    pd.DataFrame(columns).to_csv(folder / "bars" / "ETHUSDT_1h.csv", index=False)
    (folder / "mynet.py").write_text(MY_NET)
    return folder


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}


def test_every_trendtrain_command_runs(folder: Path) -> None:
    mine = [command for command in commands() if command.startswith("trendtrain ")]
    assert len(mine) >= 7
    for command in mine:
        done = subprocess.run(shlex.split(command), cwd=folder, env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert done.stderr == "", command
    assert (folder / "labels.parquet").exists()


def test_the_scripts_named_exist_and_run() -> None:
    scripts = {word for command in commands() for word in command.split() if word.startswith("./scripts/")}
    assert scripts == {"./scripts/train", "./scripts/test"}
    assert all(os.access(ROOT / script, os.X_OK) for script in scripts)


def test_the_tensorboard_command_serves_the_charts(folder: Path) -> None:
    (command,) = [command for command in commands() if command.startswith("tensorboard")]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "runs").mkdir(exist_ok=True)
    arguments = [*shlex.split(command), "--port", str(port)]
    with subprocess.Popen(arguments, cwd=folder, env=environment(), stderr=subprocess.DEVNULL) as server:
        try:
            assert b"TensorBoard" in first_answer(f"http://127.0.0.1:{port}/", seconds=60)
        finally:
            server.terminate()


def first_answer(url: str, seconds: float) -> bytes:
    give_up = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url) as answer:
                content: bytes = answer.read()
                return content
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)  # a server's start has no event to wait for


FRAME = "frame = bars.to_dataframe()"
OURS = ("trendtrain", "trend", "PivotDataModule", "labels", "sampler", "known", "Lessons")


def test_the_code_judges_and_trains_on_a_foreign_trainer(folder: Path) -> None:
    door, judge, *training = blocks("python")
    assert len(training) == 2
    code = "\n".join([judge, FRAME, door, *training])
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (stats,) = [eval(line) for line in lines if line.startswith("{")]
    assert stats["total_predictions"] == 979
    parts = ("validated_predictions", "pending_validations", "void_predictions")
    assert sum(stats[part] for part in parts) == 979
    accuracies = [float(line) for line in lines if line.startswith("0.")]
    assert len(accuracies) == 2
    assert all(0.3 < accuracy < 0.8 for accuracy in accuracies)


@pytest.mark.parametrize(("block", "most"), [(0, 2), (1, 6), (2, 10), (3, 10)])
def test_using_the_package_takes_few_lines(block: int, most: int) -> None:
    ours = [line for line in blocks("python")[block].splitlines() if any(word in line for word in OURS)]
    assert 0 < len(ours) <= most
