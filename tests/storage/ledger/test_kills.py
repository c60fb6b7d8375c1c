"""Processes that write to the ledger and are killed at random moments."""

from typing import Any

import numpy as np
import pytest
from kills import Work, finish, kill_again_and_again
from ledger_examples import BTC, ETH, judged, predicted, rows_of
from sqlalchemy import text

from trendtrain.storage import Ledger, Progress, open_database
from trendtrain.storage.schema import runs
from trendtrain.validation.stats import TrendStats

N_STEPS = 30
PER_STEP = 20
# All but the numbers that the database gives, and the time of the last write.
CONTENT = {
    "predictions": "*",
    "verdicts": "*",
    "lines": "run_id, series_id, first_time, last_time, kind, direction, known_at, first_price, last_price, slope",
    "training_events": "*",
    "models": "*",
    "alarms": "run_id, model, step, kind, cut",
    "runs": "id, config, status, step, n_steps, total_predictions, validated_predictions",
}


def write_step(ledger: Ledger, step: int) -> None:
    """Predict the step's minutes of two series, and judge the minutes of the step before."""
    minutes = list(range(step * PER_STEP, (step + 1) * PER_STEP))
    outcomes = {minute: minute % 4 for minute in range((step - 1) * PER_STEP, step * PER_STEP) if minute >= 0}
    lines = [-1 if outcome == 3 else step for outcome in outcomes.values()]
    for series in (BTC, ETH):
        verdicts = judged(outcomes, series, lines) if outcomes else None
        progress = Progress(N_STEPS, TrendStats(validated=len(outcomes), pending=len(minutes)))
        ledger.record("one", "cnn", step, predicted(minutes, series), verdicts, progress=progress)
    if step % 7 == 0:
        ledger.record_alarm("one", "cnn", step, None, np.datetime64(step, "m"), "adwin", f"{step} bars")


def run_work(url: str) -> Work:
    """Begin a run, do two thirds of its steps, go back to the first third as a resumed run does, and finish."""

    def work() -> None:
        engine = open_database(url)
        ledger = Ledger(engine)
        ledger.begin("one", "{}", "2024-01-01")
        ledger.describe_model("one", "cnn", "CnnNet", "trendtrain.models.cnn.CnnNet")
        ledger.rewind("one", -1)
        for step in range(2 * N_STEPS // 3):
            write_step(ledger, step)
        ledger.rewind("one", N_STEPS // 3)
        for step in range(N_STEPS // 3, N_STEPS):
            write_step(ledger, step)
        ledger.end("one", "finished")
        engine.dispose()

    return work


def content(url: str) -> dict[str, list[tuple[Any, ...]]]:
    engine = open_database(url)
    found = {table: rows_of(engine, table, columns) for table, columns in CONTENT.items()}
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
            assert connection.scalar(text("PRAGMA integrity_check")) == "ok"
    engine.dispose()
    return found


def forget(url: str) -> None:
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(runs.delete())
    engine.dispose()


def assert_steps_are_whole(found: dict[str, list[tuple[Any, ...]]]) -> None:
    """A record is all there or not at all: what was predicted, what was judged, and the event that says so."""
    predicted_at = [(row[3], row[5]) for row in found["predictions"]]
    assert all(predicted_at.count(key) == PER_STEP for key in set(predicted_at))
    judged_at = {(row[3], row[5]) for row in found["verdicts"]}
    assert judged_at == {(row[3], row[4]) for row in found["training_events"]}
    assert judged_at == {(series, step) for series, step in predicted_at if step > 0}


@pytest.mark.parametrize("n_kills", [3, pytest.param(100, marks=pytest.mark.full)])
def test_a_killed_run_leaves_whole_steps_and_a_rerun_equals_never_killed(db_url: str, n_kills: int) -> None:
    work = run_work(db_url)
    seconds = finish(work)
    expected = content(db_url)
    assert len(expected["predictions"]) == 2 * N_STEPS * PER_STEP
    for _ in kill_again_and_again(work, n_kills, seconds, before=lambda: forget(db_url)):
        assert_steps_are_whole(content(db_url))
        finish(work)
        assert content(db_url) == expected
