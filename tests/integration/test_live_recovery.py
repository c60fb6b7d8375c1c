"""A live run that stops, whatever stops it, goes on where it was: each prediction is made and stored once."""

import itertools
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import IS_FULL
from live_runs import SMALL, predictions
from sqlalchemy import Engine
from storage_faults import locked_by_another
from train_runs import RunIn

from trendtrain.storage import Ledger


def killed(run: RunIn, n_kills: int, *overrides: str) -> list[list[tuple[Any, ...]]]:
    """Kill a run at random moments, and let it go on each time; return the predictions after each kill."""
    moments, found = random.Random(0), []
    for _ in range(n_kills):
        n_before = len(found[-1]) if found else 0
        process = run.start(*overrides, command="live")
        until = time.monotonic() + 120
        n_more = moments.randrange(1, 40)  # predictions after which it is killed, at some moment of the next steps
        while process.poll() is None and time.monotonic() < until:
            if (run.folder / "run.db").exists() and _count(run) >= n_before + n_more:
                time.sleep(moments.uniform(0.0, 0.1))
                break
            time.sleep(0.02)
        process.kill()
        process.communicate()
        found.append(predictions(run))
    assert run.live(*overrides) == 0
    return found


def _count(run: RunIn) -> int:
    connection = sqlite3.connect(run.folder / "run.db", timeout=60)
    try:
        return int(connection.execute("SELECT count(*) FROM prediction_rows").fetchone()[0])
    except sqlite3.OperationalError:  # no tables yet
        return 0
    finally:
        connection.close()


@pytest.mark.parametrize("is_trained", [False, True], ids=["predicting", "training"])
def test_a_run_killed_at_random_moments_makes_each_prediction_once(is_trained: bool, tmp_path: Path) -> None:
    options = (*SMALL, f"live.train={str(is_trained).lower()}")
    undisturbed, run = RunIn(tmp_path / "undisturbed", *options), RunIn(tmp_path / "killed", *options)
    assert undisturbed.live() == 0
    after_kills = killed(run, 20 if IS_FULL else 2)
    whole = predictions(run)
    for before in after_kills:
        assert set(before) <= set(whole)  # none was made again, or replaced
    assert [row[:2] for row in whole] == [row[:2] for row in predictions(undisturbed)]
    if not is_trained:
        assert run.ledger() == undisturbed.ledger()
        assert {**run.summary(), "config": None} == {**undisturbed.summary(), "config": None}


def locked(engine: Engine) -> AbstractContextManager[None]:
    return locked_by_another(Path(str(engine.url.database)))


@contextmanager
def full(engine: Engine) -> Iterator[None]:
    """Let the database grow no more, as on a full disk; the connection is the only one of the run."""
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    yield


@pytest.mark.parametrize(("fault", "reason"), [(locked, "database is locked"), (full, "database or disk is full")])
def test_a_database_that_fails_ends_the_run_in_one_line_and_the_next_start_goes_on(
    fault: Callable[[Engine], AbstractContextManager[None]],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = (*SMALL, "live.train=false", "walk.steps=120")  # a full disk has no further page for these
    undisturbed, run = RunIn(tmp_path / "undisturbed", *options), RunIn(tmp_path / "failing", *options)
    assert undisturbed.live() == 0
    capsys.readouterr()
    commit, calls = Ledger.commit, itertools.count()
    with monkeypatch.context() as patch, ExitStack() as fails:

        def commit_until_it_fails(ledger: Ledger, *arguments: Any) -> None:
            if next(calls) == 30:
                fails.enter_context(fault(ledger.engine))
            commit(ledger, *arguments)

        patch.setattr(Ledger, "commit", commit_until_it_fails)
        assert run.live(f"db.url='{run.url}?timeout=0.1'") == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert reason in errors[0]
    stored = predictions(run)
    assert run.live() == 0
    assert set(stored) <= set(predictions(run))
    assert run.ledger() == undisturbed.ledger()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_bars_are_waited_for_ends_within_a_second(by: signal.Signals, tmp_path: Path) -> None:
    run = RunIn(tmp_path, *SMALL, "feed.speed=0.001", "live.max_batches=1")  # a bar of 5 minutes in 3 days
    process = run.start(command="live")
    until = time.monotonic() + 120
    while not (run.folder / "run.json").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(3.0)  # the first epoch trains a batch, then it waits
    os.kill(process.pid, by)
    began = time.monotonic()
    process.communicate(timeout=60)
    assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}[by]
    assert time.monotonic() - began < (1.0 if IS_FULL else 10.0)  # a busy machine takes longer to end a process
    connection = sqlite3.connect(run.folder / "run.db")
    assert connection.execute("SELECT status FROM runs").fetchall() == [("interrupted",)]
    connection.close()


def test_a_run_that_only_predicts_leaves_the_model_as_it_is(tmp_path: Path) -> None:
    run = RunIn(tmp_path, *SMALL)
    assert run.live("walk.steps=20") == 0
    trained = run.state()
    predicted_before = predictions(run)
    assert run.live("live.train=false") == 0
    after = run.state()
    for part in ("state_dict", "optimizer_states", "current_model_state"):
        assert trained[part] == after[part], part
    new = predictions(run)[len(predicted_before) :]
    assert {row[5] for row in predictions(run) if row not in predicted_before} == {trained["global_step"]}
    assert len(new) > 20


def test_bad_live_settings_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for key, value, rule in (
        ("live.trainer", "thread2", "`live.trainer` must be one of"),
        ("live.train", "perhaps", "`live.train` must be one of"),
        ("live.max_batches", "0", "`live.max_batches` must be an integer of at least 1"),
        ("live.max_bars", "5", "`live.max_bars` must be an integer of at least 24"),
        ("live.grace", "-1", "`live.grace` must be"),
        ("feed.speed", "0", "`feed.speed` must be"),
    ):
        run = RunIn(tmp_path / key, *SMALL)
        assert run.live(f"{key}={value}") == 2
        error = capsys.readouterr().err
        assert rule in error
        assert error.count("\n") == 1


def test_a_sweep_of_live_runs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunIn(tmp_path / "run", *SMALL, f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert run.live("seed=0,1", "--multirun") == 2
    assert "`--multirun` must be left out of `trendtrain live`" in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()
