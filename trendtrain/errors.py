"""The errors that the command line prints as one line, the exit codes, and checks of arguments.

```
ValueError
    InputError              a user's mistake                                        exit code 2
        BarsError           prices or times break a rule of bars (trendtrain.market.bars)
        NotStoredError      the database does not have the bars that were asked for
RuntimeError
    StorageError            a database or a disk failed during the work             exit code 1
        DamagedDataError    stored data is not what was written
```

Any other exception is a fault of ours: a traceback, and exit code 1.
"""

import difflib
import errno
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Final

EXIT_FAILED: Final = 1
EXIT_MISTAKE: Final = 2
EXIT_CTRL_C: Final = 130
EXIT_CLOSED_PIPE: Final = 141
EXIT_SIGTERM: Final = 143

TRY_AGAIN: Final = "Data stored earlier is kept. Fix the problem and run the same command again."

_DISK_FAULTS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class InputError(ValueError):
    """A user's mistake: the argument, the rule, and the value received."""


class NotStoredError(InputError):
    """The database does not have the bars that were asked for."""


class StorageError(RuntimeError):
    """A database or a disk failed during the work; what was stored before is unharmed, unless a subclass says else."""


class DamagedDataError(StorageError):
    """Stored data is not what was written: a block fails its checksum, or the file of the database is corrupt."""


class CostWarning(UserWarning):
    """A part of the user's takes time that it need not take; the command line prints it as one line."""


def is_disk_fault(error: OSError) -> bool:
    """Return whether a disk is full or failing, as opposed to a path that cannot be used.

    Example:
        >>> is_disk_fault(OSError(errno.ENOSPC, "No space left on device")), is_disk_fault(FileNotFoundError())
        (True, False)
    """
    return error.errno in _DISK_FAULTS


def near_file(path: str | Path) -> str:
    """Return the end of a message about a path that is not there: the file beside it that was probably meant."""
    path = Path(path)
    beside = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    return did_you_mean(path.name, beside, lambda name: path.parent / name)


def check_at_least(name: str, value: object, minimum: int) -> None:
    """Raise unless `value` is an integer of at least `minimum`.

    Raises:
        InputError: If `value` is no integer, or is below `minimum`.

    Example:
        >>> check_at_least("strength", 0, 1)
        Traceback (most recent call last):
        trendtrain.errors.InputError: `strength` must be an integer of at least 1, got 0.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < minimum:
        raise InputError(f"`{name}` must be an integer of at least {minimum}, got {value!r}.")


def check_number(name: str, value: object, low: float, high: float = float("inf")) -> None:
    """Raise unless `value` is a number in [`low`, `high`].

    Raises:
        InputError: If `value` is no number, or lies outside the range.

    Example:
        >>> check_number("lr", "fast", 0.0)
        Traceback (most recent call last):
        trendtrain.errors.InputError: `lr` must be a number of at least 0.0, got 'fast'.
    """
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= float(value) <= high:
        rule = f"a number of at least {low}" if high == float("inf") else f"a number from {low} to {high}"
        raise InputError(f"`{name}` must be {rule}, got {value!r}.")


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise unless `value` is one of `choices`.

    Raises:
        InputError: If it is not.

    Example:
        >>> check_choice("tie", "stirct", ("plateau", "strict"))
        Traceback (most recent call last):
        trendtrain.errors.InputError: `tie` must be one of plateau, strict, got 'stirct'; did you mean `strict`?
    """
    if value not in choices:
        rule = f"`{name}` must be one of {', '.join(map(str, choices))}, got {value!r}"
        raise InputError(f"{rule}{did_you_mean(value, choices)}")


def did_you_mean(word: object, choices: Iterable[object], meaning: Callable[[str], object] = str) -> str:
    """Return the end of a message: the choice that was probably meant, as `meaning` gives it, or a full stop.

    Example:
        >>> did_you_mean("modle", ["seed", "model"])
        '; did you mean `model`?'
        >>> did_you_mean("x", ["seed", "model"])
        '.'
    """
    near = difflib.get_close_matches(str(word), list(map(str, choices)), 1)
    return f"; did you mean `{meaning(near[0])}`?" if near else "."
