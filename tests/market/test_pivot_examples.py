"""Small examples of each rule of pivots and labels, worked out by hand."""

from typing import Any

import numpy as np
import pytest

from trendtrain.errors import InputError
from trendtrain.market import Bars, PivotTracker, find_pivots, label_bars

MINUTE = np.timedelta64(1, "m")


def at_prices(*prices: float, minutes: list[int] | None = None) -> Bars:
    price = np.array(prices, dtype=np.float64)
    time = np.datetime64("2024-01-01", "ms") + np.array(minutes or range(len(price)), dtype=np.int64) * MINUTE
    return Bars(time, price, price, price, price, price, MINUTE)


def highs(bars: Bars, level: int = 1, **options: Any) -> list[tuple[int, int]]:
    """Return bar and known_at of each high."""
    found = find_pivots(bars, **options)[0].at_level(level)
    return list(zip(found.bar.tolist(), found.known_at.tolist(), strict=True))


def test_a_plateau_is_a_pivot_at_its_first_bar_known_when_it_ends() -> None:
    assert highs(at_prices(1, 3, 3, 3, 2)) == [(1, 4)]


def test_strict_ties_hide_a_plateau() -> None:
    assert highs(at_prices(1, 3, 3, 3, 2), tie="strict") == []


def test_strength_two_needs_two_lower_points_on_either_side() -> None:
    assert highs(at_prices(1, 2, 5, 3, 2, 1), strength=(2,)) == [(2, 4)]
    assert highs(at_prices(2, 5, 3, 2, 1), strength=(2,)) == []


def test_an_inside_bar_is_skipped_on_request() -> None:
    top, bottom = np.array([4.0, 6.0, 5.0, 5.5, 4.0]), np.array([1.0, 2.0, 3.0, 1.5, 1.0])
    bars = Bars(np.arange(5).astype("datetime64[m]"), bottom, top, bottom, bottom, bottom, MINUTE)
    assert highs(bars) == [(1, 2), (3, 4)]
    assert highs(bars, inside="skip") == [(1, 3)]


def test_prominence_is_the_smaller_distance_to_the_neighbours() -> None:
    found = find_pivots(at_prices(1, 9, 7, 8, 2))[0]
    assert found.prominence.tolist() == [2.0, 1.0]


def test_a_hole_ends_what_was_not_yet_certain() -> None:
    minutes = [0, 1, 5, 6, 7]
    assert highs(at_prices(1, 3, 2, 4, 1, minutes=minutes)) == [(1, 2), (3, 4)]
    assert highs(at_prices(1, 3, 2, 4, 1, minutes=minutes), max_gap=3) == [(1, 2), (3, 4)]
    assert highs(at_prices(1, 3, 2, 4, 1, minutes=minutes), max_gap=2) == [(3, 4)]


def test_the_last_equal_bar_before_a_hole_and_the_first_after_it_are_two_points() -> None:
    assert highs(at_prices(1, 3, 3, 2, minutes=[0, 1, 9, 10]), max_gap=0) == []


ZIGZAG = (1, 5, 3, 7, 2, 6, 3, 9, 2, 8, 1)  # L1 highs 5 7 6 9 8: L2 highs at bars 3 and 7


def test_a_label_is_the_line_of_the_next_two_level_two_pivots() -> None:
    labels = label_bars(at_prices(*ZIGZAG))
    assert labels.direction.tolist() == [1, 1, 1] + [-1] * 8
    assert labels.known_at.tolist() == [10, 10, 10] + [-1] * 8
    assert (labels.lines.first_bar.tolist(), labels.lines.last_bar.tolist()) == ([3], [7])


def test_a_pivots_own_bar_is_not_labelled_by_it() -> None:
    assert label_bars(at_prices(*ZIGZAG)).event[2:4].tolist() == [0, -1]


def test_of_two_lines_that_tie_in_everything_the_one_through_highs_labels() -> None:
    reach = np.array(ZIGZAG, dtype=np.float64)  # highs and lows mirror each other: pivots of both at the same bars
    middle = np.full(len(reach), 20.0)
    time = np.arange(len(reach)).astype("datetime64[m]")
    labels = label_bars(Bars(time, middle, middle + reach, middle - reach, middle, middle, MINUTE))
    assert labels.lines.kind.tolist() == [0, 1]
    assert labels.lines.known_at.tolist() == [10, 10]
    assert (labels.direction[0], labels.lines.kind[labels.event[0]]) == (1, 0)


