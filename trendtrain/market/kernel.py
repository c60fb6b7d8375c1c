"""Compiled loops over bars: pivots of every level, and the trend lines and labels that follow from them.

Each loop takes a chunk of any size and carries its state in small arrays, so that no result depends on how bars are cut
into chunks. Bars are processed in blocks that stay in the processor's cache. A loop that picks some of many rows writes
every candidate and advances its index by the condition: a branch on a price is mispredicted half of the time.
"""

import numpy as np
import numpy.typing as npt

from trendtrain.market.compiled import compiled
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
Scratch = tuple[Ints, Floats, Ints]

HIGH, LOW = 0, 1
ALL_BITS, ONE = 0xFFFFFFFF, np.uint64(1)
NO_LIMIT = np.iinfo(np.int64).max  # for `longest_step`: no step in time is longer

# Rows of the integer and the float columns of points, pivots and lines.
BAR, KNOWN_AT, TIME, SEGMENT = 0, 1, 2, 3
PRICE, PROMINENCE = 0, 1
BASE = 2
OWN, AFTER, CONFIRMING, PLACE = 0, 1, 2, 3
FIRST_BAR, LAST_BAR, START_TIME, END_TIME, LINE_KNOWN_AT = 0, 1, 2, 3, 4
RUN_START, RUN_END, RUN_KNOWN_AT, RUN_EVENT = 0, 1, 2, 3


