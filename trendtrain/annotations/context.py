"""Find the bars of a trade."""

import numpy as np

from trendtrain.annotations.annotation import Annotation
from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, name_series
from trendtrain.market.timeframe import format_timeframe
from trendtrain.storage.bars.store import BarStore


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
