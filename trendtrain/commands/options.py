"""Options that several commands share."""

import argparse
from typing import TYPE_CHECKING

from trendtrain.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import Engine

DEFAULT_DB = "sqlite:///trendtrain.db"


def add_db(parser: argparse.ArgumentParser) -> None:
    """Add `--db`."""
    parser.add_argument("--db", default=DEFAULT_DB, help="database URL (%(default)s)")


def open_existing(url: str) -> "Engine":
    """Open the database at `url` for a command that has nothing to do in a new one.

    Raises:
        InputError: If it names a file that does not exist, or as `open_database` does.
    """
    from trendtrain.storage.database import is_missing, open_database

    if is_missing(url):
        raise InputError(f"`--db` must name a database that exists, got {url}.")
    return open_database(url)


def whole(text: str) -> int | str:
    """Return an integer; other text as it is, for the option's own rule to refuse in its own words."""
    try:
        return int(text)
    except ValueError:
        return text


def real(text: str) -> float | str:
    """Return a number; other text as it is, as `whole` does."""
    try:
        return float(text)
    except ValueError:
        return text
