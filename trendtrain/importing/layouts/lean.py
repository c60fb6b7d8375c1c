"""QuantConnect Lean trade bars: no header, ms since midnight; prices times 10,000 for equities and options alone.

Source: https://github.com/QuantConnect/Lean/tree/master/Data. Its folders say what a file holds, such as
equity/usa/minute/spy and future/cme/minute/es; whole prices alone do not: futures and coins have some too. The date
and, where there is one, the resolution stand in the name, such as `20131007_spy_minute_trade.csv`; daily and hourly
files write `20131007 00:00` in each row.
"""

import re
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from trendtrain.importing.raw_bars import VALUES, RawBars, ReadOptions, read_raw_bars
from trendtrain.importing.table import Table, check_values, read_numbers
from trendtrain.importing.times import Times, Zone, read_times
from trendtrain.market.bars import PRICES, BarsError

_FILE: Final = re.compile(
    r"(?P<date>\d{8})_(?P<symbol>.+?)_(?P<resolution>second|minute)_trade(?P<contract>(?:_\d+)*)\.csv", re.IGNORECASE
)
_KINDS: Final = ("equity", "future", "crypto", "cryptofuture", "forex", "cfd", "index", "option", "futureoption")
_SCALED: Final = ("equity", "option")
_STEPS: Final = ("second", "minute", "hour", "daily")
_NEW_YORK: Final = "America/New_York"
_RESOLUTIONS: Final = {"second": np.timedelta64(1, "s"), "minute": np.timedelta64(1, "m")}
_DATED: Final = r"\d{8} \d\d:\d\d"
_SCALE: Final = 10_000
_N_COLUMNS: Final = 6
_MS_PER_DAY: Final = 86_400_000


def matches(table: Table) -> bool:
    """Return whether six nameless columns follow a Lean time, and nothing shows that prices are not scaled."""
    return _is_lean(table) and _is_scaled(table) is not False


def matches_unscaled(table: Table) -> bool:
    """Return whether it is such a table, but its folder or its decimals show that prices are not scaled."""
    return _is_lean(table) and _is_scaled(table) is False


def read(table: Table, options: ReadOptions) -> RawBars:
    """Return the bars of prices times 10,000; a folder equity/usa, or `layout`, says that they are so."""
    market = _folder(table)
    if market is None and options.layout is None:
        rule = "say how prices are written where no folder such as equity/usa does"
        choices = "lean (US equities, times 10,000) or lean_unscaled (as they are)"
        raise BarsError(f"`layout` must {rule}: {choices}, got none for whole prices.")
    is_usa = market is None or market[1] == "usa"
    raw = _read(table, Zone(options.timezone, _NEW_YORK if is_usa else None, "the exchange's clock"))
    return replace(raw, **{price: getattr(raw, price) / _SCALE for price in PRICES})


def read_unscaled(table: Table, options: ReadOptions) -> RawBars:
    """Return the bars of prices as they are written, such as those of futures and coins; `timezone` must be given."""
    return _read(table, Zone(options.timezone, None))


def _is_lean(table: Table) -> bool:
    if not table.is_nameless(_N_COLUMNS):
        return False
    return bool(re.fullmatch(_DATED, str(table.rows.iloc[0, 0]))) or _FILE.fullmatch(table.name) is not None


def _is_scaled(table: Table) -> bool | None:
    """Return whether prices are times 10,000: by the folder, or not if they have decimals; None where nothing tells."""
    folder = _folder(table)
    if folder is not None:
        return folder[0] in _SCALED
    is_whole = all(pd.api.types.is_integer_dtype(dtype) for dtype in table.rows.dtypes.iloc[1:5])
    return None if is_whole else False


def _folder(table: Table) -> tuple[str, str] | None:
    """Return kind and market that the folders of Lean say, as in equity/usa/minute/spy; None for other folders."""
    parts = [part.lower() for part in table.path.absolute().parts[:-1]]
    pairs = [(kind, market) for kind, market, step in zip(parts, parts[1:], parts[2:], strict=False) if step in _STEPS]
    return next((pair for pair in pairs if pair[0] in _KINDS), None)


def _read(table: Table, zone: Zone) -> RawBars:
    time, *values = table.take(*range(_N_COLUMNS))
    name = _FILE.fullmatch(table.name)
    contract = name["contract"] or "" if name else ""
    return read_raw_bars(
        _read_times(time, name, zone),
        dict(zip(VALUES, values, strict=True)),
        symbol=f"{name['symbol'] if name else table.name.split('.')[0]}{contract}".upper(),
        timeframe=_RESOLUTIONS[name["resolution"].lower()] if name else None,
    )


def _read_times(column: pd.Series, name: re.Match[str] | None, zone: Zone) -> Times:
    if re.fullmatch(_DATED, str(column.iloc[0])):
        return read_times(column, zone)
    if name is None:
        raise BarsError("a Lean file must have a name such as 20131007_spy_minute_trade.csv, which holds the date.")
    ms, date = read_numbers(column), name["date"]
    check_values(column.rename("time"), ~((ms >= 0) & (ms < _MS_PER_DAY)), "be milliseconds since midnight")
    local = np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:]}", "ms") + ms.astype("timedelta64[ms]")
    return read_times(pd.Series(local, name="time"), zone)
