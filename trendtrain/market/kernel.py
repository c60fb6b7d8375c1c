"""Compiled loops over bars: pivots of every level, and the trend lines and labels that follow from them.

Each loop takes a chunk of any size and carries its state in small arrays, so that no result depends on how bars are cut
into chunks. Bars are processed in blocks that stay in the processor's cache. A loop that picks some of many rows writes
every candidate and advances its index by the condition: a branch on a price is mispredicted half of the time.
"""

import numpy as np
import numpy.typing as npt

from trendtrain.market.compiled import compiled, inlined
from trendtrain.market.directions import DOWN, FLAT, UNKNOWN, UP

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]
BarArrays = tuple[Floats, Floats, Ints]
RuleValues = tuple[Ints, bool, bool, int, int]
PivotState = tuple[Ints, Floats, Ints, Floats]
PivotArrays = tuple[Ints, Floats, Codes]
PointState = tuple[Ints, Floats, Ints]
Times = tuple[Ints, int, int]  # of the bars of a chunk; number of bars before it; segment
Scratch = tuple[Ints, Floats]

HIGH, LOW = 0, 1
N_BITS, ALL_BITS, ONE = 32, 0xFFFFFFFF, np.uint64(1)
LATER = np.iinfo(np.int64).max  # than any bar

# Rows of the integer and the float columns of points, pivots and lines.
BAR, KNOWN_AT, TIME, SEGMENT = 0, 1, 2, 3
PRICE, PROMINENCE = 0, 1
BASE, N_FOUND = 2, 3
OWN, AFTER, CONFIRMING, PLACE = 0, 1, 2, 3
FIRST_BAR, LAST_BAR, START_TIME, END_TIME, LINE_KNOWN_AT = 0, 1, 2, 3, 4
RUN_START, RUN_END, RUN_KNOWN_AT, RUN_EVENT = 0, 1, 2, 3


@compiled
def find_pivots_in_bars(
    bars: BarArrays, rules: RuleValues, holes: Ints, state: PivotState, out: PivotArrays
) -> tuple[int, int]:
    """Find the pivots of all levels that the next bars of a series make certain.

    Args:
        bars: High, low and open time (ms) of the next bars, shape (n_bars,) each.
        rules: Per level, points on either side that a pivot must exceed, shape (n_levels,); whether equal neighbours
            hide a pivot (otherwise a run of equal prices is one point); whether to drop bars inside the last kept bar;
            the lowest level to write out, from 1; how many bars to process at once.
        holes: The number of each of these bars that starts a new segment, because a hole precedes it.
        state: What is carried from chunk to chunk: number of bars so far, open time of the last and its segment, shape
            (3,); for highs and for lows, low and high of the last kept bar, (2, 2), and of the last points that each
            level has read, bar and time, (2, n_levels, 2, room), and price, negated for lows and infinite for no point,
            (2, n_levels, room), where room is twice the largest strength.
        out: Where pivots are written in the order in which they become known, the lower level first, a row for highs
            and one for lows: bar, known_at, time and segment, shape (2, 4, capacity); price and prominence, (2, 2,
            capacity); level, (2, capacity).

    Returns:
        How many highs and how many lows were found.
    """
    high, low, time = bars
    clock, kept, tail, tail_price = state
    n_levels, room = tail_price.shape[1], tail_price.shape[2]
    size = room + min(rules[4], len(time)) + N_BITS
    scratch = (np.empty((n_levels + 2, 4, size), np.int64), np.empty((n_levels + 1, 2, size)))
    early, first_bar, n_highs, n_lows, start, hole = tail.copy(), clock[0], 0, 0, 0, 0
    while start < len(time):
        if hole < len(holes) and holes[hole] == clock[0]:
            hole += 1
            clock[2] += 1
            kept[:, 0], kept[:, 1], tail[:], tail_price[:] = np.inf, -np.inf, -1, np.inf  # nothing spans a hole
        end = min(start + rules[4], holes[hole] - first_bar if hole < len(holes) else len(time), len(time))
        for kind in range(2):
            n = _read_bars(kind, (high[start:end], low[start:end]), clock[0], rules, kept[kind], scratch)
            row = _find_kind(
                kind,
                n,
                rules,
                (time, first_bar, clock[2]),
                (tail[kind], tail_price[kind], early[kind]),
                scratch,
                (out[0][kind], out[1][kind], out[2][kind]),
                n_highs if kind == HIGH else n_lows,
            )
            n_highs, n_lows = (row, n_lows) if kind == HIGH else (n_highs, row)
        clock[0] += end - start
        clock[1] = time[end - 1]
        start = end
    return n_highs, n_lows


