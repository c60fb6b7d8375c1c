"""Write a timeframe as `5m` and read it back."""

import re

import numpy as np

from trendtrain.errors import InputError

_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def parse_timeframe(text: str) -> np.timedelta64:
    """Return the length of a bar written as a count and a unit: `1s`, `5m`, `1h`, `1d`, `1w`.

    Raises:
        InputError: If `text` is not of that form.

    Example:
        >>> parse_timeframe("5m")
        np.timedelta64(300000,'ms')
    """
    match = re.fullmatch(r"([1-9]\d*)([smhdw])", str(text))
    if match is None:
        raise InputError(f"`timeframe` must look like 1s, 5m, 1h, 1d or 1w, got {text!r}.")
    return np.timedelta64(int(match[1]) * _UNIT_MS[match[2]], "ms")


def format_timeframe(timeframe: np.timedelta64) -> str:
    """Write a timeframe in the largest unit that divides it; weeks stay days.

    Raises:
        InputError: If it is not a positive whole number of seconds.

    Example:
        >>> format_timeframe(np.timedelta64(3600, "s"))
        '1h'
    """
    milliseconds = int(timeframe / np.timedelta64(1, "ms"))
    for unit in "dhms":
        if milliseconds > 0 and milliseconds % _UNIT_MS[unit] == 0:
            return f"{milliseconds // _UNIT_MS[unit]}{unit}"
    raise InputError(f"`timeframe` must be a positive whole number of seconds, got {timeframe!r}.")
