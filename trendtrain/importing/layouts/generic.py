"""Any table with named columns: a time, open, high, low, close, and volume if there is any."""

from trendtrain.importing.raw_bars import RawBars, ReadOptions, read_raw_bars
from trendtrain.importing.table import Table, read_symbol
from trendtrain.importing.times import read_times
from trendtrain.importing.zones import Zone


def read(table: Table, options: ReadOptions) -> RawBars:
    """Return the bars; times without a zone count as UTC, those in a local form (01/31/2024) need a `timezone`."""
    columns = table.bar_columns()
    times = read_times(columns["time"], Zone(options.timezone))
    return read_raw_bars(times, columns, symbol_column=read_symbol(columns.get("symbol")))
