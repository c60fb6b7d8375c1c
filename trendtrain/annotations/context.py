"""Load the bars around a trade."""

from typing import Final

import numpy as np

from trendtrain.annotations.annotation import Annotation
from trendtrain.errors import InputError, check_at_least
from trendtrain.market.bars import Bars, TimeArray
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.bars.store import BarStore
from trendtrain.storage.series import name_series

# How many times the asked context to look for, since a series may have holes; at last everything.
_REACHES: Final = (1, 16, None)


def load_context(store: BarStore, annotation: Annotation, timeframe: str, before: int, after: int) -> Bars:
    """Return the bars from `before` bars before the entry's to `after` bars after the exit's; see `AnnotationStore`.

    Of a trade that is still open they go on to the last stored bar.

    Raises:
        InputError: If a count is negative, or the database lacks the bar of the entry or of the exit.
    """
    check_at_least("before", before, 0)
    check_at_least("after", after, 0)
    for reach in _REACHES:
        bars = _load_around(store, annotation, timeframe, before, after, reach)
        first = must_find(bars, annotation.entry_timestamp, annotation, timeframe)
        if annotation.exit_timestamp is None:
            last = len(bars) - 1
        else:
            last = must_find(bars, annotation.exit_timestamp, annotation, timeframe)
        if first >= before and (annotation.is_open or last + after < len(bars)):
            break
    return bars[max(0, first - before) : last + after + 1]


def find_bar(open_time: TimeArray, moment: np.datetime64, timeframe: np.timedelta64) -> int | None:
    """Return the bar that was under way at a moment; where that one is missing, the one before it.

    A trade's snapshot often ends with the last bar that had closed, so that the bar under way is not stored.

    Args:
        open_time: `datetime64[ms]`, increasing, shape (n_bars,).
        moment: A time.
        timeframe: Length of a bar.

    Returns:
        A position in `open_time`; None where both bars are missing.

    Example:
        >>> open_time = np.array([0, 5, 10], "datetime64[m]")
        >>> five = np.timedelta64(5, "m")
        >>> [find_bar(open_time, np.datetime64(minute, "m"), five) for minute in (-1, 7, 15, 20)]
        [None, 1, 2, None]
    """
    bar = int(np.searchsorted(open_time, moment, side="right")) - 1
    return bar if bar >= 0 and moment - open_time[bar] < 2 * timeframe else None


def must_find(bars: Bars, moment: np.datetime64, annotation: Annotation, timeframe: str) -> int:
    """Return the bar of a moment, as `find_bar` does.

    Raises:
        InputError: If it is missing; the line names the annotation, the series and the trade's times.
    """
    bar = find_bar(bars.open_time, moment, bars.timeframe)
    if bar is None:
        raise InputError(f"{_rule(annotation, timeframe)}, got none at {moment}.")
    return bar


def load_range(
    store: BarStore, annotation: Annotation, timeframe: str, start: np.datetime64 | None, end: np.datetime64 | None
) -> Bars:
    """Load bars of an annotation's symbol, as `BarStore.load` does.

    Raises:
        InputError: If there are none; the line names the annotation, the series and the trade's times.
    """
    try:
        return store.load(annotation.symbol, timeframe, start, end)
    except InputError as error:
        raise InputError(f"{_rule(annotation, timeframe)}: {error}") from error


def _load_around(
    store: BarStore, annotation: Annotation, timeframe: str, before: int, after: int, reach: int | None
) -> Bars:
    length = parse_timeframe(timeframe)
    start = None if reach is None else annotation.entry_timestamp - (2 + reach * before) * length
    left = annotation.exit_timestamp
    end = None if reach is None or left is None else left + (1 + reach * after) * length
    return load_range(store, annotation, timeframe, start, end)


def _rule(annotation: Annotation, timeframe: str) -> str:
    series = " ".join(name_series(annotation.symbol, timeframe))
    span = f"{annotation.entry_timestamp} to {annotation.exit_timestamp or 'the last stored'}"
    return f"annotation {annotation.annotation_id!r} must find its bars in the database, {series} from {span}"
