"""Join the two rows of a header that writes the price above its symbol, or below it, as yfinance does."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import pandas as pd

from trendtrain.importing.table import SYMBOLS, TIMES, plain_name
from trendtrain.market.bars import PRICES, BarsError

UNNAMED: Final = "unnamed index"
_VALUE: Final = re.compile(r"[-+]?\d[\d.:/ eETZ+-]*|nan", re.IGNORECASE)


class Header(NamedTuple):
    """A header in one row: the `names` of the columns, the one `symbol` of all, and the `n_rows` that it filled."""

    names: list[str]
    symbol: str
    n_rows: int


def join_rows(rows: Sequence[Sequence[str]]) -> Header | None:
    """Return the header that the first rows of a file are, None where they are no two rows of names and symbols.

    Args:
        rows: The fields of the first three rows. The third holds the name of the index alone, if it is of the header.

    Raises:
        BarsError: If prices of more than one symbol stand side by side.

    Example:
        >>> join_rows([["Price", "Open", "High", "Low", "Close"], ["Ticker", *["A"] * 4], ["Date", "", "", "", ""]])
        Header(names=['Date', 'Open', 'High', 'Low', 'Close'], symbol='A', n_rows=3)
    """
    if len(rows) < 2 or len(rows[0]) != len(rows[1]) or _has_prices(rows[0]) == _has_prices(rows[1]):
        return None
    index = rows[2][0] if len(rows) > 2 and rows[2][0] and not any(rows[2][1:]) else ""
    names, symbols = rows[:2] if _has_prices(rows[0]) else (rows[1], rows[0])
    if symbols is rows[1] and not _are_symbols(names, symbols, bool(index)):
        return None  # a row of data
    if not any(symbols[1:]):
        return None
    own = names[0] if plain_name(names[0]) in TIMES else UNNAMED
    return Header([index or own, *names[1:]], one_symbol(names[1:], symbols[1:]), 2 + bool(index))


def flatten(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns have two levels with one, and the symbol of the other level as a column.

    Raises:
        BarsError: If there are more levels than two, none holds the prices, or another holds more than one symbol.
    """
    levels = [[str(name) for name in table.columns.get_level_values(i)] for i in range(table.columns.nlevels)]
    levels.sort(key=_has_prices, reverse=True)
    if len(levels) > 2 or not _has_prices(levels[0]):
        raise BarsError(f"columns must have one level of names (flatten them), got {tuple(table.columns[0])}.")
    names = [name or other for name, other in zip(*levels, strict=True)]
    flat = table.set_axis(names, axis=1)
    return flat if any(plain_name(name) in SYMBOLS for name in names) else flat.assign(symbol=one_symbol(*levels))


def one_symbol(names: Sequence[str], symbols: Sequence[str]) -> str:
    """Return the one symbol of columns with the names of prices.

    Raises:
        BarsError: If there are more.
    """
    found = list(dict.fromkeys(symbol for name, symbol in zip(names, symbols, strict=True) if _is_price(name)))
    found = [symbol for symbol in found if symbol] or list(dict.fromkeys(filter(None, symbols)))
    if len(found) > 1:
        rule = "a file must hold one symbol (flatten the two header rows, a file for each)"
        raise BarsError(f"{rule}, got {', '.join(found[:3])}{', ...' if len(found) > 3 else ''}.")
    return found[0]


def _are_symbols(names: Sequence[str], row: Sequence[str], has_index: bool) -> bool:
    """Return whether the row below the names holds a symbol for each price, and not the prices of a bar."""
    cells = [cell for name, cell in zip(names, row, strict=True) if _is_price(name)]
    if not all(cells) or _is_value(row[0]):
        return False
    is_marked = has_index or plain_name(row[0]).rstrip("s") in SYMBOLS
    return is_marked if any(map(_is_value, cells)) else True


def _is_value(field: str) -> bool:
    return bool(_VALUE.fullmatch(field))


def _is_price(name: str) -> bool:
    return plain_name(name) in PRICES


def _has_prices(names: Sequence[str]) -> bool:
    return set(PRICES) <= set(map(plain_name, names))
