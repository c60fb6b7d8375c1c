"""The law of time: cut the future off at any bar, and what was known stays bit-identical; nothing else appears."""

from typing import Any

import pytest
from generated import label_options, pivot_options, some_bars
from hypothesis import given
from hypothesis import strategies as st
from law_checks import (
    assert_baselines_survive_cut,
    assert_features_survive_cut,
    assert_labels_survive_cut,
    assert_pivots_survive_cut,
    assert_windows_survive_cut,
)

from trendtrain.market import Bars, label_bars, synthetic_market

WHERE = st.floats(0.0, 1.0)
GAPS = st.sampled_from([None, 0, 1, 3])


@given(some_bars(), WHERE, pivot_options())
def test_pivots_known_at_a_cut_stay_and_no_other_appears(bars: Bars, where: float, options: dict[str, Any]) -> None:
    assert_pivots_survive_cut(bars, round(where * len(bars)), **options)


@given(some_bars(), WHERE, label_options())
def test_lines_and_labels_known_at_a_cut_stay_and_no_other_appears(
    bars: Bars, where: float, options: dict[str, Any]
) -> None:
    assert_labels_survive_cut(bars, round(where * len(bars)), **options)


@given(some_bars(), WHERE, label_options())
def test_baseline_answers_before_a_cut_stay(bars: Bars, where: float, options: dict[str, Any]) -> None:
    assert_baselines_survive_cut(bars, round(where * len(bars)), **options)


@given(some_bars(), WHERE, GAPS)
def test_features_and_volatility_unit_before_a_cut_stay(bars: Bars, where: float, max_gap: int | None) -> None:
    assert_features_survive_cut(bars, round(where * len(bars)), max_gap)


@given(some_bars(min_bars=8), WHERE, GAPS)
def test_windows_and_network_answers_before_a_cut_stay(bars: Bars, where: float, max_gap: int | None) -> None:
    assert_windows_survive_cut(bars, 8 + round(where * (len(bars) - 8)), max_gap)


@pytest.mark.parametrize("cut", [0, 1, 100, 777, 1500, 2999, 3000])
def test_the_law_holds_on_a_long_synthetic_market(cut: int) -> None:
    bars = synthetic_market(3000, seed=3, missing=0.03, tick=0.05)
    assert_pivots_survive_cut(bars, cut, strength=(1, 1, 1), max_gap=3)
    assert_labels_survive_cut(bars, cut, max_gap=3, flat_band=0.001)
    assert_baselines_survive_cut(bars, cut, max_gap=3)
    assert_features_survive_cut(bars, cut, 3)
    assert_windows_survive_cut(bars, max(cut, 32), 3, window=32)


@given(some_bars(min_bars=1), label_options())
def test_label_is_never_known_at_or_before_its_bar(bars: Bars, options: dict[str, Any]) -> None:
    labels = label_bars(bars, **options)
    for bar, known_at in enumerate(labels.known_at.tolist()):
        assert known_at == -1 or bar < known_at < len(bars)
