"""Single trades, a row each: a time, a price and an amount; they become bars."""

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from trendtrain.importing.columns import TIMES, find_column, only_symbol, read_numbers
from trendtrain.importing.raw_bars import RawBars, ReadOptions
from trendtrain.importing.source import Source
from trendtrain.importing.times import read_times
from trendtrain.importing.zones import Zone
from trendtrain.market.bars import PRICES, BarsError, FloatArray
from trendtrain.market.timeframe import format_timeframe, parse_timeframe

NAME: Final = "trades"
_TIMES: Final = (*TIMES, "transact_time")
_AMOUNTS: Final = ("amount", "qty", "quantity", "size", "volume")
_TIMEFRAME: Final = "1m"
# Binance's files have no header: https://github.com/binance/binance-public-data, "Trades" and "AggTrades".
_BINANCE: Final = {
    7: ("id", "price", "amount", "quote", "time", "is_maker", "is_best"),
    8: ("id", "price", "amount", "first_id", "last_id", "time", "is_maker", "is_best"),
}


def matches(source: Source) -> bool:
    """Say whether there is a price and an amount, and none of the four prices of a bar; or the columns of Binance."""
    source = _with_names(source)
    return "price" in source.names and not source.names.isdisjoint(_AMOUNTS) and source.names.isdisjoint(PRICES)


def read(source: Source, options: ReadOptions) -> RawBars:
    """Return the bars of `--timeframe`, by default 1m; time without trades gives no bar.

    Trades of one time keep the order of their rows. The first and the last bar hold what the file holds of them.

    Raises:
        BarsError: If a needed column is missing, a value is no number or no time, or a price or amount is not positive.
    """
    source = _with_names(source)
    time, price, amount = (_column(source, *names) for names in (_TIMES, ("price",), _AMOUNTS))
    times = read_times(time, Zone(options.timezone))
    prices, amounts = _positive(price), _positive(amount)
    length = parse_timeframe(options.timeframe or _TIMEFRAME)
    order = np.argsort(times.utc, kind="stable")
    slot = times.utc[order].astype(np.int64) // length.astype(np.int64)
    starts = np.flatnonzero(np.diff(slot, prepend=slot[0] - 1))
    ends = np.append(starts[1:], len(slot)) - 1
    prices = prices[order]
    symbol = find_column(source, "symbol", "ticker", "pair")
    return RawBars(
        open_time=(slot[starts] * length.astype(np.int64)).astype("datetime64[ms]"),
        open=prices[starts],
        high=np.maximum.reduceat(prices, starts),
        low=np.minimum.reduceat(prices, starts),
        close=prices[ends],
        volume=np.add.reduceat(amounts[order], starts),
        time_rule=times.rule,
        symbol_column=None if symbol is None or symbol.isna().all() else only_symbol(symbol),
        timeframe=length,
        volume_rule=f"sum of {len(slot):,} trades over {format_timeframe(length)}",
    )


def _with_names(source: Source) -> Source:
    """Return the source with the names of Binance's columns, where it has none and the last two say yes or no."""
    names = _BINANCE.get(source.n_columns)
    if source.has_names or names is None or not all(map(pd.api.types.is_bool_dtype, source.table.dtypes.iloc[-2:])):
        return source
    return replace(source, table=source.table.set_axis(list(names), axis=1))


def _column(source: Source, *names: str) -> pd.Series:
    column = find_column(source, *names)
    if column is None:
        raise BarsError(f"columns of trades must include {' or '.join(names[:4])}, found {source.shown_names()}.")
    if len(column) == 0:
        raise BarsError("a file must hold trades, got a header without rows.")
    return column


def _positive(column: pd.Series) -> FloatArray:
    values = read_numbers(column)
    is_bad = ~((values > 0) & np.isfinite(values))
    if is_bad.any():
        row = int(np.argmax(is_bad))
        raise BarsError(f"`{column.name}` must be positive, got {column.iloc[row]}.", row)
    return values
