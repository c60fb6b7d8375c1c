import re
from collections.abc import Callable
from math import log, sqrt
from pathlib import Path

import numpy as np
import pytest

from trendtrain.features import (
    FeatureFunction,
    bar_features,
    price_levels,
    skill_features,
    volatility_unit,
)
from trendtrain.features.skill import AVERAGE_BARS, RANGE_BARS, RETURN_BARS
from trendtrain.laws import check_causal
from trendtrain.market import Bars, random_walk, synthetic_market
from trendtrain.market.averages import ema


def changed(bars: Bars, price: float = 1.0, volume: np.ndarray | None = None) -> Bars:
    prices = (price * getattr(bars, name) for name in ("open", "high", "low", "close"))
    return Bars(bars.open_time, *prices, bars.volume if volume is None else volume, bars.timeframe)


BARS = synthetic_market(800, seed=1)
FUNCTIONS = [bar_features, skill_features]


def test_features_have_a_finite_row_a_bar() -> None:
    features = bar_features(BARS)
    assert features.shape == (800, 5)
    assert np.isfinite(features).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_features_do_not_depend_on_the_price_scale(function: FeatureFunction) -> None:
    np.testing.assert_allclose(function(changed(BARS, price=7.0)), function(BARS), atol=1e-8)


def test_the_volatility_unit_does_not_depend_on_the_price_scale() -> None:
    np.testing.assert_allclose(volatility_unit(changed(BARS, price=7.0)), volatility_unit(BARS), rtol=1e-9)


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
    np.testing.assert_array_equal(
        bar_features(changed(BARS, volume=volume)), bar_features(changed(BARS, volume=repeated))
    )


def still_bars() -> Bars:
    flat = np.full(300, 5.0)
    time = BARS.open_time[0] + np.arange(300) * BARS.timeframe
    return Bars(time, flat, flat, flat, flat, np.zeros(300), BARS.timeframe)


def test_constant_prices_give_finite_features() -> None:
    assert (bar_features(still_bars()) == 0.0).all()


def test_one_spike_does_not_blind_the_volatility_unit() -> None:
    bars = random_walk(600, seed=0)
    high = bars.high.copy()
    high[500] *= 10.0
    spiked = Bars(bars.open_time, bars.open, high, bars.low, bars.close, bars.volume, bars.timeframe)
    unclipped = 2 / 101 * np.log(10.0)
    assert volatility_unit(spiked)[500] < 0.2 * unclipped


def slow_average(values: list[float], span: int) -> list[float]:
    averages = values[:1]
    for value in values[1:]:
        averages.append(averages[-1] * (1 - 2 / (span + 1)) + value * 2 / (span + 1))
    return averages


def slow_unit(bars: Bars) -> list[float]:
    before = [bars.open[0], *bars.close[:-1]]
    bounds = zip(bars.high, bars.low, before, strict=True)
    ranges = [log(max(high, close)) - log(min(low, close)) for high, low, close in bounds]
    typical = slow_average(ranges, 200)
    clipped = [min(x, 10 * t + 1e-5) for x, t in zip(ranges, typical, strict=True)]
    return [max(1e-6, a) for a in slow_average(clipped, 100)]


def test_the_volatility_unit_is_its_formula() -> None:
    np.testing.assert_allclose(volatility_unit(BARS), slow_unit(BARS), rtol=1e-9)


def test_features_are_their_formulas() -> None:
    close, unit = [log(c) for c in BARS.close], slow_unit(BARS)
    volume = [log(v) for v in BARS.volume]
    distance = [v - a for v, a in zip(volume, slow_average(volume, 200), strict=True)]
    spread = [sqrt(a) for a in slow_average([d * d for d in distance], 200)]
    averages = {k: slow_average(close, k) for k in (30, 100, 400)}
    features = bar_features(BARS)
    for t in range(1, len(BARS)):
        expected = [
            np.clip((close[t] - close[t - 1]) / unit[t], -6, 6),
            np.clip(distance[t] / max(spread[t], 1e-6), -4, 4),
            *(np.clip((close[t] - averages[k][t]) / (unit[t] * sqrt(k)), -4, 4) for k in (30, 100, 400)),
        ]
        np.testing.assert_allclose(features[t], expected, atol=1e-8)


def slow_skill(bars: Bars, t: int, unit: list[float], averages: dict[int, list[float]]) -> list[float]:
    """The documented formulas at one bar, number by number."""
    close, row = [log(c) for c in bars.close[: t + 1]], []
    for k in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 288, 720, 1440, 2880):
        change = (close[t] - close[t - k]) / (unit[t] * sqrt(k)) if t >= k else 0.0
        row.append(min(4.0, max(-4.0, change)))
    for k in (10, 30, 100, 400):
        row.append(min(4.0, max(-4.0, (close[t] - averages[k][t]) / (unit[t] * sqrt(k)))))
    for k in (20, 60, 200, 1000):
        bottom = log(min(bars.low[max(0, t - k + 1) : t + 1]))
        top = log(max(bars.high[max(0, t - k + 1) : t + 1]))
        row.append((close[t] - bottom) / (top - bottom) - 0.5 if top > bottom else 0.0)
    return row


@pytest.mark.parametrize("market", [random_walk, synthetic_market])
def test_skill_features_are_their_formulas(market: Callable[[int, int], Bars]) -> None:
    bars = market(3200, 4)
    unit, close = slow_unit(bars), [log(c) for c in bars.close]
    averages = {k: slow_average(close, k) for k in (10, 30, 100, 400)}
    times = [0, 1, 2, 19, 20, 143, 144, 719, 720, 999, 1000, 2879, 2880, *range(3000, 3200)]
    expected = [slow_skill(bars, t, unit, averages) for t in times]
    np.testing.assert_allclose(skill_features(bars)[times], expected, atol=1e-7)


def test_a_jump_of_price_is_clipped_in_returns_and_distances() -> None:
    price = np.r_[np.full(50, 1.0), np.full(10, 2.0)]
    time = BARS.open_time[0] + np.arange(60) * BARS.timeframe
    features = skill_features(Bars(time, price, price, price, price, price, BARS.timeframe))
    assert features.max() == 4.0
    assert features[50, 19:].tolist() == [0.5] * 4


def test_skill_features_of_bars_that_stand_still_are_zero() -> None:
    assert not skill_features(still_bars()).any()


def test_price_levels_are_log_close_high_low() -> None:
    levels = price_levels(BARS)
    np.testing.assert_allclose(levels[7], np.log([BARS.close[7], BARS.high[7], BARS.low[7]]))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_features_see_no_future_bar(function: FeatureFunction) -> None:
    check_causal(function, BARS)


def test_the_moving_average_is_its_recursion() -> None:
    np.testing.assert_allclose(ema(BARS.close, 30), slow_average(BARS.close.tolist(), 30))


def test_the_feature_function_on_the_features_page_is_causal() -> None:
    page = (Path(__file__).parents[2] / "docs" / "features.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, FeatureFunction] = {}
    exec(code, names)
    assert names["with_wick"](BARS).shape == (800, 7)
    check_causal(names["with_wick"], BARS)


def test_the_features_page_names_every_span() -> None:
    page = (Path(__file__).parents[2] / "docs" / "features.md").read_text()
    for spans in (RETURN_BARS, AVERAGE_BARS, RANGE_BARS):
        assert f"k = {', '.join(map(str, spans))} |" in page
