"""The number under which the database knows a series."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from sqlalchemy import Connection, select, tuple_

from trendtrain.market.bars import Series
from trendtrain.storage import schema
from trendtrain.storage.upsert import add_rows

T = TypeVar("T")
_AT_ONCE: Final = 10_000


def find_series(connection: Connection, series: Series) -> int | None:
    """Return the number of a series; None if the database has none."""
    table = schema.series.c
    return connection.scalar(select(table.id).where(table.symbol == series.symbol, table.timeframe == series.timeframe))


def find_or_add_series(connection: Connection, names: Sequence[Series]) -> list[int]:
    """Return the number of each series; add those that the database does not have."""
    numbers = _numbers(connection, names)
    # In one order, so that two runs never wait for each other. Adding a series that exists would use up a number in
    # PostgreSQL, with every live bar.
    missing = sorted(set(names) - numbers.keys())
    for name in missing:
        add_rows(connection, schema.series, [name])
    numbers |= _numbers(connection, missing)
    return [numbers[name] for name in names]


def lock_series(connection: Connection, *names: Series) -> dict[Series, int]:
    """Return the number of each series, and make other writers of these series wait until the transaction ends.

    Its first statement begins the transaction. A series that the database does not have gets a number.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # Python's driver would begin at the first change only
    numbers = find_or_add_series(connection, names)
    table = schema.series.c
    for part in [] if is_sqlite else _parts(sorted(numbers)):  # in one order, as above
        locked = select(table.id).where(table.id.in_(part)).order_by(table.id)
        connection.execute(locked.with_for_update(key_share=True)).all()  # rows that refer to the series need not wait
    return dict(zip(names, numbers, strict=True))


def _numbers(connection: Connection, names: Sequence[Series]) -> dict[Series, int]:
    """Return the numbers of those series that the database has."""
    table, numbers = schema.series.c, dict[Series, int]()
    rows = select(table.id, table.symbol, table.timeframe)
    for part in _parts(names):
        found = connection.execute(rows.where(tuple_(table.symbol, table.timeframe).in_(part)))
        numbers |= {Series(symbol, timeframe): number for number, symbol, timeframe in found}
    return numbers


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield values for one statement at a time: databases limit its parameters."""
    return (values[at : at + _AT_ONCE] for at in range(0, len(values), _AT_ONCE))
