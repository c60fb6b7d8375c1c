"""Runs that end before their time: what they leave behind, and how they go on."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from train_runs import RunIn

from trendtrain.stream.walk_step import WalkStep

torch.set_num_threads(1)  # small nets: on busy cores a second thread costs tenfold, and gains nothing

N_SECONDS = 120  # to wait for a process; it comes to an end in a few


def wait_for(condition: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Wait until a condition holds; the process must be alive until then."""
    end = time.monotonic() + N_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return the exit code and what stood on stderr."""
    _, error = process.communicate(timeout=N_SECONDS)
    return process.returncode, error


def assert_ledger_tells_the_summary(run: RunIn) -> None:
    assert run.ledger_stats() == {symbol: by["5m"]["stats"] for symbol, by in run.summary()["series"].items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunIn:
    """A run that never stopped."""
    run = RunIn(tmp_path_factory.mktemp("whole"))
    assert run.here() == 0
    return run


@pytest.fixture(autouse=True)
def _handlers_stay() -> Iterator[None]:
    """Put back what listens to signals: Lightning ignores further Ctrl-C after the first."""
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    for number, handler in handlers:
        signal.signal(number, handler)


def test_control_c_leaves_a_summary_and_a_ledger_that_agree(tmp_path: Path) -> None:
    run = RunIn(tmp_path / "run")
    process = run.start()
    wait_for(run.checkpoint.exists, process)
    process.send_signal(signal.SIGINT)
    exit_code, error = ended(process)
    assert exit_code == 130
    assert "Traceback" not in error
    assert run.summary()["status"] == "interrupted"
    assert 10 <= run.summary()["steps"] < 94
    assert_ledger_tells_the_summary(run)


def test_a_terminated_run_can_go_on_as_if_never_stopped(tmp_path: Path, whole: RunIn) -> None:
    run = RunIn(tmp_path / "run")
    process = run.start()
    wait_for(run.checkpoint.exists, process)
    process.send_signal(signal.SIGTERM)
    exit_code, error = ended(process)
    assert exit_code == 143
    assert "Traceback" not in error
    assert run.summary()["status"] == "interrupted"
    assert_ledger_tells_the_summary(run)
    assert run.here("ckpt=last") == 0
    assert run.summary() == whole.summary()
    assert run.ledger() == whole.ledger()


def test_a_run_killed_in_the_warm_up_can_go_on_as_if_never_stopped(tmp_path: Path) -> None:
    options = ("walk.warmup=20", "walk.steps=4", "callbacks.checkpoint.every_n_steps=3")
    never, run = RunIn(tmp_path / "never", *options), RunIn(tmp_path / "run", *options)
    assert never.here() == 0
    process = run.start()
    wait_for(run.checkpoint.exists, process)
    process.kill()
    assert ended(process)[0] == -signal.SIGKILL
    clock = torch.load(run.checkpoint, weights_only=True)["PivotDataModule"]
    assert (clock["step"], clock["warmup"] > 0) == (0, True)
    for charts in (run.folder / "tensorboard").glob("events.*"):  # files of one second are read in any order
        charts.rename(charts.with_name(charts.name.replace("tfevents.1", "tfevents.0", 1)))
    assert run.here("ckpt=last") == 0
    assert (run.summary(), run.ledger(), run.state()) == (never.summary(), never.ledger(), never.state())
    assert run.charts() == never.charts()
    assert [step for step, *_ in run.charts()["trend/pending"]] == [0, 1, 2, 3]
    (losses, all_losses) = (r.charts("train/loss")["train/loss"] for r in (run, never))
    assert [step for step, *_ in all_losses] == list(range(all_losses[0][0], 4))
    assert all_losses[0][0] < -clock["warmup"] < 0  # the warm-up lies left of 0
    steps = [step for step, *_ in losses]
    assert steps == sorted(set(steps))  # none twice; what was not flushed died with the process
    assert set(steps) >= set(range(-clock["warmup"], 4))


class Interrupt(pl.Callback):
    """Press Ctrl-C once, at one moment of step 5, or after 5 epochs of warm-up."""

    moment: str | None = None  # none: never

    def __init__(self) -> None:
        self.is_due = False

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        self.is_due = step.index == 5
        self._maybe("judging")

    def on_warmup(self, trainer: pl.Trainer, done: int, total: int) -> None:
        self.is_due = done == 5
        self._maybe("warming up")
        self.is_due = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._maybe("epoch end")

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        self._maybe("training")

    def on_validation_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        self._maybe("predicting")

    def _maybe(self, moment: str) -> None:
        if self.is_due and moment == Interrupt.moment:
            Interrupt.moment = None
            signal.raise_signal(signal.SIGINT)


LISTENING = (
    f"+callbacks.stop._target_={__name__}.Interrupt",
    "walk.steps=8",
    "callbacks.checkpoint.every_n_steps=3",
    "walk.warmup=2",
)


@pytest.fixture(scope="module")
def never(tmp_path_factory: pytest.TempPathFactory) -> RunIn:
    """A run that nobody interrupts."""
    run = RunIn(tmp_path_factory.mktemp("never"), *LISTENING)
    assert run.here() == 0
    return run


@pytest.mark.parametrize("moment", ["judging", "epoch end", "training", "predicting", "warming up"])
def test_control_c_may_come_at_any_moment(moment: str, never: RunIn, tmp_path: Path) -> None:
    run = RunIn(tmp_path / "run", *LISTENING)
    Interrupt.moment = moment
    assert run.here() == 130
    assert run.summary()["steps"] == (0 if moment == "warming up" else 6)
    if moment != "warming up":
        assert_ledger_tells_the_summary(run)
    assert run.here("ckpt=last") == 0
    assert run.summary() == never.summary()
    assert run.ledger() == never.ledger()
