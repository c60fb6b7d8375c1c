"""Any table with named columns: a time, open, high, low, close, and volume if there is any."""

from typing import Final

import numpy as np

from trendtrain.importing.columns import find_columns, only_symbol, read_numbers
from trendtrain.importing.raw_bars import RawBars, ReadOptions
from trendtrain.importing.source import Source
from trendtrain.importing.times import read_times
from trendtrain.importing.zones import Zone
from trendtrain.market.bars import PRICES

NAME: Final = "generic"


def matches(source: Source) -> bool:
    """Say yes: whatever no other layout claims is read by the names of its columns."""
    return True


def read(source: Source, options: ReadOptions, default: Zone | None = None) -> RawBars:
    """Return the bars; times without a zone count as UTC, those in a local form (01/31/2024) need a `timezone`.

    Args:
        source: What the file holds.
        options: What the user said.
        default: The zone of a layout that is generic but for its clock.

    Raises:
        BarsError: If a needed column is missing, or a value is no number or no time.
    """
    columns = find_columns(source)
    times = read_times(columns["time"], default or Zone(options.timezone))
    first, high, low, last = (read_numbers(columns[price]) for price in PRICES)
    has_volume = "volume" in columns
    volume = read_numbers(columns["volume"], True) if has_volume else np.full(len(times.utc), np.nan)
    symbol = only_symbol(columns["symbol"]) if "symbol" in columns else None
    return RawBars(times.utc, first, high, low, last, volume, times.rule, symbol_column=symbol)
