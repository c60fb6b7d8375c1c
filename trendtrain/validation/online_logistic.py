"""A learned baseline: logistic regression, one step an event, in the order labels become known."""

import numpy as np
import numpy.typing as npt

from trendtrain.errors import check_number
from trendtrain.market.bars import BoolArray, FloatArray, IntArray
from trendtrain.market.directions import DOWN, UP
from trendtrain.market.labels import Labels

FeatureArray = npt.NDArray[np.floating]
Float32Array = npt.NDArray[np.float32]

_EVENTS_A_BLOCK = 4096
_FURTHEST = 6.0  # standard deviations
_MARGIN = 1e-9  # of a feature's mean square: less spread than this is rounding, not information


def online_logistic(features: FeatureArray, labels: Labels, rate: float = 0.001) -> IntArray:
    """Return what a logistic regression answers at each bar, having learned from the labels known by then.

    One model for all series. Features are standardised by mean and spread over all rows so far. An event is one
    gradient step, of the mean over the rows it labels, so that events count and not bars; FLAT teaches nothing. At the
    usual rates it chases the last events: mean event accuracy of seven crypto and FX series of 36,000 to 508,000 bars,
    on the default features, was .506 at 0.1, .510 at 0.03, .517 at 0.003, .518 at 0.001 and at 0.0003.

    Costs a step of some microseconds an event and a few passes over the rows: 1M rows of 23 features in a few seconds.

    Args:
        features: What is known at the close of each row, shape (n_rows, F).
        labels: The labels of the rows, of one or more series.
        rate: Length of a gradient step, above 0.

    Returns:
        UP or DOWN, int8, shape (n_rows,); UP where the chances are level, as before the first event.

    Raises:
        InputError: If `rate` is not above 0.

    Example:
        >>> from trendtrain.market import label_bars, synthetic_market
        >>> bars = synthetic_market(2000, seed=0)
        >>> change = np.diff(np.log(bars.close), prepend=np.log(bars.close[0]))
        >>> online_logistic(change[:, None], label_bars(bars)).shape
        (2000,)
    """
    check_number("rate", rate, 1e-9)
    x = _standardised(features, labels)
    known_at, rows, start, is_up = _lessons(labels)
    steps = _learn(x, rows, start, is_up, rate)
    n_known = np.searchsorted(labels.close_time[known_at], labels.close_time, side="right")
    score = _scores(x, steps, n_known)
    return np.where(score >= 0, UP, DOWN).astype(np.int8)


def _standardised(features: FeatureArray, labels: Labels) -> Float32Array:
    """Return features in standard deviations of all rows so far, clipped, and a constant, shape (n_rows, F + 1)."""
    order = np.argsort(labels.close_time, kind="stable")
    result = np.ones((len(features), features.shape[1] + 1), dtype=np.float32)
    count = np.arange(1.0, len(features) + 1.0)
    for column in range(features.shape[1]):
        value = features[order, column].astype(np.float64)
        mean, square = np.cumsum(value) / count, np.cumsum(value**2) / count
        variance = square - mean**2
        is_spread = variance > _MARGIN * square
        score = np.where(is_spread, value - mean, 0.0) / np.sqrt(np.where(is_spread, variance, 1.0))
        result[order, column] = np.clip(score, -_FURTHEST, _FURTHEST)
    return result


def _lessons(labels: Labels) -> tuple[IntArray, IntArray, IntArray, BoolArray]:
    """Return events in the order they became known.

    Returns:
        The row at which each was known, shape (n_events,); the rows they label, one event after the other; where each
        event's rows start, and the end of the last, shape (n_events + 1,); whether each was up, shape (n_events,).
    """
    truth = labels.direction
    rows = np.flatnonzero((labels.known_at >= 0) & ((truth == UP) | (truth == DOWN)))
    known_at, event = labels.known_at[rows], labels.event[rows]
    order = np.lexsort((rows, event, labels.close_time[known_at]))
    rows, event, known_at = rows[order], event[order], known_at[order]
    first = np.flatnonzero(np.diff(event, prepend=-1) != 0)
    return known_at[first], rows, np.append(first, len(rows)), truth[rows[first]] == UP


def _learn(x: Float32Array, rows: IntArray, start: IntArray, is_up: BoolArray, rate: float) -> FloatArray:
    """Return the coefficients before the first event and after each, shape (n_events + 1, F + 1)."""
    steps = np.zeros((len(is_up) + 1, x.shape[1]))
    w = steps[0].copy()
    for block in range(0, len(is_up), _EVENTS_A_BLOCK):
        edges = start[block : block + _EVENTS_A_BLOCK + 1]
        lessons = x[rows[edges[0] : edges[-1]]].astype(np.float64)
        ends = (edges - edges[0]).tolist()
        for i, up in enumerate(is_up[block : block + _EVENTS_A_BLOCK].tolist()):
            lesson = lessons[ends[i] : ends[i + 1]]
            residual = up - 1.0 / (1.0 + np.exp(-(lesson @ w)))
            w = w + (rate / len(residual)) * (residual @ lesson)
            steps[block + i + 1] = w
    return steps


def _scores(x: Float32Array, steps: FloatArray, n_known: IntArray) -> FloatArray:
    """Return the log odds of UP at each row, given how many events were known there, shape (n_rows,)."""
    score = np.zeros(len(x))
    for column in range(x.shape[1]):  # column by column: the coefficients of all rows at once would fill memory
        score += x[:, column] * steps[n_known, column]
    return score
