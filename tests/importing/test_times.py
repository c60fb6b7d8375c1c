from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.errors import InputError
from trendtrain.importing.times import Zone, check_timezone, read_times
from trendtrain.market.bars import BarsError

ZONES = ("EET", "America/New_York", "America/Chicago", "Asia/Kolkata", "Australia/Lord_Howe")


def column(*times: object) -> pd.Series:
    return pd.Series(list(times), name="time")


def utc(*times: str) -> np.ndarray:
    return np.array(times, "datetime64[ms]")


@given(st.sampled_from(ZONES), st.datetimes(datetime(1996, 1, 1), datetime(2030, 1, 1)), st.booleans())
def test_wall_clocks_become_utc_whatever_the_season(zone: str, start: datetime, is_newest_first: bool) -> None:
    start = start.replace(second=0, microsecond=0)
    moments = [start + timedelta(minutes=15 * i) for i in range(200)]
    walls = [
        moment.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in moments
    ]
    if walls[0].replace(tzinfo=ZoneInfo(zone)).utcoffset() != walls[-1].replace(tzinfo=ZoneInfo(zone)).utcoffset():
        return  # a stretch that starts or ends in the double hour cannot be told: see below
    text = [wall.strftime("%Y-%m-%d %H:%M") for wall in walls]
    order = slice(None, None, -1 if is_newest_first else 1)
    times = read_times(column(*text[order]), Zone(zone))
    np.testing.assert_array_equal(times.utc, np.array(moments, "datetime64[ms]")[order])


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("zone", "start", "is_forward"),
    [
        ("EET", "2024-03-30T22:00", True),
        ("EET", "2024-10-26T22:00", False),
        ("America/New_York", "2024-03-10T05:00", True),
        ("America/New_York", "2024-11-03T03:00", False),
    ],
)
def test_every_moment_of_a_change_of_clocks_is_told(zone: str, start: str, is_forward: bool, order: int) -> None:
    moments = np.datetime64(start, "ms") + np.arange(40) * np.timedelta64(15, "m")
    wall = pd.DatetimeIndex(moments).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    assert wall.has_duplicates != is_forward
    times = read_times(column(*wall.strftime("%Y.%m.%d %H:%M")[::order]), Zone(None, zone))
    np.testing.assert_array_equal(times.utc, moments[::order])


def test_an_hour_that_clocks_left_out_is_refused() -> None:
    with pytest.raises(BarsError, match="`time` must exist on the clocks of EET, got 2024-03-31 03:30") as caught:
        read_times(column("2024-03-31 02:30", "2024-03-31 03:30"), Zone("EET"))
    assert caught.value.row == 1


@pytest.mark.parametrize(("order", "row"), [(1, 1), (-1, 0)])
def test_an_hour_that_came_twice_and_stands_once_is_refused(order: int, row: int) -> None:
    text = ["2024-10-27 02:30", "2024-10-27 03:30"][::order]
    message = "`time` must say which of two it is: the clocks of EET went back then, got 2024-10-27 03:30"
    with pytest.raises(BarsError, match=message) as caught:
        read_times(column(*text), Zone("EET"))
    assert caught.value.row == row


def test_dates_are_no_moments_and_stay_unless_a_zone_is_given() -> None:
    dates = column("2024.01.01", "2024.01.02")
    assert read_times(dates, Zone(None, "EET")).rule == "dates, taken as UTC days"
    np.testing.assert_array_equal(read_times(dates, Zone(None, "EET")).utc, utc("2024-01-01", "2024-01-02"))
    np.testing.assert_array_equal(read_times(dates, Zone("EET")).utc, utc("2023-12-31T22:00", "2024-01-01T22:00"))


@pytest.mark.parametrize(
    ("times", "rule"),
    [
        (["2024-01-01 12:00"], "taken as UTC, as none is written"),
        (["2024-01-01 12:00Z"], "UTC"),
        (["2024-01-01 12:00+02:00"], "UTC by the offset +02:00"),
        ([1_704_067_200_000], "UTC, epoch ms"),
        ([1_704_067_200], "UTC, epoch s"),
        ([pd.Timestamp("2024-01-01 12:00", tz="EET")], "UTC by the column's zone EET"),
        ([pd.Timestamp("2024-01-01 12:00", tz="UTC")], "UTC"),
        ([pd.Timestamp("2024-01-01 12:00")], "taken as UTC, as none is written"),
    ],
)
def test_the_rule_by_which_times_became_utc_is_said(times: list[object], rule: str) -> None:
    assert read_times(column(*times), Zone()).rule == rule


