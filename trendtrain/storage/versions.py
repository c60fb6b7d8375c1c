"""The version of a database's tables: which it is, and the way to ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, func, insert, inspect, select, text

from trendtrain.storage.schema import metadata
from trendtrain.storage.views import VIEWS

VERSION: Final = "2"
KNOWN_VERSIONS: Final = ("1", "2")

# Alembic's own table, described here so that only an upgrade imports Alembic (0.2 s).
_versions = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
_LOCK: Final = 8_241_077_302  # any number that nobody else locks in the same PostgreSQL database


def stored_version(connection: Connection) -> str | None:
    """Return the version of the tables; None where there are none of ours."""
    names = set(inspect(connection).get_table_names())
    if _versions.name in names:
        return connection.scalar(select(_versions.c.version_num))
    return "1" if names & {"series", "bar_blocks"} else None  # version 1 kept no number


def create_if_new(engine: Engine) -> str | None:
    """Create all tables where there are none, and return the version that is there then."""
    with engine.connect() as connection:
        version = stored_version(connection)
    if version is not None:
        return version
    with _alone(engine) as connection:
        if stored_version(connection) is None:  # another process may have been first
            _create(connection)
        return stored_version(connection)


def upgrade(engine: Engine) -> str | None:
    """Bring the tables to `VERSION` in one transaction, and return the version they had; None for no tables."""
    with _alone(engine) as connection:
        version = stored_version(connection)
        if version is None:
            _create(connection)
        elif version in KNOWN_VERSIONS and version != VERSION:
            from trendtrain.storage.migrations import migrate

            migrate(connection)
        return version


def _create(connection: Connection) -> None:
    metadata.create_all(connection, checkfirst=False)
    for name, query in VIEWS.items():
        connection.execute(text(f"CREATE VIEW {name} AS {query}"))
    _versions.create(connection)
    connection.execute(insert(_versions).values(version_num=VERSION))


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction that holds creations and upgrades by other processes back until it ends."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        else:  # Python's sqlite3 begins none before a CREATE TABLE
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
