"""Fed in chunks of any size, one bar included, pivots equal those of the whole array."""

from functools import partial
from typing import Any

import pytest
from generated import pivot_options, some_bars
from hypothesis import given
from hypothesis import strategies as st
from law_checks import assert_chunks_change_nothing, assert_chunks_come_when_known

from trendtrain.laws import check_chunks
from trendtrain.market import Bars, PivotTracker, synthetic_market

OPTIONS = [
    {},
    {"tie": "strict", "inside": "skip"},
    {"strength": (2, 1, 1), "inside": "skip", "max_gap": 2},
    {"strength": (3,), "tie": "strict", "max_gap": 0},
]


@given(some_bars(), st.lists(st.floats(0.0, 1.0), max_size=8), pivot_options())
def test_any_cuts_into_chunks_change_nothing(bars: Bars, cuts: list[float], options: dict[str, Any]) -> None:
    assert_chunks_change_nothing(bars, sorted(round(cut * len(bars)) for cut in cuts), **options)


@given(some_bars(min_bars=1, max_bars=50), pivot_options())
def test_bar_by_bar_changes_nothing(bars: Bars, options: dict[str, Any]) -> None:
    check_chunks(partial(PivotTracker, **options), bars, chunks=(1,))


@given(some_bars(max_bars=50), pivot_options())
def test_a_pivot_comes_at_the_very_bar_it_is_known_at(bars: Bars, options: dict[str, Any]) -> None:
    assert_chunks_come_when_known(bars, list(range(1, len(bars))), **options)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("n_bars", "size"), [(600, 1), (3000, 7), (3000, 1009), (3000, 3000)])
def test_chunks_change_nothing_on_a_synthetic_market(n_bars: int, size: int, options: dict[str, Any]) -> None:
    bars = synthetic_market(n_bars, seed=5, missing=0.03, tick=0.05)
    check_chunks(partial(PivotTracker, **options), bars, chunks=(size,))
