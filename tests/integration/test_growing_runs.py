"""A run goes on with more bars as if it had had them from the start, and with a further series from the next step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from train_runs import RunIn

from trendtrain.market import Bars, synthetic_market
from trendtrain.storage import BarStore, open_database

torch.set_num_threads(1)

BARS = {("A", "5m"): synthetic_market(2000, 1, "5m"), ("B", "15m"): synthetic_market(660, 2, "15m")}
OPTIONS = (
    "data=database",
    "walk.start=2020-01-03",
    "walk.step=6h",
    "callbacks.checkpoint.every_n_steps=4",
    "data.symbols=null",
    "walk.warmup=2",
)


def run_in(folder: Path, *overrides: str) -> RunIn:
    run = RunIn(folder, *OPTIONS, *overrides)
    left_out = ("data.source", "data.symbols=[")
    run.overrides = [override for override in run.overrides if not override.startswith(left_out)]
    return run


def store(run: RunIn, until: str | None = None, *names: str) -> None:
    """Put the bars of series that open before a time into the database of a run."""
    engine = open_database(run.url)
    for (symbol, timeframe), bars in BARS.items():
        n_bars = len(bars) if until is None else int(np.searchsorted(bars.open_time, np.datetime64(until)))
        if not names or symbol in names:
            BarStore(engine).write(symbol, timeframe, bars[:n_bars])
    engine.dispose()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunIn:
    run = run_in(tmp_path_factory.mktemp("whole") / "run")
    store(run)
    assert run.here() == 0
    return run


def assert_same(one: RunIn, other: RunIn) -> None:
    assert one.ledger() == other.ledger()
    assert one.charts() == other.charts()
    np.testing.assert_equal(one.summary(), other.summary())
    np.testing.assert_equal(one.state(), other.state())


# In the middle of a slot, at its end, in the first one; each time after the last bar of some step.
@pytest.mark.parametrize(
    "until",
    [
        "2020-01-05T08:20",
        pytest.param("2020-01-05T12:00", marks=pytest.mark.full),
        pytest.param("2020-01-03T04:00", marks=pytest.mark.full),
    ],
)
def test_a_run_that_goes_on_with_more_bars_is_that_of_all_bars(until: str, whole: RunIn, tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    store(run, until)
    assert run.here() == 0
    assert run.summary()["status"] == "finished"
    store(run)
    assert run.here("ckpt=last") == 0
    assert_same(run, whole)


def test_a_run_may_grow_again_and_again(whole: RunIn, tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    for n, until in enumerate(["2020-01-04T01:05", "2020-01-04T01:10", "2020-01-05T17:00", "2020-01-06", None]):
        store(run, until)
        assert run.here(*(["ckpt=last"] if n else [])) == 0
    assert_same(run, whole)


@pytest.mark.parametrize("first", [("2020-01-05T12:00",), pytest.param((None, "walk.steps=9"), marks=pytest.mark.full)])
def test_a_partial_step_that_begins_a_process_can_be_walked_again(
    first: tuple[str | None, ...], whole: RunIn, tmp_path: Path
) -> None:
    """The run stops before that step: where history ends with a slot, or by the number of steps."""
    run = run_in(tmp_path / "run")
    store(run, first[0] or "2020-01-05T08:20")
    assert run.here(*first[1:]) == 0
    store(run, "2020-01-05T14:20" if first[0] else "2020-01-05T08:20")
    assert run.here("ckpt=last") == 0
    store(run)
    assert run.here("ckpt=last") == 0
    assert_same(run, whole)


def test_a_checkpoint_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_in(tmp_path / "run")
    store(run, "2020-01-05T08:20")
    assert run.here() == 0
    (run.folder / "checkpoints" / "full.ckpt").unlink()
    store(run)
    capsys.readouterr()
    assert run.here("ckpt=last") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "`ckpt=last` must find a checkpoint" in line
    assert "full.ckpt that hold that of step 9" in line
    run.checkpoint.write_bytes(b"PK")
    assert run.here("ckpt=last") == 2
    assert "`ckpt=last` must find a checkpoint as this version writes it" in capsys.readouterr().err


def test_more_steps_go_on_from_where_the_run_stopped(whole: RunIn, tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    store(run)
    assert run.here("walk.steps=5") == 0
    assert run.summary()["steps"] == 5
    assert run.here("ckpt=last", "walk.steps=9") == 0
    assert run.here("ckpt=last") == 0
    assert_same(run, whole)


def test_going_on_without_anything_new_changes_nothing(whole: RunIn, tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    store(run)
    assert run.here() == 0
    before = run.ledger()
    assert run.here("ckpt=last") == 0
    assert run.ledger() == before
    assert_same(run, whole)


def test_a_series_that_is_added_starts_with_the_next_step(tmp_path: Path) -> None:
    alone, grown = run_in(tmp_path / "alone"), run_in(tmp_path / "grown")
    for run in (alone, grown):
        store(run, "2020-01-05T12:00", "A")
        assert run.here() == 0
        store(run, None, "A")
    store(grown, None, "B")
    for run in (alone, grown):
        assert run.here("ckpt=last") == 0
    end = np.datetime64("2020-01-05T12:00", "ms").astype(int)

    def of(run: RunIn, symbol: str) -> list[Any]:
        return [row for row in predictions(run) if row[0] == symbol]

    until_then = [row for row in of(grown, "A") if row[1] < end]
    assert until_then == [row for row in of(alone, "A") if row[1] < end]
    assert min(row[1] for row in of(grown, "B")) >= end - 15 * 60_000
    assert {row[1] for row in of(grown, "A")} == {row[1] for row in of(alone, "A")}
    stats = grown.ledger_stats()["B"]
    assert stats["total_predictions"] == len(of(grown, "B"))
    assert stats["validated_predictions"] > 50


def predictions(run: RunIn) -> list[tuple[Any, ...]]:
    engine = open_database(run.url)
    with engine.connect() as connection:
        query = "SELECT symbol, open_time, step, direction, confidence FROM predictions ORDER BY symbol, open_time"
        rows = [tuple(row) for row in connection.exec_driver_sql(query)]
    engine.dispose()
    return rows


def test_bars_that_changed_in_the_past_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_in(tmp_path / "run")
    store(run, "2020-01-05T12:00")
    assert run.here() == 0
    bars = BARS["A", "5m"][300:301]
    raised = 1.01 * bars.high
    other = Bars(bars.open_time, bars.open, raised, bars.low, bars.close, bars.volume, bars.timeframe)
    engine = open_database(run.url)
    BarStore(engine).write("A", "5m", other)
    engine.dispose()
    capsys.readouterr()
    assert run.here("ckpt=last") == 2
    (line,) = capsys.readouterr().err.splitlines()
    first = BARS["A", "5m"].open_time[256]
    assert f"`data` must give the bars of the run that is resumed, got others from {first} on in A 5m" in line
