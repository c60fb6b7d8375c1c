from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from trendtrain.errors import InputError
from trendtrain.market.timeframe import (
    EPOCH_UNITS,
    Time,
    epoch_units,
    format_timeframe,
    from_epochs,
    is_off_grid,
    normalize_timeframe,
    parse_offset,
    parse_timeframe,
    to_milliseconds,
)

EXPECTED = 1_704_067_200_000


@pytest.mark.parametrize(
    "time",
    [
        "2024-01-01",
        "2024-01-01T00:00:00Z",
        " 2024-01-01 01:00+01:00 ",
        np.datetime64("2024-01-01"),
        datetime(2024, 1, 1),
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_every_way_to_write_a_time_means_utc(time: Time) -> None:
    assert to_milliseconds("start", time) == EXPECTED


def test_text_that_is_no_time_is_refused() -> None:
    with pytest.raises(InputError, match=r"`start` must be an ISO time such as .*, got 'yesterday'"):
        to_milliseconds("start", "yesterday")


def test_nat_is_refused() -> None:
    with pytest.raises(InputError, match="`end` must be a time, got NaT"):
        to_milliseconds("end", np.datetime64("NaT", "ms"))


@pytest.mark.parametrize("unit", range(4))
def test_an_epoch_number_tells_its_unit_and_its_time(unit: int) -> None:
    numbers = np.array([EXPECTED / 1000 + 1]) * 1000.0**unit
    assert epoch_units(numbers).tolist() == [unit]
    assert from_epochs(numbers, unit)[0] == np.datetime64("2024-01-01T00:00:01")
    assert EPOCH_UNITS[unit] == ("s", "ms", "us", "ns")[unit]


@pytest.mark.parametrize("number", [0.0, -1.7e9, 20240101.0, 99_999_999.0, 1e20, np.nan, np.inf, -np.inf])
def test_a_number_of_no_size_of_an_epoch_has_no_unit(number: float) -> None:
    assert epoch_units(np.array([number])).tolist() == [-1]


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("Z", 0), ("z", 0), ("+00", 0), ("-00", 0), ("+02", 120), ("+0200", 120), ("-05:00", -300), ("+05:45", 345)],
)
def test_an_offset_is_minutes_east_of_utc(text: str, minutes: int) -> None:
    assert parse_offset(text) == minutes


@pytest.mark.parametrize("text", ["", "UTC", "+2", "+02:0", "02:00", "Z+02", "+02Z", "+02:00 ", "ZZ"])
def test_what_is_no_offset_is_none(text: str) -> None:
    assert parse_offset(text) is None


@pytest.mark.parametrize("digits", [21, 5000])
def test_a_count_too_long_for_a_number_is_refused(digits: int) -> None:
    with pytest.raises(InputError, match=r"`timeframe` must look like 1s, 5m, 1h, 1d or 1w, got '9"):
        parse_timeframe("9" * digits + "d")


def test_a_week_is_seven_days() -> None:
    assert format_timeframe(parse_timeframe("2w")) == "14d"


@pytest.mark.parametrize("parse", [parse_timeframe, normalize_timeframe])
def test_the_longest_timeframe_is_three_hundred_years(parse: object) -> None:
    assert callable(parse)
    assert parse("109573d")


@pytest.mark.parametrize("parse", [parse_timeframe, normalize_timeframe])
@pytest.mark.parametrize("text", ["109574d", "99999999999999999999d"])
def test_a_timeframe_longer_than_any_market_is_refused(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(InputError, match=f"`timeframe` must be at most 300 years, got '{text}'"):
        parse(text)


TIMEFRAMES = {
    "1m": "1m|1min|1Min|1minute|1T|1 min|m",
    "15m": "15m|15min|15",
    "1h": "1h|1H|60|60m|60min|1hour|1hr|h|3600s",
    "4h": "4h|4H|240",
    "1d": "1d|1D|D|day|1440|24h",
    "7d": "1w|1W|w",
    "30s": "30s|30sec",
}


@pytest.mark.parametrize(("expected", "texts"), TIMEFRAMES.items())
def test_a_timeframe_may_be_spelled_in_many_ways(expected: str, texts: str) -> None:
    assert {normalize_timeframe(text) for text in texts.split("|")} == {expected}


@pytest.mark.parametrize("text", ["", "1M", "M", "x", "5x", "0m", "-5m", "1.5h", "m5", "1m_old", "9" * 99, None])
def test_no_spelling_of_a_timeframe_is_refused(text: object) -> None:
    with pytest.raises(InputError, match="`timeframe` must look like 1s, 5m, 1min"):
        normalize_timeframe(text)


@pytest.mark.parametrize(
    ("minutes", "timeframe", "off"),
    [
        ([0, 60, 120, 227], "1h", [3]),
        ([0, 60, 167, 240, 300], "1h", [2]),
        ([0, 60, 167, 240], "1h", [2]),
        ([-73, 0, 60], "1h", [0]),
        ([0, 60, 150, 260], "1h", [2, 3]),
        ([0, 107], "1h", [1]),
        ([0, 60, 600, 1200], "1h", []),
        ([0, 240, 480, 780, 1020], "4h", []),  # a clock change moves bars by an hour
        ([0, 240, 480, 660, 900], "4h", []),
        ([0, 240, 480, 751], "4h", [3]),
        ([0, 30, 90, 150, 210], "30m", []),
        ([0, 30, 90, 155], "30m", [3]),
        ([0, 60, 120, 230, 290, 350], "1h", []),  # three bars that fit each other are a grid
        ([7], "1h", []),
        ([], "1h", []),
    ],
)
def test_a_bar_that_fits_no_neighbour_is_off_the_grid(minutes: list[int], timeframe: str, off: list[int]) -> None:
    times = np.array(minutes, "datetime64[m]").astype("datetime64[ms]")
    assert np.flatnonzero(is_off_grid(times, parse_timeframe(timeframe))).tolist() == off
