import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feature_bars import BARS, changed, still_bars
from generated import some_bars
from hypothesis import given
from law_checks import assert_same
from slow_features import slow_bar_features

from trendtrain.features import SegmentedFeatures, bar_features, price_levels
from trendtrain.laws import check_causal, check_chunks
from trendtrain.market import Bars, synthetic_market


@given(some_bars(min_bars=1))
def test_features_are_their_formulas(bars: Bars) -> None:
    assert_same(bar_features(bars), slow_bar_features(bars))


def test_features_are_their_formulas_on_a_long_market() -> None:
    bars = synthetic_market(5000, seed=3)
    assert_same(bar_features(bars), slow_bar_features(bars))


@pytest.mark.parametrize("size", [1e-4, 1e-7])  # above and below the least spread of log volume, 1e-6
def test_features_are_their_formulas_where_volume_hardly_changes(size: float) -> None:
    bars = changed(BARS, volume=100.0 + 100.0 * size * np.random.default_rng(0).normal(size=len(BARS)))
    assert_same(bar_features(bars), slow_bar_features(bars))


def test_features_do_not_depend_on_the_price_scale() -> None:
    np.testing.assert_allclose(bar_features(changed(BARS, price=7.0)), bar_features(BARS), atol=1e-8)


def test_features_do_not_depend_on_the_volume_scale() -> None:
    scaled = changed(BARS, volume=1000.0 * BARS.volume)
    np.testing.assert_allclose(bar_features(scaled), bar_features(BARS), atol=1e-6)


@pytest.mark.parametrize("volume", [0.0, np.nan])
def test_the_volume_score_is_zero_where_no_volume_is_supplied(volume: float) -> None:
    features = bar_features(changed(BARS, volume=np.full(len(BARS), volume)))
    assert (features[:, 1] == 0.0).all()


@pytest.mark.parametrize("missing", [0.0, np.nan])
def test_a_bar_without_volume_repeats_the_last_volume(missing: float) -> None:
    volume, repeated = BARS.volume.copy(), BARS.volume.copy()
    volume[100:103], repeated[100:103] = missing, BARS.volume[99]
    assert_same(bar_features(changed(BARS, volume=volume)), bar_features(changed(BARS, volume=repeated)))


def test_jumps_of_price_and_volume_are_clipped() -> None:
    price, volume = np.r_[np.full(150, 1.0), np.full(10, 2.0)], np.r_[np.full(150, 1.0), np.full(10, 1e9)]
    time = BARS.open_time[0] + np.arange(160) * BARS.timeframe
    features = bar_features(Bars(time, price, price, price, price, volume, BARS.timeframe))
    assert features[150].tolist() == [6.0, 4.0, 4.0, 4.0, 4.0]


def test_bars_that_stand_still_have_features_of_zero() -> None:
    assert not bar_features(still_bars()).any()


def test_price_levels_are_log_close_high_low() -> None:
    assert_same(price_levels(BARS), np.log(np.stack([BARS.close, BARS.high, BARS.low], axis=1)))


def test_the_features_on_the_features_page_keep_the_laws() -> None:
    page = (Path(__file__).parents[2] / "docs" / "features.md").read_text()
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, names)
    assert names["with_wick"](BARS).shape == (800, 7)
    check_causal(names["with_wick"], BARS)
    check_causal(lambda bars: names["Drawdown"]().update(bars), BARS)
    check_chunks(names["Drawdown"], BARS)
    check_chunks(partial(SegmentedFeatures, names["Drawdown"], 0), BARS)
