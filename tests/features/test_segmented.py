from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from generated import some_bars
from hypothesis import given
from hypothesis import strategies as st
from law_checks import assert_same

from trendtrain.errors import InputError
from trendtrain.features import (
    BarFeatures,
    SegmentedFeatures,
    SkillFeatures,
    VolatilityUnit,
    bar_features,
    by_segment,
    skill_features,
    volatility_unit,
)
from trendtrain.market import Bars, random_walk, synthetic_market
from trendtrain.market.bars import segments

BARS = synthetic_market(800, seed=1)
SAME = [(volatility_unit, VolatilityUnit), (bar_features, BarFeatures), (skill_features, SkillFeatures)]


class Counted:
    """A user's tracker: how many bars have come, times a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.n_bars = 0

    def update(self, bars: Bars) -> np.ndarray:
        count = self.n_bars + np.arange(1, len(bars) + 1)
        self.n_bars += len(bars)
        return self.factor * count[:, None]

    def state_dict(self) -> dict[str, Any]:
        return {"n_bars": self.n_bars}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.n_bars = state_dict["n_bars"]


def with_holes(n_missing: int = 100) -> Bars:
    later = random_walk(900, seed=3)
    pieces = [later[:400], later[400 + n_missing :]]
    names = ("open_time", "open", "high", "low", "close", "volume")
    columns = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names}
    return Bars(**columns, timeframe=later.timeframe)


def test_nothing_crosses_a_hole_of_more_than_max_gap_bars() -> None:
    bars = with_holes(100)
    expected = np.concatenate([bar_features(bars[:400]), bar_features(bars[400:])])
    assert_same(by_segment(bar_features, bars, max_gap=99), expected)
    assert_same(by_segment(bar_features, bars, max_gap=100), bar_features(bars))
    assert_same(by_segment(bar_features, bars, max_gap=None), bar_features(bars))


@pytest.mark.parametrize(("function", "tracker"), SAME)
@given(some_bars(), st.sampled_from([None, 0, 1, 3]))
def test_each_segment_has_the_features_of_its_own_bars(
    function: Any, tracker: Any, bars: Bars, gap: int | None
) -> None:
    segment = segments(bars.open_time, bars.timeframe, gap)
    parts = [function(bars[slice(*np.searchsorted(segment, [i, i + 1]))]) for i in np.unique(segment)]
    expected = np.concatenate(parts) if parts else function(bars)
    assert_same(by_segment(function, bars, gap), expected)
    assert_same(by_segment(tracker, bars, gap), expected)


@pytest.mark.parametrize("make", [Counted, partial(Counted, 2.0), partial(Counted, factor=2.0)])
def test_a_users_tracker_starts_anew_in_each_segment(make: Any) -> None:
    counts = by_segment(make, with_holes(), max_gap=10)[:, 0]
    assert_same(counts, make().factor * np.r_[1.0:401.0, 1.0:401.0])
    assert by_segment(make, with_holes(), max_gap=None)[-1, 0] == 800 * make().factor


@pytest.mark.parametrize("features", [Counted, lambda bars: np.arange(1.0, len(bars) + 1)[:, None]])
def test_a_hole_between_updates_starts_a_segment(features: Any) -> None:
    bars = with_holes()
    for edges in ([0, 400, 800], [0, 399, 400, 401, 800], [0, 0, 400, 400, 800]):
        tracker = SegmentedFeatures(features, 10)
        rows = [tracker.update(bars[start:end]) for start, end in pairwise(edges)]
        assert_same(np.concatenate(rows), by_segment(features, bars, 10))


def test_bars_that_came_before_are_refused() -> None:
    tracker = SegmentedFeatures(BarFeatures)
    tracker.update(BARS[:100])
    with pytest.raises(InputError, match=r"`bars` must start after the last bar 2020-.*, got 2020-"):
        tracker.update(BARS[99:])


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        (lambda bars: np.full((len(bars), 2), np.nan), "nan at bar 0"),
        (lambda bars: np.where(np.arange(len(bars)) == 7, np.inf, 1.0), "inf at bar 7"),
        (lambda bars: np.zeros((len(bars) - 1, 2)), r"shape \(799, 2\)"),
        (lambda bars: np.zeros((len(bars) + 1, 2)), r"shape \(801, 2\)"),
    ],
    ids=["nan", "inf", "too few rows", "too many rows"],
)
def test_features_must_be_finite_and_one_row_a_bar(function: Any, fault: str) -> None:
    with pytest.raises(InputError, match=rf"`data.features` must give a finite row for each of 800 bars.* {fault}"):
        by_segment(function, BARS, None)
    with pytest.raises(InputError, match=r"`data.side` must give a finite row for each of 800 bars"):
        by_segment(function, BARS, None, "data.side")


def test_a_tracker_in_place_of_its_class_is_refused() -> None:
    with pytest.raises(InputError, match=r"`data.features` must be a function of bars, .*, got one tracker: Counted"):
        by_segment(Counted(), BARS, None)


@pytest.mark.parametrize(("wrong", "got"), [(5, "int"), ("mine.look", "str")])
def test_what_is_no_function_is_refused(wrong: Any, got: str) -> None:
    with pytest.raises(InputError, match=rf"`data.side` must be a function of bars, .*, got {got}\."):
        by_segment(wrong, BARS, None, "data.side")


def test_a_function_may_be_an_object_that_cannot_be_hashed() -> None:
    @dataclass
    class Scaled:
        factor: float

        def __call__(self, bars: Bars) -> np.ndarray:
            return self.factor * bars.close

    assert_same(by_segment(Scaled(2.0), BARS, None), 2.0 * BARS.close)


def test_a_function_that_failed_once_takes_the_same_bars_again() -> None:
    calls = []

    def fails_first(bars: Any) -> Any:
        calls.append(len(bars))
        if len(calls) == 1:
            raise ValueError("once")
        return bars.close

    tracker = SegmentedFeatures(fails_first, None)
    with pytest.raises(ValueError, match="once"):
        tracker.update(BARS[:50])
    assert tracker.update(BARS[:50]).tolist() == BARS.close[:50].tolist()
