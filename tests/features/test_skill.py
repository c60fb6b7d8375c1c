from pathlib import Path

import numpy as np
import pytest
from feature_bars import BARS, changed, still_bars
from generated import some_bars
from hypothesis import given
from hypothesis import strategies as st
from law_checks import assert_same
from slow_features import slow_place, slow_skill_features

from trendtrain.features import skill_features
from trendtrain.features.skill import AVERAGE_BARS, RANGE_BARS, RETURN_BARS, RollingRanges
from trendtrain.market import Bars, random_walk, synthetic_market


@given(some_bars(min_bars=1))
def test_skill_features_are_their_formulas(bars: Bars) -> None:
    assert_same(skill_features(bars), slow_skill_features(bars))


@pytest.mark.parametrize(
    "bars", [random_walk(9000, seed=4), synthetic_market(9000, seed=4)], ids=["random walk", "synthetic"]
)
def test_skill_features_are_their_formulas_over_the_longest_returns_and_ranges(bars: Bars) -> None:
    assert_same(skill_features(bars), slow_skill_features(bars))


@given(some_bars(min_bars=1), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_places_in_ranges_of_any_length_are_their_formula(bars: Bars, lengths: list[int]) -> None:
    places = np.empty((len(bars), len(lengths) + 2))
    places[:, [0, -1]] = 7.0
    RollingRanges(tuple(lengths)).write(np.log(bars.close), np.log(bars.high), np.log(bars.low), places, 1)
    assert_same(places[:, 1:-1], np.column_stack([slow_place(bars, k) for k in lengths]))
    assert (places[:, [0, -1]] == 7.0).all()


def test_skill_features_do_not_depend_on_the_price_scale() -> None:
    np.testing.assert_allclose(skill_features(changed(BARS, price=7.0)), skill_features(BARS), atol=1e-8)


def test_a_jump_of_price_is_clipped_in_returns_and_distances() -> None:
    price = np.r_[np.full(50, 1.0), np.full(10, 2.0)]
    time = BARS.open_time[0] + np.arange(60) * BARS.timeframe
    features = skill_features(Bars(time, price, price, price, price, price, BARS.timeframe))
    assert features.max() == 4.0
    assert features[50, 19:].tolist() == [0.5] * 4


def test_skill_features_of_bars_that_stand_still_are_zero() -> None:
    assert not skill_features(still_bars()).any()


def test_the_features_page_names_every_span() -> None:
    page = (Path(__file__).parents[2] / "docs" / "features.md").read_text()
    for spans in (RETURN_BARS, AVERAGE_BARS, RANGE_BARS):
        assert f"k = {', '.join(map(str, spans))} |" in page
