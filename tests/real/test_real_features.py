"""On real bars: features equal their formulas bit by bit, and chunks change nothing."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from law_checks import assert_same
from slow_features import slow_bar_features, slow_skill_features, slow_unit

from trendtrain.features import BarFeatures, SegmentedFeatures, SkillFeatures, VolatilityUnit
from trendtrain.market import Bars

SLOW = [(VolatilityUnit, slow_unit), (BarFeatures, slow_bar_features), (SkillFeatures, slow_skill_features)]


def assert_formulas(bars: Bars) -> None:
    for make, slow in SLOW:
        assert_same(make().update(bars), slow(bars))


def assert_chunks_change_nothing(make: Any, bars: Bars, size: int, max_gap: int | None) -> None:
    tracker = SegmentedFeatures(make, max_gap)
    edges = [*range(0, len(bars), size), len(bars)]
    rows = [tracker.update(bars[start:end]) for start, end in pairwise(edges)]
    assert_same(np.concatenate(rows), SegmentedFeatures(make, max_gap).update(bars))


def test_real_features_equal_their_formulas(real_bars: Bars) -> None:
    assert_formulas(real_bars)


@pytest.mark.parametrize(("size", "max_gap"), [(1, 3), (7, None), (1009, 0)])
def test_real_bars_in_chunks_change_no_feature(real_bars: Bars, size: int, max_gap: int | None) -> None:
    for make, _ in SLOW:
        assert_chunks_change_nothing(make, real_bars[: 1000 * size], size, max_gap)


@pytest.mark.full
def test_features_of_whole_files_equal_their_formulas(whole_bars: Bars) -> None:
    assert_formulas(whole_bars)


@pytest.mark.full
@pytest.mark.parametrize("size", [1, 7, 1009])
def test_whole_files_in_chunks_change_no_feature(whole_bars: Bars, size: int) -> None:
    for make, _ in SLOW:
        assert_chunks_change_nothing(make, whole_bars[: 20_000 * size], size, 5)
