"""Swing highs and lows of every level, each with the bar at which it became certain."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trendtrain.errors import InputError, check_at_least
from trendtrain.market.bars import Bars, BoolArray, FloatArray, IntArray, TimeArray, check_bars, kernel_view
from trendtrain.market.kernel import (
    BAR,
    HIGH,
    KNOWN_AT,
    LATER,
    LOW,
    N_BITS,
    N_PICKED_ROWS,
    N_POINT_ROWS,
    PRICE,
    PROMINENCE,
    SEGMENT,
    TIME,
    Codes,
    Floats,
    Ints,
    find_pivots_in_bars,
)
from trendtrain.market.rules import PivotRules, rules_from

__all__ = ["HIGH", "LOW", "PivotTracker", "Pivots", "find_pivots"]

_BLOCK = 65_536  # bars that the kernel processes at once, so that its arrays stay in the cache
NO_HOLES: Final = np.zeros(0, np.int64)
_FEW = 32  # bars whose pivots are written to a buffer of the tracker: a live bar needs no new arrays


@dataclass(frozen=True, eq=False)
class Pivots:
    """Swing highs, or swing lows, in the order in which they became known; at one bar the lower level first.

    Attributes:
        kind: HIGH or LOW.
        bar: The bar at which each lies, shape (n_pivots,).
        price: Its high or low.
        known_at: The bar at which it was certain.
        level: 1 on bars, 2 on level-1 pivots, and so on.
        prominence: The smaller price distance to its neighbours in the sequence in which it was found.
        time: Open time of its bar, `datetime64[ms]`.
        segment: Number of the stretch between holes in which it lies.
    """

    kind: int
    bar: IntArray
    price: FloatArray
    known_at: IntArray
    level: IntArray
    prominence: FloatArray
    time: TimeArray
    segment: IntArray

    def __len__(self) -> int:
        return len(self.bar)

    def at_level(self, level: int) -> "Pivots":
        """Return the pivots of one level."""
        return self.take(self.level == level)

    def take(self, index: IntArray | BoolArray) -> "Pivots":
        """Return the pivots at `index`."""
        columns = (getattr(self, field.name) for field in fields(self) if field.name != "kind")
        return Pivots(self.kind, *(column[index] for column in columns))


class PivotRows(NamedTuple):
    """Highs and lows as the kernel writes them, each to the first places of its row.

    Attributes:
        ints: Bar, known_at, time and segment, shape (2, 4, capacity).
        floats: Price and prominence, shape (2, 2, capacity).
        level: Shape (2, capacity).
        n_highs, n_lows: How many there are.
        holes: The number of each bar that starts a new segment, of those that made them certain.
    """

    ints: Ints
    floats: Floats
    level: Codes
    n_highs: int
    n_lows: int
    holes: Ints

    def pivots(self, kind: int, is_copy: bool) -> Pivots:
        """Return the highs, or the lows, as a table; a copy, or views of these rows."""
        n = self.n_lows if kind == LOW else self.n_highs
        ints, floats, level = self.ints[kind, :, :n], self.floats[kind, :, :n], self.level[kind, :n]
        if is_copy:
            ints, floats, level = ints.copy(), floats.copy(), level.copy()
        time = ints[TIME].view("datetime64[ms]")
        return Pivots(kind, ints[BAR], floats[PRICE], ints[KNOWN_AT], level, floats[PROMINENCE], time, ints[SEGMENT])


class PivotTracker:
    """Find pivots in bars that arrive in chunks; the batch call is one big chunk.

    Args:
        rules: What makes a pivot; None for the defaults.
        lowest: The lowest level to return; all are found.
        options: Fields of `PivotRules`, in place of `rules`.

    Raises:
        InputError: If a rule is broken.
    """

    def __init__(self, rules: PivotRules | None = None, lowest: int = 1, **options: Any) -> None:
        self.rules = rules_from(rules, options)
        check_at_least("lowest", lowest, 1)
        self.lowest = lowest
        n_levels, room = len(self.rules.strength), 2 * max(self.rules.strength)
        strength, is_strict = np.array(self.rules.strength, np.int64), self.rules.tie == "strict"
        self._values = (strength, is_strict, self.rules.inside == "skip", lowest)
        self._state = (
            np.zeros(3, np.int64),
            np.tile([np.inf, -np.inf], (2, 1)),
            np.full((2, n_levels, 2, room), -1, np.int64),
            np.full((2, n_levels, room), np.inf),
        )
        self._timeframe: np.timedelta64 | None = None  # of the series; None before the first bar
        self._few = self._room(_FEW)

    @property
    def n_bars(self) -> int:
        """Bars seen so far."""
        return self.clock[0]

    @property
    def clock(self) -> tuple[int, int, int]:
        """Bars seen so far; of the last one, open time in ms since 1970 and segment."""
        n_bars, last_time, segment = self._state[0].tolist()
        return n_bars, last_time, segment

    def update(self, bars: Bars) -> tuple[Pivots, Pivots]:
        """Return the highs and the lows that became known with these bars, the next of the series.

        Raises:
            InputError: If the bars do not follow the last ones, or their timeframe differs.
        """
        rows, is_copy = self.update_rows(bars), len(bars) <= _FEW
        return rows.pivots(HIGH, is_copy), rows.pivots(LOW, is_copy)

    def update_rows(self, bars: Bars) -> PivotRows:
        """Return what `update` returns, as the kernel writes it; of a few bars, rows that the next call overwrites."""
        if len(bars):
            self._check_follows(bars)
            self._timeframe = bars.timeframe
        arrays = (kernel_view(bars.high), kernel_view(bars.low), kernel_view(bars.open_time).view(np.int64))
        out = self._few if len(bars) <= _FEW else self._room(len(bars))
        holes = self._holes(bars)
        arguments = (*arrays, *self._values, holes, *self._state, *out)
        return PivotRows(*out[:3], *find_pivots_in_bars(*arguments), holes)

    def _holes(self, bars: Bars) -> Ints:
        """Return the number of each bar before which more than `max_gap` bars are missing."""
        if self.rules.max_gap is None or not len(bars):
            return NO_HOLES
        n_bars, last_time, _ = self.clock
        wait = np.diff(bars.open_time, prepend=np.datetime64(last_time if n_bars else "NaT", "ms"))
        longest = min((self.rules.max_gap + 1) * int(bars.timeframe.astype(np.int64)), LATER)
        return n_bars + np.flatnonzero(wait > np.timedelta64(longest, "ms"))

    def _room(self, n_bars: int) -> tuple[Ints, Floats, Codes, Ints, Floats, Ints]:
        """Return arrays for all pivots that so many bars can make certain, and those in which the kernel works."""
        n_levels, room = len(self.rules.strength), 2 * max(self.rules.strength)
        n = n_bars // 2 ** (self.lowest - 1) + n_levels + 1  # no two neighbours are pivots
        size = room + N_BITS + max(min(n_bars, _BLOCK), 1)
        return (
            np.zeros((2, 4, n), np.int64),
            np.empty((2, 2, n)),
            np.empty((2, n), np.int8),
            np.empty((n_levels + 1, N_POINT_ROWS, size), np.int64),
            np.empty((n_levels + 1, 2, size)),
            np.empty((N_PICKED_ROWS, size), np.int64),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state, in plain types; a few points a level."""
        timeframe = None if self._timeframe is None else int(self._timeframe.astype(np.int64))
        return {"arrays": [array.tolist() for array in self._state], "timeframe": timeframe}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()` of a tracker with the same rules."""
        restore_arrays(self._state, state["arrays"])
        self._few = self._room(_FEW)  # the kernel writes no segment 0, and this may hold later ones
        self._timeframe = None if state["timeframe"] is None else np.timedelta64(state["timeframe"], "ms")

    def _check_follows(self, bars: Bars) -> None:
        if self._timeframe is None:
            return
        if bars.timeframe != self._timeframe:
            raise InputError(f"`bars` must keep the timeframe {self._timeframe}, got {bars.timeframe}.")
        last = np.datetime64(self.clock[1], "ms")
        if bars.open_time[0] < last + self._timeframe:
            raise InputError(f"`bars` must start after the last bar {last}, got {bars.open_time[0]}.")


def find_pivots(bars: Bars, rules: PivotRules | None = None, **options: Any) -> tuple[Pivots, Pivots]:
    """Return the highs and the lows of all levels.

    Args:
        bars: One series.
        rules: What makes a pivot; None for the defaults.
        options: Fields of `PivotRules`, in place of `rules`.

    Raises:
        InputError: If a rule is broken.

    Example:
        >>> price = np.array([1.0, 3.0, 2.0, 5.0, 1.0, 4.0, 1.0])
        >>> times = np.arange(7).astype("datetime64[m]")
        >>> highs, lows = find_pivots(Bars(times, price, price, price, price, price, np.timedelta64(1, "m")))
        >>> [(int(p), int(level), int(known)) for p, level, known in zip(highs.bar, highs.level, highs.known_at)]
        [(1, 1, 2), (3, 1, 4), (5, 1, 6), (3, 2, 6)]
    """
    check_bars(bars)
    return PivotTracker(rules, **options).update(bars)


def restore_arrays(arrays: Iterable[npt.NDArray[Any]], values: Iterable[Any]) -> None:
    """Write saved values into arrays of the same shapes.

    Raises:
        InputError: If a shape differs, as of a state saved with other rules.
    """
    for array, saved in zip(arrays, values, strict=True):
        if np.shape(saved) != array.shape:
            raise InputError(f"`state` must come from a tracker with the same rules, got shape {np.shape(saved)}.")
        array[:] = saved
