from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_examples import BTC, ETH, judged, predicted, rows_of
from sqlalchemy import Engine, delete, event

from trendtrain.errors import InputError
from trendtrain.storage import Ledger, open_database
from trendtrain.storage.ledger.stats import LedgerStats
from trendtrain.storage.schema import prediction_rows
from trendtrain.validation.predictions import CORRECT, VOID_FLAT, VOID_GAP, WRONG
from trendtrain.validation.stats import TrendStats

NAT = np.datetime64("NaT", "ms")


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    ledger = Ledger(engine)
    ledger.begin("one", "{}", "2024-01-01")
    return ledger


def only(stats: list[LedgerStats]) -> TrendStats:
    assert len(stats) == 1
    return stats[0].stats


def test_no_runs_have_no_stats(engine: Engine) -> None:
    assert Ledger(engine).stats() == []


def test_a_run_without_predictions_has_no_stats(ledger: Ledger) -> None:
    assert ledger.stats() == []


def test_beginning_again_keeps_the_first_entry(ledger: Ledger, engine: Engine) -> None:
    ledger.begin("one", "changed", "2025-01-01")
    assert rows_of(engine, "runs", "id, started_at, config") == [("one", 1_704_067_200_000, "{}")]


def test_predictions_without_verdicts_are_pending(ledger: Ledger) -> None:
    ledger.record("one", "cnn", 0, predicted([0, 1, 2]), None)
    assert only(ledger.stats()) == TrendStats(pending=3)


def test_each_outcome_counts_where_it_belongs(ledger: Ledger) -> None:
    outcomes = judged({0: WRONG, 1: CORRECT, 2: CORRECT, 3: VOID_FLAT, 4: VOID_GAP})
    ledger.record("one", "cnn", 0, predicted([0, 1, 2, 3, 4, 5]), outcomes)
    assert only(ledger.stats()) == TrendStats(validated=3, correct=2, void=2, pending=1)


