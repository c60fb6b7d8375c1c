"""Load the bars around a trade."""

from typing import Final

import numpy as np

from trendtrain.annotations.annotation import Annotation
from trendtrain.errors import InputError, check_at_least
from trendtrain.market.bars import Bars
from trendtrain.market.timeframe import format_timeframe, parse_timeframe
from trendtrain.storage.bars.store import BarStore
from trendtrain.storage.series import name_series

# How many times the wanted context to load, since a series may have holes; at last everything.
_REACHES: Final = (1, 16, None)


def load_context(store: BarStore, annotation: Annotation, timeframe: str, before: int, after: int) -> Bars:
    """Return the bars from `before` bars before the entry's to `after` bars after the exit's; see `AnnotationStore`.

    Of a trade that is still open they go on to the last stored bar.

    Raises:
        InputError: If a count is negative, or the database lacks the bar of the entry or of the exit.
    """
    check_at_least("before", before, 0)
    check_at_least("after", after, 0)
    length, left = parse_timeframe(timeframe), annotation.exit_timestamp
    for reach in _REACHES:
        start = None if reach is None else annotation.entry_timestamp - (2 + reach * before) * length
        end = None if reach is None or left is None else left + (1 + reach * after) * length
        bars = load_range(store, annotation, timeframe, start, end)
        first = find_bar(bars, annotation.entry_timestamp, annotation)
        last = len(bars) - 1 if left is None else find_bar(bars, left, annotation)
        if first >= before and (left is None or last + after < len(bars)):
            break
    return bars[max(0, first - before) : last + after + 1]


def find_bar(bars: Bars, time: np.datetime64, annotation: Annotation) -> int:
    """Return the position of the bar that was under way at a time; where that one is missing, of the one before it.

    A trade's snapshot often ends with the last bar that had closed, so that the bar under way is not stored.

    Raises:
        InputError: If both are missing; the line names the annotation, the series and the trade's times.
    """
    bar = int(np.searchsorted(bars.open_time, time, side="right")) - 1
    if bar < 0 or time - bars.open_time[bar] >= 2 * bars.timeframe:
        raise InputError(f"{_rule(annotation, format_timeframe(bars.timeframe))}, got none at {time}.")
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


def _rule(annotation: Annotation, timeframe: str) -> str:
    series = " ".join(name_series(annotation.symbol, timeframe))
    span = f"{annotation.entry_timestamp} to {annotation.exit_timestamp or 'the last stored'}"
    return f"annotation {annotation.annotation_id!r} must find its bars in the database, {series} from {span}"
