"""Each baseline equals a slow loop over bars that looks only at what is known by then."""

from typing import Any

import numpy as np
import pytest
from baseline_checks import assert_equal_slow_loops, held, sign_of
from generated import label_options, some_bars
from hypothesis import given
from law_checks import Array

from trendtrain.market import Bars, Labels, label_bars, synthetic_market
from trendtrain.validation import baseline_directions

DOWN, UP = 0, 1


@given(some_bars(), label_options())
def test_every_baseline_equals_its_slow_loop(bars: Bars, options: dict[str, Any]) -> None:
    assert_equal_slow_loops(bars, **options)


@pytest.mark.parametrize("max_gap", [None, 2])
def test_every_baseline_equals_its_slow_loop_on_a_long_market(max_gap: int | None) -> None:
    assert_equal_slow_loops(synthetic_market(1500, seed=9, tick=0.1, missing=0.02), max_gap=max_gap, flat_band=0.001)


def test_every_baseline_says_up_first() -> None:
    bars = synthetic_market(50, seed=0, missing=0.0)
    assert all(answers[0] == UP for answers in baseline_directions(bars, label_bars(bars)).values())


def test_constant_prices_get_up_all_the_way() -> None:
    price = np.full(150, 7.0)
    bars = Bars(np.arange(150).astype("datetime64[m]"), *[price] * 5, np.timedelta64(1, "m"))
    for answers in baseline_directions(bars, label_bars(bars)).values():
        assert (answers == UP).all()


def test_no_bars_get_no_answers() -> None:
    bars = synthetic_market(5, seed=0)[:0]
    assert [len(answers) for answers in baseline_directions(bars, label_bars(bars)).values()] == [0] * 4


def with_events(bars: Bars, event_names: list[int]) -> tuple[Labels, Array]:
    """Return a user's labels: every ten bars an event, known 15 bars after its first bar, up and down in turn by 3s."""
    bar = np.arange(len(bars))
    number = bar // 10
    known_at = number * 10 + 15
    known_at[known_at >= len(bars)] = -1
    direction = np.where(known_at >= 0, (number // 3) % 2, -1)
    event = np.where(known_at >= 0, np.array(event_names)[number], -1)
    return Labels.of_bars(bars, direction, known_at, event), direction


@pytest.mark.parametrize("is_reversed", [False, True])
def test_persistence_on_a_users_labels_is_the_event_known_last_whatever_its_number(is_reversed: bool) -> None:
    bars = synthetic_market(200, seed=0)
    names = list(range(20))[:: -1 if is_reversed else 1]
    labels, direction = with_events(bars, names)
    expected = []
    for t in range(len(bars)):
        known = [b for b in range(0, len(bars), 10) if 0 <= labels.known_at[b] <= t]
        expected.append(sign_of(int(direction[known[-1]])) if known else 0)
    assert baseline_directions(bars, labels)["persistence"].tolist() == held(expected)