@inlined
def _read_bars(
    kind: int, prices: tuple[Floats, Floats], first_bar: int, rules: RuleValues, kept: Floats, scratch: Scratch
) -> int:
    """Write the bars of a block as the points that level 1 reads; lows are the highs of negated prices.

    Returns:
        How many there are.
    """
    high, low = prices
    source, sign, n = (high, 1.0, 0) if kind == HIGH else (low, -1.0, 0)
    bar, price = scratch[0][0, BAR, 2 * rules[0][0] :], scratch[1][0, PRICE, 2 * rules[0][0] :]
    if not rules[2]:
        for i in range(len(source)):
            price[i], bar[i] = sign * source[i], first_bar + i
        return len(source)
    for i in range(len(source)):
        if high[i] > kept[1] or low[i] < kept[0]:
            kept[0], kept[1] = low[i], high[i]
            price[n], bar[n] = sign * source[i], first_bar + i
            n += 1
    return n


@inlined
def _find_kind(
    kind: int,
    n: int,
    rules: RuleValues,
    times: Times,
    state: PointState,
    scratch: Scratch,
    out: PivotArrays,
    row: int,
) -> int:
    """Find the pivots of one kind in a block of `n` bars, and write them from `row`; return the row after the last.

    Level m reads the points in row m of `ints` and `floats`, behind those kept from earlier blocks, and writes its
    pivots as points to row m + 1. Each becomes known together with a pivot of every level below: so its row follows
    from how many pivots of higher levels become known with each pivot of the lowest.
    """
    strength, is_strict, _, lowest, _ = rules
    ints, floats = scratch
    tail, tail_price, early = state
    n_levels, picked, n_lowest, first_row = len(strength), ints[-1], 0, row
    for level in range(n_levels):
        above, k = level + 1, strength[level]
        for i in range(2 * k):  # no earlier point can be decided later
            ints[level, BAR, i], floats[level, PRICE, i] = tail[level, BAR, i], tail_price[level, i]
        values = floats[level, PRICE]
        n += 2 * k
        n_found = _turns(values, n, is_strict, picked) if k == 1 else _peaks(values, n, k, is_strict, picked)
        offset = 2 * strength[above] if above < n_levels else 0
        known_row = BAR if level == 0 else KNOWN_AT  # a bar is known at itself
        points = (ints[above], floats[above])
        _write_points(values, ints[level], known_row, picked, n_found, above - lowest, points, offset)
        _keep_tail(values, n, k, is_strict, ints[level, BAR], state, times, level)
        n_lowest = n_found if above == lowest else n_lowest
        n = ints[above, N_FOUND, 0] = n_found
    for j in range(n_lowest):
        row, picked[PLACE, j] = row + 1 + picked[PLACE, j], row
    for level in range(lowest, n_levels + 1):
        offset = 2 * strength[level] if level < n_levels else 0
        _write_rows(1.0 - 2.0 * kind, level, level - lowest, ints[level], floats[level], offset, picked[PLACE], out)
    _write_times(out[0][BAR, first_row:row], times, early, out[0][TIME, first_row:], out[0][SEGMENT, first_row:])
    return row


@inlined
def _turns(values: Floats, n: int, is_strict: bool, picked: Ints) -> int:
    """Find where a rise is followed by a fall: the pivots of strength 1. Equal values (a tie) may stand between.

    Ties are decided here: with `is_strict` a value equal to the one before ends a rise; else the rise goes on. Moves
    are the bits of words of 32 values, because a loop that sets bits takes several values at once.

    Args:
        values: The values, `n` of them, with room for 31 more.
        is_strict: Whether a value that stands still ends a rise.
        picked: Written: position of the last value before each such fall, of the first in it, and this again.

    Returns:
        How many there are.
    """
    rises, falls, after, n_found = 0, picked[OWN], picked[AFTER], 0
    n_words = (n + N_BITS - 2) // N_BITS
    for word in range(n_words):
        part, up, down = values[word * N_BITS :], 0, 0
        for j in range(N_BITS):
            up |= int(part[j + 1] > part[j]) << j
            down |= int(part[j + 1] < part[j]) << j
        if word == n_words - 1:  # no move leads to what lies behind the last value
            down &= (1 << (n - 1 - word * N_BITS)) - 1
        stand = 0 if is_strict else ~(up | down) & ALL_BITS
        start = (up << 1 | rises) & stand  # where values stand after a rise
        rising = up | ((stand ^ (stand + start)) & stand)  # the carry of the sum runs through all that stand
        falls[word] = down & (rising << 1 | rises)
        rises = rising >> 31
    for word in range(n_words):
        bits = falls[word]
        for j in range(N_BITS):
            after[np.uint64(n_found)] = word * N_BITS + j + 1
            n_found += bits >> j & 1
    for i in range(n_found):
        picked[OWN, i], picked[CONFIRMING, i] = after[i] - 1, after[i]
    return n_found


