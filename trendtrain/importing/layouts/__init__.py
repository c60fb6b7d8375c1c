"""The layouts that files come in: how each is recognised, and how its bars are read."""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from trendtrain.errors import check_choice
from trendtrain.importing.layouts import binance, candles, cryptodatadownload, lean, metatrader, trades
from trendtrain.importing.raw_bars import RawBars, ReadOptions, read_raw_bars
from trendtrain.importing.table import Table, read_symbol
from trendtrain.importing.times import Zone, read_times


class Layout(NamedTuple):
    """A way to write bars into a file.

    Attributes:
        name: What `--layout` and reports call it.
        matches: Returns whether a table looks like this.
        read: Returns the bars of such a table, or raises `BarsError` if a column is missing or a value cannot be read.
        columns: What `read` takes the columns for, in words.
    """

    name: str
    matches: Callable[[Table], bool]
    read: Callable[[Table, ReadOptions], RawBars]
    columns: str


def _read_named(table: Table, options: ReadOptions) -> RawBars:
    """Return the bars of named columns; times in a local form (01/31/2024) need a `timezone`, others count as UTC."""
    columns = table.bar_columns()
    times = read_times(columns["time"], Zone(options.timezone))
    return read_raw_bars(times, columns, symbol_column=read_symbol(columns.get("symbol")))


_NAMES: Final = "columns by their names"
_CANDLES: Final = "time, then open, high, low, close or open, close, high, low, then volume"

# The first that matches reads the file: the particular ones before the general.
LAYOUTS: Final = (
    Layout("lean", lean.matches, lean.read, "time, open, high, low, close, volume"),
    Layout("binance", binance.matches, binance.read, "time, open, high, low, close, volume, close time"),
    Layout("lean_unscaled", lean.matches_unscaled, lean.read_unscaled, "time, open, high, low, close, volume"),
    Layout("cryptodatadownload", cryptodatadownload.matches, cryptodatadownload.read, _NAMES),
    Layout("metatrader", metatrader.matches, metatrader.read, _NAMES),
    Layout("trades", trades.matches, trades.read, _NAMES),
    Layout("bitfinex", candles.matches_bitfinex, partial(candles.read, order=candles.BITFINEX), _CANDLES),
    Layout("freqtrade", candles.matches_freqtrade, partial(candles.read, order=candles.FREQTRADE), _CANDLES),
    Layout("generic", lambda table: True, _read_named, _NAMES),
)
NAMES: Final = tuple(layout.name for layout in LAYOUTS)


def choose_layout(table: Table, name: str | None) -> Layout:
    """Return the layout of that name, or the first that matches.

    Raises:
        InputError: If there is none of that name.
    """
    if name is not None:
        check_choice("layout", name, NAMES)
    return next(layout for layout in LAYOUTS if (layout.matches(table) if name is None else layout.name == name))
