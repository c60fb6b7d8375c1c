"""Lines, training events and event accuracy in the ledger."""

import itertools
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_examples import BTC, ETH, judged, predicted, rows_of
from sqlalchemy import Engine, text

from trendtrain.errors import InputError
from trendtrain.storage import Ledger, open_database
from trendtrain.validation.predictions import CORRECT, VOID_FLAT, VOID_GAP, WRONG

EVENT_COUNTS = "series_id, step, n_high, n_normal, n_void"


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    ledger = Ledger(engine)
    ledger.begin("one", "{}", "2024-01-01")
    return ledger


def test_a_line_is_stored_once_however_many_it_judges(ledger: Ledger, engine: Engine) -> None:
    ledger.record("one", "cnn", 0, predicted([0, 1, 2]), judged({0: WRONG, 1: CORRECT, 2: WRONG}, lines=[0, 1, 0]))
    columns = "run_id, series_id, first_time, last_time, kind, direction, known_at, first_price, last_price, slope"
    assert rows_of(engine, "lines", columns) == [
        ("one", 1, 0, 60_000, "L2H", 1, 120_000, 1.0, 3.0, 2.0),
        ("one", 1, 60_000, 120_000, "L2H", 1, 180_000, 1.0, 3.0, 2.0),
    ]
    assert rows_of(engine, "verdicts", "open_time, first_time") == [(0, 0), (60_000, 60_000), (120_000, 0)]


def test_models_and_passes_of_a_run_share_its_lines_and_other_runs_do_not(ledger: Ledger, engine: Engine) -> None:
    ledger.begin("two", "{}", "2024-01-01")
    for run, model, pass_ in (("one", "cnn", 0), ("one", "cnn", 1), ("one", "dqn", 0), ("two", "cnn", 0)):
        ledger.record(run, model, 0, predicted([0]), judged({0: WRONG}), pass_)
    assert rows_of(engine, "lines", "run_id") == [("one",), ("two",)]


def test_a_run_judges_by_its_own_lines(ledger: Ledger, engine: Engine) -> None:
    ledger.begin("two", "{}", "2024-01-02")
    for run, minute in (("one", 0), ("two", 0), ("one", 1)):
        ledger.record(run, "cnn", minute, predicted([minute]), judged({minute: WRONG}, lines=[0]))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM lines WHERE run_id = 'two'"))
    assert rows_of(engine, "verdicts", "run_id, open_time") == [("one", 0), ("one", 60_000)]


def test_the_same_pivots_of_two_series_are_two_lines(ledger: Ledger, engine: Engine) -> None:
    for series in (BTC, ETH):
        ledger.record("one", "cnn", 0, predicted([0], series), judged({0: WRONG}, series))
    assert rows_of(engine, "lines", "series_id") == [(1,), (2,)]


def test_a_wrong_prediction_has_high_priority_and_a_right_one_normal(ledger: Ledger, engine: Engine) -> None:
    ledger.record("one", "cnn", 0, predicted([0, 1, 2]), judged({0: WRONG, 1: CORRECT, 2: VOID_FLAT}))
    assert rows_of(engine, "verdicts", "open_time, priority") == [(0, "high"), (60_000, "normal"), (120_000, None)]


def test_a_step_with_verdicts_is_one_training_event_a_series(ledger: Ledger, engine: Engine) -> None:
    outcomes = {0: WRONG, 1: CORRECT, 2: VOID_FLAT, 3: VOID_GAP, 4: WRONG}
    ledger.record("one", "cnn", 0, predicted(list(outcomes)), None)
    ledger.record("one", "cnn", 1, predicted([0], ETH), judged({0: WRONG}, ETH))
    ledger.record("one", "cnn", 1, None, judged(outcomes))
    assert rows_of(engine, "training_events", EVENT_COUNTS) == [(1, 1, 2, 1, 2), (2, 1, 1, 0, 0)]
    what = ("one", "cnn", 0, "trend_validation", "backpropagation")
    names = "run_id, model, pass, event_type, training_type"
    assert set(rows_of(engine, "training_events", names)) == {what}


Counts = dict[tuple[str, str, int, str, int], list[int]]  # run, model, pass, symbol, step: high, normal, void


