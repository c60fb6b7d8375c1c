"""Single trades, a row each: a time, a price and an amount; they become bars."""

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from trendtrain.importing.raw_bars import RawBars, ReadOptions
from trendtrain.importing.table import SYMBOLS, TIMES, Table, check_values, read_numbers, read_symbol
from trendtrain.importing.times import Zone, read_times
from trendtrain.market.bars import PRICES, BarsError, FloatArray
from trendtrain.market.timeframe import format_timeframe, parse_timeframe

_TIMES: Final = (*TIMES, "transact_time")
_AMOUNTS: Final = ("amount", "qty", "quantity", "size", "volume")
_TIMEFRAME: Final = "1m"
# Binance's files have no header: https://github.com/binance/binance-public-data, "Trades" and "AggTrades".
_BINANCE: Final = {
    7: ("id", "price", "amount", "quote", "time", "is_maker", "is_best"),
    8: ("id", "price", "amount", "first_id", "last_id", "time", "is_maker", "is_best"),
}


def matches(table: Table) -> bool:
    """Return whether there is a price and an amount, and no price of a bar; or the columns of Binance."""
    names = _with_names(table).names
    return "price" in names and not names.isdisjoint(_AMOUNTS) and names.isdisjoint(PRICES)


def read(table: Table, options: ReadOptions) -> RawBars:
    """Return the bars of `--timeframe`, by default 1m; time without trades gives no bar.

    Trades of one time keep the order of their rows. The first and the last bar hold what the file holds of them.
    """
    table = _with_names(table)
    time, price, amount = (_column(table, *names) for names in (_TIMES, ("price",), _AMOUNTS))
    times = read_times(time, Zone(options.timezone))
    prices, amounts = _positive(price), _positive(amount)
    length = parse_timeframe(options.timeframe or _TIMEFRAME)
    order = np.argsort(times.utc, kind="stable")
    slot = times.utc[order].astype(np.int64) // length.astype(np.int64)
    starts = np.flatnonzero(np.diff(slot, prepend=slot[0] - 1))
    ends = np.append(starts[1:], len(slot)) - 1
    prices = prices[order]
    return RawBars(
        open_time=(slot[starts] * length.astype(np.int64)).astype("datetime64[ms]"),
        open=prices[starts],
        high=np.maximum.reduceat(prices, starts),
        low=np.minimum.reduceat(prices, starts),
        close=prices[ends],
        volume=np.add.reduceat(amounts[order], starts),
        time_rule=times.rule,
        symbol_column=read_symbol(table.column(*SYMBOLS)),
        timeframe=length,
        volume_rule=f"sum of {len(slot):,} trades over {format_timeframe(length)}",
    )


def _with_names(table: Table) -> Table:
    """Return the table with the names of Binance's columns, if it has none and the last two say yes or no."""
    names = _BINANCE.get(table.n_columns)
    if table.has_names or names is None or not all(map(pd.api.types.is_bool_dtype, table.rows.dtypes.iloc[-2:])):
        return table
    return replace(table, rows=table.rows.set_axis(list(names), axis=1))


def _column(table: Table, *names: str) -> pd.Series:
    column = table.column(*names)
    if column is None:
        raise BarsError(f"columns of trades must include {' or '.join(names[:4])}, found {table.describe_columns()}.")
    table.check_rows("trades")
    return column


def _positive(column: pd.Series) -> FloatArray:
    values = read_numbers(column)
    check_values(column, ~((values > 0) & np.isfinite(values)), "be positive")
    return values
