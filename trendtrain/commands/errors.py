"""Say a user's mistake in one line."""

import sys

from trendtrain.errors import InputError

_EXIT_MISTAKE = 2
_HYDRA_ADVICE = ", set env var HYDRA_FULL_ERROR=1 to see chained exception."  # where it hides why an import failed


def say(error: Exception) -> int:
    """Print an error as one line and return the exit code for it."""
    sys.stderr.write(f"trendtrain: error: {line_of(error)}\n")
    return _EXIT_MISTAKE


def line_of(error: Exception) -> str:
    """Return an error as one line, the innermost user's mistake first."""
    cause: BaseException = error
    while not isinstance(cause, InputError):
        inner = cause.__cause__ or cause.__context__
        if inner is None:
            return " ".join(str(error).replace(_HYDRA_ADVICE, f": {cause},").split())
        cause = inner
    return " ".join(str(cause).split())
