"""Read a column of times, however it is written, as UTC."""

import re
from dataclasses import dataclass, replace
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from trendtrain.errors import InputError
from trendtrain.importing.table import check_values, plain_name
from trendtrain.market.bars import BarsError, TimeArray
from trendtrain.market.timeframe import EARLIEST, EPOCH_UNITS, LATEST, epoch_units, from_epochs, parse_offset

# A space, not \s, with which pandas would use Python's regular expressions: 6 times as slow as Arrow's.
_ISO: Final = r"^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)? ?)?"
_DOTS: Final = r"^(\d{4})[./](\d\d)[./](\d\d)"
_LOCAL: Final = r"^(?P<first>\d{1,2})[/.](?P<second>\d{1,2})[/.](?P<year>\d{4})(?P<clock>.*)$"
_BASIC: Final = r"\d{8}(?:[T ].*|\d{6})?"
_SAYS_UTC: Final = re.compile(r"(?:^|_)(?:utc|gmt)(?:_|$)")


class Times(NamedTuple):
    """Times of rows: `utc` as `datetime64[ms]`, and the `rule` by which they became UTC, in words."""

    utc: TimeArray
    rule: str


@dataclass(frozen=True)
class Zone:
    """The time zone of times that carry none.

    Attributes:
        given: What the user said, None for nothing.
        default: What the layout says, None where it cannot know.
        why: Why the layout says so.
        is_sure: Whether it holds for times in a local form too.
    """

    given: str | None = None
    default: str | None = "UTC"
    why: str = "as none is written"
    is_sure: bool = False

    def without_default(self) -> "Zone":
        """Return the zone for times that are usually not UTC."""
        return self if self.is_sure or self.default != "UTC" else replace(self, default=None)

    def refuse(self, what: str, column: str) -> None:
        """Refuse a zone that was given for times which need none.

        Raises:
            BarsError: If the user gave one.
        """
        if self.given is not None:
            raise BarsError(f"`timezone` must be left out for {what} (`{column}`), got {self.given}.")


def read_times(column: pd.Series, zone: Zone) -> Times:
    """Return the times of a column as UTC, in the order of its rows.

    Args:
        column: Datetimes, ISO strings (also 20240131, 2024.01.31, 31.01.2024 and 01/31/2024), or epoch numbers in s,
            ms, us or ns. A name such as `timestamp_utc` or `Gmt time` says that they are UTC.
        zone: The zone of times that carry none.

    Raises:
        BarsError: If a value is no time of 1800 to 2099, units differ, some rows carry an offset and others none, or
            the zone is not known.

    Example:
        >>> read_times(pd.Series(["2024-01-01T02:00+02:00", "2024-01-01T03:00+02:00"], name="Date"), Zone())
        Times(utc=array(['2024-01-01T00:00:00.000', '2024-01-01T01:00:00.000'],
              dtype='datetime64[ms]'), rule='UTC by the offset +02:00')
    """
    if _SAYS_UTC.search(plain_name(column.name)):
        zone.refuse("times that their column calls UTC", str(column.name))
        zone = Zone(default="UTC", why="as its column says", is_sure=True)
    times = _read(column, zone)
    check_values(column, (times.utc < EARLIEST) | (times.utc >= LATEST), "lie in the years 1800 to 2099")
    return times


def read_iso(text: pd.Series, shown: pd.Series) -> tuple[TimeArray, list[str]]:
    """Return ISO times, each by the offset it carries, and the different offsets; one that is empty stands for none.

    Args:
        text: ISO strings.
        shown: The times as the file writes them, for messages.

    Raises:
        BarsError: If a value is no such time, or some rows carry an offset and others none.
    """
    offset = text.str.replace(_ISO, "", regex=True)  # what is left; few differ, so each is parsed but once
    offsets = list(offset.unique())
    wrong = [one for one in offsets if one and parse_offset(one) is None]
    check_values(shown, offset.isin(wrong).to_numpy(), "be a time: ISO, such as 2024-01-31 12:00")
    if "" in offsets and len(offsets) > 1:
        is_mixed = ((offset == "") != (offset.iloc[0] == "")).to_numpy()
        check_values(shown, is_mixed, f"keep the time zone of {shown.iloc[0]}")
    times = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    check_values(shown, times.isna().to_numpy(), "be a time of the calendar")
    return times.dt.tz_localize(None).to_numpy(dtype="datetime64[ms]"), offsets


def check_timezone(timezone: str | None) -> None:
    """Refuse a time zone that does not exist.

    Raises:
        InputError: If `timezone` names none.
    """
    try:
        if timezone is not None:
            ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        rule = "name a time zone, such as UTC, EET or America/New_York"
        raise InputError(f"`timezone` must {rule}, got {timezone!r}.") from error


def _read(column: pd.Series, zone: Zone) -> Times:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _from_datetimes(column, zone)
    if pd.api.types.is_numeric_dtype(column.dtype):
        if not _are_dates(column):
            return _from_epochs(column, column, zone)
        column = column.astype(np.int64)
    is_text = isinstance(column.dtype, pd.StringDtype) and not column.hasnans
    text = (column if is_text else column.map(str)).str.strip()  # not astype: it leaves missing values as they are
    if re.fullmatch(r"\d+(\.\d*)?", text.iloc[0]) and not re.fullmatch(_BASIC, text.iloc[0]):
        return _from_epochs(pd.to_numeric(text, errors="coerce"), text, zone)
    return _from_text(text, zone)


