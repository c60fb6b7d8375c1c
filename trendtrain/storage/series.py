"""The number under which the database knows a series."""

from collections.abc import Sequence

from sqlalchemy import Connection, Select, select

from trendtrain.market.bars import Series
from trendtrain.storage import schema
from trendtrain.storage.upsert import add_rows


def find_series(connection: Connection, series: Series) -> int | None:
    """Return the number of a series; None if the database has none."""
    return connection.scalar(_number_of(series))


def find_or_add_series(connection: Connection, names: Sequence[Series]) -> list[int]:
    """Return the number of each series; add those that the database does not have."""
    rows = connection.execute(select(schema.series.c.id, schema.series.c.symbol, schema.series.c.timeframe))
    numbers = {Series(symbol, timeframe): number for number, symbol, timeframe in rows}
    for name in sorted(set(names) - set(numbers)):  # in one order, so that two runs never wait for each other
        add_rows(connection, schema.series, [name])
        numbers[name] = connection.execute(_number_of(name)).scalar_one()
    return [numbers[name] for name in names]


def lock_series(connection: Connection, *names: Series) -> dict[Series, int]:
    """Return the number of each series, and make other writers of these series wait until the transaction ends.

    Its first statement begins the transaction. A series that the database does not have gets a number.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # Python's driver would begin at the first change only
    # In one order, so that two writers never wait for each other.
    return {series: _lock(connection, series) for series in sorted(set(names))}


def _lock(connection: Connection, series: Series) -> int:
    locked = _number_of(series).with_for_update(key_share=True)  # rows that refer to the series need not wait
    number = connection.scalar(locked)
    if number is None:  # adding an existing series would use up a number in PostgreSQL, with every live bar
        add_rows(connection, schema.series, [series])
        number = connection.execute(locked).scalar_one()
    return number


def _number_of(series: Series) -> Select[int]:
    table = schema.series
    return select(table.c.id).where(table.c.symbol == series.symbol, table.c.timeframe == series.timeframe)
