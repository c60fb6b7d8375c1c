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


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the files of bars, and how they are read."""
    files = "CSV, Parquet, Feather or JSON files, packed with zip or gzip or not, or folders of them"
    parser.add_argument("path", nargs="+", type=Path, help=files)
    parser.add_argument("--symbol", help="symbol of the bars; by default from the file's name, as in ETHUSDT_1h.csv")
    parser.add_argument("--timeframe", help="their timeframe, such as 5m; by default from their times")
    layout = "how the files are laid out, such as binance (docs/importing.md lists all); by default detected"
    parser.add_argument("--layout", help=layout)
    zone = "time zone of times written without one, such as EET or America/New_York; by default the layout's"
    parser.add_argument("--timezone", help=zone)


def add_out(parser: argparse.ArgumentParser) -> None:
    """Add where results go, one file for each file of bars."""
    out = "FILE.parquet or FILE.csv; of several files a folder, for a SYMBOL_TIMEFRAME.parquet each"
    parser.add_argument("--out", type=Path, required=True, help=out)
    parser.add_argument("--format", help="of the files in a folder: parquet or csv (parquet)")


def files_of(options: argparse.Namespace) -> list[Path]:
    """Return the files that the options of `add_files` mean.

    Raises:
        InputError: If there are none.
    """
    from trendtrain.importing import find_files

    return [file for path in options.path for file in find_files(path, options.layout)]


def make_folder(out: Path) -> None:
    """Make the folder that `--out` names.

    Raises:
        InputError: If it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"`--out` must be a folder that can be made, got {out}: {error.strerror}.") from error


@contextmanager
def storing_database(url: str) -> Iterator["Engine"]:
    """Open the database at `url` for a command that stores, and close it at the end.

    Raises:
        InputError: If it is lost when it is closed, or as `open_database` does.
    """
    check_is_kept(url)
    with _opened(url) as engine:
        yield engine


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
    from trendtrain.storage.database import is_missing

    if is_missing(url):
        raise InputError(f"`--db` must name a database that exists, got {url}.")
    with _opened(url) as engine:
        yield engine


@contextmanager
def _opened(url: str) -> Iterator["Engine"]:
    from trendtrain.storage.database import open_database

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
