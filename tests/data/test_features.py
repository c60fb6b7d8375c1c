from math import log, sqrt

import numpy as np
import pytest

from trendtrain.data.features import bar_features, by_segment, price_levels, volatility_unit
from trendtrain.errors import InputError
from trendtrain.market import Bars, random_walk, synthetic_market
from trendtrain.market.averages import ema


def changed(bars: Bars, price: float = 1.0, volume: np.ndarray | None = None) -> Bars:
    prices = (price * getattr(bars, name) for name in ("open", "high", "low", "close"))
    return Bars(bars.open_time, *prices, bars.volume if volume is None else volume, bars.timeframe)


BARS = synthetic_market(800, seed=1)


def test_features_have_a_finite_row_a_bar() -> None:
    features = bar_features(BARS)
    assert features.shape == (800, 5)
    assert np.isfinite(features).all()


def test_features_do_not_depend_on_the_price_scale() -> None:
    np.testing.assert_allclose(bar_features(changed(BARS, price=7.0)), bar_features(BARS), atol=1e-8)


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


def test_constant_prices_give_finite_features() -> None:
    bars = random_walk(300, seed=0)
    flat = np.full(300, 5.0)
    still = Bars(bars.open_time, flat, flat, flat, flat, np.zeros(300), bars.timeframe)
    assert (bar_features(still) == 0.0).all()


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


def test_price_levels_are_log_close_high_low() -> None:
    levels = price_levels(BARS)
    np.testing.assert_allclose(levels[7], np.log([BARS.close[7], BARS.high[7], BARS.low[7]]))


def test_features_see_no_future_bar() -> None:
    np.testing.assert_array_equal(bar_features(BARS[:500]), bar_features(BARS)[:500])


def test_nothing_crosses_a_hole() -> None:
    later = random_walk(900, seed=3)
    pieces = [later[:400], later[500:]]  # a hole of 100 bars
    joined = Bars(
        *(np.concatenate([getattr(piece, name) for piece in pieces]) for name in
          ("open_time", "open", "high", "low", "close", "volume")),
        later.timeframe,
    )  # fmt: skip
    expected = np.concatenate([bar_features(piece) for piece in pieces])
    np.testing.assert_array_equal(by_segment(bar_features, joined, max_gap=99), expected)
    assert (by_segment(bar_features, joined, max_gap=100) != expected).any()


@pytest.mark.parametrize(
    "function",
    [
        lambda bars: np.full((len(bars), 2), np.nan),
        lambda bars: np.zeros((len(bars) - 1, 2)),
    ],
    ids=["nan", "too few rows"],
)
def test_features_must_be_finite_and_one_row_a_bar(function: object) -> None:
    with pytest.raises(InputError, match=r"`features` must give a finite row for each of 800 bars, got shape"):
        by_segment(function, BARS, None)


def test_the_moving_average_is_its_recursion() -> None:
    np.testing.assert_allclose(ema(BARS.close, 30), slow_average(BARS.close.tolist(), 30))
