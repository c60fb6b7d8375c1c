"""Options that several commands share."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trendtrain.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import Engine

DEFAULT_DB = "sqlite:///trendtrain.db"


def add_db(parser: argparse.ArgumentParser) -> None:
    """Add `--db`."""
    parser.add_argument("--db", default=DEFAULT_DB, help="database URL (%(default)s)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


@contextmanager
def storing_database(url: str) -> Iterator["Engine"]:
    """Open the database at `url` for a command that stores, and close it at the end.

    Raises:
        InputError: If it is lost when it is closed, or as `open_database` does.
    """
    from trendtrain.storage.database import open_database

    check_is_kept(url)
    engine = open_database(url)
    try:
        yield engine
    finally:
        engine.dispose()


def check_is_kept(url: str) -> None:
    """Refuse a database in memory, where a command would lose what it stores.

    Raises:
        InputError: If it is one.
    """
    from trendtrain.storage.database import is_in_memory

    if is_in_memory(url):
        raise InputError(f"`--db` must name a database that is kept, such as {DEFAULT_DB}, got {url}, which is memory.")


@contextmanager
def existing_database(url: str) -> Iterator["Engine"]:
    """Open the database at `url` for a command that reads, and close it at the end.

    Raises:
        InputError: If it does not exist, or as `open_database` does.
    """
    from trendtrain.storage.database import is_missing, open_database

    if is_missing(url):
        raise InputError(f"`--db` must name a database that exists, got {url}.")
    engine = open_database(url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def own_files() -> Iterator[None]:
    """Let `_target_=mynet.MyNet` find a file of the current folder, inside the block alone."""
    path = list(sys.path)
    sys.path.append(str(Path.cwd()))
    try:
        yield
    finally:
        sys.path[:] = path


def whole(text: str) -> int | str:
    """Return an integer, or other text unchanged: the rule of the option then refuses it with its own message."""
    try:
        return int(text)
    except ValueError:
        return text


def real(text: str) -> float | str:
    """Return a number, or other text unchanged, as `whole` does."""
    try:
        return float(text)
    except ValueError:
        return text
