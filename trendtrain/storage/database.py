"""Open a database that holds our tables."""

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.schema import CreateTable

from trendtrain.errors import InputError
from trendtrain.storage.faults import explain
from trendtrain.storage.schema import metadata

_PRAGMAS = ("journal_mode = WAL", "foreign_keys = ON")
_BUSY_SECONDS = 30


def open_database(url: str) -> Engine:
    """Open the database at `url` and create the tables it lacks.

    Args:
        url: `sqlite:///FILE`, or any URL of SQLAlchemy's such as `postgresql+psycopg://USER@HOST/NAME`. SQLite waits
            30 seconds for other writers, or as `sqlite:///FILE?timeout=SECONDS` says.

    Raises:
        InputError: If `url` is no database URL, its driver is not installed, its folder does not exist, or what it
            names cannot be opened as a database.

    Example:
        >>> engine = open_database("sqlite://")
        >>> engine.dialect.name
        'sqlite'
        >>> engine.dispose()
    """
    parsed = _parse(url)
    _check_folder(parsed)
    engine = _engine(parsed)
    try:
        _create_tables(engine)
    except DBAPIError as error:
        engine.dispose()
        reason = str(error.orig).strip().splitlines()[0]
        raise InputError(f"`db.url` must name a database that can be opened, got {parsed}: {reason}.") from error
    event.listen(engine, "handle_error", explain)
    return engine


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InputError(f"`db.url` must look like sqlite:///trendtrain.db, got {url!r}.") from error


def _check_folder(url: URL) -> None:
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:") or "uri" in url.query:
        return
    folder = Path(str(url.database)).parent
    if not folder.is_dir():
        raise InputError(f"`db.url` must name a file in a folder that exists, got {url}: no folder {folder}.")


def _engine(url: URL) -> Engine:
    try:
        engine = create_engine(url, connect_args=_busy_timeout(url))
    except (NoSuchModuleError, ImportError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"`db.url` must name an installed database driver, got {url}: {reason}.") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
    if engine.dialect.driver == "psycopg":
        event.listen(engine, "connect", _read_binary)
    return engine


def _busy_timeout(url: URL) -> dict[str, int]:
    # As an argument of the driver's, not a pragma, so that the URL may say otherwise.
    return {"timeout": _BUSY_SECONDS} if url.get_backend_name() == "sqlite" and "timeout" not in url.query else {}


def _set_pragmas(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _read_binary(connection: DBAPIConnection, _record: object) -> None:
    """Let PostgreSQL send blocks as bytes, not as hexadecimal digits: twice as fast."""
    import psycopg

    class BinaryCursor(psycopg.Cursor[object]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.format = psycopg.pq.Format.BINARY

    connection.cursor_factory = BinaryCursor


def _create_tables(engine: Engine) -> None:
    # Not `create_all`: it looks first and creates later, and processes that open a new file together would collide.
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
