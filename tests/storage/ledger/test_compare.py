"""Runs are compared line by line as a slow loop does it, and errors of stats are those of the scoreboard."""

import math
import statistics

import numpy as np
import pytest
from ledger_examples import BTC, ETH, judged, predicted
from sqlalchemy import Engine

from trendtrain.errors import InputError
from trendtrain.market import Series
from trendtrain.storage import Ledger
from trendtrain.storage.ledger.compare import Comparison, Pair
from trendtrain.validation.predictions import CORRECT, VOID_FLAT, WRONG
from trendtrain.validation.score import calendar_blocks, estimate

Outcomes = dict[int, int]


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    ledger = Ledger(engine)
    for i, run in enumerate(("a", "b", "c")):
        ledger.begin(run, "{}", f"2024-01-0{i + 1}")
    return ledger


def drawn(seed: int, lines: list[int], a_line: int = 4) -> tuple[Outcomes, list[int]]:
    """Return outcomes of some minutes, and the line of each: line k starts at minute k and judges 4 minutes at most."""
    random = np.random.default_rng(seed)
    minutes = [(line, 10_000 + line * a_line + i) for line in lines for i in range(random.integers(1, a_line + 1))]
    outcomes = random.choice([WRONG, CORRECT, VOID_FLAT], len(minutes), p=[0.45, 0.45, 0.1]).tolist()
    return dict(zip([minute for _, minute in minutes], outcomes, strict=True)), [line for line, _ in minutes]


def write(ledger: Ledger, run: str, drawn: tuple[Outcomes, list[int]], series: Series = BTC, pass_: int = 0) -> None:
    outcomes, lines = drawn
    ledger.record(run, "net", 0, predicted(list(outcomes), series), judged(outcomes, series, lines), pass_=pass_)


def shares(drawn: tuple[Outcomes, list[int]]) -> dict[int, float]:
    found: dict[int, list[int]] = {}
    for outcome, line in zip(drawn[0].values(), drawn[1], strict=True):
        if outcome in (WRONG, CORRECT):
            found.setdefault(line, []).append(outcome)
    return {line: statistics.fmean(values) for line, values in found.items()}


def only(comparison: Comparison) -> Pair:
    (pair,) = comparison.pairs
    return pair


def test_a_pair_equals_a_slow_loop_over_the_lines_that_judged_both(ledger: Ledger) -> None:
    first, second = drawn(0, list(range(400))), drawn(1, list(range(100, 500)))
    write(ledger, "a", first)
    write(ledger, "b", second)
    common = sorted(set(shares(first)) & set(shares(second)))
    gap = [shares(second)[line] - shares(first)[line] for line in common]
    known = (np.array(common) * 60_000 + 120_000).astype("datetime64[ms]")  # as `line_rows` has it
    expected = estimate(np.array(gap), calendar_blocks(known, np.zeros(len(common), int)))
    pair = only(ledger.compare(["a", "b"]))
    assert (pair.run, pair.against_run, pair.n_events) == ("b", "a", len(common))
    assert pair.difference == pytest.approx(statistics.fmean(gap))
    assert pair.event_accuracy == pytest.approx(statistics.fmean(shares(second)[line] for line in common))
    assert pair.against_accuracy == pytest.approx(statistics.fmean(shares(first)[line] for line in common))
    assert expected.n_blocks >= 8
    assert pair.difference_se == pytest.approx(expected.se)
    assert pair.difference_ci95 == pytest.approx(expected.ci95)


def test_each_run_stands_with_all_its_lines(ledger: Ledger) -> None:
    first, second = drawn(2, list(range(300))), drawn(3, list(range(200, 600)))
    write(ledger, "a", first)
    write(ledger, "b", second)
    for one, own in zip(ledger.compare(["a", "b"]).contestants, (first, second), strict=True):
        (alone,) = ledger.stats(one.run)
        assert one.event_accuracy == pytest.approx(statistics.fmean(shares(own).values()))
        assert one.event_accuracy == pytest.approx(alone.event_accuracy)
        assert (one.n_events, one.accuracy_se) == (alone.n_events, pytest.approx(alone.accuracy_se))
        assert one.accuracy_ci95 == pytest.approx(alone.accuracy_ci95)


