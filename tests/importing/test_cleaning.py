from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.importing.cleaning import Findings, clean
from trendtrain.importing.raw_bars import RawBars
from trendtrain.market.bars import Bars, BarsError

VALUES = ("open", "high", "low", "close", "volume")
MINUTE = np.timedelta64(1, "m")
Row = tuple[int, float, float, float, float, float]


def raw_of(rows: list[Row]) -> RawBars:
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 6).T
    time = np.datetime64("2024-01-01", "ms") + columns[0].astype(np.int64) * MINUTE
    return RawBars(time, *columns[1:], time_rule="UTC")  # type: ignore[arg-type]


def sound(minute: int, close: float = 1.0, volume: float = 1.0) -> Row:
    return (minute, close, close + 1, close / 2, close, volume)


def is_sound(row: Row) -> bool:
    minute, *values = row
    time = np.datetime64("2024-01-01", "ms") + minute * MINUTE
    try:
        Bars(np.array([time]), *(np.array([value]) for value in values), MINUTE)  # type: ignore[arg-type]
    except BarsError:
        return False
    return True


def clean_slowly(rows: list[Row]) -> tuple[list[Row], dict[str, int]]:
    """Return what is kept, row by row, and the counts."""
    kept: dict[int, Row] = {}
    dropped: list[Row] = []
    n_broken = 0
    for row in rows:
        if not is_sound(row):
            n_broken += 1
            continue
        if row[0] in kept:
            dropped.append(kept[row[0]])
        kept[row[0]] = row
    n_conflicts = sum(str(row) != str(kept[row[0]]) for row in dropped)
    counts = {"n_broken": n_broken, "n_conflicts": n_conflicts, "n_duplicates": len(dropped) - n_conflicts}
    return [kept[minute] for minute in sorted(kept)], counts


numbers = st.sampled_from([1.0, 2.0, 3.0, 0.0, -1.0, np.inf, 0.5])
rows_of_any_kind = st.lists(
    st.one_of(
        st.builds(sound, st.integers(0, 6), st.sampled_from([1.0, 2.0]), st.sampled_from([1.0, np.nan])),
        st.tuples(st.integers(0, 6), numbers, numbers, numbers, numbers, numbers | st.just(np.nan)),
    ),
    max_size=12,
)


@given(rows_of_any_kind)
def test_cleaning_equals_keeping_the_last_sound_row_of_each_time(rows: list[Row]) -> None:
    if rows and all(row[5] == 0 for row in rows):
        return  # volume 0 everywhere has its own rule
    cleaned, found = clean(raw_of(rows))
    kept, counts = clean_slowly(rows)
    expected = raw_of(kept)
    for name in ("open_time", *VALUES):
        np.testing.assert_array_equal(getattr(cleaned, name), getattr(expected, name))
    assert {name: getattr(found, name) for name in counts} == counts
    assert found.n_rows == len(cleaned.open_time) + sum(counts.values())


@pytest.mark.parametrize("column", range(1, 6))
@pytest.mark.parametrize("value", [0.0, -1.0, 0.25, 50.0, np.inf, -np.inf])
def test_a_row_is_left_out_exactly_where_bars_would_refuse_it(column: int, value: float) -> None:
    row = list(sound(1))
    row[column] = value
    bad: Any = tuple(row)
    found = clean(raw_of([sound(0), bad, sound(2)]))[1]
    assert found.n_broken == (not is_sound(bad))
    assert found.first_fault is None or found.first_fault.row == 1


@given(rows_of_any_kind)
def test_what_is_cleaned_are_bars(rows: list[Row]) -> None:
    cleaned, _ = clean(raw_of(rows))
    bars = Bars(cleaned.open_time, *(getattr(cleaned, name) for name in VALUES), MINUTE)  # type: ignore[arg-type]
    assert len(bars) == len(cleaned.open_time)


@given(rows_of_any_kind)
def test_a_fault_is_named_exactly_where_something_is_wrong(rows: list[Row]) -> None:
    _, found = clean(raw_of(rows))
    assert (found.first_fault is not None) == (found.n_broken + found.n_conflicts + found.n_unordered > 0)
    if found.first_fault is not None:
        assert found.first_fault.row in range(len(rows))


@given(st.lists(st.integers(0, 50), min_size=2, unique=True))
def test_bars_the_newest_first_are_turned_without_a_fault(minutes: list[int]) -> None:
    rows = [sound(minute) for minute in sorted(minutes, reverse=True)]
    cleaned, found = clean(raw_of(rows))
    assert found == Findings(len(rows), is_newest_first=True)
    np.testing.assert_array_equal(cleaned.open_time, raw_of(rows[::-1]).open_time)


def test_the_last_row_of_a_time_counts_whichever_way_a_file_runs() -> None:
    rows = [sound(0, 1.0), sound(0, 2.0), sound(1, 3.0)]
    assert clean(raw_of(rows))[0].close.tolist() == [2.0, 3.0]
    assert clean(raw_of(rows[::-1]))[0].close.tolist() == [1.0, 3.0]


def test_few_rows_out_of_order_are_counted_in_the_direction_of_the_file() -> None:
    found = clean(raw_of([sound(minute) for minute in (9, 8, 3, 6, 5, 4)]))[1]
    assert (found.is_newest_first, found.n_unordered) == (True, 1)
    assert str(found.first_fault) == (
        "times must be sorted, the newest first, got 2024-01-01T00:06:00.000 after 2024-01-01T00:03:00.000."
    )
    assert found.first_fault is not None
    assert found.first_fault.row == 3


@pytest.mark.parametrize(
    ("volumes", "moved", "expected"),
    [
        ([0.0, 0.0], True, [np.nan, np.nan]),
        ([0.0, 0.0], False, [0.0, 0.0]),
        ([0.0, 1.0], True, [0.0, 1.0]),
        ([0.0, np.nan], True, [0.0, np.nan]),
    ],
)
def test_constant_zero_volume_where_prices_moved_was_not_supplied(
    volumes: list[float], moved: bool, expected: list[float]
) -> None:
    rows: list[Any] = [(minute, 1.0, 2.0 if moved else 1.0, 1.0, 1.0, volume) for minute, volume in enumerate(volumes)]
    cleaned, found = clean(raw_of(rows))
    np.testing.assert_array_equal(cleaned.volume, expected)
    assert found == Findings(2)
    assert cleaned.volume_rule == ("0 in every bar" if np.isnan(expected).all() else "")


def test_clean_rows_are_handed_on_without_a_copy() -> None:
    raw = raw_of([sound(0), sound(1)])
    assert clean(raw)[0] is raw
    assert clean(replace(raw, symbol="A"))[0].symbol == "A"