def _from_datetimes(column: pd.Series, zone: Zone) -> Times:
    check_values(column, column.isna().to_numpy(), "be a time")
    if column.dt.tz is None:
        return _to_utc(column, column.to_numpy(dtype="datetime64[ms]"), zone)
    zone.refuse("times that carry their zone", str(column.name))
    utc = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[ms]")
    zone_name = str(column.dt.tz)
    return Times(utc, "UTC" if zone_name == "UTC" else f"UTC by the column's zone {zone_name}")


def _from_epochs(numbers: pd.Series, shown: pd.Series, zone: Zone) -> Times:
    zone.refuse("epoch numbers, which are UTC", str(numbers.name))
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    units = epoch_units(values)
    check_values(shown, units < 0, "be a time: ISO, or an epoch number in s, ms, us or ns from 1973 on")
    check_values(shown, units != units[0], f"keep the unit of its first value, {shown.iloc[0]}")
    return Times(from_epochs(values, int(units[0])), f"UTC, epoch {EPOCH_UNITS[units[0]]}")


def _from_text(text: pd.Series, zone: Zone) -> Times:
    shown = text
    if text.iloc[0].endswith(("UTC", "GMT")):
        text = text.str.replace(r" ?(?:UTC|GMT)$", "Z", regex=True)
    if re.match(_LOCAL, text.iloc[0]):
        text, zone = _from_local(text), zone.without_default()
    elif re.fullmatch(_BASIC, text.iloc[0]):
        text = _from_basic(text)
    elif re.match(_DOTS, text.iloc[0]):
        text = text.str.replace(_DOTS, r"\1-\2-\3", regex=True)
    times, offsets = read_iso(text, shown)
    if offsets == [""]:
        return _to_utc(shown, times, zone)
    zone.refuse("times that carry an offset", str(text.name))
    minutes = {parse_offset(offset) for offset in offsets}
    rule = f"UTC by the offset {offsets[0]}" if len(minutes) == 1 else "UTC by the offset of each row"
    return Times(times, "UTC" if minutes == {0} else rule)


def _are_dates(column: pd.Series) -> bool:
    """Return whether numbers are dates such as 20240131, or dates with clocks, 20240131123000."""
    return bool(column.notna().all() and re.fullmatch(_BASIC, f"{column.iloc[0]:.0f}") and (column % 1 == 0).all())


def _from_basic(text: pd.Series) -> pd.Series:
    """Return 20240131, 20240131T1230, 20240131 12:30 or 20240131123000 as ISO with its signs."""
    text = text.str.replace(r"^(\d{4})(\d\d)(\d\d)[T ]?", r"\1-\2-\3 ", regex=True).str.strip()
    text = text.str.replace(r"^(\S+ \d\d)(\d\d)(\d\d)", r"\1:\2:\3", regex=True)
    return text.str.replace(r"^(\S+ \d\d)(\d\d)", r"\1:\2", regex=True)


def _from_local(text: pd.Series) -> pd.Series:
    """Return 01/31/2024, 31/01/2024 or 31.01.2024 as ISO; a number above 12 tells which, with dots the day is first."""
    parts = text.str.extract(_LOCAL)
    check_values(text, parts["year"].isna().to_numpy(), "be a time: ISO, or such as 01/31/2024 12:00")
    first, second = (parts[name].to_numpy(dtype=np.float64) for name in ("first", "second"))
    is_day_first, is_month_first = bool((first > 12).any()), bool((second > 12).any())
    is_day_first |= not is_month_first and "." in text.iloc[0][:3]
    if is_day_first == is_month_first:
        rule = "show by one number above 12 which is the day"
        raise BarsError(f"`{text.name}` must {rule}, got dates like {text.iloc[0]}; write them as 2024-01-31.", 0)
    day, month = ("first", "second") if is_day_first else ("second", "first")
    clock = parts["clock"].str.replace(r"^ (?=\d:)", " 0", regex=True)
    iso = parts["year"] + "-" + parts[month].str.zfill(2) + "-" + parts[day].str.zfill(2) + clock
    return pd.Series(iso, name=text.name)


def _to_utc(shown: pd.Series, local: TimeArray, zone: Zone) -> Times:
    """Return times of a local clock as UTC; `shown` are those times as the file writes them, for messages.

    Midnights alone are dates, not times: they stay as they are unless the user gives a zone.
    """
    is_dates = len(local) > 1 and bool((local == local.astype("datetime64[D]")).all())
    if zone.given is None and is_dates:
        return Times(local, "dates, taken as UTC days")
    name = zone.given or zone.default
    if name is None:
        rule = "say the zone of times in a local form, such as America/New_York, or UTC"
        raise BarsError(f"`timezone` must {rule}, got none for {shown.iloc[0]} (`{shown.name}`).", 0)
    rule = f"{name}, as given" if zone.given else f"taken as {name}, {zone.why}"
    return Times(local if name == "UTC" else _localize(shown, local, name), rule)


def _localize(shown: pd.Series, local: TimeArray, name: str) -> TimeArray:
    order = slice(None, None, -1 if local[0] > local[-1] else 1)  # the order of an hour that comes twice tells which
    times = pd.DatetimeIndex(local[order])
    is_first = np.ones(len(times), np.bool_)
    is_skipped = np.asarray(times.tz_localize(name, ambiguous=is_first, nonexistent="NaT").isna())
    check_values(shown, is_skipped[order], f"exist on the clocks of {name}")
    try:
        zoned = times.tz_localize(name, ambiguous="infer")
    except ValueError as error:
        is_double = np.asarray(times.tz_localize(name, ambiguous="NaT").isna())
        check_values(shown, is_double[order], f"say which of two it is: the clocks of {name} went back then")
        raise BarsError(f"`{shown.name}` must be times of {name}, got {error}.") from error
    utc: TimeArray = zoned.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[ms]")
    return utc[order]
