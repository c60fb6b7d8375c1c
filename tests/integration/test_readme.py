"""The README's commands and code run as they stand."""

import ast
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import torch
from pages import ROOT, SMALL, StrangersModule, blocks, commands
from torch.utils.data import DataLoader, TensorDataset

from trendtrain.cli import main
from trendtrain.market import synthetic_market

QUICK = "walk={'steps': 1, 'warmup': 0}, replay={'n_batches': 2}, trainer={'enable_progress_bar': False}"
pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*logging interval.*")


def test_the_five_minutes_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """From a DataFrame to a judged model, and to a Trainer of one's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bars").mkdir()
    torch.manual_seed(0)
    n = 1_500
    data = DataLoader(TensorDataset(torch.randn(n, 8), torch.arange(n)), 256)
    yours = {"frame": synthetic_market(n, seed=0, timeframe="1h").to_dataframe(), "module": StrangersModule()}
    names: dict[str, Any] = {**yours, "train_loader": data, "val_loader": data}
    door, judge = blocks("README.md", "python")
    exec(door.replace("seed=1", f"seed=1, {QUICK}"), names)
    assert capfd.readouterr().out.splitlines()[-1].startswith("Summary(run ")
    names["frame"].to_csv("bars/ETHUSDT_1h.csv")
    mine = [shlex.split(command)[1:] for command in commands("README.md") if command.startswith("trendtrain ")]
    assert len(mine) == 2
    for arguments in mine:
        assert main([*arguments, *(SMALL if arguments[0] == "train" else ())]) == 0
        assert capfd.readouterr().err == ""
    assert (tmp_path / "runs" / "first" / "summary.json").exists()
    exec(judge, names)
    assert 0.3 < float(capfd.readouterr().out.splitlines()[-1]) < 0.7
    assert len([line for line in judge.splitlines() if "trend" in line or "label" in line]) <= 6


def test_the_scripts_named_exist_and_run() -> None:
    scripts = {word for command in commands("README.md") for word in command.split() if word.startswith("./scripts/")}
    assert scripts == {"./scripts/train"}
    named = {word for page in ("README.md", "CONTRIBUTING.md") for word in commands(page) if word.startswith("./")}
    assert len(named) == 4
    assert all(os.access(ROOT / script, os.X_OK) for script in named)


def test_every_link_leads_to_a_file() -> None:
    for page in ("README.md", "CONTRIBUTING.md"):
        for link in (part.partition(")")[0] for part in (ROOT / page).read_text().split("](")[1:]):
            assert (ROOT / link.partition("#")[0]).exists(), link


def test_where_things_are_decided_is_true() -> None:
    table = [line.split("|")[2] for line in (ROOT / "CONTRIBUTING.md").read_text().split("\n") if "`: `" in line]
    assert len(table) >= 9
    for place in table:
        path, *names = re.findall(r"`([^`]+)`", place)
        tree = ast.parse((ROOT / "trendtrain" / path).read_text())
        there = {part.name for part in ast.walk(tree) if isinstance(part, ast.ClassDef | ast.FunctionDef)}
        assert set(names) <= there, place


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def test_the_tensorboard_command_serves_the_charts(tmp_path: Path) -> None:
    (command,) = [command for command in commands("README.md") if command.startswith("tensorboard")]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "runs").mkdir(exist_ok=True)
    arguments = [*shlex.split(command), "--port", str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    with subprocess.Popen(arguments, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as server:
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
