"""Choose the ticks of an axis of bars, and write their dates."""

from datetime import datetime
from itertools import pairwise
from typing import Final

import numpy as np

from trendtrain.market.bars import IntArray, TimeArray

_STEPS: Final = [
    (unit, step)
    for unit, steps in (
        ("s", (1, 5, 15, 30)),
        ("m", (1, 5, 15, 30)),
        ("h", (1, 3, 6, 12)),
        ("D", (1, 2, 7, 14)),
        ("M", (1, 3, 6)),
        ("Y", (1, 2, 5, 10, 20, 50, 100)),
    )
    for step in steps
]
# The text of a tick, and the line below it, written where it differs from that of the tick before.
_FORMATS: Final = {
    "s": ("%H:%M:%S", "%d %b %Y"),
    "m": ("%H:%M", "%d %b %Y"),
    "h": ("%H:%M", "%d %b %Y"),
    "D": ("%d %b", "%Y"),
    "M": ("%b", "%Y"),
    "Y": ("%Y", ""),
}


def date_ticks(open_time: TimeArray, most: int = 12) -> tuple[IntArray, list[str]]:
    r"""Return the bars that open a round interval of time, and the text of their ticks.

    Positions are bars, not times, so that nights and weekends without bars take no space.

    Args:
        open_time: Open time of each bar, `datetime64[ms]`, shape (n_bars,), at least one.
        most: The largest number of ticks.

    Example:
        >>> date_ticks(np.array(["2024-01-05T22:00", "2024-01-05T23:00", "2024-01-08T00:00"], "datetime64[ms]"), most=1)
        (array([2]), ['00:00\n08 Jan 2024'])
    """
    for unit, step in _STEPS:
        slot = open_time.astype(f"datetime64[{unit}]").astype(np.int64) // step
        bar = np.flatnonzero(np.diff(slot)) + 1
        if len(bar) <= most:
            break
    bar = bar if len(bar) else np.zeros(1, dtype=np.int64)
    return bar, _labels([time.item() for time in open_time[bar].astype("datetime64[ms]")], *_FORMATS[unit])


def _labels(times: list[datetime], upper: str, lower: str) -> list[str]:
    below = [time.strftime(lower) for time in times]
    is_new = [True, *(here != before for before, here in pairwise(below))]
    return [
        f"{time.strftime(upper)}\n{text}" if new and text else time.strftime(upper)
        for time, text, new in zip(times, below, is_new, strict=True)
    ]
