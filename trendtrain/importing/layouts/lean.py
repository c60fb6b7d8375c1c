"""QuantConnect Lean trade bars of equities: no header, prices times 10,000, milliseconds since midnight.

Source: https://github.com/QuantConnect/Lean/tree/master/Data/equity. The date and, where there is one, the resolution
stand in the name, such as `20131007_spy_minute_trade.csv`; daily and hourly files write `20131007 00:00` in each row.
"""

import re
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from trendtrain.importing.raw_bars import VALUES, RawBars, ReadOptions, read_raw_bars
from trendtrain.importing.table import Table, check_values, read_numbers
from trendtrain.importing.times import Times, read_times
from trendtrain.importing.zones import Zone
from trendtrain.market.bars import PRICES, BarsError

_FILE: Final = re.compile(r"(?P<date>\d{8})_(?P<symbol>.+?)_(?P<resolution>second|minute)_trade\.csv", re.IGNORECASE)
_RESOLUTIONS: Final = {"second": np.timedelta64(1, "s"), "minute": np.timedelta64(1, "m")}
_DATED: Final = r"\d{8} \d\d:\d\d"
_SCALE: Final = 10_000
_N_COLUMNS: Final = 6
_MS_PER_DAY: Final = 86_400_000


def matches(table: Table) -> bool:
    """Return whether six nameless columns hold whole prices after a Lean time."""
    if not table.is_nameless(_N_COLUMNS):
        return False
    is_whole = all(pd.api.types.is_integer_dtype(dtype) for dtype in table.rows.dtypes.iloc[1:5])
    is_dated = bool(re.fullmatch(_DATED, str(table.rows.iloc[0, 0])))
    return is_whole and (is_dated or _FILE.fullmatch(table.name) is not None)


def read(table: Table, options: ReadOptions) -> RawBars:
    """Return the bars; Lean keeps equities in New York time, which `timezone` overrides."""
    time, *values = table.take(*range(_N_COLUMNS))
    name = _FILE.fullmatch(table.name)
    times = _read_times(time, name, Zone(options.timezone, "America/New_York", "the exchange's clock"))
    raw = read_raw_bars(
        times,
        dict(zip(VALUES, values, strict=True)),
        symbol=(name["symbol"] if name else table.name.split(".")[0]).upper(),
        timeframe=_RESOLUTIONS[name["resolution"].lower()] if name else None,
    )
    return replace(raw, **{price: getattr(raw, price) / _SCALE for price in PRICES})


def _read_times(column: pd.Series, name: re.Match[str] | None, zone: Zone) -> Times:
    if re.fullmatch(_DATED, str(column.iloc[0])):
        text = column.map(str).str.replace(r"^(\d{4})(\d\d)(\d\d)", r"\1-\2-\3", regex=True)
        return read_times(text, zone)
    if name is None:
        raise BarsError("a Lean file must have a name such as 20131007_spy_minute_trade.csv, which holds the date.")
    ms, date = read_numbers(column), name["date"]
    check_values(column.rename("time"), ~((ms >= 0) & (ms < _MS_PER_DAY)), "be milliseconds since midnight")
    local = np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:]}", "ms") + ms.astype("timedelta64[ms]")
    return read_times(pd.Series(local, name="time"), zone)
