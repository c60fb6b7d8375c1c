"""Print the errors that a user can act on as one line."""

import sys

from trendtrain.errors import EXIT_FAILED, EXIT_MISTAKE, InputError, StorageError, is_disk_fault

_HYDRA_ADVICE = ", set env var HYDRA_FULL_ERROR=1 to see chained exception."  # where it hides why an import failed


def report_error(error: Exception) -> int:
    """Print an error as one line and return the exit code for it."""
    sys.stderr.write(f"trendtrain: error: {line_of(error)}\n")
    return exit_code_of(error)


def exit_code_of(error: Exception) -> int:
    """Return 1 where a database or a disk failed, otherwise 2: the user's mistake."""
    cause = _cause_of(error)
    is_failure = isinstance(cause, StorageError) or (isinstance(cause, OSError) and is_disk_fault(cause))
    return EXIT_FAILED if is_failure else EXIT_MISTAKE


def line_of(error: Exception) -> str:
    """Return an error as one line; where another library wraps one of ours, only ours."""
    cause = _cause_of(error)
    is_ours = isinstance(cause, InputError | StorageError)
    text = str(cause) if is_ours else str(error).replace(_HYDRA_ADVICE, f": {cause},")
    return " ".join(text.split())


def _cause_of(error: Exception) -> BaseException:
    """Return the first error of ours in the chain of causes, or the innermost cause."""
    cause: BaseException = error
    while not isinstance(cause, InputError | StorageError):
        inner = cause.__cause__ or cause.__context__
        if inner is None:
            break
        cause = inner
    return cause