@compiled
def find_pivots_in_bars(
    bars: BarArrays, rules: RuleValues, longest_step: int, state: PivotState, out: PivotArrays
) -> tuple[int, int]:
    """Find the pivots of all levels that the next bars of a series make certain.

    Args:
        bars: High, low and open time (ms) of the next bars, shape (n_bars,) each.
        rules: Per level, points on either side that a pivot must exceed, shape (n_levels,); whether equal neighbours
            hide a pivot (otherwise a run of equal prices is one point); whether to drop bars inside the last kept bar;
            the lowest level to write out, from 1; how many bars to process at once.
        longest_step: A longer step in time, in ms, starts a new segment.
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
    ints, floats, levels = out
    n_levels, room = tail_price.shape[1], tail_price.shape[2]
    size = room + min(rules[4], len(time)) + 1
    scratch = (
        np.empty((n_levels + 1, 3, size), np.int64),
        np.empty((n_levels + 1, 2, size)),
        np.empty((4, size), np.int64),
    )
    early, first_bar, n_found = tail.copy(), clock[0], np.zeros(2, np.int64)
    while clock[0] - first_bar < len(time):
        start = clock[0] - first_bar
        if clock[0] > 0 and time[start] - clock[1] > longest_step:
            clock[2] += 1
            for kind in range(2):
                kept[kind, 0], kept[kind, 1] = np.inf, -np.inf
            tail.fill(-1)  # nothing spans a hole
            tail_price.fill(np.inf)
        end = _block_end(time, start, rules[4], longest_step)
        times = (time, first_bar, clock[2])
        for kind in range(2):
            prices = (high[start:end], low[start:end])
            n = _read_bars(kind, prices, clock[0], rules, kept[kind], scratch)
            own_state, own_out = (tail[kind], tail_price[kind], early[kind]), (ints[kind], floats[kind], levels[kind])
            sign = 1.0 - 2.0 * kind
            n_found[kind] = _find_kind(sign, n, rules, times, own_state, scratch, own_out, n_found[kind])
        clock[0] += end - start
        clock[1] = time[end - 1]
    return n_found[HIGH], n_found[LOW]


@compiled
def _block_end(time: Ints, start: int, block: int, longest_step: int) -> int:
    """Return where the block that starts at `start` ends: at the latest before the next hole."""
    end = min(start + block, len(time))
    if longest_step == NO_LIMIT:
        return end
    for i in range(start + 1, end):
        if time[i] - time[i - 1] > longest_step:
            return i
    return end


@compiled
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


@compiled
def _find_kind(
    sign: float,
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
    ints, floats, picked = scratch
    tail, tail_price, early = state
    n_levels = len(strength)
    n_new, place = np.zeros(max(n_levels, lowest) + 1, np.int64), picked[PLACE]
    first_row = row
    for level in range(n_levels):
        above, k = level + 1, strength[level]
        for i in range(2 * k):  # no earlier point can be decided later
            ints[level, BAR, i], floats[level, PRICE, i] = tail[level, BAR, i], tail_price[level, i]
        values = floats[level, PRICE][: 2 * k + n]
        n = _turns(values, is_strict, picked) if k == 1 else _peaks(values, k, is_strict, picked)
        offset = 2 * strength[above] if above < n_levels else 0
        known_row = BAR if level == 0 else KNOWN_AT  # a bar is known at itself
        _write_points(values, ints[level], known_row, picked, n, above - lowest, ints[above], floats[above], offset)
        _keep_tail(values, k, is_strict, ints[level, BAR], state, times, level)
        n_new[above] = n
    for j in range(n_new[lowest]):
        row, place[j] = row + 1 + place[j], row
    for level in range(lowest, n_levels + 1):
        offset = 2 * strength[level] if level < n_levels else 0
        part = slice(offset, offset + n_new[level])
        _write_rows(sign, level, level - lowest, (ints[level], floats[level]), part, place, out)
    _write_times(out[0][BAR, first_row:row], times, early, out[0][TIME, first_row:], out[0][SEGMENT, first_row:])
    return row


@compiled
def _turns(values: Floats, is_strict: bool, picked: Ints) -> int:
    """Find where a rise is followed by a fall, whatever stands still between.

    Moves are the bits of words of 32 values, because a loop that sets bits takes several values at once.

    Args:
        values: Shape (n,).
        is_strict: Whether a value that stands still ends a rise.
        picked: Written: position of the last value before each such fall, of the first in it, and this again.

    Returns:
        How many there are.
    """
    n_words, rises, falls, after = (len(values) + 30) // 32, 0, picked[OWN], picked[AFTER]
    for word in range(n_words):
        if word < n_words - 1:
            up, down = _moves(values[word * 32 :], 32)
        else:
            up, down = _moves(values[word * 32 :], len(values) - 1 - word * 32)
        stand = 0 if is_strict else ~(up | down) & ALL_BITS
        start = (up << 1 | rises) & stand  # where values stand after a rise
        rising = up | ((stand ^ (stand + start)) & stand)  # the carry of the sum runs through all that stand
        falls[word] = down & (rising << 1 | rises)
        rises = rising >> 31
    n = np.uint64(0)
    for word in range(n_words):
        bits = falls[word]
        for j in range(32):
            after[n] = word * 32 + j + 1
            n += np.uint64(bits >> j & 1)
    for i in range(np.int64(n)):
        picked[OWN, i], picked[CONFIRMING, i] = after[i] - 1, after[i]
    return int(n)


@compiled
def _moves(values: Floats, n: int) -> tuple[int, int]:
    """Return in which of the first `n` steps values go up, and in which they go down, a bit each."""
    up, down = 0, 0
    for j in range(n):
        up |= int(values[j + 1] > values[j]) << j
        down |= int(values[j + 1] < values[j]) << j
    return up, down


@compiled
def _peaks(values: Floats, k: int, is_strict: bool, picked: Ints) -> int:
    """Find the values above the k values on either side, where a run of equal ones counts as one.

    Args:
        values: Shape (n,).
        k: How many values on either side.
        is_strict: Whether equal values count one by one.
        picked: Written: position of each, of the next value and of the k-th one after it.

    Returns:
        How many there are.
    """
    run, n_found, most = np.zeros(2 * k + 1, np.int64), 0, 2 * k  # where the last values start
    for i in range(len(values)):
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


@compiled
def _write_points(
    values: Floats,
    below: Ints,
    known_row: int,
    picked: Ints,
    n: int,
    height: int,
    ints: Ints,
    floats: Floats,
    offset: int,
) -> None:
    """Write the `n` pivots picked as points of the next level, from `offset`.

    The base of each is the pivot of the lowest level written, `height` levels below, that becomes known with it;
    how many have the same base is counted.
    """
    n_above = picked[PLACE]
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


@compiled
def _keep_tail(values: Floats, k: int, is_strict: bool, bar: Ints, state: PointState, times: Times, level: int) -> None:
    """Keep the last 2 k points of a level: no other can be decided later."""
    tail, tail_price, early = state
    i = len(values) - 1
    for j in range(2 * k - 1, -1, -1):
        while _is_equal(values, i, is_strict):
            i -= 1
        tail[level, BAR, j], tail_price[level, j] = bar[i], values[i]
        tail[level, 1, j] = _time_of(bar[i], times, early, level, j)
        i -= 1


@compiled
def _write_rows(
    sign: float, level: int, height: int, points: tuple[Ints, Floats], part: slice, place: Ints, out: PivotArrays
) -> None:
    """Write the pivots of a level, each as many rows behind its base as it lies levels above."""
    bar, known_at, base = points[0][BAR, part], points[0][KNOWN_AT, part], points[0][BASE, part]
    price, prominence = points[1][PRICE, part], points[1][PROMINENCE, part]
    out_bar, out_known_at, out_price, out_prominence = out[0][BAR], out[0][KNOWN_AT], out[1][PRICE], out[1][PROMINENCE]
    for j in range(len(bar)):
        row = np.uint64(place[np.uint64(base[j])] + height)
        out_bar[row], out_known_at[row], out[2][row] = bar[j], known_at[j], level
        out_price[row], out_prominence[row] = sign * price[j], prominence[j]


@compiled
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
    time: Ints,
    first_bar: int,
    last_time: int,
    longest_step: int,
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
        time: Open times of the bars that made them certain, in ms, shape (n_bars,).
        first_bar, last_time: Number of bars before these, open time of the last of them.
        longest_step: A longer step in time, in ms, starts a new segment.
        flat_band: A line whose relative price change is at most this is FLAT.
        state: State: lines so far, first bar without a label.
        last, last_price: State: columns and price of the last pivot of each kind; the bar is -1 for none.
        lines, line_price, line_code: First and last bar, start and end time, known_at; first and last price; kind and
            direction of the lines, in the order in which they became known.
        runs, run_direction: Start, end, known_at and event of runs of bars that share a label; their direction.

    Returns:
        How many lines and how many runs were written.
    """
    n_lines, n_runs, i, j, hole = 0, 0, 0, 0, -1
    hole = _next_hole(time, hole + 1, first_bar, last_time, longest_step)
    while hole < len(time) or i < n_highs or j < n_lows:
        is_high = int(_comes_first(pivots, i, n_highs, j, n_lows))  # a number: no branch can be predicted on it
        kind, at = LOW - is_high, j + (i - j) * is_high
        known_at = pivots[kind, KNOWN_AT, at] if i < n_highs or j < n_lows else NO_LIMIT
        if hole < len(time) and first_bar + hole <= known_at:  # no later line is known by then
            end, direction, known_at, event = first_bar + hole, UNKNOWN, first_bar + hole, -1
            hole = _next_hole(time, hole + 1, first_bar, last_time, longest_step)
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


@compiled
def _next_hole(time: Ints, start: int, first_bar: int, last_time: int, longest_step: int) -> int:
    """Return the first bar from `start` that a hole precedes, or the number of bars."""
    if longest_step == NO_LIMIT:
        return len(time)
    for i in range(start, len(time)):
        before = time[i - 1] if i > 0 else last_time
        if first_bar + i > 0 and time[i] - before > longest_step:
            return i
    return len(time)


@compiled
def _comes_first(pivots: Ints, i: int, n_highs: int, j: int, n_lows: int) -> bool:
    """Return whether the next high comes before the next low: known first, or lying earlier, or equal in both."""
    if i >= n_highs or j >= n_lows:
        return bool(i < n_highs)
    wait = pivots[HIGH, KNOWN_AT, i] - pivots[LOW, KNOWN_AT, j]
    return bool((wait < 0) | ((wait == 0) & (pivots[HIGH, BAR, i] <= pivots[LOW, BAR, j])))


@compiled
def _direction(first: float, last: float, flat_band: float) -> int:
    if last == first or (flat_band > 0 and abs(last - first) / first <= flat_band):
        return FLAT
    return DOWN + int(last > first) * (UP - DOWN)  # no branch: up and down alternate at random
