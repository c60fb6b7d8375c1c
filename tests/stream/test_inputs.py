import numpy as np
import pytest
from generated import with_hole

from trendtrain.errors import InputError
from trendtrain.features import bar_features, price_levels, skill_features, volatility_unit
from trendtrain.market import random_walk, synthetic_market
from trendtrain.market.bars import segments
from trendtrain.stream.inputs import InputTracker

BARS = synthetic_market(800, seed=1)


def test_what_errors_call_a_function_is_told() -> None:
    with pytest.raises(InputError, match=r"`data.side` must give a finite row for each of 800 bars"):
        InputTracker(bar_features, lambda bars: np.full((len(bars), 2), np.inf), None).update(BARS)


def test_inputs_are_the_features_levels_and_unit_of_each_bar() -> None:
    inputs = InputTracker(bar_features, skill_features, None).update(BARS)
    np.testing.assert_array_equal(inputs.features, bar_features(BARS).astype(np.float32))
    np.testing.assert_array_equal(inputs.levels, price_levels(BARS))
    np.testing.assert_array_equal(inputs.unit, volatility_unit(BARS))
    np.testing.assert_array_equal(inputs.side[:, :-1], skill_features(BARS).astype(np.float32))


@pytest.mark.parametrize(
    ("timeframe", "number"), [("1s", -0.5907), ("1m", 0.0), ("5m", 0.2322), ("1h", 0.5907), ("1d", 1.0492)]
)
def test_the_last_side_input_is_the_timeframe(timeframe: str, number: float) -> None:
    bars = random_walk(100, seed=0, timeframe=timeframe)
    side = InputTracker(bar_features, skill_features, None).update(bars).side
    np.testing.assert_allclose(side[:, -1], number, atol=1e-4)


def test_without_a_side_function_there_is_no_side_input() -> None:
    assert InputTracker(bar_features, None, None).update(BARS).side.shape == (800, 0)


def test_a_function_may_give_one_number_a_bar() -> None:
    inputs = InputTracker(lambda bars: bars.close, lambda bars: bars.low, None).update(BARS)
    assert inputs.features.shape == (800, 1)
    assert inputs.side.shape == (800, 2)


@pytest.mark.parametrize("max_gap", [None, 0, 2])
@pytest.mark.parametrize("size", [1, 7, 800])
def test_a_bar_has_a_window_where_that_lies_in_one_segment(max_gap: int | None, size: int) -> None:
    tracker, bars = InputTracker(bar_features, None, max_gap), BARS
    for at, n_missing in ((50, 1), (140, 2), (301, 3), (700, 4)):
        bars = with_hole(bars, at, n_missing)
    for start in range(0, len(bars), size):
        tracker.update(bars[start : start + size])
    segment = segments(bars.open_time, bars.timeframe, max_gap)
    expected = [bar >= 5 and segment[bar - 5] == segment[bar] for bar in range(len(bars))]
    assert tracker.has_window(np.arange(len(bars)), 6).tolist() == expected
