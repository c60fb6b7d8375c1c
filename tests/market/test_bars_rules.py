"""Bars that break a rule are refused, naming the column, the rule, the values and the row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from generated import MINUTE, START, some_bars
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.errors import InputError
from trendtrain.market import Bars, BarsError, find_pivots, label_bars
from trendtrain.market.timeframe import format_timeframe, parse_timeframe


def good_columns() -> dict[str, Any]:
    return {
        "open_time": START + np.arange(3) * MINUTE,
        "open": np.array([10.0, 11.0, 12.0]),
        "high": np.array([12.0, 13.0, 14.0]),
        "low": np.array([9.0, 10.0, 11.0]),
        "close": np.array([11.0, 12.0, 13.0]),
        "volume": np.array([1.0, 0.0, np.nan]),
        "timeframe": MINUTE,
    }


def with_value(name: str, row: int, value: Any) -> dict[str, Any]:
    columns = good_columns()
    columns[name][row] = value
    return columns


def test_good_columns_make_bars() -> None:
    assert len(Bars(**good_columns())) == 3


def test_a_timeframe_may_be_text() -> None:
    assert Bars(**good_columns() | {"timeframe": "1m"}).timeframe == MINUTE


@pytest.mark.parametrize(
    ("timeframe", "message"),
    [
        ("1x", "`timeframe` must look like 1s, 5m, 1h, 1d or 1w, got '1x'"),
        (60, "`timeframe` must be text such as 1h, or a timedelta, got 60"),
    ],
)
def test_another_timeframe_is_refused(timeframe: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Bars(**good_columns() | {"timeframe": timeframe})


@pytest.mark.parametrize("label", [label_bars, find_pivots])
def test_what_is_no_bars_is_told_how_to_become_some(label: Callable[..., object]) -> None:
    frame = Bars(**good_columns()).to_dataframe()
    with pytest.raises(InputError, match=r"`bars` must be Bars \(Bars.from_dataframe makes them\), got DataFrame"):
        label(frame)


PRICE_RULES = [
    *((name, np.nan, f"`{name}` must be finite") for name in ("open", "high", "low", "close")),
    *((name, np.inf, f"`{name}` must be finite") for name in ("open", "high", "low", "close")),
    *((name, 0.0, f"`{name}` must be positive") for name in ("open", "high", "low", "close")),
    *((name, -1.0, f"`{name}` must be positive") for name in ("open", "high", "low", "close")),
    ("high", 9.5, "`high` must be at least `low`"),
    ("high", 11.5, "`high` must be at least `open` and `close`"),
    ("low", 11.5, "`low` must be at most `open` and `close`"),
    ("open", 13.5, "`high` must be at least `open` and `close`"),
    ("close", 9.5, "`low` must be at most `open` and `close`"),
    ("volume", np.inf, "`volume` must be finite, or NaN where not supplied"),
    ("volume", -1.0, "`volume` must be at least 0"),
]


@pytest.mark.parametrize(("name", "value", "message"), PRICE_RULES)
def test_a_bad_value_is_refused_with_its_rule_and_row(name: str, value: float, message: str) -> None:
    with pytest.raises(BarsError, match=rf"^{message}, got open .* at row 1\.$") as caught:
        Bars(**with_value(name, 1, value))
    assert caught.value.row == 1


def test_the_first_bar_that_breaks_any_rule_is_named() -> None:
    columns = with_value("volume", 1, -1.0)
    columns["open"][2] = np.nan
    with pytest.raises(BarsError, match=r"^`volume` must be at least 0, got .* at row 1\.$"):
        Bars(**columns)


def test_the_message_shows_the_offending_bar() -> None:
    with pytest.raises(BarsError, match=r"got open 11, high 9\.5, low 10, close 12, volume 0 at row 1"):
        Bars(**with_value("high", 1, 9.5))


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "volume"])
def test_a_column_of_another_length_is_refused(name: str) -> None:
    columns = good_columns()
    columns[name] = columns[name][:2]
    with pytest.raises(BarsError, match=rf"`{name}` must have shape \(3,\) like `open_time`, got \(2,\)") as caught:
        Bars(**columns)
    assert caught.value.row is None


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (START + 0 * MINUTE, r"`open_time` must hold each time once, got 2024-01-01T00:00:00\.000 again at row 1"),
        (START - MINUTE, r"`open_time` must be sorted, got 2023-12-31T23:59.* after 2024-01-01T00:00.* at row 1"),
        (
            START + np.timedelta64(30, "s"),
            r"at least one timeframe \(1m\) apart, got .*00:00:00\.000 then .*00:00:30.* at row 1",
        ),
        (np.datetime64("NaT", "ms"), r"`open_time` must be a time, got none at row 1"),
    ],
)
def test_a_bad_time_is_refused_with_its_rule_and_row(time: np.datetime64, message: str) -> None:
    with pytest.raises(BarsError, match=message) as caught:
        Bars(**with_value("open_time", 1, time))
    assert caught.value.row == 1


@pytest.mark.parametrize("timeframe", [np.timedelta64(0, "m"), np.timedelta64(-1, "m"), np.timedelta64(1500, "ms")])
def test_a_timeframe_that_is_no_whole_number_of_seconds_is_refused(timeframe: np.timedelta64) -> None:
    with pytest.raises(InputError, match="`timeframe` must be a positive whole number of seconds, got"):
        Bars(**{**good_columns(), "timeframe": timeframe})


@pytest.mark.parametrize("text", ["", "m", "0m", "5", "5M", "1.5h", "-1m", " 5m", "5m "])
def test_a_timeframe_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="`timeframe` must look like 1s, 5m, 1h, 1d or 1w, got"):
        parse_timeframe(text)


@pytest.mark.parametrize("text", ["1s", "90s", "5m", "1h", "4h", "1d", "7d"])
def test_a_timeframe_reads_back_as_written(text: str) -> None:
    assert format_timeframe(parse_timeframe(text)) == text


def test_no_bars_are_bars() -> None:
    bars = Bars(**good_columns())[:0]
    assert (len(bars), len(bars.close_time)) == (0, 0)


def test_a_bar_is_known_one_timeframe_after_its_open() -> None:
    assert Bars(**good_columns()).close_time[0] == START + MINUTE


@given(some_bars())
def test_slices_join_to_the_whole(bars: Bars) -> None:
    half = len(bars) // 2
    joined = np.concatenate([bars[:half].close, bars[half:].close])
    assert joined.tobytes() == bars.close.tobytes()
    assert bars[half:].timeframe == bars.timeframe


GOOD_ROW = st.sampled_from([(2.0, 3.0, 1.0, 2.0, 0.0), (2.0, 2.0, 2.0, 2.0, np.nan), (1.0, 3.0, 1.0, 3.0, 1.0)])


@given(
    rows=st.lists(GOOD_ROW, max_size=5),
    good=GOOD_ROW,
    column=st.integers(0, 4),
    value=st.sampled_from([np.nan, np.inf, -1.0, 0.0, 1.0, 2.0, 3.0]),
    at_once=st.integers(1, 4),
)
def test_bars_are_made_where_every_bar_keeps_the_rules(
    rows: list[tuple[float, ...]], good: tuple[float, ...], column: int, value: float, at_once: int
) -> None:
    last = (*good[:column], value, *good[column + 1 :])
    first, high, low, close, volume = last
    is_price = all(0 < price < np.inf for price in (first, high, low, close))
    is_volume = not (volume < 0 or volume == np.inf)
    is_good = is_price and is_volume and low <= min(first, close) and max(first, close) <= high
    time = START + np.arange(len(rows) + 1) * MINUTE
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trendtrain.market.bars._AT_ONCE", at_once)
        if is_good:
            assert len(Bars(time, *np.array([*rows, last]).T, MINUTE)) == len(rows) + 1
        else:
            with pytest.raises(BarsError, match=f"at row {len(rows)}"):
                Bars(time, *np.array([*rows, last]).T, MINUTE)
