"""Trend lines through consecutive level-2 pivots of one kind."""

from dataclasses import dataclass, fields

import numpy as np

from trendtrain.market.bars import BoolArray, FloatArray, IntArray, TimeArray
from trendtrain.market.columns import Column, made_on_demand, make_column, pickle_columns
from trendtrain.market.directions import DOWN, FLAT, UP
from trendtrain.market.merge import merge_order
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
        return len(self.known_at)

    __getattr__ = make_column
    __reduce__ = pickle_columns

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
    return lines_between(pivots.at_level(level), flat_band)


def lines_between(points: Pivots, flat_band: float) -> Lines:
    """Return the lines through consecutive pivots, all of one level; each column is made when first asked for."""
    is_joined = points.segment[1:] == points.segment[:-1]
    first = slice(None, -1) if is_joined.all() else np.flatnonzero(is_joined)
    last = slice(1, None) if is_joined.all() else np.flatnonzero(is_joined) + 1

    def make(name: str) -> Column:
        if name == "kind":
            return np.full(len(points.bar[first]), points.kind, dtype=np.int8)
        if name == "direction":
            return _directions(points.price[first], points.price[last], flat_band)
        source, part = _SOURCES[name]
        column: Column = getattr(points, source)[first if part == "first" else last]
        return column

    return made_on_demand(Lines, make)


def merge_lines(highs: Lines, lows: Lines) -> Lines:
    """Return both in the order they became known; the earlier second pivot, then highs, first where that is equal."""
    order = merge_order([highs.known_at, lows.known_at])
    known_at = np.concatenate([highs.known_at, lows.known_at])[order]
    tied = np.flatnonzero(known_at[1:] == known_at[:-1])  # at most two in a row: one line a kind becomes known at a bar
    last_bar = np.concatenate([highs.last_bar, lows.last_bar])
    swapped = tied[last_bar[order[tied]] > last_bar[order[tied + 1]]]
    order[swapped], order[swapped + 1] = order[swapped + 1], order[swapped]

    def make(name: str) -> Column:
        return np.concatenate([getattr(highs, name), getattr(lows, name)])[order]

    return made_on_demand(Lines, make, known_at=known_at)


def _directions(first: FloatArray, last: FloatArray, flat_band: float) -> IntArray:
    direction = np.where(last > first, np.int8(UP), np.int8(DOWN))
    is_flat = np.abs(last - first) / first <= flat_band if flat_band else last == first
    direction[is_flat] = FLAT
    return direction


_SOURCES = {
    "first_bar": ("bar", "first"),
    "last_bar": ("bar", "last"),
    "first_price": ("price", "first"),
    "last_price": ("price", "last"),
    "start_time": ("time", "first"),
    "end_time": ("time", "last"),
    "known_at": ("known_at", "last"),
}
_NO_BARS = np.zeros(0, dtype=np.int64)
_NO_CODES = np.zeros(0, dtype=np.int8)
_NO_TIMES = np.zeros(0, dtype="datetime64[ms]")
NO_LINES = Lines(_NO_CODES, _NO_BARS, _NO_BARS, np.zeros(0), np.zeros(0), _NO_TIMES, _NO_TIMES, _NO_BARS, _NO_CODES)
