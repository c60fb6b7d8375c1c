"""Binance klines: 12 columns, with a header or without, times in milliseconds or (from 2025) microseconds.

Source: the columns of https://github.com/binance/binance-public-data, "Klines".
"""

from typing import Final

import numpy as np
import pandas as pd

from trendtrain.importing.raw_bars import VALUES, RawBars, ReadOptions, read_raw_bars
from trendtrain.importing.table import Table
from trendtrain.importing.times import Times, Zone, read_times
from trendtrain.market.bars import BarsError

_N_COLUMNS: Final = 12
_CLOSE_TIME: Final = 6


def matches(table: Table) -> bool:
    """Return whether there are twelve columns, an open time first and a close time seventh."""
    if not table.is_nameless(_N_COLUMNS):
        return table.n_columns == _N_COLUMNS and {"open_time", "close_time"} <= table.names and len(table.rows) > 0
    first, close = (pd.to_numeric(table.rows.iloc[:1, i], errors="coerce").iloc[0] for i in (0, _CLOSE_TIME))
    return bool(first > 1e12 and first < close < first * 1.01)


def read(table: Table, options: ReadOptions) -> RawBars:
    """Return the bars; a kline closes one tick before its close time, which tells the timeframe."""
    open_time, *values, close_time = table.take(*range(_CLOSE_TIME + 1))
    opens, closes = (read_times(column, Zone(options.timezone)) for column in (open_time, close_time))
    columns = dict(zip(VALUES, values, strict=True))
    return read_raw_bars(opens, columns, timeframe=_timeframe(opens, closes))


def _timeframe(opens: Times, closes: Times) -> np.timedelta64:
    lengths = closes.utc - opens.utc
    # Rounding adds the tick; of a kline that closed early there are few.
    length = np.median(lengths.astype(np.int64) / 1000).round().astype(np.int64)
    if length <= 0:
        raise BarsError(f"a kline must close after it opens, got {closes.utc[0]} after {opens.utc[0]}.", 0)
    return np.timedelta64(int(length), "s")
