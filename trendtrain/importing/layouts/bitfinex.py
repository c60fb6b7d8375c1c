"""Bitfinex candles, `[time, open, close, high, low, volume]`, newest first or oldest first.

Source: https://docs.bitfinex.com/reference/rest-public-candles
"""

from typing import Final

from trendtrain.importing.layouts.candle_lists import (
    OPEN_CLOSE_HIGH_LOW,
    OPEN_HIGH_LOW_CLOSE,
    fit,
    is_candles,
    read_candles,
)
from trendtrain.importing.raw_bars import RawBars, ReadOptions
from trendtrain.importing.source import Source

NAME: Final = "bitfinex"


def matches(source: Source) -> bool:
    """Say whether the prices fit this order better than the usual one."""
    return is_candles(source) and fit(source, OPEN_CLOSE_HIGH_LOW) > fit(source, OPEN_HIGH_LOW_CLOSE)


def read(source: Source, options: ReadOptions) -> RawBars:
    """Return the bars; see `read_candles`."""
    return read_candles(source, options, OPEN_CLOSE_HIGH_LOW)
