"""`trendtrain train`, killed at any moment, goes on as if it had never stopped."""

import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from kills import Storing, finish, kill_again_and_again
from train_runs import RunIn

import trendtrain.train
from trendtrain.callbacks import WalkCheckpoint
from trendtrain.data import sources
from trendtrain.reports.run_file import RunFile
from trendtrain.reports.summary import Summary
from trendtrain.storage import Ledger

torch.set_num_threads(1)  # small nets; and what is forked must have one

SHORT = (
    "data.source.n_bars=4000",
    "walk.steps=24",
    "walk.warmup=2",
    "callbacks.checkpoint.every_n_steps=4",
    "~replay.detector",
    "+replay.detector._target_=train_runs.AlarmsOften",
)


INTERRUPTS = {signal.SIGINT, signal.SIGTERM}
EXIT_CODES = {  # SIGTERM before Lightning listens, or after, ends any process
    signal.SIGKILL: (-signal.SIGKILL,),
    signal.SIGINT: (130,),
    signal.SIGTERM: (143, -signal.SIGTERM),
}


class Runs:
    """The same run in one folder after the other, each time in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.n_runs = 0
        self.now: RunIn

    def renew(self) -> None:
        """Let the next run start from nothing."""
        self.n_runs += 1
        self.now = RunIn(self.folder / str(self.n_runs), *SHORT)

    def __call__(self) -> None:
        """Train, or go on; Ctrl-C is heard only while the command runs."""
        exit_code = 130
        with suppress(KeyboardInterrupt):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
            exit_code = self.now.go_on()
        signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
        sys.exit(exit_code)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunIn:
    """A run that never stopped."""
    run = RunIn(tmp_path_factory.mktemp("whole") / "run", *SHORT)
    assert run.here() == 0
    assert all(run.ledger().values())  # there is something to compare in every table,
    assert {"trend/accuracy", "replay/alarms"} <= set(run.charts())  # and in the charts
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    yield Runs(tmp_path)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def seconds_of(runs: Runs) -> float:
    """Return how long one of them takes where it is left alone."""
    runs.renew()
    return finish(runs)


def assert_as_if_never_stopped(runs: Runs, whole: RunIn) -> None:
    finish(runs)
    assert runs.now.summary() == whole.summary()
    assert runs.now.ledger() == whole.ledger()
    assert runs.now.state() == whole.state()
    assert runs.now.charts() == whole.charts()


full = partial(pytest.param, marks=pytest.mark.full)


@pytest.mark.parametrize(
    ("by", "n_kills"),
    [
        (signal.SIGKILL, 2),
        (signal.SIGINT, 1),
        (signal.SIGTERM, 1),
        full(signal.SIGKILL, 30),
        full(signal.SIGINT, 5),
        full(signal.SIGTERM, 5),
    ],
)
def test_a_run_killed_at_a_random_moment_goes_on(by: signal.Signals, n_kills: int, runs: Runs, whole: RunIn) -> None:
    killed = kill_again_and_again(runs, n_kills, seconds_of(runs), runs.renew, by=by, exit_codes=EXIT_CODES[by])
    for _ in killed:
        assert_as_if_never_stopped(runs, whole)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(5))
def test_a_run_killed_again_and_again_goes_on(seed: int, runs: Runs, whole: RunIn) -> None:
    seconds = seconds_of(runs)
    runs.renew()
    for _ in kill_again_and_again(runs, 3, seconds, seed=seed):
        pass
    assert_as_if_never_stopped(runs, whole)


CHECKPOINT, FLUSH = (WalkCheckpoint, "_save"), (Ledger, "record_steps")
STORES = [
    CHECKPOINT,
    FLUSH,
    (Ledger, "record_alarm"),
    (Ledger, "begin"),
    (Ledger, "rewind"),
    (Ledger, "end"),
    (sources, "from_synthetic"),
    (trendtrain.train, "open_database"),
    (RunFile, "save"),
    (Summary, "save"),
]


@pytest.mark.parametrize(("store", "n_kills"), [(CHECKPOINT, 1), (FLUSH, 1), *(full(store, 10) for store in STORES)])
def test_a_run_killed_while_it_stores_goes_on(store: tuple[Any, str], n_kills: int, runs: Runs, whole: RunIn) -> None:
    for _ in Storing(runs, *store).kill_again_and_again(n_kills, runs.renew):
        assert_as_if_never_stopped(runs, whole)


@pytest.mark.parametrize("n_kills", [4, full(10)])
def test_a_run_interrupted_while_it_stores_leaves_no_lock_behind(n_kills: int, runs: Runs, whole: RunIn) -> None:
    for _ in Storing(runs, *FLUSH, by=signal.SIGINT, exit_code=130).kill_again_and_again(n_kills, runs.renew):
        assert_as_if_never_stopped(runs, whole)
