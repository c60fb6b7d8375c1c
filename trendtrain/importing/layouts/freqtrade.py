"""freqtrade candles: `date, open, high, low, close, volume` in a file such as `XRP_ETH-1m.feather`, or lists."""

import re
from typing import Final

from trendtrain.importing.layouts import generic
from trendtrain.importing.layouts.candle_lists import OPEN_HIGH_LOW_CLOSE, is_candles, read_candles
from trendtrain.importing.raw_bars import RawBars, ReadOptions
from trendtrain.importing.source import Source

NAME: Final = "freqtrade"
_FILE: Final = re.compile(r".+-\d+[mhdwM](-\w+)?\.(feather|json|json\.gz|parquet)")
_COLUMNS: Final = ["date", "open", "high", "low", "close", "volume"]


def matches(source: Source) -> bool:
    """Say whether the name and the columns are freqtrade's, or the file holds candle lists in the usual order."""
    return is_candles(source) or bool(_FILE.fullmatch(source.name) and list(source.table.columns) == _COLUMNS)


def read(source: Source, options: ReadOptions) -> RawBars:
    """Return the bars.

    Raises:
        BarsError: If a value is no number or no time.
    """
    return generic.read(source, options) if source.has_names else read_candles(source, options, OPEN_HIGH_LOW_CLOSE)
