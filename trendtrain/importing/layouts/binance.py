"""Binance klines: 12 columns, with a header or without, times in milliseconds or (from 2025) microseconds.

Source: the columns of https://github.com/binance/binance-public-data, "Klines".
"""

from typing import Final

import numpy as np
import pandas as pd

from trendtrain.importing.columns import read_numbers
from trendtrain.importing.raw_bars import RawBars, ReadOptions
from trendtrain.importing.source import Source
from trendtrain.importing.times import Times, read_times
from trendtrain.importing.zones import Zone
from trendtrain.market.bars import BarsError

NAME: Final = "binance"
_N_COLUMNS: Final = 12
_CLOSE_TIME: Final = 6


def matches(source: Source) -> bool:
    """Say whether there are twelve columns, an open time first and a close time seventh."""
    if source.n_columns != _N_COLUMNS or len(source.table) == 0:
        return False
    if source.has_names:
        return {"open_time", "close_time"} <= source.names
    first, close = (pd.to_numeric(source.table.iloc[:1, i], errors="coerce").iloc[0] for i in (0, _CLOSE_TIME))
    return bool(first > 1e12 and first < close < first * 1.01)


def read(source: Source, options: ReadOptions) -> RawBars:
    """Return the bars; a kline closes one tick before its close time, which tells the timeframe.

    Raises:
        BarsError: If a value is no number or no time.
    """
    columns = source.take(0, 1, 2, 3, 4, 5, _CLOSE_TIME)
    opens = read_times(columns[0], Zone(options.timezone))
    closes = read_times(columns[_CLOSE_TIME], Zone(options.timezone))
    volume = read_numbers(columns[5], may_be_missing=True)
    first, high, low, last = (read_numbers(column) for column in columns[1:5])
    return RawBars(opens.utc, first, high, low, last, volume, opens.rule, timeframe=_timeframe(opens, closes))


def _timeframe(opens: Times, closes: Times) -> np.timedelta64:
    lengths = closes.utc - opens.utc
    # Rounding adds the tick; of a kline that closed early there are few.
    length = np.median(lengths.astype(np.int64) / 1000).round().astype(np.int64)
    if length <= 0:
        raise BarsError(f"a kline must close after it opens, got {closes.utc[0]} after {opens.utc[0]}.", 0)
    return np.timedelta64(int(length), "s")
