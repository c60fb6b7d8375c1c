"""Turn times of a clock on a wall into UTC."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from trendtrain.market.bars import BarsError, BoolArray, TimeArray

_DAY: Final = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Zone:
    """The time zone of times that carry none.

    Attributes:
        given: What the user said, None for nothing.
        default: What the layout says, None where it cannot know.
        why: Why the layout says so.
    """

    given: str | None = None
    default: str | None = "UTC"
    why: str = "as none is written"

    def without_default(self) -> "Zone":
        """Return the zone for times that are usually not UTC."""
        return self if self.default != "UTC" else replace(self, default=None)

    def refuse(self, what: str, column: str) -> None:
        """Refuse a zone that was given for times which need none.

        Raises:
            BarsError: If the user gave one.
        """
        if self.given is not None:
            raise BarsError(f"`timezone` must be left out for {what} (`{column}`), got {self.given}.")


def to_utc(shown: pd.Series, wall: TimeArray, zone: Zone) -> tuple[TimeArray, str]:
    """Return wall-clock times as UTC, and the rule in words.

    Midnights alone are dates, not moments: they stay as they are unless the user gives a zone.

    Args:
        shown: The times as the file writes them, for messages.
        wall: The times read, `datetime64[ms]`, shape (n_rows,).
        zone: Their zone.

    Raises:
        BarsError: If the zone is not known, or clocks went over or twice through a time.

    Example:
        >>> to_utc(pd.Series(["2024-07-01 03:00"]), np.array(["2024-07-01T03:00"], "datetime64[ms]"), Zone("EET"))
        (array(['2024-07-01T00:00:00.000'], dtype='datetime64[ms]'), 'EET, as given')
    """
    is_dates = len(wall) > 1 and bool((wall == wall.astype("datetime64[D]")).all())
    if zone.given is None and is_dates:
        return wall, "dates, taken as UTC days"
    name = zone.given or zone.default
    if name is None:
        rule = "say the zone of times in a local form, such as America/New_York, or UTC"
        raise BarsError(f"`timezone` must {rule}, got none for {shown.iloc[0]} (`{shown.name}`).", 0)
    rule = f"{name}, as given" if zone.given else f"taken as {name}, {zone.why}"
    return (wall if name == "UTC" else _localize(shown, wall, name)), rule


def _localize(shown: pd.Series, wall: TimeArray, name: str) -> TimeArray:
    is_newest_first = wall[0] > wall[-1]
    times = pd.DatetimeIndex(wall[::-1] if is_newest_first else wall)
    is_first = np.ones(len(times), np.bool_)
    is_skipped = np.asarray(times.tz_localize(name, ambiguous=is_first, nonexistent="NaT").isna())
    _check(shown, is_skipped[::-1] if is_newest_first else is_skipped, f"exist on the clocks of {name}")
    try:
        local = times.tz_localize(name, ambiguous="infer")
    except ValueError as error:
        is_double = np.asarray(times.tz_localize(name, ambiguous="NaT").isna())
        rule = f"say which of two it is: the clocks of {name} went back then"
        _check(shown, is_double[::-1] if is_newest_first else is_double, rule)
        raise BarsError(f"`{shown.name}` must be times of {name}, got {error}.") from error
    utc: TimeArray = local.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[ms]")
    return utc[::-1] if is_newest_first else utc


def _check(shown: pd.Series, is_bad: BoolArray, rule: str) -> None:
    if is_bad.any():
        row = int(np.argmax(is_bad))
        raise BarsError(f"`{shown.name}` must {rule}, got {shown.iloc[row]}.", row)
