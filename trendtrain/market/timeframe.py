"""Read and write times and timeframes: epoch numbers, ISO times, offsets from UTC, and lengths such as `5m`."""

import re
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trendtrain.errors import InputError

Time = datetime | np.datetime64 | str

EARLIEST: Final = np.datetime64("1800", "ms")
LATEST: Final = np.datetime64("2100", "ms")
EPOCH_UNITS: Final = ("s", "ms", "us", "ns")

# An epoch number tells its unit by its size, from 1973-03-03 on: below, 20240101 would pass for a time of 1970.
_EPOCH_FROM: Final = np.array([1e8, 1e11, 1e14, 1e17, 1e20])
_TICKS_PER_SECOND: Final = np.array([1.0, 1e3, 1e6, 1e9])
_OFFSET: Final = re.compile(r"([+-])(\d\d)(?::?(\d\d))?")
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_UNIT_NAMES: Final = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), "s"),
    **dict.fromkeys(("", "m", "t", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "week", "weeks"), "w"),
}
_CALENDAR_DAYS: Final = 4  # that holidays and lengths of months take from a week or more
_NEIGHBOURS: Final = 3  # so that the bars beside a stray one still fit others
_LONGEST_MS: Final = int((LATEST - EARLIEST).astype(np.int64))


def to_milliseconds(name: str, time: Time) -> int:
    """Return the milliseconds since 1970 UTC of a time; a time without an offset is UTC.

    Args:
        name: The argument, for the error message.
        time: An ISO string, a `datetime64` or a `datetime`.

    Raises:
        InputError: If `time` is no time.

    Example:
        >>> to_milliseconds("start", "1970-01-01T01:00:01+01:00")
        1000
    """
    try:
        moment = datetime.fromisoformat(time.strip()) if isinstance(time, str) else time
    except ValueError as error:
        raise InputError(f"`{name}` must be an ISO time such as 2024-01-31T12:00, got {time!r}.") from error
    if isinstance(moment, datetime):
        moment = np.datetime64(moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment)
    if not isinstance(moment, np.datetime64) or np.isnat(moment):
        raise InputError(f"`{name}` must be a time, got {time}.")
    return int(moment.astype("datetime64[ms]").astype(np.int64))


def format_minute(time: np.datetime64 | int) -> str:
    """Return the date and minute of a time, `datetime64` or milliseconds since 1970, UTC.

    Example:
        >>> format_minute(np.datetime64("2024-01-05T22:00:30")), format_minute(1_704_067_260_000)
        ('2024-01-05 22:00', '2024-01-01 00:01')
    """
    moment = np.datetime64(time, "ms") if isinstance(time, int) else time
    return str(np.datetime_as_string(moment, unit="m")).replace("T", " ")


def epoch_units(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.integer[Any]]:
    """Return the position in `EPOCH_UNITS` of the unit of each epoch number; -1 where it is no time from 1973 on.

    Example:
        >>> epoch_units(np.array([1.7e9, 1.7e12, 1.7e15, 1.7e18, 20240101.0, np.nan]))
        array([ 0,  1,  2,  3, -1, -1])
    """
    units = np.searchsorted(_EPOCH_FROM, numbers, side="right") - 1
    return np.where(units < len(EPOCH_UNITS), units, -1)


def from_epochs(numbers: npt.NDArray[np.float64], unit: int) -> npt.NDArray[np.datetime64]:
    """Return epoch numbers of the unit at that position of `EPOCH_UNITS` as `datetime64[ms]`, UTC."""
    milliseconds: npt.NDArray[np.int64] = np.rint(numbers * 1e3 / _TICKS_PER_SECOND[unit]).astype(np.int64)
    return milliseconds.astype("datetime64[ms]")


def parse_offset(text: str) -> int | None:
    """Return the minutes that an offset such as `Z`, `+02`, `+0200` or `-05:00` lies east of UTC; None if it is none.

    Example:
        >>> parse_offset("Z"), parse_offset("-0530"), parse_offset("noon")
        (0, -330, None)
    """
    match = _OFFSET.fullmatch(text.upper().replace("Z", "+00"))
    return None if match is None else int(match[1] + "1") * (60 * int(match[2]) + int(match[3] or 0))


