import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
from trainer_parts import SERIES

from trendtrain.callbacks import LedgerWriter, TrendValidation, WalkStep, ledger_writer
from trendtrain.cli import main
from trendtrain.live import monitor
from trendtrain.live.monitor import Monitor
from trendtrain.live.status import problems
from trendtrain.storage import BarStore, Ledger, open_database

Make = Callable[..., Any]


class Asks(pl.Callback):
    """Ask how the run is after its last step."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.n_steps = 0

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        self.n_steps += 1
        if self.n_steps < 6:
            return
        self.step = step
        self.capsys.readouterr()
        self.exit_code = main(["live", "status", str(self.folder)])
        self.shown = self.capsys.readouterr().out
        main(["live", "status", str(self.folder), "--json"])
        self.found = json.loads(self.capsys.readouterr().out)


@pytest.fixture
def asked(
    tmp_path: Path,
    make_trainer: Make,
    make_module: Make,
    make_datamodule: Make,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Asks:
    """A run of six steps whose bars are stored, asked how it is after the last."""
    for module in (monitor, ledger_writer):
        monkeypatch.setattr(module, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setenv("COLUMNS", "140")
    folder = tmp_path / "runs" / "run-1"
    folder.mkdir(parents=True)
    engine = open_database(f"sqlite:///{tmp_path / 'run.db'}")
    for series, bars in SERIES.items():
        BarStore(engine).write(*series, bars)  # later ones too, as where bars are replayed
    asks, ledger = Asks(folder, capsys), Ledger(engine)
    parts = (TrendValidation(), LedgerWriter(ledger, "run-1", commits=True), Monitor(folder, "run-1", ledger), asks)
    make_trainer(*parts, max_epochs=6).fit(make_module(), make_datamodule())
    engine.dispose()
    return asks


def test_a_run_under_way_is_healthy_and_says_what_is_pending_and_why(asked: Asks) -> None:
    assert (asked.exit_code, asked.found["problems"]) == (0, [])
    assert "run-1  running, healthy" in asked.shown
    for (_, stats), part in zip(asked.step.series_stats.items(), asked.found["series"], strict=True):
        assert sum(group["n"] for group in part["pending"]) == stats.pending > 0
        assert all("level-2" in group["waits_for"] for group in part["pending"])  # none has its line already
        assert part["pending"][0]["waits_for"] in asked.shown
    for name in ("AAA 5m", "BBB 15m", "6 steps", "parameters after 12 batches", "correct", "L2"):
        assert name in asked.shown


def test_the_last_verdicts_are_those_of_the_ledger(asked: Asks, tmp_path: Path) -> None:
    verdicts = asked.found["verdicts"]
    assert len(verdicts) == 10
    assert verdicts[0]["known_at"] == asked.step.verdicts.known_time.max().astype("datetime64[ms]").astype(int)
    assert [one["known_at"] for one in verdicts] == sorted((one["known_at"] for one in verdicts), reverse=True)
    for one in verdicts:
        assert (one["outcome"] == "correct") == (one["direction"] == one["truth"])


def test_a_run_that_has_ended_is_not_healthy(asked: Asks, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", "status", str(asked.folder)]) == 1
    assert "the run has ended: stopped" in capsys.readouterr().out


def test_without_a_folder_the_newest_run_is_shown(
    asked: Asks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["live", "status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["run"] == "run-1"


def test_watching_ends_with_ctrl_c(
    asked: Asks, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    n_shown = 0

    def interrupt(_: float) -> None:
        nonlocal n_shown
        n_shown += 1
        if n_shown == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    assert main(["live", "status", str(asked.folder), "--watch", "--json"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["run"] for line in lines] == ["run-1"] * 3
    n_shown = 0
    assert main(["live", "status", str(asked.folder), "--watch"]) == 1
    assert "run-1" in capsys.readouterr().out


def test_a_status_changes_nothing(asked: Asks, tmp_path: Path) -> None:
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and "run.db-" not in path.name}
    main(["live", "status", str(asked.folder)])
    assert files == {path: path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ([], "`RUN_FOLDER` must be given where runs holds no live run"),
        (["nowhere"], "`RUN_FOLDER` must be that of a live run, got nowhere, which has no live.json"),
    ],
)
def test_a_folder_without_a_live_run_is_refused(
    arguments: list[str], rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["live", "status", *arguments]) == 2
    assert rule in capsys.readouterr().err


def test_a_ledger_with_a_password_must_be_named(asked: Asks, capsys: pytest.CaptureFixture[str]) -> None:
    file = asked.folder / "live.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"db": "postgresql+psycopg://me:***@host/name"}))
    assert main(["live", "status", str(asked.folder)]) == 2
    assert "`--db` must name the ledger where it needs a password" in capsys.readouterr().err


def facts(**changes: Any) -> dict[str, Any]:
    """What a healthy run says of itself at second 1000."""
    one = {"symbol": "BTC", "timeframe": "1m", "newest": 990_000}
    who = {"state": "running", "beat_at": 1000.0, "pid": os.getpid(), "host": socket.gethostname()}
    return {**who, "clock": 1_000_000, "series": [one], "trainer": None, **changes}


def test_each_problem_is_named() -> None:
    assert problems(facts(), now=1059.0) == []
    pid, late = os.getpid(), {"symbol": "BTC", "timeframe": "1m", "newest": 1_000}
    assert problems(facts(), now=1061.0) == [f"the process {pid} was last heard of 61 s ago"]
    assert problems(facts(pid=2**22 + 1), now=1000.0)[0].startswith("the process 4194305 is gone")
    assert problems(facts(pid=2**22 + 1, host="elsewhere"), now=1000.0) == []
    assert problems(facts(series=[late]), now=1000.0) == ["BTC 1m has brought no bar for 999 s"]
    assert problems(facts(series=[late | {"newest": 820_000}]), now=1000.0) == []  # 180 s: two bars and a minute
    assert problems(facts(series=[late | {"newest": None}]), now=1000.0) == ["BTC 1m has brought no bar yet"]
    assert problems(facts(trainer={"pid": 7, "lag_seconds": 60.0}), now=1000.0) == []
    stopped = facts(trainer={"pid": None, "lag_seconds": 60.0})
    assert problems(stopped, now=1000.0) == ["the process that trains is not there"]
    for state in ("finished", "interrupted", "failed"):
        assert problems(facts(state=state), now=1000.0) == [f"the run has ended: {state}"]
