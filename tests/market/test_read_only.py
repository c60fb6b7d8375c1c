"""A function that gets our arrays cannot change them, and none shares memory with a user's buffer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trendtrain.data import PivotDataModule
from trendtrain.features import by_segment, skill_features
from trendtrain.market import Bars, Labels, Series, label_bars, random_walk, synthetic_market
from trendtrain.market.bars import kernel_view
from trendtrain.validation import Pending, Predictions

COLUMNS = ("open_time", "open", "high", "low", "close", "volume")
BARS = random_walk(300, seed=0)
LABELS = label_bars(BARS)


def predictions() -> Predictions:
    return Predictions(np.arange(200), np.tile([0.4, 0.6], (200, 1)))


FROZEN = {
    "bars": lambda: BARS,
    "a slice of bars": lambda: BARS[10:20],
    "labels": lambda: LABELS,
    "lines": lambda: LABELS.lines,
    "some lines": lambda: LABELS.lines[:3],
    "stacked labels": lambda: Labels.stack({Series("A", "1m"): LABELS, Series("B", "1m"): LABELS}),
    "predictions": predictions,
    "some predictions": lambda: predictions()[3:9],
    "verdicts": lambda: _verdicts(),
    "some verdicts": lambda: _verdicts()[np.arange(3)],
}


def _verdicts() -> Any:
    pending = Pending()
    pending.add(predictions())
    return pending.judge(LABELS.known_labels(now=250))


@pytest.mark.parametrize("name", FROZEN)
def test_no_array_of_a_frozen_value_can_be_written(name: str) -> None:
    arrays = [array for array in vars(FROZEN[name]()).values() if isinstance(array, np.ndarray)]
    assert arrays
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[:] = array[::-1].copy()


@pytest.mark.parametrize("name", ["direction", "known_at", "event", "series_index"])
def test_what_labels_derive_and_keep_cannot_be_written(name: str) -> None:
    with pytest.raises(ValueError, match="read-only"):
        getattr(LABELS, name)[0] = 1


def test_bars_of_one_reused_buffer_keep_their_values() -> None:
    buffer = {name: getattr(BARS, name)[:100].copy() for name in COLUMNS}
    bars = Bars(**buffer, timeframe=BARS.timeframe)
    for array in buffer.values():
        array[:] = array[:1]  # still the user's own
    for name in COLUMNS:
        assert np.array_equal(getattr(bars, name), getattr(BARS, name)[:100])
        assert not np.shares_memory(getattr(bars, name), buffer[name])


def test_columns_of_one_array_share_no_memory() -> None:
    price = np.ones(2)
    bars = Bars(np.array(["2024-01-01T00:00", "2024-01-01T00:01"]), *[price] * 5, np.timedelta64(1, "m"))
    assert not np.shares_memory(bars.high, bars.low)


def test_a_users_labels_share_no_memory_with_the_arrays_given() -> None:
    given = (LABELS.direction.copy(), LABELS.known_at.copy(), LABELS.event.copy())
    labels = Labels.of_bars(BARS, *given)
    for array in given:
        array[:] = -1
    for name in ("direction", "known_at", "event"):
        assert np.array_equal(getattr(labels, name), getattr(LABELS, name))


def in_place(bars: Bars) -> Any:
    close = bars.close
    close /= close.mean()
    return close


@pytest.mark.parametrize("part", ["features", "side", "labeler"])
def test_a_users_function_that_writes_in_place_raises_and_changes_nothing(part: str) -> None:
    bars = synthetic_market(500, seed=0)
    before = bars.close.copy()
    with pytest.raises(ValueError, match="read-only"):
        PivotDataModule({Series("A", "5m"): bars}, **{part: in_place}).setup()
    assert np.array_equal(bars.close, before)


def test_features_written_into_one_array_again_and_again_keep_each_segments_rows() -> None:
    bars = synthetic_market(2000, seed=1)
    buffer = np.empty((len(bars), 23))

    def reusing(bars: Bars) -> Any:
        buffer[: len(bars)] = skill_features(bars)
        return buffer[: len(bars)]

    expected = by_segment(skill_features, bars, max_gap=0)
    assert np.array_equal(by_segment(reusing, bars, max_gap=0), expected)


@pytest.mark.parametrize(
    ("make", "is_copy"),
    [
        (lambda: np.arange(8.0), False),
        (lambda: BARS[5:9].close, False),
        (lambda: np.arange(8.0)[::2], True),
        (lambda: np.broadcast_to(np.ones(1), 3), True),
        (lambda: np.frombuffer(bytes(16), np.float64), True),
    ],
)
def test_the_kernel_gets_plain_arrays_without_a_copy_where_it_can(make: Callable[[], Any], is_copy: bool) -> None:
    values = make()
    view = kernel_view(values)
    assert view.flags.carray
    assert np.array_equal(view, values)
    assert np.shares_memory(view, values) is not is_copy
