"""Trend lines through consecutive level-2 pivots of one kind, and the runs of bars that each labels."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from trendtrain.market.bars import BoolArray, FloatArray, IntArray, TimeArray, make_read_only
from trendtrain.market.kernel import BAR, HIGH, KNOWN_AT, PRICE, PROMINENCE, SEGMENT, TIME, Codes, Floats, Ints
from trendtrain.market.line_kernel import (
    END_TIME,
    FIRST_BAR,
    LAST_BAR,
    LINE_KNOWN_AT,
    RUN_END,
    RUN_EVENT,
    RUN_KNOWN_AT,
    RUN_START,
    START_TIME,
    join_pivots,
)
from trendtrain.market.pivots import NO_HOLES, PivotRows, Pivots, restore_arrays

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

    def __post_init__(self) -> None:
        make_read_only(self)

    def __len__(self) -> int:
        return len(self.known_at)

    def __getitem__(self, index: IntArray | BoolArray | slice) -> "Lines":
        return Lines(*(getattr(self, field.name)[index] for field in fields(self)))

    @staticmethod
    def join(parts: list["Lines"]) -> "Lines":
        """Return all parts, at least one, in their order."""
        return Lines(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Lines)))

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


@dataclass(frozen=True, eq=False)
class LabelRuns:
    """Labels that bars of one series made known: runs of bars that share one, in order.

    Attributes:
        start, end: Bars labelled, `end` not included; each run starts where the last one ended, shape (n_runs,).
        direction: UP, DOWN, FLAT; UNKNOWN where a hole ended the segment before a line came.
        known_at: The bar at whose close the label is known.
        event: The line that judges, counted from the first line of the series; -1 for none.
        lines: The lines that became known, in that order.
    """

    start: IntArray
    end: IntArray
    direction: IntArray
    known_at: IntArray
    event: IntArray
    lines: Lines


class LineTracker:
    """Join pivots that arrive in chunks to lines, and label the bars before them.

    Args:
        flat_band: A line whose relative price change is at most this is FLAT.
    """

    def __init__(self, flat_band: float) -> None:
        self.flat_band = float(flat_band)
        self._state = np.zeros(2, np.int64)  # lines so far, first bar without a label
        self._last = np.full((2, 4), -1, np.int64)  # the last pivot of each kind: bar, known_at, time, segment
        self._last_price = np.zeros(2)

    def update(self, rows: PivotRows) -> LabelRuns:
        """Return the lines and labels that new level-2 pivots and holes make known."""
        n_lines = rows.n_highs + rows.n_lows
        n_runs = n_lines + len(rows.holes)
        lines, line_price, line_code = np.empty((5, n_lines), np.int64), np.empty((2, n_lines)), _codes(2, n_lines)
        runs, direction = np.empty((4, n_runs), np.int64), _codes(n_runs)
        n_lines, n_runs = join_pivots(
            rows.ints,
            rows.floats,
            rows.n_highs,
            rows.n_lows,
            rows.holes,
            self.flat_band,
            self._state,
            self._last,
            self._last_price,
            lines,
            line_price,
            line_code,
            runs,
            direction,
        )
        runs, direction = runs[:, :n_runs], direction[:n_runs]
        found = _lines(lines[:, :n_lines], line_price[:, :n_lines], line_code[:, :n_lines])
        return LabelRuns(runs[RUN_START], runs[RUN_END], direction, runs[RUN_KNOWN_AT], runs[RUN_EVENT], found)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, in plain types."""
        return {"arrays": [array.tolist() for array in (self._state, self._last, self._last_price)]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        restore_arrays((self._state, self._last, self._last_price), state["arrays"])


def lines_through(pivots: Pivots, level: int = 2, flat_band: float = 0.0) -> Lines:
    """Return the lines through consecutive pivots of one level; none spans two segments.

    Args:
        pivots: Highs, or lows, as `find_pivots` gives them.
        level: The level whose pivots the lines join.
        flat_band: A line whose relative price change is at most this is FLAT.
    """
    points = pivots.at_level(level)
    n, time = len(points), points.time.astype("datetime64[ms]").view(np.int64)
    ints, floats = np.empty((2, 4, n), np.int64), np.empty((2, 2, n))
    ints[:, BAR], ints[:, KNOWN_AT], ints[:, TIME], ints[:, SEGMENT] = points.bar, points.known_at, time, points.segment
    floats[:, PRICE], floats[:, PROMINENCE] = points.price, points.prominence
    counts = (n, 0) if pivots.kind == HIGH else (0, n)
    rows = PivotRows(ints, floats, np.full((2, n), level, np.int8), *counts, NO_HOLES)
    return LineTracker(flat_band).update(rows).lines


def _lines(ints: Ints, price: Floats, code: Codes) -> Lines:
    times = ints[START_TIME : END_TIME + 1].view("datetime64[ms]")
    return Lines(
        code[0], ints[FIRST_BAR], ints[LAST_BAR], price[0], price[1], times[0], times[1], ints[LINE_KNOWN_AT], code[1]
    )


def _codes(*shape: int) -> Codes:
    return np.empty(shape, np.int8)


NO_LINES = _lines(np.zeros((5, 0), np.int64), np.zeros((2, 0)), _codes(2, 0))
_NONE = np.zeros(0, np.int64)
NO_RUNS = LabelRuns(_NONE, _NONE, _codes(0), _NONE, _NONE, NO_LINES)