@inlined
def _peaks(values: Floats, n: int, k: int, is_strict: bool, picked: Ints) -> int:
    """Find the values above the k values on either side, for k > 1; a run of equal ones (a tie) counts as one.

    Args:
        values: The values, `n` of them.
        k: How many values on either side.
        is_strict: Whether equal values count one by one.
        picked: Written: position of each, of the next value and of the k-th one after it.

    Returns:
        How many there are.
    """
    run, n_found, most = np.zeros(2 * k + 1, np.int64), 0, 2 * k  # where the last values start
    for i in range(n):
        if _is_equal(values, i, is_strict):
            continue
        for j in range(most):
            run[j] = run[j + 1]
        run[most] = i
        is_higher = i >= most
        for j in range(1, k + 1):
            is_higher &= values[run[k]] > values[run[k - j]] and values[run[k]] > values[run[k + j]]
        picked[OWN, n_found], picked[AFTER, n_found], picked[CONFIRMING, n_found] = run[k], run[k + 1], i
        n_found += is_higher
    return n_found


@compiled
def _is_equal(values: Floats, i: int, is_strict: bool) -> bool:
    """Return whether a value belongs to the point before it; an infinite one stands for no point."""
    return bool(not is_strict and i > 0 and values[i] == values[i - 1] and values[i] < np.inf)


@inlined
def _write_points(
    values: Floats,
    below: Ints,
    known_row: int,
    picked: Ints,
    n: int,
    height: int,
    points: tuple[Ints, Floats],
    offset: int,
) -> None:
    """Write the `n` pivots picked as points of the next level, from `offset`.

    The base of each is the pivot of the lowest level written, `height` levels below, that becomes known with it;
    how many have the same base is counted.
    """
    ints, floats, n_above = points[0], points[1], picked[PLACE]
    for j in range(n):
        at, confirming, to = np.uint64(picked[OWN, j]), np.uint64(picked[CONFIRMING, j]), np.uint64(offset + j)
        value, left, right = values[at], values[at - ONE], values[np.uint64(picked[AFTER, j])]
        while left == value:  # a run of equal values lies where it starts
            at -= ONE
            left = values[at - ONE]
        ints[BAR, to], ints[KNOWN_AT, to] = below[BAR, at], below[known_row, confirming]
        floats[PRICE, to], floats[PROMINENCE, to] = value, value - (left if left > right else right)
        if height > 0:
            ints[BASE, to] = below[BASE, confirming]
            n_above[below[BASE, confirming]] += 1
        else:
            ints[BASE, to], n_above[j] = j, 0


@inlined
def _keep_tail(
    values: Floats, n: int, k: int, is_strict: bool, bar: Ints, state: PointState, times: Times, level: int
) -> None:
    """Keep the last 2 k points of a level: no other can be decided later."""
    tail, tail_price, early = state
    i = n - 1
    for j in range(2 * k - 1, -1, -1):
        while _is_equal(values, i, is_strict):
            i -= 1
        tail[level, BAR, j], tail_price[level, j] = bar[i], values[i]
        tail[level, 1, j] = _time_of(bar[i], times, early, level, j)
        i -= 1


@inlined
def _write_rows(
    sign: float, level: int, height: int, ints: Ints, floats: Floats, offset: int, place: Ints, out: PivotArrays
) -> None:
    """Write the pivots of a level, each as many rows behind its base as it lies levels above."""
    bar, known_at, base = ints[BAR, offset:], ints[KNOWN_AT, offset:], ints[BASE, offset:]
    price, prominence = floats[PRICE, offset:], floats[PROMINENCE, offset:]
    out_bar, out_known_at, out_price, out_prominence = out[0][BAR], out[0][KNOWN_AT], out[1][PRICE], out[1][PROMINENCE]
    for j in range(ints[N_FOUND, 0]):
        row = np.uint64(place[np.uint64(base[j])] + height)
        out_bar[row], out_known_at[row], out[2][row] = bar[j], known_at[j], level
        out_price[row], out_prominence[row] = sign * price[j], prominence[j]


@inlined
def _write_times(bar: Ints, times: Times, early: Ints, out: Ints, out_segment: Ints) -> None:
    """Write open time and segment of each bar."""
    time, first_bar, segment = times
    for i in range(len(bar)):
        if bar[i] >= first_bar:
            out[i] = time[np.uint64(bar[i] - first_bar)]
        else:
            out[i] = _time_of(bar[i], times, early, len(early) - 1, i)
        if segment > 0:  # it is 0 already, and memory that nobody touched costs nothing
            out_segment[i] = segment


