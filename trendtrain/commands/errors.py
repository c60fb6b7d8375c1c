"""Print the errors that a user can act on as one line, and those of a user's own code with its frames."""

import sys
import sysconfig
import traceback
from pathlib import Path

from trendtrain.errors import EXIT_FAILED, EXIT_MISTAKE, InputError, StorageError, is_disk_fault

_HYDRA_ADVICE = ", set env var HYDRA_FULL_ERROR=1 to see chained exception."  # where it hides why an import failed
_OTHERS = (str(Path(__file__).parents[1]), sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "<")


def report_error(error: Exception) -> int:
    """Print an error as one line, after the frames of a user's own code that raised it; return the exit code for it."""
    if not isinstance(_cause_of(error), InputError | StorageError):
        sys.stderr.write("".join(traceback.format_list(own_frames(error))))
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


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of an error and its causes that lie in a user's own files."""
    frames: list[traceback.FrameSummary] = []
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        found = traceback.extract_tb(cause.__traceback__)
        frames = [frame for frame in found if not frame.filename.startswith(_OTHERS)] or frames
        cause = cause.__cause__ or cause.__context__
    return frames


def report_own(error: Exception) -> bool:
    """Print an error in a user's code with the frames of that code alone; return False where none has any."""
    if not (frames := own_frames(error)):
        return False
    cause = _cause_of(error)
    lines = "".join(traceback.format_list(frames))
    said = " ".join(str(cause).split())
    sys.stderr.write(
        f"{lines}trendtrain: error: {Path(frames[-1].filename).name} raised {type(cause).__name__}: {said}\n"
    )
    return True
