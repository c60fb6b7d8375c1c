"""The simple rules that a model must beat, each answering at the close of every bar."""

import numpy as np

from trendtrain.market.averages import ema
from trendtrain.market.bars import Bars, FloatArray, IntArray, segments
from trendtrain.market.directions import DOWN, UP
from trendtrain.market.labels import Labels

BASELINE_NAMES = ("majority", "persistence", "reversal", "ema_reversal")
_REVERSAL_BARS = 20
_EMA_BARS = 100


def baseline_directions(bars: Bars, labels: Labels, max_gap: int | None = None) -> dict[str, IntArray]:
    """Return what each baseline answers at each bar, from that bar, earlier ones, and labels known by then.

    A rule without a view (a sign of 0, or nothing known yet) repeats its last answer; the first is UP.

    Args:
        bars: One series.
        labels: Its labels.
        max_gap: As the labels were made with: EMAs and returns start anew after a longer hole.

    Returns:
        UP or DOWN by name, int8, shape (n_bars,): `majority` of events so far; `persistence`, the last known line;
        `reversal`, minus the sign of the last 20-bar return; `ema_reversal`, minus the sign of log close minus its
        100-bar EMA.
    """
    segment = segments(bars.open_time, bars.timeframe, max_gap)
    close = np.log(bars.close)
    signs = {
        "majority": _majority(labels),
        "persistence": _last_known(labels),
        "reversal": -np.sign(returns(close, _REVERSAL_BARS, segment)),
        "ema_reversal": -np.sign(close - ema(close, _EMA_BARS, segment)),
    }
    return {name: _hold(sign) for name, sign in signs.items()}


def returns(close: FloatArray, n_bars: int, segment: IntArray) -> FloatArray:
    """Return the log return over the last `n_bars` bars, 0 before so many exist in the segment, shape (n_bars,)."""
    result = np.zeros(len(close))
    result[n_bars:] = np.where(segment[n_bars:] == segment[:-n_bars], close[n_bars:] - close[:-n_bars], 0.0)
    return result


def _majority(labels: Labels) -> FloatArray:
    known_at, direction = labels.events
    lead = np.zeros(len(labels))
    np.add.at(lead, known_at, _sign(direction))
    return np.sign(np.cumsum(lead))


def _last_known(labels: Labels) -> FloatArray:
    """Return the sign of the line known last at each bar; of the event, where a user's labels have no lines."""
    known_at, direction = (labels.lines.known_at, labels.lines.direction) if len(labels.lines) else labels.events
    order = np.argsort(known_at, kind="stable")  # a user's events may be numbered in any order
    n_known = np.searchsorted(known_at[order], np.arange(len(labels)), side="right")
    return np.concatenate([[0.0], _sign(direction[order])])[n_known]


def _sign(direction: IntArray) -> FloatArray:
    return np.where(direction == UP, 1.0, np.where(direction == DOWN, -1.0, 0.0))


def _hold(sign: FloatArray) -> IntArray:
    """Return UP or DOWN by sign; where it is 0 the last answer, first UP."""
    position = np.maximum.accumulate(np.where(sign != 0, np.arange(len(sign)), -1))
    held = np.where(position >= 0, sign[position], 1.0)
    return np.where(held > 0, UP, DOWN).astype(np.int8)
