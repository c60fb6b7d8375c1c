"""The simple rules that a model must beat, each with a prediction at the close of every bar."""

from typing import Any, NamedTuple

import numpy as np

from trendtrain.market import LabelRuns, Labels
from trendtrain.market.bars import Bars, BoolArray, FloatArray, IntArray
from trendtrain.market.compiled import compiled
from trendtrain.market.directions import DOWN, UP

BASELINE_NAMES = ("majority", "persistence", "reversal", "ema_reversal")
"""Names of the simple rules, in the order of their columns."""
_REVERSAL_BARS = 20
_EMA_ALPHA = 2.0 / (100 + 1)


class KnownDirections(NamedTuple):
    """Directions in the order in which they become known.

    Attributes:
        known_at: The bar at whose close each is known, counted from the first of the series, ascending, shape (n,).
        direction: UP, DOWN or FLAT, shape (n,).
    """

    known_at: IntArray
    direction: IntArray

    @staticmethod
    def sorted(known_at: IntArray, direction: IntArray) -> "KnownDirections":
        """Put directions in order of `known_at`; of those known at the same bar, the later stays the later."""
        order = np.argsort(known_at, kind="stable")
        return KnownDirections(known_at[order], direction[order])

    @staticmethod
    def of_events(runs: LabelRuns) -> "KnownDirections":
        """Return the events of new labels; each labels one run."""
        is_event = runs.event >= 0
        return KnownDirections(runs.known_at[is_event], runs.direction[is_event])


class SimpleRules:
    """Predict the direction at each bar of one series whose bars come in chunks, by four rules.

    `majority` predicts the commoner direction of the events so far; `persistence`, that of the last known line;
    `reversal`, minus the sign of the last 20-bar return; `ema_reversal`, minus the sign of log close minus its 100-bar
    EMA. A rule whose sign is 0, or that knows nothing yet, repeats its last prediction; the first is UP.

    Args:
        max_gap: As the labels are made with: EMA and returns start anew after a longer hole.

    Example:
        >>> from trendtrain.market import LabelTracker, synthetic_market
        >>> bars, labels, rules = synthetic_market(300, seed=0), LabelTracker(), SimpleRules()
        >>> for chunk in (bars[:200], bars[200:]):
        ...     runs = labels.update(chunk)
        ...     lines = KnownDirections(runs.lines.known_at, runs.lines.direction)
        ...     print(rules.update(chunk, KnownDirections.of_events(runs), lines).shape)
        (200, 4)
        (100, 4)
    """

    def __init__(self, max_gap: int | None = None) -> None:
        self.max_gap = max_gap
        self._last_open = np.datetime64("NaT", "ms")
        self._counts = np.zeros(4, dtype=np.int64)  # bars, bars of the segment, UP minus DOWN events, last line's sign
        self._prices = np.zeros(_REVERSAL_BARS + 1)  # log closes of the last bars, as a ring; their EMA
        self._held = np.full(len(BASELINE_NAMES), UP, dtype=np.int8)

    def update(self, bars: Bars, events: KnownDirections, lines: KnownDirections | None = None) -> IntArray:
        """Return the predictions at the next bars, from each bar, earlier ones, and what is known by its close.

        Args:
            bars: The next bars of the series, n of them.
            events: The events that become known at these bars.
            lines: The lines that do; None where labels have no lines: `persistence` then follows events.

        Returns:
            UP or DOWN of each rule, in the order of `BASELINE_NAMES`, int8, shape (n, 4).
        """
        lines = events if lines is None else lines
        result = np.empty((len(bars), len(BASELINE_NAMES)), dtype=np.int8)
        known = (events.known_at, _sign(events.direction), lines.known_at, _sign(lines.direction))
        _follow(np.log(bars.close), self._starts(bars), *known, self._counts, self._prices, self._held, result)
        if len(bars):
            self._last_open = bars.open_time[-1]
        return result

    def _starts(self, bars: Bars) -> BoolArray:
        """Return whether each bar starts a segment, but for the first of the series."""
        if self.max_gap is None:
            return np.zeros(len(bars), dtype=bool)
        wait = np.diff(bars.open_time, prepend=self._last_open)
        starts: BoolArray = wait > (self.max_gap + 1) * bars.timeframe  # NaT compares as False
        return starts

    def state_dict(self) -> dict[str, Any]:
        """Return what the next predictions depend on: numbers and arrays."""
        return {
            "last_open": int(self._last_open.astype(np.int64)),
            "counts": self._counts.copy(),
            "prices": self._prices.copy(),
            "held": self._held.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        self._last_open = np.datetime64(state["last_open"], "ms")
        self._counts, self._prices, self._held = (state[name].copy() for name in ("counts", "prices", "held"))


def baseline_directions(bars: Bars, labels: Labels, max_gap: int | None = None) -> dict[str, IntArray]:
    """Return the predictions of `SimpleRules` at each bar of a series, by name, int8, shape (n_bars,).

    Args:
        bars: One series.
        labels: Its labels, or a user's own: without lines, and with events numbered in any order.
        max_gap: As the labels were made with.
    """
    events = KnownDirections.sorted(*labels.events)
    lines = KnownDirections.sorted(labels.lines.known_at, labels.lines.direction) if len(labels.lines) else None
    predictions = SimpleRules(max_gap).update(bars, events, lines)
    return dict(zip(BASELINE_NAMES, np.ascontiguousarray(predictions.T), strict=True))


@compiled
def _follow(
    close: FloatArray,
    starts: BoolArray,
    event_known_at: IntArray,
    event_sign: IntArray,
    line_known_at: IntArray,
    line_sign: IntArray,
    counts: IntArray,
    prices: FloatArray,
    held: IntArray,
    result: IntArray,
) -> None:
    """Carry `counts`, `prices` and `held` over the bars with these log closes, and fill `result`."""
    n_events = n_lines = 0
    for i in range(len(close)):
        bar = counts[0]
        while n_events < len(event_known_at) and event_known_at[n_events] <= bar:
            counts[2] += event_sign[n_events]
            n_events += 1
        while n_lines < len(line_known_at) and line_known_at[n_lines] <= bar:
            counts[3] = line_sign[n_lines]
            n_lines += 1
        if starts[i] or bar == 0:
            counts[1] = 0
            prices[_REVERSAL_BARS] = close[i]
        else:
            prices[_REVERSAL_BARS] += _EMA_ALPHA * (close[i] - prices[_REVERSAL_BARS])
        slot = bar % _REVERSAL_BARS  # holds the close of 20 bars ago
        reversal = prices[slot] - close[i] if counts[1] >= _REVERSAL_BARS else 0.0
        prices[slot] = close[i]
        counts[0] += 1
        counts[1] += 1
        for rule, sign in enumerate((float(counts[2]), float(counts[3]), reversal, prices[_REVERSAL_BARS] - close[i])):
            if sign != 0.0:
                held[rule] = UP if sign > 0.0 else DOWN
            result[i, rule] = held[rule]


def _sign(direction: IntArray) -> IntArray:
    sign: IntArray = (direction == UP).astype(np.int64) - (direction == DOWN)
    return sign
