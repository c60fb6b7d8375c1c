"""The compiled loop that scores verdicts, event by event."""

from typing import Final

import numpy as np

from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.market.compiled import compiled, inlined
from trendtrain.validation.predictions import CORRECT

N_CALIBRATION_BINS: Final = 15
FADING_FACTOR: Final = 0.999
DELAY_EDGES: Final = (8, 16, 32, 64, 128)  # bars; the last bar of each group of delays but the last group
N_HOURS: Final = 24
FINE: Final = 64  # bins of confidence in each of the 15; a power of two, so that rounding agrees with theirs
N_FINE: Final = FINE * N_CALIBRATION_BINS

_GAPS: Final = (3797, 401, 43, 1)  # of Shell's sort; most events have fewer verdicts than 43


@compiled
def score_verdicts(
    ints: IntArray,
    codes: IntArray,
    floats: FloatArray,
    counts: IntArray,
    delays: IntArray,
    bins: FloatArray,
    fading: FloatArray,
    values: FloatArray,
    cells: IntArray,
) -> tuple[int, int]:
    """Add verdicts to sums, and write their events and the cells of these; `ScoredEvents` says what both are.

    Args:
        ints: Event, delay in bars, series and close time (ms) of each verdict, those of an event one after another.
        codes: Outcome, truth, and what each baseline predicted.
        floats: Minus the log of the probability of the truth, and the probability of each class.
        counts: Sum: how many are validated, correct and void, shape (n_series, 3).
        delays: Sum: how many waited so many bars, shape (n_series, longest + 1).
        bins: Sum: weight, weighted confidence and weighted correctness by confidence, shape (n_series, 15, 3). The
            weights of an event's verdicts sum to 1.
        fading: Sum: correctness and number of events, each counting 0.999 of the next (Gama et al. 2013), shape (2,).
        values: Written: what an event holds under this name, shape (n, 2 + n_rules), zeros before.
        cells: Written: first verdict and number of cells of each event; code and count of each cell, shape (4, n).

    Returns:
        How many events and how many cells there are.
    """
    event, delay, series, close_time = ints[0], ints[1], ints[2], ints[3]
    outcome, truth, n_events, n_cells, end = codes[0], codes[1], 0, 0, 0
    while end < len(event):
        start, end = end, end + 1
        if outcome[start] > CORRECT:
            counts[series[start], 2] += 1
            continue
        while end < len(event) and event[end] == event[start]:
            end += 1
        weight, means, code = 1.0 / (end - start), values[n_events], cells[2, n_cells : n_cells + end - start]
        for i in range(start, end):
            one, is_correct = series[i], int(outcome[i] == CORRECT)
            direction, delay_group, hour = 0, 0, close_time[i] // 3_600_000 % N_HOURS
            for other in range(1, len(floats) - 1):
                direction = other if floats[1 + other, i] > floats[1 + direction, i] else direction
            for edge in DELAY_EDGES:
                delay_group += delay[i] > edge
            confidence = float(np.float32(floats[1 + direction, i]))
            fine = min(int(confidence * N_FINE), N_FINE - 1)
            code[i - start] = ((direction * (len(DELAY_EDGES) + 1) + delay_group) * N_HOURS + hour) * N_FINE + fine
            sums = bins[one, fine // FINE]
            sums[0] += weight
            sums[1] += weight * confidence
            sums[2] += weight * is_correct
            counts[one, 0] += 1
            counts[one, 1] += is_correct
            delays[one, delay[i]] += 1
            means[0] += is_correct
            means[1] += floats[0, i]
            for rule in range(2, len(codes)):
                means[rule] += codes[rule, i] == truth[i]
        for column in range(len(means)):
            means[column] /= end - start
        fading[0] = means[0] + FADING_FACTOR * fading[0]
        fading[1] = 1.0 + FADING_FACTOR * fading[1]
        cells[0, n_events], cells[1, n_events] = start, _count_equal(code, cells[3, n_cells:])
        n_cells += cells[1, n_events]
        n_events += 1
    return n_events, n_cells


@inlined
def _count_equal(code: IntArray, count: IntArray) -> int:
    """Sort numbers in place, keep one of those that are equal, count them, and return how many are left."""
    n = -1
    for gap in _GAPS:
        for i in range(gap, len(code)):
            value, j = code[i], i
            while j >= gap and code[j - gap] > value:
                code[j] = code[j - gap]
                j -= gap
            code[j] = value
    for value in code:
        if n < 0 or value != code[n]:
            n += 1
            code[n], count[n] = value, 0
        count[n] += 1
    return n + 1
