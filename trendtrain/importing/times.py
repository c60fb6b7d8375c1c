"""Read a column of times, however it is written, as UTC."""

import re
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from trendtrain.importing.zones import Zone, to_utc
from trendtrain.market.bars import BarsError, BoolArray, FloatArray, IntArray, TimeArray

_MOMENT: Final = r"^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?\s?)?"
_OFFSET: Final = r"[Zz]|[+-]\d\d(?::?\d\d)?"
_DOTS: Final = r"^(\d{4})[./](\d\d)[./](\d\d)"
_SLASHES: Final = r"^(?P<first>\d{1,2})/(?P<second>\d{1,2})/(?P<year>\d{4})(?P<clock>.*)$"
# An epoch number tells its unit by its size, from 1973-03-03 on: below, 20240101 would pass for a time of 1970.
_EPOCH_FROM: Final = np.array([1e8, 1e11, 1e14, 1e17, 1e20])
_TICKS_PER_SECOND: Final = np.array([1.0, 1e3, 1e6, 1e9])
_UNITS: Final = ("s", "ms", "us", "ns")
_EARLIEST, _LATEST = np.datetime64("1800", "ms"), np.datetime64("2100", "ms")


class Times(NamedTuple):
    """Times of rows: `utc` as `datetime64[ms]`, and the `rule` by which they became UTC, in words."""

    utc: TimeArray
    rule: str


def read_times(column: pd.Series, zone: Zone) -> Times:
    """Return the times of a column as UTC, in the order of its rows.

    Args:
        column: Datetimes, ISO strings (also 2024.01.31 and 01/31/2024), or epoch numbers in s, ms, us or ns.
        zone: The zone of times that carry none.

    Raises:
        BarsError: If a value is no time of 1800 to 2099, offsets or units differ, or the zone is not known.

    Example:
        >>> read_times(pd.Series(["2024-01-01T02:00+02:00", "2024-01-01T03:00+02:00"], name="Date"), Zone())
        Times(utc=array(['2024-01-01T00:00:00.000', '2024-01-01T01:00:00.000'],
              dtype='datetime64[ms]'), rule='UTC by the offset +02:00')
    """
    times = _read(column, zone)
    _check(column, (times.utc < _EARLIEST) | (times.utc >= _LATEST), "lie in the years 1800 to 2099")
    return times


def _read(column: pd.Series, zone: Zone) -> Times:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _from_datetimes(column, zone)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _from_epochs(column, zone)
    is_text = isinstance(column.dtype, pd.StringDtype) and not column.hasnans
    text = (column if is_text else column.map(str)).str.strip()  # not astype: it leaves missing values as they are
    if re.fullmatch(r"\d+(\.\d*)?", text.iloc[0]):
        return _from_epochs(pd.to_numeric(text, errors="coerce"), zone, text)
    return _from_text(text, zone)


def _from_datetimes(column: pd.Series, zone: Zone) -> Times:
    _check(column, column.isna().to_numpy(), "be a time")
    if column.dt.tz is None:
        return Times(*to_utc(column, column.to_numpy(dtype="datetime64[ms]"), zone))
    zone.refuse("times that carry their zone", str(column.name))
    utc = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[ms]")
    zone_name = str(column.dt.tz)
    return Times(utc, "UTC" if zone_name == "UTC" else f"UTC by the column's zone {zone_name}")


def _from_epochs(numbers: pd.Series, zone: Zone, shown: pd.Series | None = None) -> Times:
    shown = numbers if shown is None else shown
    zone.refuse("epoch numbers, which are UTC", str(numbers.name))
    values: FloatArray = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    unit: IntArray = np.searchsorted(_EPOCH_FROM, values, side="right") - 1
    is_bad = ~((values >= _EPOCH_FROM[0]) & (values < _EPOCH_FROM[-1]))
    _check(shown, is_bad, "be a time: ISO, or an epoch number in s, ms, us or ns from 1973 on")
    _check(shown, unit != unit[0], f"keep the unit of its first value, {shown.iloc[0]}")
    milliseconds: IntArray = np.rint(values * 1e3 / _TICKS_PER_SECOND[unit[0]]).astype(np.int64)
    return Times(milliseconds.astype("datetime64[ms]"), f"UTC, epoch {_UNITS[unit[0]]}")


def _from_text(text: pd.Series, zone: Zone) -> Times:
    shown = text
    if "/" in text.iloc[0][:3]:
        text, zone = _from_slashes(text), zone.without_default()
    elif re.match(_DOTS, text.iloc[0]):
        text = text.str.replace(_DOTS, r"\1-\2-\3", regex=True)
    offsets = text.str.replace(_MOMENT, "", regex=True)  # what is left; few differ, so a regex sees each but once
    known = {offset: _minutes(offset) for offset in offsets.unique()}
    wrong = [offset for offset, minutes in known.items() if minutes is None]
    _check(shown, offsets.isin(wrong).to_numpy(), "be a time: ISO, such as 2024-01-31 12:00")
    own = known[offsets.iloc[0]]
    other = [offset for offset, minutes in known.items() if minutes != own]
    _check(shown, offsets.isin(other).to_numpy(), f"keep the time zone of {shown.iloc[0]}")
    times = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    _check(shown, times.isna().to_numpy(), "be a time of the calendar")
    wall = times.dt.tz_localize(None).to_numpy(dtype="datetime64[ms]")
    if own == "":
        return Times(*to_utc(shown, wall, zone))
    zone.refuse("times that carry an offset", str(text.name))
    return Times(wall, "UTC" if own == 0 else f"UTC by the offset {offsets.iloc[0]}")


def _from_slashes(text: pd.Series) -> pd.Series:
    """Return 01/31/2024 or 31/01/2024 as ISO; a number above 12 tells which."""
    parts = text.str.extract(_SLASHES)
    _check(text, parts["year"].isna().to_numpy(), "be a time: ISO, or such as 01/31/2024 12:00")
    first, second = (parts[name].to_numpy(dtype=np.float64) for name in ("first", "second"))
    is_day_first, is_month_first = bool((first > 12).any()), bool((second > 12).any())
    if is_day_first == is_month_first:
        rule = "show by one number above 12 which is the day"
        raise BarsError(f"`{text.name}` must {rule}, got dates like {text.iloc[0]}; write them as 2024-01-31.", 0)
    day, month = ("first", "second") if is_day_first else ("second", "first")
    iso = parts["year"] + "-" + parts[month].str.zfill(2) + "-" + parts[day].str.zfill(2) + parts["clock"]
    return pd.Series(iso, name=text.name)


def _minutes(offset: str) -> int | str | None:
    """Return the minutes an offset lies east of UTC, "" for none, None for what is no offset."""
    if offset == "":
        return ""
    if re.fullmatch(_OFFSET, offset) is None:
        return None
    if offset in "Zz":
        return 0
    digits = offset[1:].replace(":", "").ljust(4, "0")
    return int(offset[0] + "1") * (60 * int(digits[:2]) + int(digits[2:]))


def _check(column: pd.Series, is_bad: BoolArray, rule: str) -> None:
    if is_bad.any():
        row = int(np.argmax(is_bad))
        raise BarsError(f"`{column.name}` must {rule}, got {column.iloc[row]}.", row)