def parse_timeframe(text: str) -> np.timedelta64:
    """Return the length of a bar written as a count and a unit: `1s`, `5m`, `1h`, `1d`, `1w`.

    Raises:
        InputError: If `text` is not of that form, or longer than 300 years.

    Example:
        >>> parse_timeframe("5m")
        np.timedelta64(300000,'ms')
    """
    match = re.fullmatch(r"([1-9]\d{0,19})([smhdw])", str(text))
    if match is None:
        raise InputError(f"`timeframe` must look like 1s, 5m, 1h, 1d or 1w, got {text!r}.")
    milliseconds = int(match[1]) * _UNIT_MS[match[2]]
    if milliseconds > _LONGEST_MS:
        raise InputError(f"`timeframe` must be at most 300 years, got {text!r}.")
    return np.timedelta64(milliseconds, "ms")


def normalize_timeframe(text: object) -> str:
    """Return a timeframe, however it is spelled, in its one usual form; a number alone counts minutes.

    Raises:
        InputError: If it is none; a capital M may mean a month, and is refused.

    Example:
        >>> [normalize_timeframe(text) for text in ("1m", "1min", "60", "4H", "D")]
        ['1m', '1m', '1h', '4h', '1d']
    """
    match = re.fullmatch(r"(\d{0,20}) ?([a-zA-Z]*)", str(text))
    unit = _UNIT_NAMES.get(match[2].lower()) if match and match[0] and match[2] != "M" else None
    if match is None or unit is None or not int(match[1] or 1):
        raise InputError(f"`timeframe` must look like 1s, 5m, 1min, 60 (minutes), 1h, 1d or 1w, got {text!r}.")
    return format_timeframe(parse_timeframe(f"{int(match[1] or 1)}{unit}"))


def shortest_step(timeframe: np.timedelta64) -> np.timedelta64:
    """Return how far apart bars lie at least: a timeframe, unless the calendar cuts one.

    A change of clocks takes an hour from bars longer than one. A week that ends on its last trading day, or a month,
    may be up to four days shorter.

    Example:
        >>> [format_timeframe(shortest_step(parse_timeframe(text))) for text in ("1h", "4h", "1w", "30d")]
        ['1h', '3h', '3d', '26d']
    """
    hour, day = np.timedelta64(1, "h"), np.timedelta64(1, "D")
    if timeframe <= hour:
        return timeframe
    return np.timedelta64(timeframe - (hour if timeframe < 7 * day else _CALENDAR_DAYS * day), "ms")


def is_off_grid(times: npt.NDArray[Any], timeframe: np.timedelta64) -> npt.NDArray[np.bool_]:
    """Return which bars lie no whole number of timeframes from any of the three bars before and after them.

    An hour more or less counts as whole where bars are longer than one: clocks change. Bars of a week or more lie whole
    days apart, as calendars have it; a last one that comes three days early or more is the time of a quote. Where no
    bars fit each other, the first is on the grid.

    Args:
        times: Open times, `datetime64[ms]` or ms, ascending, shape (n_bars,).
        timeframe: The length of a bar.

    Example:
        >>> hours = np.array(["2024-01-01T10:00", "2024-01-01T11:00", "2024-01-01T12:47:32"], "datetime64[ms]")
        >>> is_off_grid(hours, np.timedelta64(1, "h"))
        array([False, False,  True])
    """
    ms, length = times.astype(np.int64), int(timeframe / np.timedelta64(1, "ms"))
    is_calendar = length >= _UNIT_MS["w"]
    unit = _UNIT_MS["d"] if is_calendar else length
    whole = [0] if length <= _UNIT_MS["h"] else [0, _UNIT_MS["h"], unit - _UNIT_MS["h"]]
    fits = np.zeros(len(ms), np.bool_)
    for distance in range(1, min(_NEIGHBOURS, len(ms) - 1) + 1):
        is_whole = np.isin((ms[distance:] - ms[:-distance]) % unit, whole)
        fits[distance:] |= is_whole
        fits[:-distance] |= is_whole
    if is_calendar and len(ms) > 1:
        fits[-1] &= ms[-1] - ms[-2] > length - 3 * _UNIT_MS["d"]
    if not fits.any():
        fits[:1] = True
    return ~fits


def format_timeframe(timeframe: np.timedelta64) -> str:
    """Write a timeframe in the largest unit that divides it; weeks stay days.

    Raises:
        InputError: If it is not a positive whole number of seconds.

    Example:
        >>> format_timeframe(np.timedelta64(3600, "s"))
        '1h'
    """
    milliseconds = int(timeframe / np.timedelta64(1, "ms"))
    for unit in "dhms":
        if milliseconds > 0 and milliseconds % _UNIT_MS[unit] == 0:
            return f"{milliseconds // _UNIT_MS[unit]}{unit}"
    raise InputError(f"`timeframe` must be a positive whole number of seconds, got {timeframe!r}.")
