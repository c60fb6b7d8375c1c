"""Read a column of times, however it is written, as UTC."""

import re
from typing import Final

import numpy as np
import pandas as pd

from trendtrain.market.bars import BarsError, BoolArray, FloatArray, IntArray, TimeArray

_ISO: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?\s?(?P<offset>Z|[+-]\d\d(?::?\d\d)?)?)?", re.IGNORECASE
)
# An epoch number tells its unit by its size, from 1973-03-03 on: below, 20240101 would pass for a time of 1970.
_EPOCH_FROM: Final = np.array([1e8, 1e11, 1e14, 1e17, 1e20])
_TICKS_PER_SECOND: Final = np.array([1.0, 1e3, 1e6, 1e9])


def read_times(column: pd.Series) -> TimeArray:
    """Return the times of a column, `datetime64[ms]` UTC, in increasing order; without an offset they are UTC.

    Args:
        column: Datetimes, ISO strings, or epoch numbers in s, ms, us or ns, shape (n_rows,).

    Raises:
        BarsError: If a value is no time, offsets or units differ, or times are not sorted or come twice.

    Example:
        >>> read_times(pd.Series(["2024-01-01T02:00+02:00", "2024-01-01T03:00+02:00"], name="Date"))
        array(['2024-01-01T00:00:00.000', '2024-01-01T01:00:00.000'],
              dtype='datetime64[ms]')
    """
    times = _read(column)
    _check_increasing(str(column.name), times)
    return times


def _read(column: pd.Series) -> TimeArray:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _from_datetimes(column)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _from_epochs(column)
    text = column.map(str).str.strip()  # not astype: it leaves missing values as they are
    if re.fullmatch(r"\d+(\.\d*)?", text.iloc[0]):
        return _from_epochs(pd.to_numeric(text, errors="coerce"), text)
    return _from_text(text)


def _from_datetimes(column: pd.Series) -> TimeArray:
    _check(column, column.isna().to_numpy(), "be a time")
    naive = column if column.dt.tz is None else column.dt.tz_convert("UTC").dt.tz_localize(None)
    return naive.to_numpy(dtype="datetime64[ms]")


def _from_epochs(numbers: pd.Series, shown: pd.Series | None = None) -> TimeArray:
    shown = numbers if shown is None else shown
    values: FloatArray = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    unit: IntArray = np.searchsorted(_EPOCH_FROM, values, side="right") - 1
    is_bad = ~((values >= _EPOCH_FROM[0]) & (values < _EPOCH_FROM[-1]))
    _check(shown, is_bad, "be a time: ISO, or an epoch number in s, ms, us or ns from 1973 on")
    _check(shown, unit != unit[0], f"keep the unit of its first value, {shown.iloc[0]}")
    milliseconds: IntArray = np.rint(values * 1e3 / _TICKS_PER_SECOND[unit[0]]).astype(np.int64)
    return milliseconds.astype("datetime64[ms]")


def _from_text(text: pd.Series) -> TimeArray:
    matches = [_ISO.fullmatch(value) for value in text]
    _check(text, np.array([match is None for match in matches]), "be a time: ISO, such as 2024-01-31 12:00")
    offsets = [_minutes(match["offset"]) for match in matches if match is not None]
    _check(text, np.array([offset != offsets[0] for offset in offsets]), f"keep the time zone of {text.iloc[0]}")
    times = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    _check(text, times.isna().to_numpy(), "be a time of the calendar")
    return times.dt.tz_localize(None).to_numpy(dtype="datetime64[ms]")


def _minutes(offset: str | None) -> int | None:
    """Return the minutes an offset lies east of UTC, None for none."""
    if offset is None or offset in "Zz":
        return None if offset is None else 0
    digits = offset[1:].replace(":", "").ljust(4, "0")
    return int(offset[0] + "1") * (60 * int(digits[:2]) + int(digits[2:]))


def _check(column: pd.Series, is_bad: BoolArray, rule: str) -> None:
    if is_bad.any():
        row = int(np.argmax(is_bad))
        raise BarsError(f"`{column.name}` must {rule}, got {column.iloc[row]}.", row)


def _check_increasing(name: str, times: TimeArray) -> None:
    is_bad = np.diff(times) <= np.timedelta64(0, "ms")
    if is_bad.any():
        row = int(np.argmax(is_bad)) + 1
        before, here = times[row - 1], times[row]
        if here == before:
            raise BarsError(f"`{name}` must hold each time once, got {here} again.", row)
        raise BarsError(f"`{name}` must be sorted, the oldest first, got {here} after {before}.", row)
