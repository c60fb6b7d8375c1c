"""Trend lines through consecutive level-2 pivots of one kind."""

from dataclasses import dataclass, fields

import numpy as np

from trendtrain.market.bars import BoolArray, FloatArray, IntArray, TimeArray
from trendtrain.market.directions import DOWN, FLAT, UP
from trendtrain.market.pivots import Pivots

KIND_NAMES = ("L2H", "L2L")  # indexed by HIGH, LOW


@dataclass(frozen=True, eq=False)
class Lines:
    """Trend lines in the order in which they became known, so that a line's position never changes.

    Attributes:
        kind: HIGH (`L2H`) or LOW (`L2L`), shape (n_lines,).
        first_bar, last_bar: Bars of the two pivots.
        first_price, last_price: Their prices.
        start_time, end_time: Open times of their bars, `datetime64[ms]`.
        known_at: The bar at which the second pivot was certain.
        direction: UP, DOWN, or FLAT where the relative price change was within the flat band.
    """

    kind: IntArray
    first_bar: IntArray
    last_bar: IntArray
    first_price: FloatArray
    last_price: FloatArray
    start_time: TimeArray
    end_time: TimeArray
    known_at: IntArray
    direction: IntArray

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self, index: IntArray | BoolArray | slice) -> "Lines":
        return Lines(*(getattr(self, field.name)[index] for field in fields(self)))

    @property
    def price_change(self) -> FloatArray:
        """Last price minus first price, shape (n_lines,)."""
        return self.last_price - self.first_price

    @property
    def time_duration(self) -> FloatArray:
        """Seconds between the pivots' bars, shape (n_lines,)."""
        seconds: FloatArray = (self.end_time - self.start_time).astype("timedelta64[ms]").astype(np.float64) / 1000.0
        return seconds

    @property
    def slope(self) -> FloatArray:
        """Price change per bar, shape (n_lines,)."""
        slope: FloatArray = self.price_change / (self.last_bar - self.first_bar)
        return slope

    @property
    def slope_per_second(self) -> FloatArray:
        """Price change per second, shape (n_lines,)."""
        return self.price_change / self.time_duration

    @property
    def intercept(self) -> FloatArray:
        """The price at `start_time`: an intercept at the epoch would lose all precision."""
        return self.first_price


def lines_through(pivots: Pivots, level: int = 2, flat_band: float = 0.0) -> Lines:
    """Return the lines through consecutive pivots of one level; none spans two segments.

    Args:
        pivots: Highs, or lows, as `find_pivots` gives them.
        level: Which level's pivots carry the lines.
        flat_band: A line whose relative price change is at most this is FLAT.
    """
    points = pivots.at_level(level)
    is_joined = points.segment[1:] == points.segment[:-1]
    first, last = (points.take(part) for part in (np.flatnonzero(is_joined), np.flatnonzero(is_joined) + 1))
    kind = np.full(len(first), pivots.kind, dtype=np.int8)
    direction = _directions(first.price, last.price, flat_band)
    return Lines(kind, first.bar, last.bar, first.price, last.price, first.time, last.time, last.known_at, direction)


def merge_lines(highs: Lines, lows: Lines) -> Lines:
    """Return both in the order they became known; the earlier second pivot, then highs, first where that is equal."""
    both = Lines(*(np.concatenate([getattr(part, f.name) for part in (highs, lows)]) for f in fields(Lines)))
    return both[np.lexsort((both.kind, both.last_bar, both.known_at))]


def _directions(first: FloatArray, last: FloatArray, flat_band: float) -> IntArray:
    is_flat = np.abs(last - first) / first <= flat_band
    return np.where(is_flat, FLAT, np.where(last > first, UP, DOWN)).astype(np.int8)


_NO_BARS = np.zeros(0, dtype=np.int64)
_NO_CODES = np.zeros(0, dtype=np.int8)
_NO_TIMES = np.zeros(0, dtype="datetime64[ms]")
NO_LINES = Lines(_NO_CODES, _NO_BARS, _NO_BARS, np.zeros(0), np.zeros(0), _NO_TIMES, _NO_TIMES, _NO_BARS, _NO_CODES)
