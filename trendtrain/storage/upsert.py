"""Insert rows whose key may exist already, in SQL that SQLite and PostgreSQL share."""

from collections.abc import Iterable
from functools import cache
from typing import Final

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg

Insert = postgresql.Insert | sqlite.Insert
Row = tuple[object, ...]

# Their parameters go by position: a row is a tuple.
_DIALECTS: Final[dict[str, Dialect]] = {
    "sqlite": sqlite.dialect(),
    "postgresql": psycopg.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
}


def insert_missing(connection: Connection, table: Table) -> Insert:
    """Return an insert that leaves an existing row as it is."""
    return _insert(table, connection.dialect.name).on_conflict_do_nothing()


def add_rows(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    """Insert rows; a row whose unique key exists stays as it is.

    Args:
        connection: Where to write.
        table: Into what. If its key is an integer `id`, the database numbers the rows.
        rows: A value for each other column, in the table's order, in plain Python types.
    """
    _execute(connection, _add_sql(table, connection.dialect.name), list(rows))


def replace_rows(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    """Insert rows; a row whose primary key exists gets the new values, and rows that refer to it stay.

    Args:
        connection: Where to write.
        table: Into what.
        rows: A value for each column, in the table's order, in plain Python types.
    """
    values = list(rows)
    # Usually no row exists: that costs as much as a plain insert, and an upsert a sixth more.
    if _execute(connection, _add_sql(table, connection.dialect.name), values) < len(values):
        _execute(connection, _replace_sql(table, connection.dialect.name), values)


def _execute(connection: Connection, sql: str, rows: list[Row]) -> int:
    """Execute a statement for each row, and return how many were written."""
    # Tuples go to the driver as they are: a dict a row takes SQLAlchemy several times as long.
    return connection.exec_driver_sql(sql, rows).rowcount if rows else 0


@cache
def _add_sql(table: Table, dialect: str) -> str:
    names = [column.name for column in table.columns if column.name != "id"]
    return _sql(_insert(table, dialect).on_conflict_do_nothing(), dialect, names)


@cache
def _replace_sql(table: Table, dialect: str) -> str:
    insert = _insert(table, dialect)
    keys = [column.name for column in table.primary_key]
    values = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
    return _sql(insert.on_conflict_do_update(index_elements=keys, set_=values), dialect, list(table.columns.keys()))


def _sql(insert: Insert, dialect: str, names: list[str]) -> str:
    return str(insert.compile(dialect=_DIALECTS[dialect], column_keys=names))


def _insert(table: Table, dialect: str) -> Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
