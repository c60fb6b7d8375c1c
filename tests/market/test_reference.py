"""Pivots, lines and labels equal those of slow loops written from the rules."""

from typing import Any

import numpy as np
import pytest
from generated import label_options, pivot_options, some_bars
from hypothesis import given
from law_checks import (
    assert_labels_equal_reference,
    assert_lines_equal_reference,
    assert_pivots_equal_reference,
)

from trendtrain.market import Bars, label_bars, random_walk, synthetic_market


@given(some_bars(), pivot_options())
def test_pivots_of_all_levels_equal_the_reference(bars: Bars, options: dict[str, Any]) -> None:
    assert_pivots_equal_reference(bars, **options)


@given(some_bars(), label_options())
def test_lines_equal_the_reference(bars: Bars, options: dict[str, Any]) -> None:
    assert_lines_equal_reference(bars, **options)


@given(some_bars(), label_options())
def test_labels_equal_the_reference(bars: Bars, options: dict[str, Any]) -> None:
    assert_labels_equal_reference(bars, **options)


@pytest.mark.parametrize("inside", ["keep", "skip"])
@pytest.mark.parametrize("tie", ["plateau", "strict"])
@pytest.mark.parametrize("max_gap", [None, 0, 3])
def test_long_synthetic_markets_equal_the_reference(tie: str, inside: str, max_gap: int | None) -> None:
    bars = synthetic_market(4000, seed=2, tick=0.1, missing=0.02)
    options = {"tie": tie, "inside": inside, "max_gap": max_gap}
    assert_pivots_equal_reference(bars, strength=(1, 1, 1), **options)
    assert_lines_equal_reference(bars, flat_band=0.001, **options)
    assert_labels_equal_reference(bars, flat_band=0.001, **options)


@given(some_bars(), label_options())
def test_line_quantities_follow_from_its_two_pivots(bars: Bars, options: dict[str, Any]) -> None:
    lines = label_bars(bars, **options).lines
    for i in range(len(lines)):
        first, last = int(lines.first_bar[i]), int(lines.last_bar[i])
        prices = bars.high if lines.kind[i] == 0 else bars.low
        change = prices[last] - prices[first]
        seconds = (bars.open_time[last] - bars.open_time[first]) / np.timedelta64(1, "s")
        assert (lines.start_time[i], lines.end_time[i]) == (bars.open_time[first], bars.open_time[last])
        assert (lines.intercept[i], lines.price_change[i]) == (prices[first], change)
        assert lines.time_duration[i] == seconds
        assert lines.slope[i] == pytest.approx(change / (last - first), rel=1e-12)
        assert lines.slope_per_second[i] == pytest.approx(change / seconds, rel=1e-12)


def test_a_random_walk_labels_half_its_bars_up() -> None:
    labels = label_bars(random_walk(20_000, seed=1))
    is_labelled = labels.direction >= 0
    assert is_labelled.mean() > 0.99
    assert abs(labels.direction[is_labelled].mean() - 0.5) < 0.05
