"""On real bars: baselines equal their slow versions, and chunks change no prediction."""

from typing import Any

import pytest
from baseline_checks import (
    assert_chunks_change_no_prediction,
    assert_equal_slow_loops,
    assert_equals_slow_loops,
    features_of,
)

from trendtrain.market import Bars, label_bars

OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "other": {"strength": (2, 1, 1), "tie": "strict", "inside": "skip", "max_gap": 2, "flat_band": 5e-4},
}

every_option = pytest.mark.parametrize("name", OPTIONS)


@every_option
def test_real_rules_equal_their_slow_loops(real_bars: Bars, name: str) -> None:
    assert_equal_slow_loops(real_bars[:1500], **OPTIONS[name])


@every_option
def test_the_logistic_regression_of_real_bars_equals_slow_loops(real_bars: Bars, name: str) -> None:
    bars = real_bars[:500]
    assert_equals_slow_loops(features_of(bars), label_bars(bars, **OPTIONS[name]), 0.1)


@every_option
@pytest.mark.parametrize(("n_bars", "size"), [(300, 1), (1500, 7), (3000, 1009)])
def test_real_bars_in_chunks_change_no_prediction(real_bars: Bars, n_bars: int, size: int, name: str) -> None:
    bars, options = real_bars[:n_bars], OPTIONS[name]
    edges = list(range(size, len(bars), size))
    assert_chunks_change_no_prediction(bars, label_bars(bars, **options), edges, options.get("max_gap"))


@pytest.mark.full
@every_option
def test_whole_files_in_chunks_change_no_prediction(whole_bars: Bars, name: str) -> None:
    options = OPTIONS[name]
    edges = list(range(1009, len(whole_bars), 1009))
    assert_chunks_change_no_prediction(whole_bars, label_bars(whole_bars, **options), edges, options.get("max_gap"))
