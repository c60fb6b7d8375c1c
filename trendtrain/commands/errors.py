"""Say a user's mistake in one line."""

import sys

from trendtrain.errors import InputError

_EXIT_MISTAKE = 2


def say(error: Exception) -> int:
    """Print an error as one line and return the exit code for it."""
    sys.stderr.write(f"trendtrain: error: {line_of(error)}\n")
    return _EXIT_MISTAKE


def line_of(error: Exception) -> str:
    """Return an error as one line, the innermost user's mistake first."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, InputError):
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(cause or error).split())
