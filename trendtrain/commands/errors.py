"""Say a user's mistake in one line."""

import sys

from trendtrain.errors import InputError

_EXIT_MISTAKE = 2


def say(error: Exception) -> int:
    """Print an error as one line, the innermost user's mistake first, and return the exit code for it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, InputError):
        cause = cause.__cause__ or cause.__context__
    line = " ".join(str(cause or error).split())
    sys.stderr.write(f"trendtrain: error: {line}\n")
    return _EXIT_MISTAKE
