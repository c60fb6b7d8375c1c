"""The way from each version of the schema to the next, by Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def alembic_config(connection: Connection) -> Config:
    """Return what Alembic must know to work on a database through `connection`."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def migrate(connection: Connection) -> None:
    """Bring the tables to the newest version, inside the transaction that `connection` is in."""
    command.upgrade(alembic_config(connection), "head")