@compiled
def _time_of(bar: int, times: Times, early: Ints, level: int, near: int) -> int:
    """Return the open time of a bar: of this chunk, or of a point kept before it, of this level or of one below."""
    time, first_bar, _ = times
    if bar >= first_bar:
        return int(time[bar - first_bar])
    room = early.shape[2]
    for step in range((level + 1) * room if bar >= 0 else 0):
        below, i = level - step // room, (near + step) % room  # a kept point moves by few places, in its own level
        if early[below, BAR, i] == bar:
            return int(early[below, 1, i])
    return -1


@compiled
def join_pivots(
    pivots: Ints,
    price: Floats,
    n_highs: int,
    n_lows: int,
    holes: Ints,
    flat_band: float,
    state: Ints,
    last: Ints,
    last_price: Floats,
    lines: Ints,
    line_price: Floats,
    line_code: Codes,
    runs: Ints,
    run_direction: Codes,
) -> tuple[int, int]:
    """Join consecutive level-2 pivots of a kind to lines, and let each line label the bars before its first pivot.

    A line labels every bar before its first pivot that no line labelled before. Had an earlier pivot of its kind come
    after such a bar, the line between the two would have been known first. A hole labels what is left of its segment
    as UNKNOWN at the first bar after it.

    Args:
        pivots, price: What `find_pivots_in_bars` wrote, shape (2, 4, capacity) and (2, 2, capacity).
        n_highs, n_lows: How many there are of each.
        holes: The number of each bar that starts a new segment, of those that made them certain.
        flat_band: A line whose relative price change is at most this is FLAT.
        state: State: lines so far, first bar without a label.
        last, last_price: State: columns and price of the last pivot of each kind; the bar is -1 for none.
        lines, line_price, line_code: First and last bar, start and end time, known_at; first and last price; kind and
            direction of the lines, in the order in which they became known.
        runs, run_direction: Start, end, known_at and event of runs of bars that share a label; their direction.

    Returns:
        How many lines and how many runs were written.
    """
    n_lines, n_runs, i, j, hole = 0, 0, 0, 0, 0
    while hole < len(holes) or i < n_highs or j < n_lows:
        is_high = int(_comes_first(pivots, i, n_highs, j, n_lows))  # a number: no branch can be predicted on it
        kind, at = LOW - is_high, j + (i - j) * is_high
        known_at = pivots[kind, KNOWN_AT, at] if i < n_highs or j < n_lows else LATER
        if hole < len(holes) and holes[hole] <= known_at:  # no later line is known by then
            end, direction, known_at, event = holes[hole], UNKNOWN, holes[hole], -1
            hole += 1
        else:
            i, j = i + is_high, j + 1 - is_high
            end, event = last[kind, BAR], state[0]
            own_price = price[kind, PRICE, at]
            is_line = end >= 0 and last[kind, SEGMENT] == pivots[kind, SEGMENT, at]
            direction = UNKNOWN
            if is_line:
                direction = _direction(last_price[kind], own_price, flat_band)
                lines[FIRST_BAR, n_lines], lines[LAST_BAR, n_lines] = end, pivots[kind, BAR, at]
                lines[START_TIME, n_lines], lines[END_TIME, n_lines] = last[kind, TIME], pivots[kind, TIME, at]
                lines[LINE_KNOWN_AT, n_lines] = known_at
                line_price[0, n_lines], line_price[1, n_lines] = last_price[kind], own_price
                line_code[0, n_lines], line_code[1, n_lines] = kind, direction
                n_lines += 1
                state[0] += 1
            last_price[kind] = own_price
            for column in range(4):
                last[kind, column] = pivots[kind, column, at]
            if not is_line:
                continue
        runs[RUN_START, n_runs], runs[RUN_END, n_runs] = state[1], end
        runs[RUN_KNOWN_AT, n_runs], runs[RUN_EVENT, n_runs], run_direction[n_runs] = known_at, event, direction
        n_runs += int(end > state[1])  # where all these bars have a label, the next run overwrites this one
        state[1] = max(state[1], end)
    return n_lines, n_runs


@inlined
def _comes_first(pivots: Ints, i: int, n_highs: int, j: int, n_lows: int) -> bool:
    """Return whether the next high comes before the next low: known first, or lying earlier, or equal in both."""
    if i >= n_highs or j >= n_lows:
        return bool(i < n_highs)
    wait = pivots[HIGH, KNOWN_AT, i] - pivots[LOW, KNOWN_AT, j]
    return bool((wait < 0) | ((wait == 0) & (pivots[HIGH, BAR, i] <= pivots[LOW, BAR, j])))


@inlined
def _direction(first: float, last: float, flat_band: float) -> int:
    if last == first or (flat_band > 0 and abs(last - first) / first <= flat_band):
        return FLAT
    return DOWN + int(last > first) * (UP - DOWN)  # no branch: up and down alternate at random
