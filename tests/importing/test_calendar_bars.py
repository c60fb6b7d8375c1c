"""Bars that a calendar cuts: weeks that end on their last trading day, hours that clocks skip, local midnights."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from trendtrain.errors import InputError
from trendtrain.importing import ReadOptions, find_files, import_files, read_bars
from trendtrain.importing.files import infer_timeframe
from trendtrain.importing.quality import describe
from trendtrain.market.bars import BarsError
from trendtrain.market.timeframe import format_timeframe, is_off_grid, parse_timeframe, shortest_step
from trendtrain.storage import BarStore

ZONES = ("EET", "America/New_York", "Europe/London", "Australia/Sydney", "America/Sao_Paulo")


def write(path: Path, times: pd.DatetimeIndex) -> Path:
    """Write rising bars at these times, local ones without their zone."""
    close = np.asarray(times.day_of_year + times.hour / 32 + 10, np.float64)
    prices = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 1}
    table = pd.DataFrame({"date": times, **prices})
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


def utc(times: pd.DatetimeIndex) -> np.ndarray:
    return times.tz_convert("UTC").tz_localize(None).to_numpy("datetime64[ms]")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("timeframe", ["2h", "4h", "6h", "8h", "12h", "1d", "1w"])
def test_bars_of_a_local_clock_are_read_without_a_timeframe(tmp_path: Path, zone: str, timeframe: str) -> None:
    freq = {"1d": "D", "1w": "W-MON"}.get(timeframe, timeframe)
    local = pd.date_range("2017-01-01", "2018-12-31", freq=freq)  # on the clock's hours, as charts draw them
    times = local.tz_localize(zone, nonexistent="NaT", ambiguous="NaT").dropna()
    path = write(tmp_path / "A.parquet", times)
    series, bars = read_bars(path)
    assert series.timeframe == format_timeframe(parse_timeframe(timeframe))
    np.testing.assert_array_equal(bars.open_time, utc(times))
    assert read_bars(path, timeframe=timeframe)[1].open_time.tolist() == bars.open_time.tolist()
    assert 0 <= describe(series, bars).n_missing <= 6  # those that the clocks skipped


def test_four_hours_in_a_brokers_zone_are_read_in_every_march(tmp_path: Path) -> None:
    local = pd.date_range("2020-01-01", "2023-12-31", freq="4h")
    path = write(tmp_path / "EURUSD_4h.csv", local)
    bars = read_bars(path, timezone="EET")[1]
    np.testing.assert_array_equal(bars.open_time, utc(local.tz_localize("EET")))
    assert set(np.diff(bars.open_time) / np.timedelta64(1, "h")) == {3, 4, 5}


FRIDAYS = pd.date_range("2023-01-06", "2023-12-29", freq="W-FRI")


def holiday(times: pd.DatetimeIndex, *rows: int, days: int) -> pd.DatetimeIndex:
    moved = times.to_series()
    moved.iloc[list(rows)] += pd.Timedelta(days=days)
    return pd.DatetimeIndex(moved)


WEEKS = {
    "last trading day": holiday(FRIDAYS, 13, 20, days=-1),
    "first trading day": holiday(FRIDAYS - pd.Timedelta(days=4), 2, 7, 21, days=1),
    "months": pd.date_range("2020-01-01", periods=24, freq="MS"),
    "ends of months": pd.date_range("2020-01-31", periods=24, freq="BME"),
}


@pytest.mark.parametrize("name", WEEKS)
def test_weeks_and_months_are_read_with_a_timeframe_that_the_error_before_advised(
    engine: Engine, tmp_path: Path, name: str
) -> None:
    path = write(tmp_path / "A.csv", WEEKS[name])
    with pytest.raises(InputError, match="the smallest difference of times must be the commonest") as caught:
        read_bars(path)
    advised = str(caught.value).rpartition("give `--timeframe ")[2].partition("`")[0]
    assert advised == {"months": "31d", "ends of months": "30d"}.get(name, "7d")
    series, bars = read_bars(path, timeframe=advised)
    np.testing.assert_array_equal(bars.open_time, WEEKS[name].to_numpy("datetime64[ms]"))
    options, store = ReadOptions(timeframe=advised), BarStore(engine)
    for part in (slice(0, 14), slice(8, None), slice(None)):  # later files overlap, or start right after a short week
        file = write(tmp_path / "A.csv", WEEKS[name][part])
        import_files(store, find_files(file), options, may_replace=False)
    np.testing.assert_array_equal(store.load(*series).open_time, bars.open_time)


def test_a_quote_in_the_week_that_runs_is_off_the_grid(tmp_path: Path) -> None:
    quotes = ("2024-01-03 16:47:32", "2024-01-04", "2024-01-05 09:30")
    for quote in quotes:
        times = (FRIDAYS - pd.Timedelta(days=4)).append(pd.DatetimeIndex(["2024-01-01", quote]))
        with pytest.raises(InputError, match=r"data row 54: .*(whole number of timeframes|at least one timeframe)"):
            read_bars(write(tmp_path / "A.csv", times), timeframe="1w")


def test_days_cut_by_more_than_an_hour_are_refused_with_a_timeframe_too(tmp_path: Path) -> None:
    times = pd.date_range("2024-01-01 21:00", periods=20, freq="D").to_series()
    times.iloc[9] -= pd.Timedelta(hours=3)
    path = write(tmp_path / "A.csv", pd.DatetimeIndex(times))
    with pytest.raises(
        InputError, match=r"got 21h, but 1d is commoner, and .* alone lies off its grid; remove that row"
    ):
        read_bars(path)
    with pytest.raises(InputError, match=r"at least one timeframe \(1d\) apart"):
        read_bars(path, timeframe="1d")


def test_hours_cut_more_often_than_clocks_change_are_no_calendar(tmp_path: Path) -> None:
    times = [
        start + pd.Timedelta(hours=h) for start in pd.date_range("2024-01-01", periods=9) for h in (0, 4, 8, 11, 15)
    ]
    with pytest.raises(InputError, match="got 3h, but 4h is commoner; give `--timeframe 4h`"):
        read_bars(path := write(tmp_path / "A.csv", pd.DatetimeIndex(times)))
    assert len(read_bars(path, timeframe="4h")[1]) == 45


@given(steps=st.lists(st.sampled_from([60, 120, 180, 240, 300, 1380, 1440, 8640, 10080, 90]), min_size=1, max_size=30))
def test_what_an_error_advises_is_never_refused_next(steps: list[int]) -> None:
    times = (np.datetime64("2024-01-01", "m") + np.cumsum(steps)).astype("datetime64[ms]")
    named = parse_timeframe("4h")
    for name in (None, named):
        try:
            infer_timeframe(times, name)
        except BarsError as error:
            advised = str(error).rpartition("give `--timeframe ")[2].partition("`")[0]
            if "give `--timeframe " in str(error) and len(times) > 1:
                assert (np.diff(times) >= shortest_step(parse_timeframe(advised))).all()
                assert name is None or parse_timeframe(advised) == name


@given(st.lists(st.integers(1, 7), min_size=2, max_size=40), st.sampled_from(["7d", "14d", "30d"]))
def test_calendar_bars_but_the_last_lie_on_the_grid_of_days(days: list[int], timeframe: str) -> None:
    times = (np.datetime64("2024-01-01") + np.cumsum(days)).astype("datetime64[ms]")
    assert not is_off_grid(times, parse_timeframe(timeframe))[:-1].any()


@pytest.mark.parametrize("step", ["500 ms", "1500 ms", "2500 ms"])
def test_steps_of_half_seconds_advise_what_is_read(tmp_path: Path, step: str) -> None:
    times = pd.date_range("2024-01-01", periods=5, freq=step.replace(" ", ""))
    path = write(tmp_path / "A.csv", times)
    with pytest.raises(InputError, match=f"whole seconds apart, got {step}") as caught:
        read_bars(path)
    if "give" in str(caught.value):
        assert len(read_bars(path, timeframe="1s")[1]) == 5
    assert ("give" in str(caught.value)) == (step != "500 ms")
