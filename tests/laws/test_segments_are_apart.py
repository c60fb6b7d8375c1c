"""No pivot, line, label, feature or window spans two segments."""

from typing import Any

import numpy as np
import pytest
from generated import label_options, scaled, some_bars, with_hole
from hypothesis import given
from hypothesis import strategies as st
from law_checks import Array, assert_same, rows_of_labels, unit_column

from trendtrain.data import PivotDataModule
from trendtrain.features import bar_features, by_segment
from trendtrain.market import Bars, Series, find_pivots, label_bars, synthetic_market
from trendtrain.stream.walk import Walk
from trendtrain.validation import Predictions

GAPS = st.sampled_from([0, 1, 3])
WHERE = st.floats(0.0, 1.0)


def cut_at(bars: Bars, where: float) -> int:
    return 1 + round(where * (len(bars) - 2))


@given(some_bars(min_bars=2), WHERE, label_options(), GAPS)
def test_labels_after_a_hole_are_those_of_the_later_bars_alone(
    bars: Bars, where: float, options: dict[str, Any], max_gap: int
) -> None:
    at, options = cut_at(bars, where), {**options, "max_gap": max_gap}
    bars = with_hole(bars, at, max_gap + 1)
    whole, alone = label_bars(bars, **options), label_bars(bars[at:], **options)
    assert rows_of_labels(whole, np.arange(at, len(bars)), at) == rows_of_labels(alone, np.arange(len(bars) - at))


@given(some_bars(min_bars=2), WHERE, label_options(), GAPS)
def test_labels_before_a_hole_are_those_of_the_earlier_bars_alone_and_the_rest_void_at_its_end(
    bars: Bars, where: float, options: dict[str, Any], max_gap: int
) -> None:
    at, options = cut_at(bars, where), {**options, "max_gap": max_gap}
    bars = with_hole(bars, at, max_gap + 1)
    whole, alone = label_bars(bars, **options), label_bars(bars[:at], **options)
    expected = [
        (direction, at if known_at == -1 else known_at, line)
        for direction, known_at, line in rows_of_labels(alone, np.arange(at))
    ]
    assert rows_of_labels(whole, np.arange(at)) == expected


@given(some_bars(min_bars=2), WHERE, label_options(), GAPS)
def test_no_pivot_is_confirmed_across_a_hole(bars: Bars, where: float, options: dict[str, Any], max_gap: int) -> None:
    at = cut_at(bars, where)
    bars = with_hole(bars, at, max_gap + 1)
    options = {**options, "max_gap": max_gap}
    options.pop("flat_band")
    for pivots in find_pivots(bars, **options):
        assert_same(pivots.bar < at, pivots.known_at < at)


@given(some_bars(min_bars=2), WHERE, label_options(), GAPS)
def test_changed_bars_before_a_hole_change_no_label_after_it(
    bars: Bars, where: float, options: dict[str, Any], max_gap: int
) -> None:
    at, options = cut_at(bars, where), {**options, "max_gap": max_gap}
    bars = with_hole(bars, at, max_gap + 1)
    later = np.arange(at, len(bars))
    one, other = label_bars(bars, **options), label_bars(scaled(bars, at, 1.5), **options)
    assert rows_of_labels(one, later) == rows_of_labels(other, later)


@given(some_bars(min_bars=2), WHERE, GAPS)
def test_features_after_a_hole_are_those_of_the_later_bars_alone(bars: Bars, where: float, max_gap: int) -> None:
    at = cut_at(bars, where)
    bars = with_hole(bars, at, max_gap + 1)
    for function in (bar_features, unit_column):
        whole = by_segment(function, bars, max_gap)
        assert_same(whole[at:], by_segment(function, bars[at:], max_gap))
        assert_same(whole[:at], by_segment(function, bars[:at], max_gap))


def streamed_windows(bars: Bars, max_gap: int) -> tuple[Array, Array]:
    """Return the rows that the stream brings over a whole walk, and their windows."""
    datamodule = PivotDataModule(
        {Series("A", "5m"): bars},
        window=16,
        max_gap=max_gap,
        walk=Walk(start=0.2, step="300bars", batch_size=64, warmup=0),
    )
    datamodule.setup()
    rows, windows = [], []
    while not datamodule.stream.is_done:
        due = datamodule.stream.open().row
        for batch in datamodule.val_dataloader():
            rows.append(batch["row"].numpy())
            windows.append(batch["window"].numpy())
        datamodule.stream.close(Predictions(due, np.full((len(due), 2), 0.5)))
    return np.concatenate(rows), np.concatenate(windows)


@pytest.fixture(scope="module")
def market_with_hole() -> Bars:
    return with_hole(synthetic_market(1200, seed=8, missing=0.0), 700, 10)


def test_stream_brings_no_row_whose_window_spans_a_hole(market_with_hole: Bars) -> None:
    rows, _ = streamed_windows(market_with_hole, max_gap=3)
    assert 699 in rows
    assert not np.isin(np.arange(700, 715), rows).any()
    assert np.isin(np.arange(715, 1200), rows).all()


def test_changed_bars_before_a_hole_change_no_window_after_it(market_with_hole: Bars) -> None:
    rows, windows = streamed_windows(market_with_hole, max_gap=3)
    other_rows, other = streamed_windows(scaled(market_with_hole, 700, 1.5), max_gap=3)
    assert_same(rows, other_rows)
    assert_same(windows[rows >= 700], other[rows >= 700])
    assert (windows[rows < 700] != other[rows < 700]).any()
