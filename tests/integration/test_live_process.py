"""With `live.trainer=process` a slow net delays no prediction, and either of the two processes may be killed."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import IS_FULL
from live_runs import SMALL, predictions
from train_runs import RunIn

from trendtrain.live.handover import PARAMETERS_FILE, TRAINER_FOLDER

PROCESS = "live.trainer=process"


@pytest.fixture(autouse=True)
def _tests_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))


def wait_until(is_so: Callable[[], Any], process: "subprocess.Popen[str] | None" = None) -> None:
    until = time.monotonic() + 180
    while not is_so():
        assert process is None or process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)


def facts(run: RunIn) -> dict[str, Any]:
    """What the run last said of itself; nothing before the first time."""
    try:
        found: dict[str, Any] = json.loads((run.folder / "live.json").read_text())
    except FileNotFoundError:
        return {}
    return found


def trainer_at(run: RunIn, process: "subprocess.Popen[str]", n: int, other_than: int | None = None) -> int:
    """Wait for so many predictions, and for parameters of a process that trains; return its number."""
    begun = time.time_ns()

    def pid() -> int | None:
        found = facts(run)
        return found["trainer"]["pid"] if found.get("pid") == process.pid and found["trainer"] else None

    def has_published() -> bool:
        path = run.folder / TRAINER_FOLDER / PARAMETERS_FILE
        return path.exists() and path.stat().st_mtime_ns > begun

    wait_until(lambda: pid() not in (None, other_than) and has_published() and len(predictions(run)) >= n, process)
    found = pid()
    assert found is not None
    return found


def published(run: RunIn) -> int:
    """How many batches the published parameters have learned from."""
    found: int = torch.load(run.folder / TRAINER_FOLDER / PARAMETERS_FILE, weights_only=True)["number"]
    return found


def saved(run: RunIn) -> int:
    """How many batches the last checkpoint of the process that trains has; 0 where there is none."""
    path = run.folder / TRAINER_FOLDER / "checkpoints" / "last.ckpt"
    found: int = torch.load(path, weights_only=True)["global_step"] if path.exists() else 0
    return found


def is_there(pid: int) -> bool:
    """Whether a process runs; one that has ended may still have a number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_slow_net_delays_no_prediction_and_hands_its_parameters_over(tmp_path: Path) -> None:
    slow = (*SMALL, PROCESS, "model._target_=live_runs.SlowModule", "feed.speed=600")  # a bar in half a second
    run = RunIn(tmp_path, *slow, "data.source.n_bars=4000")
    process = run.start(command="live")
    trainer = trainer_at(run, process, 1)
    wait_until(lambda: len({row[5] for row in predictions(run)}) > 3, process)
    assert facts(run)["trainer"]["lag_seconds"] > 0
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert not is_there(trainer)
    rows = sorted(predictions(run), key=lambda row: row[1])
    numbers = [row[5] for row in rows]
    assert numbers == sorted(numbers)
    delays = sorted((row[6] - row[1] - 300_000) / 600_000 for row in rows)
    assert delays[int(0.9 * len(delays))] < 1.0  # seconds: half a batch, and two batches in the process that predicts


@pytest.mark.parametrize("seed", range(5 if IS_FULL else 1))
def test_either_process_is_killed_and_both_go_on(seed: int, tmp_path: Path) -> None:
    undisturbed, run = RunIn(tmp_path / "undisturbed", *SMALL), RunIn(tmp_path / "killed", *SMALL, PROCESS)
    assert undisturbed.live("live.train=false") == 0
    moments, before = random.Random(seed), [predictions(undisturbed)[:0]]
    for _ in range(2 if IS_FULL else 1):
        process = run.start("feed.speed=300", command="live")
        trainer = trainer_at(run, process, len(before[-1]) + moments.randrange(1, 8))
        time.sleep(moments.uniform(0.0, 0.2))
        os.kill(trainer, signal.SIGKILL)
        n_batches = saved(run)
        before.append(predictions(run))
        trainer = trainer_at(run, process, len(before[-1]) + moments.randrange(1, 8), other_than=trainer)
        assert published(run) > n_batches  # it went on from its checkpoint
        time.sleep(moments.uniform(0.0, 0.2))
        process.kill()
        assert "the process that trains has ended with -9; predictions go on" in process.communicate()[1]
        before.append(predictions(run))
        wait_until(lambda pid=trainer: not is_there(pid))  # type: ignore[misc]
    assert run.live("feed.speed=1e9") == 0
    whole = predictions(run)
    for some in before:
        assert set(some) <= set(whole)  # none was made again, or replaced
    assert [row[:2] for row in whole] == [row[:2] for row in predictions(undisturbed)]


@pytest.mark.parametrize(
    ("option", "rule"),
    [
        ("live.train=false", "`live.train` must be true with live.trainer=process, got false."),
        ("live.lockstep=true", "`live.lockstep` must be false with live.trainer=process, got true."),
        ("db.url=sqlite://", "`db.url` must not be in memory with live.trainer=process, got sqlite://."),
        ("callbacks.ledger=null", "`callbacks.ledger.commits` must be true with live.trainer=process, got null."),
        (
            "callbacks.ledger.commits=false",
            "`callbacks.ledger.commits` must be true with live.trainer=process, got false.",
        ),
        ("feed.speed=null", "`feed.speed` must be a number with live.trainer=process, got null."),
    ],
)
def test_what_a_process_of_its_own_cannot_do_is_refused(
    option: str, rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert RunIn(tmp_path, *SMALL, PROCESS).live(option) == 2
    assert rule in capsys.readouterr().err
