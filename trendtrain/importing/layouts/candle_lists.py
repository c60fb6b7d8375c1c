"""Candles without names: time, four prices and a volume, in the order freqtrade writes or the one Bitfinex writes.

The order shows in the prices: the high of every candle is its greatest price and the low its smallest. Where both
orders pass, all prices of the candle are the same and so are the bars.
"""

from typing import Final

import numpy as np
import pandas as pd

from trendtrain.importing.columns import read_numbers
from trendtrain.importing.raw_bars import RawBars, ReadOptions
from trendtrain.importing.source import Source
from trendtrain.importing.times import read_times
from trendtrain.importing.zones import Zone
from trendtrain.market.bars import BarsError

OPEN_HIGH_LOW_CLOSE: Final = (1, 2, 3, 4)
OPEN_CLOSE_HIGH_LOW: Final = (1, 3, 4, 2)
_N_COLUMNS: Final = 6


def is_candles(source: Source) -> bool:
    """Say whether a file holds six nameless columns, an epoch number first."""
    if source.has_names or source.n_columns != _N_COLUMNS or len(source.table) == 0:
        return False
    first = pd.to_numeric(source.table.iloc[:1, 0], errors="coerce").iloc[0]
    return bool(first >= 1e9)


def fit(source: Source, order: tuple[int, ...]) -> float:
    """Return the share of candles whose high and low are such, where the columns have that order."""
    try:
        prices = np.stack([read_numbers(column) for column in source.take(*order)])
    except BarsError:
        return 0.0
    return float(np.mean((prices[1] == prices.max(axis=0)) & (prices[2] == prices.min(axis=0))))


def read_candles(source: Source, options: ReadOptions, order: tuple[int, ...]) -> RawBars:
    """Return the bars of candles whose open, high, low and close are the columns of `order`.

    Raises:
        BarsError: If a value is no number or no time, or there are not six columns.
    """
    time, volume, *prices = source.take(0, 5, *order)
    times = read_times(time, Zone(options.timezone))
    first, high, low, last = (read_numbers(price) for price in prices)
    return RawBars(times.utc, first, high, low, last, read_numbers(volume, may_be_missing=True), times.rule)
