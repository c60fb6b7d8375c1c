import numpy as np
import pytest

from trendtrain.data.arena import build_arena
from trendtrain.errors import InputError
from trendtrain.features import bar_features, price_levels, skill_features, volatility_unit
from trendtrain.market import random_walk, synthetic_market

BARS = synthetic_market(800, seed=1)


def test_what_errors_call_a_function_is_told() -> None:
    with pytest.raises(InputError, match=r"`data.side` must give a finite row for each of 800 bars"):
        build_arena([BARS], bar_features, lambda bars: np.full((len(bars), 2), np.inf), None)


def test_build_arena_several_series_follow_one_another() -> None:
    other = synthetic_market(300, seed=2, timeframe="1h")
    both = build_arena([BARS, other], bar_features, skill_features, None)
    assert len(both) == 1100
    for at, bars in ((slice(0, 800), BARS), (slice(800, None), other)):
        np.testing.assert_array_equal(both.features[at], bar_features(bars).astype(np.float32))
        np.testing.assert_array_equal(both.levels[at], price_levels(bars))
        np.testing.assert_array_equal(both.unit[at], volatility_unit(bars))
        np.testing.assert_array_equal(both.side[at, :-1], skill_features(bars).astype(np.float32))


@pytest.mark.parametrize(
    ("timeframe", "number"), [("1s", -0.5907), ("1m", 0.0), ("5m", 0.2322), ("1h", 0.5907), ("1d", 1.0492)]
)
def test_the_last_side_input_is_the_timeframe(timeframe: str, number: float) -> None:
    bars = random_walk(100, seed=0, timeframe=timeframe)
    side = build_arena([bars], bar_features, skill_features, None).side
    np.testing.assert_allclose(side[:, -1], number, atol=1e-4)


def test_without_a_side_function_there_is_no_side_input() -> None:
    assert build_arena([BARS], bar_features, None, None).side.shape == (800, 0)


def test_a_function_may_give_one_number_a_bar() -> None:
    inputs = build_arena([BARS], lambda bars: bars.close, lambda bars: bars.low, None)
    assert inputs.features.shape == (800, 1)
    assert inputs.side.shape == (800, 2)