def slow_training_events(engine: Engine) -> Counts:
    """Count the verdicts of each step one by one."""
    counts: Counts = {}
    columns = "run_id, model, pass, symbol, step, outcome, priority"
    for *key, outcome, priority in rows_of(engine, "verdicts", columns):
        assert priority == {WRONG: "high", CORRECT: "normal"}.get(outcome)
        found = counts.setdefault(tuple(key), [0, 0, 0])  # type: ignore[arg-type]
        found[{"high": 0, "normal": 1, None: 2}[priority]] += 1
    return counts


def test_training_events_equal_slow_sums_over_the_verdicts(ledger: Ledger, engine: Engine) -> None:
    random = np.random.default_rng(0)
    ledger.begin("two", "{}", "2024-01-02")
    minutes = list(range(12))
    for run, model, pass_, series in itertools.product(("one", "two"), "ab", (0, 1), (BTC, ETH)):
        ledger.record(run, model, 0, predicted(minutes, series), None, pass_)
        for step in (1, 3, 4):
            codes = random.choice([WRONG, CORRECT, VOID_FLAT, VOID_GAP], 4)
            outcomes = {4 * [1, 3, 4].index(step) + i: int(code) for i, code in enumerate(codes)}
            ledger.record(run, model, step, None, judged(outcomes, series, [0] * 4), pass_)
    ledger.rewind("two", 3)
    columns = "run_id, model, pass, symbol, step, n_high, n_normal, n_void"
    found = {tuple(row[:5]): list(map(int, row[5:])) for row in rows_of(engine, "training_events", columns)}
    assert len(found) == 2 * 2 * 2 * 3 + 2 * 2 * 2 * 2
    assert found == slow_training_events(engine)


def test_the_event_of_a_repeated_step_is_replaced(ledger: Ledger, engine: Engine) -> None:
    for outcome in (WRONG, CORRECT):
        ledger.record("one", "cnn", 0, predicted([0]), judged({0: outcome}))
    assert rows_of(engine, "training_events", EVENT_COUNTS) == [(1, 0, 0, 1, 0)]


def test_rewinding_forgets_later_lines_and_events(ledger: Ledger, engine: Engine) -> None:
    for step in range(3):
        ledger.record("one", "cnn", step, predicted([step]), judged({step: WRONG}))
    before = rows_of(engine, "lines")
    ledger.rewind("one", 1)
    assert rows_of(engine, "lines") == before[:2]
    assert rows_of(engine, "training_events", EVENT_COUNTS) == [(1, 0, 1, 0, 0), (1, 1, 1, 0, 0)]


def test_a_line_that_still_judges_survives_a_rewind(ledger: Ledger, engine: Engine) -> None:
    for step in range(2):
        ledger.record("one", "cnn", step, predicted([step]), judged({step: WRONG}, lines=[0]))
    ledger.rewind("one", 0)
    assert len(rows_of(engine, "lines")) == 1


def slow_event_accuracy(outcomes: list[int], lines: list[int]) -> tuple[float, int]:
    by_line = defaultdict(list)
    for outcome, line in zip(outcomes, lines, strict=True):
        if outcome in (WRONG, CORRECT):
            by_line[line].append(outcome == CORRECT)
    shares = [sum(right) / len(right) for right in by_line.values()]
    return (sum(shares) / len(shares), len(shares)) if shares and -1 not in by_line else (float("nan"), 0)


@given(st.lists(st.tuples(st.sampled_from([WRONG, CORRECT, VOID_FLAT, VOID_GAP]), st.integers(0, 4)), min_size=1))
@settings(max_examples=30)
def test_event_accuracy_is_the_mean_over_lines_of_the_share_each_found_correct(
    judgements: list[tuple[int, int]],
) -> None:
    outcomes = [outcome for outcome, _ in judgements]
    lines = [-1 if outcome == VOID_GAP else line for outcome, line in judgements]
    engine = open_database("sqlite://")
    ledger = Ledger(engine)
    ledger.begin("one", "", "2024-01-01")
    minutes = list(range(len(outcomes)))
    ledger.record("one", "cnn", 0, predicted(minutes), judged(dict(enumerate(outcomes)), lines=lines))
    (row,) = ledger.stats()
    engine.dispose()
    np.testing.assert_allclose((row.event_accuracy, row.n_events), slow_event_accuracy(outcomes, lines))


