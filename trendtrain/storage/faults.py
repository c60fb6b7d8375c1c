"""Say in one line why a database failed."""

from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DatabaseError, OperationalError

from trendtrain.errors import InputError


def explain(context: ExceptionContext) -> None:
    """Raise a fault of the database as one line; SQLAlchemy calls this on any error.

    Locked, full, unreachable, restarted, corrupt: nothing that a traceback would help with. A mistake in our own
    statements, or a row that breaks a rule of the tables, stays what it is.

    Raises:
        InputError: If the database could not do its work.
    """
    error = context.sqlalchemy_exception
    if isinstance(error, OperationalError):
        remedy = "What was stored before stays; mend that and run the same command again."
    elif type(error) is DatabaseError:  # SQLite's, for a file that is damaged
        remedy = "Restore it from a copy."
    else:
        return
    reason = str(context.original_exception).strip().splitlines()[0].rstrip(".")
    url = context.engine.url if context.engine else "in use"
    raise InputError(f"The database {url} failed: {reason}. {remedy}") from context.original_exception
