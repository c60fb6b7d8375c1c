"""Runs in the ledger: their status and progress, their models, and how old ones go."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from kills import start
from ledger_examples import BTC, judged, predicted, rows_of
from sqlalchemy import Engine, text

from trendtrain.errors import InputError
from trendtrain.market.bars import Series
from trendtrain.storage import BarStore, Ledger, Progress, open_database
from trendtrain.storage.database_info import database_info
from trendtrain.storage.ledger.ledger import now_ms
from trendtrain.validation.predictions import CORRECT, WRONG
from trendtrain.validation.stats import TrendStats

DAY = 86_400_000
COUNTS = "n_steps, total_predictions, validated_predictions, correct_predictions, void_predictions"
OF_RUNS = ("models", "tracks", "prediction_rows", "lines", "verdict_rows", "alarms")


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    ledger = Ledger(engine)
    ledger.begin("one", "{}", "2024-01-01")
    return ledger


def set_last_write(engine: Engine, days: dict[str, float]) -> None:
    """Put the last writes of runs at days after 1970-01-01."""
    with engine.begin() as connection:
        for run, day in days.items():
            values = {"run": run, "time": int(day * DAY)}
            connection.execute(text("UPDATE runs SET updated_at = :time WHERE id = :run"), values)


def enter_runs(engine: Engine, *days: float) -> Ledger:
    """Enter finished runs `run-0`, `run-1`, ..., each with rows in every table, last written to at those days."""
    ledger = Ledger(engine)
    for i in range(len(days)):
        run = f"run-{i}"
        ledger.begin(run, "", np.datetime64(i, "D"))
        ledger.record(run, "cnn", 0, predicted([0, 1]), judged({0: WRONG}))
        ledger.record_alarm(run, "cnn", 0, BTC, np.datetime64(0, "D"), "adwin", "nothing")
        ledger.end(run, "finished")
    set_last_write(engine, {f"run-{i}": day for i, day in enumerate(days)})
    return ledger


def runs_left(engine: Engine) -> list[str]:
    return [run for (run,) in rows_of(engine, "runs", "id")]


def test_a_run_begins_before_its_first_step(ledger: Ledger, engine: Engine) -> None:
    assert rows_of(engine, "runs", "status, step") == [("running", -1)]
    assert rows_of(engine, "runs", COUNTS) == [(None,) * 5]


@pytest.mark.parametrize("status", ["finished", "interrupted", "failed"])
def test_a_run_ends_as_told_and_runs_again_when_begun_again(ledger: Ledger, engine: Engine, status: str) -> None:
    ledger.end("one", status)  # type: ignore[arg-type]
    assert rows_of(engine, "runs", "status") == [(status,)]
    ledger.begin("one", "{}", "2025-01-01")
    assert rows_of(engine, "runs", "status") == [("running",)]


def test_a_step_tells_how_far_the_run_is(ledger: Ledger, engine: Engine) -> None:
    before = now_ms()
    stats = TrendStats(validated=5, correct=3, void=2, pending=4)
    ledger.record("one", "cnn", 7, predicted([0]), None, progress=Progress(90, stats))
    assert rows_of(engine, "runs", f"step, {COUNTS}") == [(7, 90, 11, 5, 3, 2)]
    assert before <= rows_of(engine, "runs", "updated_at")[0][0] <= now_ms()


def test_a_step_without_progress_leaves_the_counts(ledger: Ledger, engine: Engine) -> None:
    ledger.record("one", "cnn", 0, predicted([0]), None, progress=Progress(9, TrendStats(pending=1)))
    ledger.record("one", "cnn", 1, predicted([1]), None)
    assert rows_of(engine, "runs", f"step, {COUNTS}") == [(1, 9, 1, 0, 0, 0)]


def test_a_rewound_run_is_at_that_step_and_knows_no_counts(ledger: Ledger, engine: Engine) -> None:
    for step in range(4):
        ledger.record("one", "cnn", step, predicted([step]), None, progress=Progress(9, TrendStats(pending=step + 1)))
    ledger.rewind("one", 1)
    assert rows_of(engine, "runs", f"step, {COUNTS}") == [(1, None, None, None, None, None)]
    ledger.rewind("one", 3)
    assert rows_of(engine, "runs", "step") == [(1,)]


def test_rewinding_to_the_last_step_keeps_the_counts(ledger: Ledger, engine: Engine) -> None:
    stats = TrendStats(validated=5, correct=2, void=1, pending=2)
    ledger.record("one", "cnn", 3, predicted([0]), None, progress=Progress(4, stats))
    ledger.rewind("one", 3)
    assert rows_of(engine, "runs", f"step, {COUNTS}") == [(3, 4, 8, 5, 2, 1)]


def test_other_runs_are_not_touched(ledger: Ledger, engine: Engine) -> None:
    ledger.begin("two", "{}", "2024-01-02")
    before = rows_of(engine, "runs")[0]
    ledger.record("two", "cnn", 3, predicted([0]), None, progress=Progress(9, TrendStats(pending=1)))
    ledger.end("two", "failed")
    assert rows_of(engine, "runs")[0] == before


def test_a_model_can_be_described_before_or_after_it_predicts(ledger: Ledger, engine: Engine) -> None:
    ledger.describe_model("one", "a", "CnnNet", "trendtrain.models.cnn.CnnNet")
    for model in ("a", "b"):
        ledger.record("one", model, 0, predicted([0]), None)
    ledger.describe_model("one", "b", "Mine", "mine.Mine")
    expected = [("one", "a", "CnnNet", "trendtrain.models.cnn.CnnNet"), ("one", "b", "Mine", "mine.Mine")]
    assert rows_of(engine, "models") == expected
    assert len(rows_of(engine, "predictions")) == 2


def test_a_model_needs_a_run(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="`run_id` must be begun, got 'two'"):
        ledger.describe_model("two", "cnn", "CnnNet", "CnnNet")


def test_runs_older_than_an_age_go(engine: Engine) -> None:
    ledger = enter_runs(engine, 10, 5, 20)
    assert ledger.prune(older_than=timedelta(days=20), now=np.datetime64(30, "D")) == ["run-0", "run-1"]
    assert runs_left(engine) == ["run-2"]


def test_all_but_the_runs_started_last_go(engine: Engine) -> None:
    ledger = enter_runs(engine, 10, 5, 20)
    assert ledger.prune(keep_runs=2) == ["run-0"]
    assert ledger.prune(keep_runs=2) == []
    assert runs_left(engine) == ["run-1", "run-2"]


def test_of_age_and_count_both_must_hold(engine: Engine) -> None:
    ledger = enter_runs(engine, 10, 25, 5, 5)
    assert ledger.prune(timedelta(days=9), keep_runs=1, now=np.datetime64(30, "D")) == ["run-0", "run-2"]


@pytest.mark.parametrize(("last_write", "is_spared"), [(29.1, True), (28.9, False)])
def test_a_run_under_way_is_spared_and_one_that_was_killed_is_not(
    engine: Engine, last_write: float, is_spared: bool
) -> None:
    ledger = enter_runs(engine, 0)
    ledger.begin("run-0", "", np.datetime64(0, "D"))
    set_last_write(engine, {"run-0": last_write})
    assert ledger.prune(keep_runs=0, now=np.datetime64(30, "D")) == ([] if is_spared else ["run-0"])


def test_a_pruned_run_takes_along_all_it_wrote_and_nothing_else(engine: Engine, make_bars: object) -> None:
    BarStore(engine).write("BTCUSDT", "1m", make_bars(range(100)))  # type: ignore[operator]
    ledger = enter_runs(engine, 10, 20)
    before = database_info(engine)
    assert all(before.n_rows[table] > 0 for table in OF_RUNS)
    assert ledger.prune(keep_runs=1) == ["run-0"]
    after = database_info(engine)
    assert {table: 2 * after.n_rows[table] for table in OF_RUNS} == {table: before.n_rows[table] for table in OF_RUNS}
    assert after.series == before.series
    assert [row.stats for row in ledger.stats("all")] == [TrendStats(validated=1, pending=1)]


def test_a_run_deleted_by_hand_takes_along_all_it_wrote(engine: Engine) -> None:
    enter_runs(engine, 10)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM runs"))
    assert {table: database_info(engine).n_rows[table] for table in OF_RUNS} == dict.fromkeys(OF_RUNS, 0)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "`older_than` or `keep_runs` must say which runs to delete, got neither"),
        ({"older_than": timedelta(days=-1)}, "`older_than` must be at least 0, got -1 day"),
        ({"keep_runs": -1}, "`keep_runs` must be an integer of at least 0, got -1"),
        ({"keep_runs": 1.5}, r"`keep_runs` must be an integer of at least 0, got 1\.5"),
    ],
)
def test_a_rule_that_makes_no_sense_deletes_nothing(engine: Engine, rule: dict[str, object], message: str) -> None:
    ledger = enter_runs(engine, 10)
    with pytest.raises(InputError, match=message):
        ledger.prune(**rule)  # type: ignore[arg-type]
    assert runs_left(engine) == ["run-0"]


def test_runs_may_write_to_one_database_at_the_same_time(db_url: str) -> None:
    def work(run: str, names: list[str]) -> None:
        engine = open_database(db_url)
        ledger = Ledger(engine)
        ledger.begin(run, "", "2024-01-01")
        for step in range(30):
            series = tuple(Series(name, "1m") for name in names)
            minutes = list(range(step * len(series), (step + 1) * len(series)))
            made = replace(predicted(minutes), series=series, series_index=np.arange(len(series)))
            ledger.record(run, "cnn", step, made, None)
        engine.dispose()

    names = [f"S{i}" for i in range(20)]
    processes = [start(lambda run=run, names=names[::way]: work(run, names)) for run, way in (("one", 1), ("two", -1))]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    engine = open_database(db_url)
    totals = [row.stats.total for row in Ledger(engine).stats("all")]
    engine.dispose()
    assert totals == [30] * 40


def test_contents_say_what_there_is(engine: Engine, make_bars: object) -> None:
    BarStore(engine).write("BTCUSDT", "1m", make_bars([0, 1, 5]))  # type: ignore[operator]
    ledger = Ledger(engine)
    ledger.begin("one", "{}", "1970-01-02")
    ledger.record("one", "cnn", 0, predicted([0]), judged({0: CORRECT}), progress=Progress(4, TrendStats(1, 1)))
    contents = database_info(engine)
    (series,) = contents.series
    assert (series.symbol, series.timeframe, series.n_bars, series.n_blocks) == ("BTCUSDT", "1m", 3, 1)
    assert (series.first, series.last) == (1_704_067_200_000, 1_704_067_500_000)
    assert series.n_bytes == rows_of(engine, "bar_blocks", "length(payload)")[0][0]
    (run,) = contents.runs
    assert (run.id, run.status, run.step, run.n_steps, run.started_at) == ("one", "running", 0, 4, DAY)
    assert run.total_predictions == 1
    assert contents.n_rows["prediction_rows"] == contents.n_rows["verdict_rows"] == 1
