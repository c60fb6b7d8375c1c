"""Turn times of a local clock into UTC."""

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from trendtrain.errors import InputError
from trendtrain.importing.table import check_values
from trendtrain.market.bars import BarsError, TimeArray


@dataclass(frozen=True)
class Zone:
    """The time zone of times that carry none.

    Attributes:
        given: What the user said, None for nothing.
        default: What the layout says, None where it cannot know.
        why: Why the layout says so.
        is_sure: Whether it holds for times in a local form too.
    """

    given: str | None = None
    default: str | None = "UTC"
    why: str = "as none is written"
    is_sure: bool = False

    def without_default(self) -> "Zone":
        """Return the zone for times that are usually not UTC."""
        return self if self.is_sure or self.default != "UTC" else replace(self, default=None)

    def refuse(self, what: str, column: str) -> None:
        """Refuse a zone that was given for times which need none.

        Raises:
            BarsError: If the user gave one.
        """
        if self.given is not None:
            raise BarsError(f"`timezone` must be left out for {what} (`{column}`), got {self.given}.")


def to_utc(shown: pd.Series, local: TimeArray, zone: Zone) -> tuple[TimeArray, str]:
    """Return times of a local clock as UTC, and the rule in words.

    Midnights alone are dates, not times: they stay as they are unless the user gives a zone.

    Args:
        shown: The times as the file writes them, for messages.
        local: The times read, `datetime64[ms]`, shape (n_rows,).
        zone: Their zone.

    Raises:
        BarsError: If the zone is not known, or clocks went over or twice through a time.

    Example:
        >>> to_utc(pd.Series(["2024-07-01 03:00"]), np.array(["2024-07-01T03:00"], "datetime64[ms]"), Zone("EET"))
        (array(['2024-07-01T00:00:00.000'], dtype='datetime64[ms]'), 'EET, as given')
    """
    is_dates = len(local) > 1 and bool((local == local.astype("datetime64[D]")).all())
    if zone.given is None and is_dates:
        return local, "dates, taken as UTC days"
    name = zone.given or zone.default
    if name is None:
        rule = "say the zone of times in a local form, such as America/New_York, or UTC"
        raise BarsError(f"`timezone` must {rule}, got none for {shown.iloc[0]} (`{shown.name}`).", 0)
    rule = f"{name}, as given" if zone.given else f"taken as {name}, {zone.why}"
    return (local if name == "UTC" else _localize(shown, local, name)), rule


def check_timezone(timezone: str | None) -> None:
    """Refuse a time zone that does not exist.

    Raises:
        InputError: If `timezone` names none.
    """
    try:
        if timezone is not None:
            ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        rule = "name a time zone, such as UTC, EET or America/New_York"
        raise InputError(f"`timezone` must {rule}, got {timezone!r}.") from error


def _localize(shown: pd.Series, local: TimeArray, name: str) -> TimeArray:
    order = slice(None, None, -1 if local[0] > local[-1] else 1)  # the order of an hour that comes twice tells which
    times = pd.DatetimeIndex(local[order])
    is_first = np.ones(len(times), np.bool_)
    is_skipped = np.asarray(times.tz_localize(name, ambiguous=is_first, nonexistent="NaT").isna())
    check_values(shown, is_skipped[order], f"exist on the clocks of {name}")
    try:
        zoned = times.tz_localize(name, ambiguous="infer")
    except ValueError as error:
        is_double = np.asarray(times.tz_localize(name, ambiguous="NaT").isna())
        check_values(shown, is_double[order], f"say which of two it is: the clocks of {name} went back then")
        raise BarsError(f"`{shown.name}` must be times of {name}, got {error}.") from error
    utc: TimeArray = zoned.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[ms]")
    return utc[order]