def test_a_label_through_equal_pivots_is_flat() -> None:
    assert label_bars(at_prices(1, 5, 3, 7, 2, 6, 3, 7, 2, 6.5, 1)).direction[0] == 2


def test_the_flat_band_includes_its_edge() -> None:
    prices = (1, 5, 3, 8, 2, 6, 3, 9, 2, 8.5, 1)  # a change of 1 in 8
    assert label_bars(at_prices(*prices), flat_band=0.125).direction[0] == 2
    assert label_bars(at_prices(*prices), flat_band=0.1249).direction[0] == 1


def test_unlabelled_bars_before_a_hole_are_void_at_the_first_bar_after_it() -> None:
    labels = label_bars(at_prices(*ZIGZAG, 2, 3, minutes=[*range(11), 20, 21]), max_gap=5)
    assert labels.direction[3:11].tolist() == [-1] * 8
    assert labels.known_at.tolist() == [10] * 3 + [11] * 8 + [-1] * 2
    assert labels.event[3:].tolist() == [-1] * 10


@pytest.mark.parametrize("prices", [(), (1,), (1, 2), (2, 2, 2, 2, 2, 2, 2, 2), (1, 2, 3, 4, 5, 6)])
def test_bars_without_a_pivot_give_none_and_no_label(prices: tuple[float, ...]) -> None:
    bars = at_prices(*prices)
    assert [len(part) for part in find_pivots(bars)] == [0, 0]
    labels = label_bars(bars)
    assert len(labels) == len(bars)
    assert (labels.direction.tolist(), labels.known_at.tolist()) == ([-1] * len(bars), [-1] * len(bars))
    assert len(labels.lines) == 0


def test_an_empty_chunk_changes_nothing() -> None:
    tracker, bars = PivotTracker(), at_prices(1, 3, 2)
    assert [len(part) for part in tracker.update(bars[:0])] == [0, 0]
    tracker.update(bars[:2])
    assert [len(part) for part in tracker.update(bars[2:2])] == [0, 0]
    assert tracker.update(bars[2:])[0].bar.tolist() == [1]


def test_a_chunk_that_does_not_follow_the_last_is_refused() -> None:
    tracker, bars = PivotTracker(), at_prices(1, 2, 3, 4)
    tracker.update(bars[2:])
    with pytest.raises(InputError, match=r"`bars` must start after the last bar 2024-01-01T00:03.*, got .*00:00"):
        tracker.update(bars[:2])


def test_a_chunk_given_twice_is_refused() -> None:
    tracker, bars = PivotTracker(), at_prices(1, 2)
    tracker.update(bars)
    with pytest.raises(InputError, match="`bars` must start after the last bar"):
        tracker.update(bars[1:])


def test_a_chunk_of_another_timeframe_is_refused() -> None:
    tracker, bars = PivotTracker(), at_prices(1, 2)
    tracker.update(bars)
    price = np.array([1.0])
    later = Bars(np.array(["2025-01-01"], "datetime64[ms]"), *[price] * 5, np.timedelta64(1, "h"))
    with pytest.raises(InputError, match="`bars` must keep the timeframe 60000 milliseconds, got 3600000"):
        tracker.update(later)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": ()}, r"`strength` must list one integer a level, got \(\)"),
        ({"strength": "11"}, r"`strength` must list one integer a level, got '11'"),
        ({"strength": 1}, r"`strength` must list one integer a level, got 1"),
        ({"strength": (1, 0)}, r"`strength` must be an integer of at least 1, got 0"),
        ({"strength": (1.5, 1)}, r"`strength` must be an integer of at least 1, got 1\.5"),
        ({"tie": "first"}, r"`tie` must be one of plateau, strict, got 'first'"),
        ({"inside": "drop"}, r"`inside` must be one of keep, skip, got 'drop'"),
        ({"max_gap": -1}, r"`max_gap` must be an integer of at least 0, got -1"),
    ],
)
def test_a_bad_option_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_pivots(at_prices(1, 2), **options)


def test_labels_need_two_levels() -> None:
    with pytest.raises(InputError, match=r"`strength` must have at least two levels for labels, got \(1,\)"):
        label_bars(at_prices(1, 2), strength=(1,))


def test_a_negative_flat_band_is_refused() -> None:
    with pytest.raises(InputError, match=r"`flat_band` must be a number of at least 0\.0, got -0\.1"):
        label_bars(at_prices(1, 2), flat_band=-0.1)
