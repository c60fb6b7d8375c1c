"""Describe the quality of bars: what is missing, and what is suspicious."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from trendtrain.errors import InputError
from trendtrain.importing.cleaning import Findings
from trendtrain.market.bars import Bars, Series

# Measured on 25 series of coins, shares, currencies and gold: 0 to 28 moves a series are beyond 50 medians. A share
# split halves the price, which is less than 50 of a restless share's daily medians: hence the second bound.
_JUMP_MEDIANS: Final = 50.0
_JUMP_LOG: Final = 0.4


@dataclass(frozen=True)
class QualityReport:
    """What a series is like.

    Attributes:
        n_bars: How many bars there are.
        first: Open time of the first, `datetime64[ms]` UTC.
        last: Open time of the last, `datetime64[ms]` UTC.
        n_missing: Bars that holes between the first and the last leave out.
        longest_hole: Missing bars in the longest hole.
        zero_volume: Share of bars with volume 0; None where no bar has a volume.
        n_flat: Bars with high equal to low.
        equal_highs: Share of bars with the high of the bar before; NaN for one bar.
        n_holes: How many holes there are.
        n_longest: How many of them are as long as the longest; many equal ones are pages that a download lost.
        n_jumps: Moves from a close to the next beyond 50 times the median move, or by half: a split, or a bad price.
    """

    n_bars: int
    first: np.datetime64
    last: np.datetime64
    n_missing: int
    longest_hole: int
    zero_volume: float | None
    n_flat: int
    equal_highs: float
    n_holes: int = 0
    n_longest: int = 0
    n_jumps: int = 0


@dataclass(frozen=True)
class ImportReport:
    """What an import of one file did.

    Attributes:
        series: Whose bars the file holds.
        path: The file.
        quality: What its bars are like.
        n_changed: How many of them were new or changed in the database.
        n_replaced: How many took the place of a bar with other values: one stored before, or of an earlier file.
        layout: How the file was read.
        time_rule: How its times became UTC.
        volume_rule: What its volume counts, empty where it is the volume column.
        findings: What was done to its rows.
    """

    series: Series
    path: Path
    quality: QualityReport
    n_changed: int
    n_replaced: int = 0
    layout: str = "generic"
    time_rule: str = ""
    volume_rule: str = ""
    findings: Findings = field(default_factory=lambda: Findings(0))

    def as_json(self) -> str:
        """Return the report as JSON; times in ISO, what is not known as null."""
        content = asdict(self) | {"path": str(self.path), "series": list(self.series)}
        quality = {name: None if value != value else value for name, value in content["quality"].items()}  # NaN
        return json.dumps(content | {"quality": quality}, default=str)


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
    holes = np.maximum(np.diff(bars.open_time) // bars.timeframe, 1) - 1  # a clock change may cut a bar
    return QualityReport(
        n_bars=len(bars),
        first=bars.open_time[0],
        last=bars.open_time[-1],
        n_missing=int(holes.sum()),
        longest_hole=int(holes.max(initial=0)),
        zero_volume=float(np.mean(bars.volume == 0)) if not np.isnan(bars.volume).all() else None,
        n_flat=int(np.sum(bars.high == bars.low)),
        equal_highs=float(np.mean(bars.high[1:] == bars.high[:-1])) if len(bars) > 1 else float("nan"),
        n_holes=int(np.sum(holes > 0)),
        n_longest=int(np.sum((holes > 0) & (holes == holes.max(initial=0)))),
        n_jumps=_count_jumps(bars),
    )


def _count_jumps(bars: Bars) -> int:
    moves = np.abs(np.diff(np.log(bars.close)))
    moving = moves[moves > 0]
    return int(np.sum(moves > min(_JUMP_MEDIANS * np.median(moving), _JUMP_LOG))) if len(moving) else 0
