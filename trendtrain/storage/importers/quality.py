"""Describe the quality of bars: what is missing, and what is suspicious."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, Series


@dataclass(frozen=True)
class QualityReport:
    """What a series is like.

    Attributes:
        n_bars: How many bars there are.
        first: Open time of the first, `datetime64[ms]` UTC.
        last: Open time of the last, `datetime64[ms]` UTC.
        n_missing: Bars that holes between the first and the last leave out.
        longest_hole: Missing bars in the longest hole.
        zero_volume: Share of bars with volume 0; None where no bar has more, that is, where none is supplied.
        n_flat: Bars with high equal to low.
        equal_highs: Share of bars with the high of the bar before; NaN for one bar.
    """

    n_bars: int
    first: np.datetime64
    last: np.datetime64
    n_missing: int
    longest_hole: int
    zero_volume: float | None
    n_flat: int
    equal_highs: float


@dataclass(frozen=True)
class ImportReport:
    """What an import of one file did.

    Attributes:
        series: Whose bars the file holds.
        path: The file.
        quality: What its bars are like.
        n_changed: How many of them were new or changed in the database.
    """

    series: Series
    path: Path
    quality: QualityReport
    n_changed: int


def describe(series: Series, bars: Bars) -> QualityReport:
    """Return the quality of the bars of a series.

    Raises:
        InputError: If there are no bars.

    Example:
        >>> price, time = np.array([1.0, 2.0]), np.array(["2024-01-01T00:00", "2024-01-01T00:05"], "datetime64[ms]")
        >>> bars = Bars(time, price, price, price, price, np.array([0.0, 9.0]), np.timedelta64(1, "m"))
        >>> report = describe(Series("BTCUSDT", "1m"), bars)
        >>> report.n_missing, report.zero_volume, report.n_flat
        (4, 0.5, 2)
    """
    if len(bars) == 0:
        raise InputError(f"`bars` must hold at least one bar of {' '.join(series)}, got none.")
    holes = np.diff(bars.open_time) // bars.timeframe - 1
    return QualityReport(
        n_bars=len(bars),
        first=bars.open_time[0],
        last=bars.open_time[-1],
        n_missing=int(holes.sum()),
        longest_hole=int(holes.max(initial=0)),
        zero_volume=float(np.mean(bars.volume == 0)) if (bars.volume > 0).any() else None,
        n_flat=int(np.sum(bars.high == bars.low)),
        equal_highs=float(np.mean(bars.high[1:] == bars.high[:-1])) if len(bars) > 1 else float("nan"),
    )
