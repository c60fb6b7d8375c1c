"""The number under which the database knows a series."""

from collections.abc import Sequence

from sqlalchemy import Connection, Select, select, tuple_

from trendtrain.market.bars import Series
from trendtrain.storage import schema
from trendtrain.storage.upsert import add_rows


def find_series(connection: Connection, series: Series) -> int | None:
    """Return the number of a series; None if the database has none."""
    table = schema.series.c
    return connection.scalar(select(table.id).where(table.symbol == series.symbol, table.timeframe == series.timeframe))


def find_or_add_series(connection: Connection, names: Sequence[Series]) -> list[int]:
    """Return the number of each series; add those that the database does not have."""
    numbers = _numbers(connection, _rows_of(names))
    # In one order, so that two runs never wait for each other. Adding a series that exists would use up a number in
    # PostgreSQL, with every live bar.
    if missing := sorted(set(names) - numbers.keys()):
        for name in missing:
            add_rows(connection, schema.series, [name])
        numbers = _numbers(connection, _rows_of(names))
    return [numbers[name] for name in names]


def lock_series(connection: Connection, *names: Series) -> dict[Series, int]:
    """Return the number of each series, and make other writers of these series wait until the transaction ends.

    Its first statement begins the transaction. A series that the database does not have gets a number.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # Python's driver would begin at the first change only
        return dict(zip(names, find_or_add_series(connection, names), strict=True))
    find_or_add_series(connection, names)
    # In one order, so that two writers never wait for each other; rows that refer to the series need not wait.
    table = schema.series.c
    ordered = _rows_of(names).order_by(table.symbol, table.timeframe)
    return _numbers(connection, ordered.with_for_update(key_share=True))


def _rows_of(names: Sequence[Series]) -> Select[int, str, str]:
    table = schema.series.c
    return select(table.id, table.symbol, table.timeframe).where(tuple_(table.symbol, table.timeframe).in_(names))


def _numbers(connection: Connection, rows: Select[int, str, str]) -> dict[Series, int]:
    return {Series(symbol, timeframe): number for number, symbol, timeframe in connection.execute(rows)}
