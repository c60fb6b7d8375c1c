import numpy as np
from feature_bars import BARS, changed
from generated import some_bars
from hypothesis import given
from law_checks import assert_same
from slow_features import slow_unit

from trendtrain.features import volatility_unit
from trendtrain.market import Bars, random_walk


@given(some_bars(min_bars=1))
def test_the_volatility_unit_is_its_formula(bars: Bars) -> None:
    assert_same(volatility_unit(bars), slow_unit(bars))


def test_the_volatility_unit_does_not_depend_on_the_price_scale() -> None:
    np.testing.assert_allclose(volatility_unit(changed(BARS, price=7.0)), volatility_unit(BARS), rtol=1e-9)


def test_one_spike_does_not_blind_the_volatility_unit() -> None:
    bars = random_walk(600, seed=0)
    high = bars.high.copy()
    high[500] *= 10.0
    spiked = Bars(bars.open_time, bars.open, high, bars.low, bars.close, bars.volume, bars.timeframe)
    unclipped = 2 / 101 * np.log(10.0)
    assert_same(volatility_unit(spiked), slow_unit(spiked))
    assert volatility_unit(spiked)[500] < 0.2 * unclipped
