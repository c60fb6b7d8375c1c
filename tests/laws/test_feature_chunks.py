"""Fed in chunks of any size, with the state saved and restored in between, features equal those of the whole array."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from generated import some_bars
from hypothesis import given
from hypothesis import strategies as st
from law_checks import assert_same

from trendtrain.features import (
    BarFeatures,
    FeatureTracker,
    SegmentedFeatures,
    SkillFeatures,
    VolatilityUnit,
    bar_features,
)
from trendtrain.laws import check_chunks
from trendtrain.market import Bars, synthetic_market

TRACKERS: dict[str, Callable[[], FeatureTracker]] = {
    "unit": VolatilityUnit,
    "bar": BarFeatures,
    "skill": SkillFeatures,
    "unit in segments": partial(SegmentedFeatures, VolatilityUnit, 1),
    "bar in segments": partial(SegmentedFeatures, BarFeatures, 0),
    "skill in segments": partial(SegmentedFeatures, SkillFeatures, 3),
    "a function in segments": partial(SegmentedFeatures, bar_features, 1),
    "a function": partial(SegmentedFeatures, bar_features),
}
CASES = pytest.mark.parametrize("make", TRACKERS.values(), ids=TRACKERS.keys())


def in_chunks(make: Callable[[], FeatureTracker], bars: Bars, edges: list[int]) -> np.ndarray:
    """Return the rows of all chunks, each from a new tracker with the last one's state; others use that state too."""
    tracker, parts = make(), []
    for start, end in pairwise([0, *edges, len(bars)]):
        last, tracker, other = tracker, make(), make()
        state = last.state_dict()
        last.update(bars[end:])
        tracker.load_state_dict(state)
        other.load_state_dict(state)
        other.update(bars[end:])
        parts.append(tracker.update(bars[start:end]))
    return np.concatenate(parts)


@CASES
@given(some_bars(), st.lists(st.floats(0.0, 1.0), max_size=6))
def test_chunks_and_saved_states_change_no_feature(
    make: Callable[[], FeatureTracker], bars: Bars, cuts: list[float]
) -> None:
    edges = sorted(round(cut * len(bars)) for cut in cuts)
    assert_same(in_chunks(make, bars, edges), make().update(bars))


@CASES
def test_bar_by_bar_changes_no_feature(make: Callable[[], FeatureTracker]) -> None:
    check_chunks(make, synthetic_market(500, seed=5, missing=0.03), chunks=(1, 7))


@pytest.mark.parametrize("make", [BarFeatures, SkillFeatures])
@pytest.mark.parametrize("size", [1, 7, 1009])
def test_chunks_change_no_feature_of_a_long_market(make: Callable[[], FeatureTracker], size: int) -> None:
    bars = synthetic_market(7000, seed=6)
    parts = np.random.default_rng(size).integers(0, len(bars), 12)
    edges = sorted({*parts.tolist(), *range(size, len(bars), size)})
    tracker = make()
    rows = [tracker.update(bars[start:end]) for start, end in pairwise([0, *edges, len(bars)])]
    assert_same(np.concatenate(rows), make().update(bars))


@pytest.mark.parametrize("make", [BarFeatures, SkillFeatures])
@pytest.mark.parametrize("cut", [1, 999, 1000, 2880, 2881, 5000])
def test_a_saved_state_goes_on_in_a_long_market(make: Callable[[], FeatureTracker], cut: int) -> None:
    bars = synthetic_market(7000, seed=7)
    assert_same(in_chunks(make, bars, [cut, cut + 1]), make().update(bars))
