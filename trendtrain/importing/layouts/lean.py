"""QuantConnect Lean trade bars of equities: no header, prices times 10,000, milliseconds since midnight.

Source: https://github.com/QuantConnect/Lean/tree/master/Data/equity. The date and, where there is one, the resolution
stand in the name, such as `20131007_spy_minute_trade.csv`; daily and hourly files write `20131007 00:00` in each row.
"""

import re
from typing import Final

import numpy as np
import pandas as pd

from trendtrain.importing.columns import read_numbers
from trendtrain.importing.raw_bars import RawBars, ReadOptions
from trendtrain.importing.source import Source
from trendtrain.importing.times import Times, read_times
from trendtrain.importing.zones import Zone
from trendtrain.market.bars import BarsError

NAME: Final = "lean"
_FILE: Final = re.compile(r"(?P<date>\d{8})_(?P<symbol>.+?)_(?P<resolution>second|minute)_trade\.csv", re.IGNORECASE)
_RESOLUTIONS: Final = {"second": np.timedelta64(1, "s"), "minute": np.timedelta64(1, "m")}
_DATED: Final = r"\d{8} \d\d:\d\d"
_SCALE: Final = 10_000
_N_COLUMNS: Final = 6
_MS_PER_DAY: Final = 86_400_000


def matches(source: Source) -> bool:
    """Say whether six nameless columns hold whole prices after a Lean time."""
    if source.has_names or source.n_columns != _N_COLUMNS or len(source.table) == 0:
        return False
    is_whole = all(pd.api.types.is_integer_dtype(dtype) for dtype in source.table.dtypes.iloc[1:5])
    is_dated = bool(re.fullmatch(_DATED, str(source.table.iloc[0, 0])))
    return is_whole and (is_dated or _FILE.fullmatch(source.name) is not None)


def read(source: Source, options: ReadOptions) -> RawBars:
    """Return the bars; Lean keeps equities in New York time, which `timezone` overrides.

    Raises:
        BarsError: If a value is no number or no time, or the name lacks the date.
    """
    time, *columns = source.take(0, 1, 2, 3, 4, 5)
    name = _FILE.fullmatch(source.name)
    zone = Zone(options.timezone, "America/New_York", "the exchange's clock")
    times = _read_times(time, name["date"] if name else None, zone)
    first, high, low, last = (read_numbers(column) / _SCALE for column in columns[:4])
    symbol = name["symbol"] if name else source.name.split(".")[0]
    resolution = _RESOLUTIONS[name["resolution"].lower()] if name else None
    volume = read_numbers(columns[4], may_be_missing=True)
    return RawBars(times.utc, first, high, low, last, volume, times.rule, symbol.upper(), timeframe=resolution)


def _read_times(column: pd.Series, date: str | None, zone: Zone) -> Times:
    if re.fullmatch(_DATED, str(column.iloc[0])):
        text = column.map(str).str.replace(r"^(\d{4})(\d\d)(\d\d)", r"\1-\2-\3", regex=True)
        return read_times(text, zone)
    if date is None:
        raise BarsError("a Lean file must have a name such as 20131007_spy_minute_trade.csv, which holds the date.")
    ms = read_numbers(column)
    is_bad = ~((ms >= 0) & (ms < _MS_PER_DAY))
    if is_bad.any():
        row = int(np.argmax(is_bad))
        raise BarsError(f"a time must be milliseconds since midnight, got {column.iloc[row]}.", row)
    wall = np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:]}", "ms") + ms.astype("timedelta64[ms]")
    return read_times(pd.Series(wall, name="time"), zone)