@pytest.mark.parametrize(
    "times", [["2024-01-01 12:00Z"], [1_704_067_200], [pd.Timestamp("2024-01-01 12:00", tz="EET")]]
)
def test_a_zone_for_times_that_have_one_is_refused(times: list[object]) -> None:
    with pytest.raises(BarsError, match=r"`timezone` must be left out for .* \(`time`\), got EET"):
        read_times(column(*times), Zone("EET"))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["01/02/2024 08:30", "01/13/2024 08:30"], ["2024-01-02T08:30", "2024-01-13T08:30"]),
        (["2/1/2024 08:30", "13/1/2024 08:30"], ["2024-01-02T08:30", "2024-01-13T08:30"]),
        (["2024/01/02 08:30", "2024.01.13 08:30:15"], ["2024-01-02T08:30", "2024-01-13T08:30:15"]),
    ],
)
def test_a_number_above_twelve_tells_the_day(times: list[str], expected: list[str]) -> None:
    np.testing.assert_array_equal(read_times(column(*times), Zone("UTC")).utc, utc(*expected))


@pytest.mark.parametrize("times", [["01/02/2024 08:30"], ["01/13/2024 08:30", "13/01/2024 08:30"]])
def test_a_date_of_which_the_day_cannot_be_told_is_refused(times: list[str]) -> None:
    with pytest.raises(BarsError, match="`time` must show by one number above 12 which is the day, got dates like 01/"):
        read_times(column(*times), Zone("UTC"))


def test_local_times_need_a_zone_but_local_dates_do_not() -> None:
    message = "`timezone` must say the zone of times in a local form, .*got none for 01/13/2024 08:30 \\(`time`\\)"
    with pytest.raises(BarsError, match=message):
        read_times(column("01/13/2024 08:30"), Zone())
    np.testing.assert_array_equal(
        read_times(column("01/13/2024", "01/14/2024"), Zone()).utc, utc("2024-01-13", "2024-01-14")
    )


def test_one_offset_may_be_written_in_several_ways() -> None:
    times = read_times(column("2024-01-01 02:00+02", "2024-01-01T03:00:00 +0200", "2024-01-01 04:00+02:00"), Zone())
    np.testing.assert_array_equal(times.utc, utc("2024-01-01T00:00", "2024-01-01T01:00", "2024-01-01T02:00"))


def test_each_row_has_its_own_offset() -> None:
    new_york = column("2024-03-08T16:00:00-05:00", "2024-03-11T09:30:00-04:00", "2024-03-12 01:00:00Z")
    times = read_times(new_york, Zone())
    np.testing.assert_array_equal(times.utc, utc("2024-03-08T21:00", "2024-03-11T13:30", "2024-03-12T01:00"))
    assert times.rule == "UTC by the offset of each row"


@pytest.mark.parametrize("time", ["1799-12-31 00:00", "2100-01-01 00:00", 9_999_999_999])
def test_times_of_no_market_are_refused(time: object) -> None:
    with pytest.raises(BarsError, match="`time` must lie in the years 1800 to 2099"):
        read_times(column(time), Zone())


@pytest.mark.parametrize(
    "times",
    [
        [1_704_067_200, 1_704_067_260_000],
        [1_704_067_200_000, 1_704_067_260],
        [1_704_067_200_000, 1_704_067_260_000_000],
        [1_704_067_200_000_000_000, 1_704_067_260_000_000],
        [1_704_067_200, 60],
        [1_704_067_200, -1_704_067_260],
        [1_704_067_200, np.nan],
        [1_704_067_200.0, np.inf],
    ],
)
def test_epochs_of_mixed_units_are_refused(times: list[float]) -> None:
    with pytest.raises(BarsError, match=r"`time` must (keep the unit of its first value|be a time)") as caught:
        read_times(column(*times), Zone())
    assert caught.value.row == 1


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc", "Europe/"])
def test_a_zone_that_does_not_exist_is_refused(zone: str) -> None:
    with pytest.raises(InputError, match="`timezone` must name a time zone, such as UTC, EET or America/New_York"):
        check_timezone(zone)
