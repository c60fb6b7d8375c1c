"""The number under which the database knows a series."""

from sqlalchemy import Connection, select

from trendtrain.errors import InputError
from trendtrain.market.bars import Series
from trendtrain.market.timeframe import format_timeframe, parse_timeframe
from trendtrain.storage import schema
from trendtrain.storage.upsert import insert_missing


def name_series(symbol: str, timeframe: str) -> Series:
    """Return the series of a symbol and a timeframe, the latter in its one usual form.

    Raises:
        InputError: If `symbol` is blank or padded, or `timeframe` is none.

    Example:
        >>> name_series("BTCUSDT", "60m")
        Series(symbol='BTCUSDT', timeframe='1h')
    """
    if not symbol.strip() or symbol != symbol.strip():
        raise InputError(f"`symbol` must be a name without spaces around it, got {symbol!r}.")
    return Series(symbol, format_timeframe(parse_timeframe(timeframe)))


def find_series(connection: Connection, series: Series) -> int | None:
    """Return the number of a series, None where the database has none."""
    table = schema.series
    query = select(table.c.id).where(table.c.symbol == series.symbol, table.c.timeframe == series.timeframe)
    return connection.scalar(query)


def claim_series(connection: Connection, series: Series) -> int:
    """Return the number of a series, a new one where the database has none.

    Its first statement writes, so that SQLite takes the write lock before anything is read.
    """
    row = {"symbol": series.symbol, "timeframe": series.timeframe}
    connection.execute(insert_missing(connection, schema.series), row)
    number = find_series(connection, series)
    assert number is not None
    return number


def lock_series(connection: Connection, series: Series) -> int:
    """Return the number of a series, a new one where the database has none; its writers queue up here."""
    series_id = claim_series(connection, series)
    # For PostgreSQL: SQLite let in one writer at the claim.
    connection.execute(select(schema.series.c.id).where(schema.series.c.id == series_id).with_for_update())
    return series_id