def test_passes_and_series_do_not_mix_their_events(ledger: Ledger) -> None:
    ledger.record("one", "cnn", 0, predicted([0, 1]), judged({0: WRONG, 1: WRONG}))
    ledger.record("one", "cnn", 0, predicted([0]), judged({0: CORRECT}), pass_=1)
    ledger.record("one", "cnn", 0, predicted([0], ETH), judged({0: CORRECT}, ETH))
    assert [(row.symbol, row.event_accuracy, row.n_events) for row in ledger.stats()] == [
        ("BTCUSDT", 0.5, 2),
        ("ETHUSDT", 1.0, 1),
    ]


def test_verdicts_without_lines_have_no_event_accuracy(ledger: Ledger) -> None:
    ledger.record("one", "cnn", 0, predicted([0, 1]), judged({0: CORRECT, 1: CORRECT}, lines=[0, -1]))
    (row,) = ledger.stats()
    assert np.isnan(row.event_accuracy)
    assert row.as_dict()["event_accuracy"] is None
    assert (row.n_events, row.stats.validated) == (0, 2)


def raise_alarm(ledger: Ledger, step: int = 0, cut: str = "100 bars", **options: object) -> None:
    known: dict[str, object] = {"series": None, "known_at": "1970-01-01T00:01", "kind": "adwin"}
    ledger.record_alarm("one", "cnn", step=step, cut=cut, **(known | options))  # type: ignore[arg-type]


def test_a_repeated_alarm_is_replaced(ledger: Ledger, engine: Engine) -> None:
    ledger.record("one", "cnn", 0, predicted([0]), None)
    for cut in ("100 bars", "90 bars"):
        raise_alarm(ledger, cut=cut)
        raise_alarm(ledger, cut=cut, series=BTC)
    raise_alarm(ledger, cut="none", kind="page-hinkley")
    columns = "run_id, model, coalesce(series_id, 0), step, known_at, kind, cut"
    assert rows_of(engine, "alarms", columns) == [
        ("one", "cnn", 0, 0, 60_000, "adwin", "90 bars"),
        ("one", "cnn", 0, 0, 60_000, "page-hinkley", "none"),
        ("one", "cnn", 1, 0, 60_000, "adwin", "90 bars"),
    ]


def test_rewinding_forgets_later_alarms(ledger: Ledger, engine: Engine) -> None:
    ledger.record("one", "cnn", 0, predicted([0]), None)
    for step in range(3):
        raise_alarm(ledger, step=step)
    ledger.rewind("one", 1)
    assert rows_of(engine, "alarms", "step") == [(0,), (1,)]


def test_an_alarm_needs_a_model_of_the_run(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="`model` must be one of run 'one', got 'cnn'"):
        raise_alarm(ledger)


def test_an_alarm_needs_a_time(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="`known_at` must be an ISO time"):
        raise_alarm(ledger, known_at="soon")


@pytest.mark.parametrize(
    ("field", "values", "message"),
    [
        ("kind", np.array([2]), "`kind` must lie from 0 to 1, got 2 at row 0"),
        ("direction", np.array([-1]), "`direction` must lie from 0 to 2, got -1 at row 0"),
        ("first_time", np.array(["NaT"], "datetime64[ms]"), "`first_time` must hold times, got NaT at row 0"),
        ("slope", np.ones(2), r"`slope` must have shape \(1,\) like `series_index`, got \(2,\)"),
    ],
)
def test_bad_lines_are_refused(field: str, values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(judged({0: CORRECT}).lines, **{field: values})


def test_a_line_must_lie_in_a_series_of_its_verdicts() -> None:
    verdicts = judged({0: CORRECT})
    lines = replace(verdicts.lines, series_index=np.array([1]))
    with pytest.raises(ValueError, match=r"`lines.series_index` must lie from 0 to 0, got 1 at row 0"):
        replace(verdicts, lines=lines)
