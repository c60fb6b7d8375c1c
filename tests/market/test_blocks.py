"""Bars are read in blocks: where a block ends, and how the arrays lie in memory, changes nothing."""

import copy
import pickle
from dataclasses import fields
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from generated import label_options, pivot_options, some_bars
from hypothesis import given
from hypothesis import strategies as st
from law_checks import assert_labels_equal_reference, assert_pivots_equal_reference, assert_same, assert_same_fields

from trendtrain.market import Bars, PivotTracker, find_pivots, label_bars, random_walk, synthetic_market
from trendtrain.market.bars import kernel_view

PRICES = ("open", "high", "low", "close", "volume")


def blocks_of(n_bars: int) -> Any:
    return patch.multiple("trendtrain.market.pivots", _BLOCK=n_bars, _FEW=0)


@given(bars=some_bars(), options=pivot_options(), n_bars=st.integers(1, 9))
def test_pivots_in_blocks_of_any_size_equal_the_reference(bars: Bars, options: dict[str, Any], n_bars: int) -> None:
    with blocks_of(n_bars):
        assert_pivots_equal_reference(bars, **options)


@given(bars=some_bars(), options=label_options(), n_bars=st.integers(1, 9))
def test_labels_in_blocks_of_any_size_equal_the_reference(bars: Bars, options: dict[str, Any], n_bars: int) -> None:
    with blocks_of(n_bars):
        assert_labels_equal_reference(bars, **options)


@given(bars=some_bars(), options=pivot_options(), cuts=st.sets(st.integers(0, 240), max_size=6))
def test_few_bars_and_many_give_the_same_pivots_and_state(bars: Bars, options: dict[str, Any], cuts: set[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(bars)), len(bars)]
    with patch("trendtrain.market.pivots._FEW", 1000):
        few = PivotTracker(**options)
    many = PivotTracker(**options)
    for start, end in pairwise(edges):
        with patch("trendtrain.market.pivots._FEW", 0):
            arrays = many.update(bars[start:end])
        with patch("trendtrain.market.pivots._FEW", 1000):
            buffered = few.update(bars[start:end])
        for one, other in zip(arrays, buffered, strict=True):
            assert_same_fields(one, other)
        assert many.state_dict() == few.state_dict()


@pytest.mark.parametrize("n_bars", [20, 3000])
def test_results_own_their_data(n_bars: int) -> None:
    """A buffer of bars can be reused, and a tracker fed again, without a change in what was found."""
    bars = synthetic_market(n_bars, seed=1)
    tracker = PivotTracker()
    found = [*tracker.update(bars), label_bars(bars), label_bars(bars).lines]
    before = [copy.deepcopy(one) for one in found]
    tracker.update(later(bars))
    for name in (*PRICES, "open_time"):
        memory = kernel_view(getattr(bars, name))
        memory[:] = memory[0]
    for one, other in zip(found, before, strict=True):
        for field in fields(one):
            if isinstance(getattr(one, field.name), np.ndarray):
                assert_same(getattr(one, field.name), getattr(other, field.name))


def later(bars: Bars) -> Bars:
    time = bars.open_time + (bars.open_time[-1] - bars.open_time[0]) + bars.timeframe
    return Bars(time, *(getattr(bars, name) for name in PRICES), bars.timeframe)


def test_tables_can_be_copied_and_pickled() -> None:
    bars = synthetic_market(3000, seed=0)
    for table in (*find_pivots(bars), label_bars(bars).lines):
        for again in (copy.copy(table), copy.deepcopy(table), pickle.loads(pickle.dumps(table))):
            assert_same_fields(again, table)


def test_a_plateau_may_last_for_blocks_and_chunks() -> None:
    price = np.concatenate([[1.0], np.full(200_000, 3.0), [2.0, 4.0, 1.0]])
    time = np.arange(len(price)).astype("datetime64[m]")
    bars = Bars(time, price, price, price, price, price, np.timedelta64(1, "m"))
    whole, (tracker, parts) = find_pivots(bars)[0], (PivotTracker(), [])
    assert list(zip(whole.bar.tolist(), whole.known_at.tolist(), strict=True)) == [(1, 200_001), (200_002, 200_003)]
    for start in range(0, len(bars), 30_000):
        parts.append(tracker.update(bars[start : start + 30_000])[0].known_at)
    assert np.concatenate(parts).tolist() == whole.known_at.tolist()


def test_equal_prices_have_neither_pivots_nor_labels() -> None:
    price = np.full(100_000, 7.0)
    bars = Bars(np.arange(100_000).astype("datetime64[m]"), *[price] * 5, np.timedelta64(1, "m"))
    assert [len(part) for part in find_pivots(bars)] == [0, 0]
    labels = label_bars(bars)
    assert (len(labels.lines), set(labels.direction.tolist()), set(labels.known_at.tolist())) == (0, {-1}, {-1})


@pytest.mark.parametrize("n_bars", [0, 1, 2, 40])
def test_a_level_deeper_than_the_bars_is_empty(n_bars: int) -> None:
    highs, lows = find_pivots(random_walk(40, seed=0)[:n_bars], strength=(1, 1, 1, 1, 1, 9))
    assert max([0, *highs.level.tolist(), *lows.level.tolist()]) < 6
    assert len(label_bars(random_walk(40, seed=0)[:n_bars], strength=(1, 30))) == n_bars


def read_only(column: Any) -> Any:
    column = column.copy()
    column.flags.writeable = False
    return column


def with_stride(column: Any) -> Any:
    return np.repeat(column, 3)[::3]


def backwards(column: Any) -> Any:
    return column[::-1].copy()[::-1]


@pytest.mark.parametrize("made", [read_only, with_stride, backwards, list])
def test_how_arrays_lie_in_memory_changes_nothing(made: Any) -> None:
    bars = synthetic_market(3000, seed=0)
    other = Bars(made(bars.open_time), *(made(getattr(bars, name)) for name in PRICES), bars.timeframe)
    for one, same in zip(find_pivots(bars), find_pivots(other), strict=True):
        assert_same_fields(one, same)
    assert label_bars(other).direction.tolist() == label_bars(bars).direction.tolist()


@pytest.mark.parametrize("kind", [np.float32, np.int64, np.int16])
def test_prices_of_other_types_count_by_their_values(kind: type) -> None:
    bars = synthetic_market(3000, seed=0, tick=1.0)
    exact = Bars(bars.open_time, *(getattr(bars, n).round().astype(kind).astype(float) for n in PRICES), bars.timeframe)
    given_so = Bars(bars.open_time, *(getattr(bars, n).round().astype(kind) for n in PRICES), bars.timeframe)
    assert_pivots_equal_reference(given_so)
    for one, same in zip(find_pivots(exact), find_pivots(given_so), strict=True):
        assert_same_fields(one, same)


def test_finding_pivots_leaves_the_bars_as_they_are() -> None:
    bars = synthetic_market(70_000, seed=0)
    before = {name: getattr(bars, name).copy() for name in PRICES}
    for part in find_pivots(bars):
        assert len(part.prominence) == len(part)
    label_bars(bars)
    for name, column in before.items():
        np.testing.assert_array_equal(getattr(bars, name), column)
