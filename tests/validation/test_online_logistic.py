"""The learned baseline equals slow loops over bars, and never looks ahead."""

from typing import Any

import numpy as np
import pytest
from baseline_checks import assert_equals_slow_loops, features_of
from generated import label_options, some_bars
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.errors import InputError
from trendtrain.market import Bars, Labels, Series, label_bars, planted_market, random_walk, synthetic_market
from trendtrain.validation import KnownRows, OnlineLogistic, online_logistic
from trendtrain.validation.score import event_means

DOWN, UP = 0, 1


@given(some_bars(), label_options(), st.sampled_from([0.003, 0.5]))
def test_it_equals_slow_loops(bars: Bars, options: dict[str, Any], rate: float) -> None:
    assert_equals_slow_loops(features_of(bars), label_bars(bars, **options), rate)


def test_it_equals_slow_loops_on_two_series_in_order_of_time() -> None:
    parts = {
        Series("A", "5m"): synthetic_market(500, seed=1, tick=0.1),
        Series("B", "15m"): synthetic_market(170, seed=2, timeframe="15m"),
    }
    labels = Labels.stack({name: label_bars(bars) for name, bars in parts.items()})
    features = np.concatenate([features_of(bars) for bars in parts.values()])
    assert_equals_slow_loops(features, labels, 0.1)


@given(some_bars(), label_options(), st.floats(0.0, 1.0))
def test_bars_to_come_change_no_answer(bars: Bars, options: dict[str, Any], place: float) -> None:
    cut = round(place * len(bars))
    whole = online_logistic(features_of(bars), label_bars(bars, **options), 0.3)
    part = online_logistic(features_of(bars[:cut]), label_bars(bars[:cut], **options), 0.3)
    assert part.tolist() == whole[:cut].tolist()


@pytest.mark.parametrize("cut", [400, 777, 1200])
def test_bars_to_come_change_no_answer_of_a_long_market(cut: int) -> None:
    bars = synthetic_market(1500, seed=3, tick=0.1)
    whole = online_logistic(features_of(bars), label_bars(bars), 0.3)
    part = online_logistic(features_of(bars[:cut]), label_bars(bars[:cut]), 0.3)
    assert part.tolist() == whole[:cut].tolist()


def test_labels_still_unknown_change_no_answer() -> None:
    """Turn every label that is known after a bar around: answers up to it stay."""
    bars = synthetic_market(1500, seed=4)
    labels, now = label_bars(bars), 900
    is_later = (labels.run_known_at > now) & (labels.run_direction >= 0)
    turned = Labels(
        labels.close_time,
        labels.start,
        np.where(is_later, 1 - labels.run_direction, labels.run_direction).astype(np.int8),
        labels.run_known_at,
        labels.run_event,
        labels.lines,
        labels.series,
        labels.offset,
    )
    before, after = (online_logistic(features_of(bars), each, 0.3) for each in (labels, turned))
    assert before[: now + 1].tolist() == after[: now + 1].tolist()
    assert before.tolist() != after.tolist()


def test_what_is_planted_it_finds() -> None:
    bars = planted_market(40_000, seed=0)
    labels = label_bars(bars)
    trend = np.diff(np.log(bars.close), prepend=np.log(bars.close[0]))
    features = np.column_stack([np.convolve(trend, np.full(n, 1 / n))[: len(bars)] for n in (10, 30, 100)])
    assert accuracy(online_logistic(features, labels), labels) > 0.58


def test_on_a_random_walk_it_finds_nothing() -> None:
    bars = random_walk(60_000, seed=0)
    assert abs(accuracy(online_logistic(features_of(bars), label_bars(bars)), label_bars(bars)) - 0.5) < 0.03


def accuracy(answers: Any, labels: Labels) -> float:
    rows = np.flatnonzero((labels.known_at >= 0) & (labels.direction >= 0) & (labels.direction < 2))
    return float(event_means(labels.event[rows], (answers == labels.direction)[rows].astype(float))[1].mean())


def test_before_the_first_event_it_says_up() -> None:
    bars = synthetic_market(500, seed=0)
    labels = label_bars(bars)
    first = int(labels.events[0].min())
    assert (online_logistic(features_of(bars), labels)[:first] == UP).all()


def test_no_bars_get_no_answers() -> None:
    bars = synthetic_market(500, seed=0)[:0]
    assert len(online_logistic(np.zeros((0, 3)), label_bars(bars))) == 0


@pytest.mark.parametrize("rate", [0.0, -1.0, "fast"])
def test_a_rate_that_does_not_learn_is_refused(rate: Any) -> None:
    bars = synthetic_market(500, seed=0)
    with pytest.raises(InputError, match="`rate` must be a number of at least"):
        online_logistic(features_of(bars), label_bars(bars), rate)


def test_a_feature_that_differs_by_rounding_alone_teaches_nothing() -> None:
    bars = synthetic_market(1500, seed=4)
    labels, rows = label_bars(bars), np.arange(len(bars))
    noisy = 1e8 + np.random.default_rng(0).normal(size=len(bars))
    new = labels.newly_known(None, labels.close_time[-1])
    known = KnownRows(new, labels.close_time[labels.known_at[new]], labels.event[new], labels.direction[new])
    model = OnlineLogistic(4)
    model.update(rows, labels.close_time, np.column_stack([features_of(bars), noisy]), known)
    change, _, _, of_noise, _ = model.state_dict()["coefficients"]
    assert of_noise == 0.0 != change


NOTHING_KNOWN = KnownRows(*[np.zeros(0, dtype) for dtype in (np.int64, "datetime64[ms]", np.int64, np.int8)])


@pytest.mark.parametrize("shape", [(3, 1), (4, 2), (2, 2), (3, 200_000), (3,)], ids=str)
def test_features_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    times = np.arange(3).astype("datetime64[ms]")
    with pytest.raises(InputError, match=r"`features` must have shape \(3, 2\), with a time for each row"):
        OnlineLogistic(2).update(np.arange(3), times, np.zeros(shape, np.float32), NOTHING_KNOWN)


def test_a_label_of_a_row_never_given_is_refused() -> None:
    times = np.arange(3).astype("datetime64[ms]")
    known = KnownRows(np.array([7]), times[:1], np.array([0]), np.array([1], np.int8))
    with pytest.raises(InputError, match="`known` must hold rows that were given, once each, got row 7"):
        OnlineLogistic(2).update(np.arange(3), times, np.zeros((3, 2), np.float32), known)
