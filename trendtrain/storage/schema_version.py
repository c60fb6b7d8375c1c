"""The schema version of a database: read it, create the tables, upgrade them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, func, insert, inspect, select, text

from trendtrain.storage.schema import VIEWS, metadata

VERSION: Final = "6"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
UPGRADABLE: Final = ("6",)  # every version that has a revision in trendtrain.storage.migrations

# Alembic's own table, described here so that only an upgrade imports Alembic (0.2 s).
_versions = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
_LOCK: Final = 8_241_077_302  # any number that nobody else locks in the same PostgreSQL database


def stored_version(connection: Connection) -> str | None:
    """Return the version of the tables; None where there are none of ours."""
    names = set(inspect(connection).get_table_names())
    if _versions.name in names:
        return connection.scalar(select(_versions.c.version_num))
    return "1" if names & {"series", "bar_blocks"} else None  # version 1 stored no number


def create_if_new(engine: Engine) -> str | None:
    """Create all tables where there are none, and return the version of the tables."""
    with engine.connect() as connection:
        version = stored_version(connection)
    if version is not None:
        return version
    with _exclusive(engine) as connection:
        if stored_version(connection) is None:  # another process may have been first
            _create(connection)
        return stored_version(connection)


def upgrade(engine: Engine) -> str | None:
    """Bring the tables to `VERSION` in one transaction, and return the version they had; None for no tables."""
    with _exclusive(engine) as connection:
        version = stored_version(connection)
        if version is None:
            _create(connection)
        elif version in UPGRADABLE and version != VERSION:
            _migrate(connection)
        return version


def _migrate(connection: Connection) -> None:
    """Run the revisions that are due, inside the transaction of `connection`."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _create(connection: Connection) -> None:
    metadata.create_all(connection, checkfirst=False)
    for name, query in VIEWS.items():
        connection.execute(text(f"CREATE VIEW {name} AS {query}"))
    _versions.create(connection)
    connection.execute(insert(_versions).values(version_num=VERSION))


@contextmanager
def _exclusive(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction; other processes wait with creations and upgrades until it ends."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        else:  # Python's sqlite3 begins none before a CREATE TABLE
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
