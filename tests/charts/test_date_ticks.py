import numpy as np
import pytest

from trendtrain.charts.date_ticks import date_ticks
from trendtrain.market.bars import TimeArray


def times(start: str, n: int, step: int, unit: str) -> TimeArray:
    return np.datetime64(start, "ms") + np.arange(n) * np.timedelta64(step, unit).astype("timedelta64[ms]")


def test_a_day_of_hours_is_told_by_hours() -> None:
    bars, texts = date_ticks(times("2024-03-01T22:00", 24, 1, "h"))
    assert bars.tolist() == [2, 5, 8, 11, 14, 17, 20, 23]
    assert texts[:2] == ["00:00\n02 Mar 2024", "03:00"]


def test_a_new_day_is_told_where_it_begins() -> None:
    _, texts = date_ticks(times("2024-03-01T09:00", 30, 1, "h"), most=6)
    assert texts == ["12:00\n01 Mar 2024", "18:00", "00:00\n02 Mar 2024", "06:00", "12:00"]


def test_a_night_without_bars_takes_no_room() -> None:
    day = times("2024-03-01T20:00", 60, 1, "m")
    bars, texts = date_ticks(np.concatenate([day, day + np.timedelta64(65, "h")]), most=10)
    assert 60 in bars  # the first bar of the next day
    assert "13:00\n04 Mar 2024" in texts
    assert len(bars) <= 10


@pytest.mark.parametrize(
    ("step", "unit", "n"),
    [(1, "s", 3000), (1, "m", 300), (5, "m", 2), (1, "h", 300), (1, "D", 300), (1, "D", 3000), (7, "D", 3000)],
)
def test_ticks_are_few_and_open_new_stretches(step: int, unit: str, n: int) -> None:
    bars, texts = date_ticks(times("1980-01-03T03:07:09", n, step, unit))
    assert 1 <= len(bars) <= 12
    assert len(bars) == len(texts)
    assert bars.min() >= 0
    assert bars.max() < n
    assert (np.diff(bars) > 0).all()
    if n >= 300:
        assert len(bars) >= 4


def test_years_stand_alone() -> None:
    _, texts = date_ticks(times("2007-01-01", 1800, 1, "D"), most=5)
    assert texts == ["2008", "2009", "2010", "2011"]


def test_one_bar_has_its_date() -> None:
    bars, texts = date_ticks(times("2024-03-01T22:00", 1, 1, "h"))
    assert bars.tolist() == [0]
    assert "01 Mar 2024" in texts[0] or texts[0].startswith("2024")