@given(
    outcomes=st.dictionaries(
        st.integers(0, 50), st.sampled_from([None, WRONG, CORRECT, VOID_FLAT, VOID_GAP]), min_size=1
    )
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_total_is_validated_and_pending_and_void(outcomes: dict[int, int | None]) -> None:
    engine = open_database("sqlite://")
    ledger = Ledger(engine)
    ledger.begin("one", "", "2024-01-01")
    known = {minute: outcome for minute, outcome in outcomes.items() if outcome is not None}
    ledger.record("one", "cnn", 0, predicted(list(outcomes)), judged(known))
    stats = only(ledger.stats())
    assert stats.total == len(outcomes) == stats.validated + stats.pending + stats.void
    assert stats.pending == len(outcomes) - len(known)
    engine.dispose()


def test_a_verdict_may_come_steps_after_its_prediction(ledger: Ledger) -> None:
    ledger.record("one", "cnn", 0, predicted([0]), None)
    ledger.record("one", "cnn", 3, None, judged({0: CORRECT}))
    assert only(ledger.stats()) == TrendStats(validated=1, correct=1)


def test_rows_are_stored_as_documented(ledger: Ledger, engine: Engine) -> None:
    ledger.record("one", "cnn", 2, predicted([1]), judged({1: CORRECT}), pass_=1)
    prediction, verdict = rows_of(engine, "predictions"), rows_of(engine, "verdicts")
    assert prediction == [("one", "cnn", 1, 1, 60_000, 2, 1, 0.75, *BTC, None, None)]
    line = ("L2H", 60_000, 120_000)
    assert verdict == [("one", "cnn", 1, 1, 60_000, 2, 1, 1, 120_000, *line, "normal", *BTC)]


def test_a_verdict_without_a_line_stores_nulls(ledger: Ledger, engine: Engine) -> None:
    ledger.record("one", "cnn", 0, predicted([1]), judged({1: VOID_GAP}))
    assert rows_of(engine, "verdicts", "kind, first_time, last_time, priority") == [(None,) * 4]


def test_recording_twice_changes_nothing(ledger: Ledger, engine: Engine) -> None:
    before = None
    for _ in range(2):
        ledger.record("one", "cnn", 0, predicted([0, 1]), judged({0: WRONG}))
        rows = rows_of(engine, "predictions") + rows_of(engine, "verdicts")
        assert before in (None, rows)
        before = rows


def test_a_repeated_prediction_is_replaced(ledger: Ledger, engine: Engine) -> None:
    ledger.record("one", "cnn", 0, predicted([0], confidence=0.5), judged({0: WRONG}))
    ledger.record("one", "cnn", 0, predicted([0], confidence=0.9), judged({0: CORRECT}))
    assert rows_of(engine, "predictions", "confidence") == [(0.9,)]
    assert only(ledger.stats()) == TrendStats(validated=1, correct=1)


def test_series_index_points_into_series(ledger: Ledger) -> None:
    both = replace(predicted([0, 1, 2]), series=(ETH, BTC), series_index=np.array([1, 0, 1]))
    ledger.record("one", "cnn", 0, both, None)
    totals = {(row.symbol, row.timeframe): row.stats.total for row in ledger.stats()}
    assert totals == {BTC: 2, ETH: 1}


def test_stats_are_per_model_and_series_in_order(ledger: Ledger) -> None:
    for model, series in (("dqn", BTC), ("cnn", ETH), ("cnn", BTC)):
        ledger.record("one", model, 0, predicted([0], series), None)
    names = [(row.model, row.symbol) for row in ledger.stats()]
    assert names == [("cnn", "BTCUSDT"), ("cnn", "ETHUSDT"), ("dqn", "BTCUSDT")]


def test_stored_predictions_are_read_by_series_and_time(ledger: Ledger) -> None:
    assert ledger.newest_predicted("one", "net") == {}
    for series, minutes in ((BTC, [0, 1, 5]), (ETH, [0, 5])):
        ledger.record("one", "net", 0, predicted(minutes, series), None)
    ledger.record("one", "another", 0, predicted([9]), None)
    minute = 60_000
    statements: list[str] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    assert ledger.newest_predicted("one", "net") == {BTC: 5 * minute, ETH: 5 * minute}
    assert len(statements) == 1  # it is asked 20 times a second
    made = (1, 0.75)
    assert ledger.stored("one", "net", {BTC: 0}) == {(BTC, minute): made, (BTC, 5 * minute): made}
    assert ledger.stored("one", "net", {ETH: None}) == {(ETH, 0): made, (ETH, 5 * minute): made}


def test_verdicts_of_another_model_do_not_count(ledger: Ledger) -> None:
    ledger.record("one", "cnn", 0, predicted([0]), None)
    ledger.record("one", "dqn", 0, predicted([0]), judged({0: CORRECT}))
    assert [row.stats.pending for row in ledger.stats()] == [1, 0]


def test_a_step_is_recorded_whole_or_not_at_all(ledger: Ledger, engine: Engine) -> None:
    with pytest.raises(ValueError, match="each verdict judge a recorded prediction, got run 'one', model 'cnn': "):
        ledger.record("one", "cnn", 0, predicted([0]), judged({7: CORRECT}))
    assert rows_of(engine, "predictions") == []


def test_a_run_must_be_begun(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match=r"`run_id` must be begun, .* got run 'two'"):
        ledger.record("two", "cnn", 0, predicted([0]), None)


def test_rewinding_deletes_later_steps_of_this_run_only(ledger: Ledger, engine: Engine) -> None:
    ledger.begin("two", "{}", "2023-01-01")
    for run in ("one", "two"):
        for step in range(4):
            ledger.record(run, "cnn", step, predicted([step]), None)
    ledger.rewind("one", 1)
    assert [(row[0], row[5]) for row in rows_of(engine, "predictions")] == [
        ("one", 0), ("one", 1), ("two", 0), ("two", 1), ("two", 2), ("two", 3)
    ]  # fmt: skip


def test_rewinding_makes_predictions_judged_later_pending_again(ledger: Ledger) -> None:
    ledger.record("one", "cnn", 0, predicted([0]), None)
    ledger.record("one", "cnn", 5, predicted([1]), judged({0: WRONG, 1: WRONG}))
    ledger.rewind("one", 4)
    assert only(ledger.stats()) == TrendStats(pending=1)


def test_a_deleted_prediction_takes_its_verdict_along(ledger: Ledger, engine: Engine) -> None:
    ledger.record("one", "cnn", 0, predicted([0, 1]), judged({0: WRONG, 1: WRONG}))
    with engine.begin() as connection:
        connection.execute(delete(prediction_rows).where(prediction_rows.c.open_time == 0))
    assert [row[4] for row in rows_of(engine, "verdicts")] == [60_000]


def test_rewind_and_repeat_equals_never_stopped(ledger: Ledger, engine: Engine) -> None:
    def step(at: int) -> None:
        ledger.record("one", "cnn", at, predicted([at]), judged({at - 1: at % 2}) if at else None)

    for at in range(6):
        step(at)
    expected = rows_of(engine, "predictions") + rows_of(engine, "verdicts")
    ledger.rewind("one", 2)
    for at in range(3, 6):
        step(at)
    assert rows_of(engine, "predictions") + rows_of(engine, "verdicts") == expected


def test_stats_choose_the_latest_run_one_run_or_all(ledger: Ledger) -> None:
    ledger.begin("newest", "{}", "2025-01-01")
    ledger.begin("oldest", "{}", "2020-01-01")
    for run in ("one", "newest", "oldest"):
        ledger.record(run, "cnn", 0, predicted([0]), None)
    assert [row.run for row in ledger.stats()] == ["newest"]
    assert [row.run for row in ledger.stats("one")] == ["one"]
    assert [row.run for row in ledger.stats("all")] == ["oldest", "one", "newest"]


def test_an_unknown_run_is_refused_with_those_known(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="`run` must be all or one of one, got 'two'"):
        ledger.stats("two")


def test_without_runs_a_named_run_is_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="`run` must be all or one of no runs, got 'two'"):
        Ledger(engine).stats("two")


@pytest.mark.parametrize(
    ("field", "values", "message"),
    [
        ("series_index", np.array([1]), "`series_index` must lie from 0 to 0, got 1 at row 0"),
        ("open_time", np.array([NAT]), "`open_time` must hold times, got NaT at row 0"),
        ("direction", np.array([-1]), "`direction` must lie from 0 to 2, got -1 at row 0"),
        ("confidence", np.array([np.nan]), "`confidence` must lie from 0 to 1, got nan at row 0"),
        ("confidence", np.array([0.5, 0.5]), r"`confidence` must have shape \(1,\) like `open_time`, got \(2,\)"),
    ],
)
def test_bad_predictions_are_refused(field: str, values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(predicted([0]), **{field: values})


@pytest.mark.parametrize(
    ("field", "values", "message"),
    [
        ("outcome", np.array([4]), "`outcome` must lie from 0 to 3, got 4 at row 0"),
        ("truth", np.array([3]), "`truth` must lie from -1 to 2, got 3 at row 0"),
        ("line", np.array([1]), "`line` must lie from -1 to 0, got 1 at row 0"),
        ("known_at", np.array([NAT]), "`known_at` must hold times, got NaT at row 0"),
    ],
)
def test_bad_verdicts_are_refused(field: str, values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(judged({0: CORRECT}), **{field: values})