def test_a_run_differs_from_one_that_answers_alike_by_nothing(ledger: Ledger) -> None:
    for run in ("a", "b"):
        write(ledger, run, drawn(4, list(range(300))))
    pair = only(ledger.compare(["a", "b"]))
    assert (pair.difference, pair.difference_se) == (0.0, 0.0)


def test_every_run_is_held_against_the_first(ledger: Ledger) -> None:
    for i, run in enumerate(("a", "b", "c")):
        write(ledger, run, drawn(i, list(range(200))))
    pairs = ledger.compare(["c", "a", "b", "a"]).pairs
    assert [(pair.run, pair.against_run) for pair in pairs] == [("a", "c"), ("b", "c")]


def test_what_differs_in_the_configurations_is_told(engine: Engine) -> None:
    ledger = Ledger(engine)
    configs = {
        "a": '{"seed": 0, "model": {"lr": 0.1, "net": "x"}}',
        "b": '{"seed": 1, "model": {"lr": 0.1}}',
        "c": "by hand",
    }
    for run, config in configs.items():
        ledger.begin(run, config, "2024-01-01")
        write(ledger, run, drawn(0, list(range(20))))
    assert ledger.compare(["b", "a"]).differences == {"model.net": {"b": None, "a": "x"}, "seed": {"b": 1, "a": 0}}
    assert ledger.compare(["b", "c"]).differences["model.lr"] == {"b": 0.1, "c": None}


def test_the_models_of_one_run_are_compared_too(ledger: Ledger) -> None:
    for model in ("zeta", "alpha"):
        outcomes, lines = drawn(5, list(range(50)))
        ledger.record("a", model, 0, predicted(list(outcomes)), judged(outcomes, lines=lines))
    pair = only(ledger.compare(["a"]))
    assert (pair.model, pair.against_model) == ("zeta", "alpha")


def test_the_last_pass_of_a_run_counts(ledger: Ledger) -> None:
    write(ledger, "a", drawn(6, list(range(100))))
    write(ledger, "b", drawn(7, list(range(100))))
    write(ledger, "b", drawn(6, list(range(100))), pass_=1)
    assert only(ledger.compare(["a", "b"])).difference == 0.0


def test_lines_of_other_series_are_not_the_same(ledger: Ledger) -> None:
    write(ledger, "a", drawn(8, list(range(100))), BTC)
    write(ledger, "b", drawn(8, list(range(100))), ETH)
    with pytest.raises(InputError, match="judged by the same lines, got b net and a net, which share none"):
        ledger.compare(["a", "b"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "x"], "`compare` must name some of a, b, c, got 'x'"),
        (["a"], "must name runs with two models or more that lines judged, got a net"),
        (["a", "a"], "must name runs with two models or more that lines judged, got a net"),
        (["b", "c"], "must name runs with two models or more that lines judged, got no verdict by lines in b, c"),
    ],
)
def test_what_cannot_be_compared_is_refused(ledger: Ledger, names: list[str], message: str) -> None:
    write(ledger, "a", drawn(9, list(range(10))))
    with pytest.raises(InputError, match=message):
        ledger.compare(names)


def test_without_runs_none_is_compared(engine: Engine) -> None:
    with pytest.raises(InputError, match="`compare` must name some of no runs, got 'a'"):
        Ledger(engine).compare(["a", "b"])


@pytest.mark.parametrize("judged_minutes", [range(30), range(10, 30), [3, 17, 29]])
def test_expected_accuracy_is_the_mean_confidence_of_what_waits(ledger: Ledger, judged_minutes: list[int]) -> None:
    """Also where bars were not judged in their order, as a user's own labels may have it."""
    for minute in range(40):
        ledger.record("a", "net", minute, predicted([minute], confidence=0.5 + minute / 100), None)
    ledger.record("a", "net", 40, None, judged(dict.fromkeys(judged_minutes, CORRECT)))
    (row,) = ledger.stats("a")
    waiting = [0.5 + minute / 100 for minute in range(40) if minute not in judged_minutes]
    assert row.stats.pending == len(waiting)
    assert row.expected_accuracy == pytest.approx(statistics.fmean(waiting))


def test_where_nothing_waits_nothing_is_expected(ledger: Ledger) -> None:
    ledger.record("a", "net", 0, predicted([0]), judged({0: CORRECT}))
    (row,) = ledger.stats("a")
    assert math.isnan(row.expected_accuracy)
    assert row.as_dict()["expected_accuracy"] is None
    assert row.as_dict()["accuracy_ci95"] == [None, None]
