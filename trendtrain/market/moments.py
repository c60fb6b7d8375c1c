"""Write a moment as milliseconds since 1970 UTC, as the database stores it."""

from datetime import UTC, datetime

import numpy as np

from trendtrain.errors import InputError

Moment = datetime | np.datetime64 | str


def to_milliseconds(name: str, moment: Moment) -> int:
    """Return the milliseconds since 1970 of a time; without an offset it is UTC.

    Args:
        name: The argument, for the error message.
        moment: An ISO string, a `datetime64` or a `datetime`.

    Raises:
        InputError: If `moment` is no time.

    Example:
        >>> to_milliseconds("start", "1970-01-01T01:00:01+01:00")
        1000
    """
    try:
        time = datetime.fromisoformat(moment.strip()) if isinstance(moment, str) else moment
    except ValueError as error:
        raise InputError(f"`{name}` must be an ISO time such as 2024-01-31T12:00, got {moment!r}.") from error
    if isinstance(time, datetime):
        time = np.datetime64(time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time)
    if np.isnat(time):
        raise InputError(f"`{name}` must be a time, got NaT.")
    return int(time.astype("datetime64[ms]").astype(np.int64))
