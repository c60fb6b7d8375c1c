"""Candles without names: time, four prices and a volume, in the order freqtrade writes or the one Bitfinex writes.

The order shows in the prices: the high of every candle is its greatest price and the low its smallest. Where both
orders pass, all prices of the candle are the same and so are the bars. Open and close may be swapped and no rule
broken: then it shows in their neighbours, since a bar opens near the close before it. freqtrade also writes tables with
names, in this order, in files such as `XRP_ETH-1m.feather`. Source of Bitfinex's order: https://docs.bitfinex.com/reference/rest-public-candles
"""

import re
from typing import Final

import numpy as np
import pandas as pd

from trendtrain.importing.raw_bars import RawBars, ReadOptions, read_raw_bars
from trendtrain.importing.table import Table, read_numbers
from trendtrain.importing.times import Zone, read_times
from trendtrain.market.bars import PRICES, BarsError, FloatArray, obey_price_rules

FREQTRADE: Final = ("open", "high", "low", "close")
BITFINEX: Final = ("open", "close", "high", "low")
_N_COLUMNS: Final = 6
_FEWEST: Final = 20  # candles that tell how far a bar opens from the close before it
_FAR: Final = 3.0
_FILE: Final = re.compile(r".+-\d+[mhdwM](-\w+)?\.(feather|json|json\.gz|parquet)")


def matches_bitfinex(table: Table) -> bool:
    """Return whether prices fit the order of Bitfinex better than the usual one."""
    return _is_candles(table) and _share_that_fits(table, BITFINEX) > _share_that_fits(table, FREQTRADE)


def matches_freqtrade(table: Table) -> bool:
    """Return whether the file's name and columns are freqtrade's, or it holds nameless candles."""
    names = ["date", *FREQTRADE, "volume"]
    return _is_candles(table) or bool(_FILE.fullmatch(table.name) and list(table.rows.columns) == names)


def read(table: Table, options: ReadOptions, order: tuple[str, ...]) -> RawBars:
    """Return the bars of candles that hold, after the time, the prices in this order."""
    columns = dict(zip(("time", *order, "volume"), table.take(*range(_N_COLUMNS)), strict=True))
    raw = read_raw_bars(read_times(columns["time"], Zone(options.timezone)), columns)
    by_time = np.argsort(raw.open_time, kind="stable")
    first, last = raw.open[by_time], raw.close[by_time]
    if len(first) >= _FEWEST and _FAR * _usual_gap(last, first) < _usual_gap(first, last):
        rule = f"candles must hold {' or '.join(', '.join(one) for one in (FREQTRADE, BITFINEX))} after the time"
        raise BarsError(f"{rule}, got open and close swapped: the close of a bar is near the open of the one before.")
    return raw


def _is_candles(table: Table) -> bool:
    """Return whether a file holds six nameless columns, an epoch number first."""
    return table.is_nameless(_N_COLUMNS) and bool(pd.to_numeric(table.rows.iloc[:1, 0], errors="coerce").iloc[0] >= 1e9)


def _share_that_fits(table: Table, order: tuple[str, ...]) -> float:
    """Return the share of candles that obey the price rules where the columns have that order."""
    try:
        prices = dict(zip(order, map(read_numbers, table.take(1, 2, 3, 4)), strict=True))
    except BarsError:
        return 0.0
    first, high, low, last = (prices[name] for name in PRICES)
    return float(np.mean(obey_price_rules(first, high, low, last, np.zeros(len(first)))))


def _usual_gap(first: FloatArray, last: FloatArray) -> float:
    """Return the median distance of an open from the close before it."""
    return float(np.nanmedian(np.abs(first[1:] - last[:-1])))
