"""Open a database that holds our tables."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection, ExecutionContext
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError, OperationalError

from trendtrain.errors import TRY_AGAIN, DamagedDataError, InputError, StorageError
from trendtrain.storage.schema_version import UPGRADABLE, VERSION, create_if_new, upgrade

_PRAGMAS = ("journal_mode = WAL", "foreign_keys = ON")
_BUSY_SECONDS = 30
_NO_DATABASE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB)


def open_database(url: str) -> Engine:
    """Open the database at `url`; a new one gets its tables.

    Args:
        url: `sqlite:///FILE`, or any SQLAlchemy URL such as `postgresql+psycopg://USER@HOST/NAME`. A writer waits 30
            seconds for others; `sqlite:///FILE?timeout=SECONDS`, or `?options=-c lock_timeout=30s` for PostgreSQL,
            change that.

    Raises:
        InputError: If `url` is no database URL, its driver is not installed, its folder does not exist, what it names
            cannot be opened as a database, or its tables are of another schema version.
        StorageError: If the database is locked, full or read-only where its tables must be created.

    Example:
        >>> engine = open_database("sqlite://")
        >>> engine.dialect.name
        'sqlite'
        >>> engine.dispose()
    """
    engine, version = _open(url, create_if_new)
    if version != VERSION:
        engine.dispose()
        raise _wrong_version(engine.url, version)
    return engine


def upgrade_database(url: str) -> str | None:
    """Bring the tables of the database at `url` to this schema version, all or none; a new one gets its tables.

    Returns:
        The version it had; None where it was new.

    Raises:
        InputError: As `open_database` does, but for an older version.

    Example:
        >>> upgrade_database("sqlite://") is None
        True
    """
    engine, version = _open(url, upgrade)
    engine.dispose()
    if version not in (None, *UPGRADABLE):
        raise _wrong_version(engine.url, version)
    return version


def is_missing(url: str) -> bool:
    """Return whether nothing is stored at `url`: a SQLite file that does not exist, or a database in memory.

    Raises:
        InputError: If `url` is no database URL.

    Example:
        >>> is_missing("sqlite:///nowhere.db"), is_missing("sqlite://")
        (True, True)
    """
    parsed = _parse(url)
    return is_in_memory(url) or (_names_file(parsed) and not Path(str(parsed.database)).exists())


def is_in_memory(url: str) -> bool:
    """Return whether `url` names a database that is lost when it is closed: SQLite without a file.

    Raises:
        InputError: If `url` is no database URL.

    Example:
        >>> is_in_memory("sqlite:///"), is_in_memory("sqlite:///file:a?mode=memory&uri=true"), is_in_memory("sqlite:///a")
        (True, True, False)
    """
    parsed = _parse(url)
    is_memory = not parsed.database or ":memory:" in parsed.database or parsed.query.get("mode") == "memory"
    return parsed.get_backend_name() == "sqlite" and is_memory


def _open(url: str, prepare: Callable[[Engine], str | None]) -> tuple[Engine, str | None]:
    """Connect and prepare the tables."""
    parsed = _parse(url)
    _check_folder(parsed)
    engine = _engine(parsed)
    try:
        _connect(engine)
        event.listen(engine, "handle_error", _explain)
        return engine, prepare(engine)
    except DBAPIError as error:
        engine.dispose()
        reason = str(error.orig).strip().splitlines()[0]
        raise InputError(f"`db.url` must name a database that can be opened, got {parsed}: {reason}.") from error
    except StorageError:
        engine.dispose()
        raise


def _connect(engine: Engine) -> None:
    """Connect once. Most errors show that the URL names no database; but one of SQLite's may be locked or corrupt."""
    try:
        engine.connect().close()
    except DBAPIError as error:
        if getattr(error.orig, "sqlite_errorcode", _NO_DATABASE[0]) & 0xFF not in _NO_DATABASE:
            raise _failure(engine, error) or error from error
        raise


def _explain(context: ExceptionContext) -> None:
    """Raise a failure of the database as one line; SQLAlchemy calls this on any error."""
    error = context.sqlalchemy_exception
    failure = _failure(context.engine, error) if context.engine and isinstance(error, DBAPIError) else None
    if failure:
        raise failure from context.original_exception


def _failure(engine: Engine, error: DBAPIError) -> StorageError | None:
    """Return the error of a database that is locked, full, unreachable, restarted or corrupt; None for another error.

    Another error, such as a row that breaks a rule of the tables, is ours, and its traceback helps.
    """
    failed = f"The database {engine.url} failed: {str(error.orig).strip().splitlines()[0].rstrip('.')}."
    if isinstance(error, OperationalError):
        return StorageError(f"{failed} {TRY_AGAIN}")
    if type(error) is DatabaseError:  # SQLite's, for a file that is corrupt
        return DamagedDataError(f"{failed} Restore it from a copy.")
    return None


def _wrong_version(url: URL, version: str | None) -> InputError:
    if version in UPGRADABLE:
        remedy = f"run `trendtrain db upgrade --db {url}`"
    elif version and version.isdigit() and int(version) < int(UPGRADABLE[0]):
        remedy = "it is too old to upgrade; import the bars into a new database, or use the trendtrain that made it"
    else:
        remedy = "install the trendtrain that made it, or a later one"
    rule = f"`db.url` must name a database of schema version {VERSION}"
    return InputError(f"{rule}, got {url} of version {version}: {remedy}.")


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InputError(f"`db.url` must look like sqlite:///trendtrain.db, got {url!r}.") from error


def _check_folder(url: URL) -> None:
    if not _names_file(url):
        return
    folder = Path(str(url.database)).parent
    if not folder.is_dir():
        raise InputError(f"`db.url` must name a file in a folder that exists, got {url}: no folder {folder}.")


def _names_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:") and "uri" not in url.query


def _engine(url: URL) -> Engine:
    try:
        engine = create_engine(url, connect_args=_busy_timeout(url))
    except (NoSuchModuleError, ImportError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"`db.url` must name an installed database driver, got {url}: {reason}.") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "invalidate", _roll_back)
    if engine.dialect.driver == "psycopg":
        event.listen(engine, "before_cursor_execute", _read_binary)
    return engine


def _busy_timeout(url: URL) -> dict[str, int | str]:
    # As arguments of the drivers, so that the URL may say otherwise.
    if url.get_backend_name() == "sqlite":
        return {} if "timeout" in url.query else {"timeout": _BUSY_SECONDS}
    if url.get_driver_name() == "psycopg" and "options" not in url.query:
        return {"options": f"-c lock_timeout={_BUSY_SECONDS}s"}
    return {}


def _set_pragmas(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _roll_back(connection: DBAPIConnection, _record: object, _error: BaseException | None) -> None:
    """Release the lock of a transaction that Ctrl-C interrupted: closing alone would not, while a cursor is in use."""
    connection.rollback()


def _read_binary(
    _connection: Connection,
    cursor: Any,
    _statement: str,
    _parameters: object,
    context: ExecutionContext | None,
    _is_many: bool,
) -> None:
    """Let PostgreSQL send the result of a statement with the option `is_binary` as bytes, not as hexadecimal digits.

    Only there: in binary, psycopg gives some types of the catalogue as raw bytes, and describing a table fails.
    """
    if context is not None and context.execution_options.get("is_binary"):
        cursor.format = 1  # psycopg.pq.Format.BINARY
