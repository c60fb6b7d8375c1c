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
Positions = npt.NDArray[np.int32]
BarArrays = tuple[Floats, Floats, Ints]
RuleValues = tuple[Ints, bool, bool, int, int]
PivotState = tuple[Ints, Floats, Ints, Ints, Floats]
PivotArrays = tuple[Ints, Floats, Codes]
Scratch = tuple[Ints, Floats, Positions]

HIGH, LOW = 0, 1
NO_LIMIT = np.iinfo(np.int64).max  # for `longest_step`: no step in time is longer

# Rows of the integer and the float columns of points, pivots and lines.
BAR, KNOWN_AT, TIME, SEGMENT = 0, 1, 2, 3
PRICE, PROMINENCE = 0, 1
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
        state: What is carried from chunk to chunk, a row for highs and one for lows: number of bars so far, open time
            of the last and its segment, shape (2, 3); low and high of the last kept bar, (2, 2); per level, how many of
            its last points are kept, (2, n_levels); bar and time of these points, (2, n_levels, 2, room), and their
            prices, (2, n_levels, room), where room is twice the largest strength.
        out: Where pivots are written in the order in which they become known, the lower level first, a row for highs
            and one for lows: bar, known_at, time and segment, shape (2, 4, capacity); price and prominence, (2, 2,
            capacity); level, (2, capacity).

    Returns:
        How many highs and how many lows were found.
    """
    clock, kept, n_tail, tail, tail_price = state
    ints, floats, levels = out
    n_levels, room = n_tail.shape[1], min(rules[4], len(bars[2])) + tail_price.shape[2] + 1
    scratch = (
        np.empty((n_levels + 1, 2, room), np.int64),
        np.empty((n_levels + 1, 2, room)),
        np.empty((4, room), np.int32),
    )
    own_state, own_out = (clock[0], kept[0], n_tail[0], tail[0], tail_price[0]), (ints[0], floats[0], levels[0])
    n_highs = _find_kind(1.0, bars, rules, longest_step, own_state, scratch, own_out)
    own_state, own_out = (clock[1], kept[1], n_tail[1], tail[1], tail_price[1]), (ints[1], floats[1], levels[1])
    n_lows = _find_kind(-1.0, bars, rules, longest_step, own_state, scratch, own_out)  # highs of negated prices
    return n_highs, n_lows


@compiled
def _find_kind(
    sign: float,
    bars: BarArrays,
    rules: RuleValues,
    longest_step: int,
    state: PivotState,
    scratch: Scratch,
    out: PivotArrays,
) -> int:
    """Find the pivots of one kind; see `find_pivots_in_bars`.

    Level m reads the points in row m of `ints` and `floats`, the first of them kept from earlier blocks, and appends
    its pivots to those in row m + 1.
    """
    high, low, time = bars
    strength, is_strict, skips_inside, lowest, block = rules
    clock, kept, n_tail, tail, tail_price = state
    ints, floats, places = scratch
    n_bars, n_levels = len(time), len(strength)
    first, n_new = np.zeros(n_levels + 1, np.int64), np.zeros(n_levels + 1, np.int64)
    early, first_bar = tail.copy(), clock[0]
    n_found, start = 0, 0
    while start < n_bars:
        if clock[0] > 0 and time[start] - clock[1] > longest_step:
            _start_segment(clock, kept, n_tail)
        end = _block_end(time, start, block, longest_step)
        for level in range(n_levels):
            first[level] = n_tail[level]
            _read_tail(n_tail[level], tail[level], tail_price[level], ints[level], floats[level])
        prices = (high[start:end], low[start:end])
        n_new[0] = _read_bars(sign, prices, clock[0], skips_inside, kept, ints[0], floats[0], first[0])
        for level in range(n_levels):
            values, above = floats[level, PRICE][: first[level] + n_new[level]], level + 1
            known_at = ints[level, BAR if level == 0 else KNOWN_AT]  # a bar is known at itself
            own = (values, ints[level, BAR], known_at)
            n_new[above] = _find_level(
                own, strength[level], is_strict, places, ints[above], floats[above], first[above]
            )
            n_tail[level] = _keep_tail(
                values, 2 * strength[level], is_strict, ints[level, BAR], tail[level], tail_price[level]
            )
            _look_up_times(tail[level, BAR, : n_tail[level]], time, first_bar, early[: level + 1], tail[level, 1])
        n_before = n_found
        for level in range(lowest, n_levels + 1):
            rows = (ints[level], floats[level])
            n_found = _insert_rows(sign, level, rows, first[level], n_new[level], out, n_before, n_found)
        _look_up_times(out[0][BAR, n_before:n_found], time, first_bar, early, out[0][TIME, n_before:])
        for i in range(n_before, n_found):
            out[0][SEGMENT, i] = clock[2]
        clock[0] += end - start
        clock[1] = time[end - 1]
        start = end
    return n_found


@compiled
def _start_segment(clock: Ints, kept: Floats, n_tail: Ints) -> None:
    """Forget all points: nothing spans a hole."""
    clock[2] += 1
    for level in range(len(n_tail)):
        n_tail[level] = 0
    kept[0], kept[1] = np.inf, -np.inf


@compiled
def _find_level(
    points: tuple[Floats, Ints, Ints],
    k: int,
    is_strict: bool,
    places: Positions,
    ints: Ints,
    floats: Floats,
    offset: int,
) -> np.int64:
    """Write the pivots of points (price, bar, known_at) as points of the next level, from `offset`; return how many."""
    values, bar, known_at = points
    run, own, after, later = places
    if k == 1:
        n, confirming = _turns(values, is_strict, own, after), after
    else:
        n, confirming = _peaks(values, k, is_strict, run, own, after, later), later
    _write_points(values, (own[:n], after, confirming), bar, known_at, ints, floats, offset)
    return n


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
def _read_tail(n: int, tail: Ints, tail_price: Floats, ints: Ints, floats: Floats) -> None:
    """Put the points that earlier blocks left undecided before the new ones."""
    for i in range(n):
        ints[BAR, i], floats[PRICE, i] = tail[BAR, i], tail_price[i]


@compiled
def _read_bars(
    sign: float,
    prices: tuple[Floats, Floats],
    first_bar: int,
    skips_inside: bool,
    kept: Floats,
    ints: Ints,
    floats: Floats,
    offset: int,
) -> int:
    """Write the bars of a block as the points that level 1 reads, from `offset`; return how many there are."""
    high, low = prices
    source = high if sign > 0 else low
    bar, price = ints[BAR][offset:], floats[PRICE][offset:]
    n = 0
    if not skips_inside:
        n = len(source)
        for i in range(n):
            price[i], bar[i] = sign * source[i], first_bar + i
        return n
    for i in range(len(source)):
        if high[i] > kept[1] or low[i] < kept[0]:
            kept[0], kept[1] = low[i], high[i]
            price[n], bar[n] = sign * source[i], first_bar + i
            n += 1
    return n


@compiled
def _look_up_times(bar: Ints, time: Ints, first_bar: int, early: Ints, out: Ints) -> None:
    """Write the open time of each bar: of this chunk, which starts at `first_bar`, or of the points kept before it."""
    n_levels, room = len(early), early.shape[2]
    for i in range(len(bar)):
        if bar[i] >= first_bar:
            out[i] = time[bar[i] - first_bar]
            continue
        for step in range(n_levels * room):  # a kept point moves by few places, mostly in its own level, the last
            level, j = n_levels - 1 - step // room, (i + step) % room
            if early[level, 0, j] == bar[i]:
                out[i] = early[level, 1, j]
                break


@compiled
def _turns(values: Floats, is_strict: bool, own: Positions, after: Positions) -> np.int64:
    """Find the values above their neighbours: where a rise is followed by a fall, whatever stands still between.

    Args:
        values: Shape (n,).
        is_strict: Whether a value that stands still ends a rise.
        own, after: Written: position of each, the first of equal values, and of the first lower value after it.

    Returns:
        How many there are.
    """
    n, start, is_rise, last = np.uint64(0), 0, 0, np.nan
    may_stand = 0 if is_strict else -1  # a tie ends a rise, or leaves it as it is (a mask of all bits)
    for i in range(len(values)):
        value = values[i]
        is_up, is_down = int(value > last), int(value < last)
        own[n], after[n] = start, i
        n += np.uint64(is_rise & is_down)
        start ^= (start ^ i) & -is_up  # i after a rise, without a branch
        is_rise = is_up | (is_rise & ~is_down & may_stand)
        last = value
    return np.int64(n)


@compiled
def _peaks(
    values: Floats,
    k: int,
    is_strict: bool,
    run: Positions,
    own: Positions,
    after: Positions,
    confirming: Positions,
) -> np.int64:
    """Find the values above the k values on either side, where a run of equal ones counts as one.

    Args:
        values: Shape (n,).
        k: How many values on either side.
        is_strict: Whether equal values count one by one.
        run: Scratch, at least n + 1 long.
        own, after, confirming: Written: position of each, of the next value and of the k-th one after it.

    Returns:
        How many there are.
    """
    n_runs = np.uint64(0)
    for i in range(len(values)):
        run[n_runs] = i
        n_runs += np.uint64(is_strict or i == 0 or values[i] != values[i - 1])
    n_found = 0
    for i in range(k, np.int64(n_runs) - k):
        is_higher = True
        for shift in range(1, k + 1):
            is_higher &= values[run[i]] > values[run[i - shift]] and values[run[i]] > values[run[i + shift]]
        own[n_found], after[n_found], confirming[n_found] = run[i], run[i + 1], run[i + k]
        n_found += is_higher
    return np.int64(n_found)


@compiled
def _write_points(
    values: Floats,
    picked: tuple[Positions, Positions, Positions],
    bar: Ints,
    known_at: Ints,
    out: Ints,
    out_float: Floats,
    offset: int,
) -> None:
    """Write the pivots at the positions picked as points of the next level, from `offset`."""
    own, after, confirming = picked
    out_bar, out_known_at = out[BAR][offset:], out[KNOWN_AT][offset:]
    price, prominence = out_float[PRICE][offset:], out_float[PROMINENCE][offset:]
    for j in range(len(own)):
        value = values[own[j]]
        out_bar[j], out_known_at[j], price[j] = bar[own[j]], known_at[confirming[j]], value
        prominence[j] = min(value - values[own[j] - 1], value - values[after[j]])


@compiled
def _keep_tail(values: Floats, most: int, is_strict: bool, bar: Ints, tail: Ints, tail_price: Floats) -> int:
    """Keep the last points, at most `most`: no other can be decided later. Return how many they are."""
    n = 0
    for i in range(len(values) - 1, -1, -1):
        if is_strict or i == 0 or values[i] != values[i - 1]:
            tail[BAR, n], tail_price[n] = bar[i], values[i]
            n += 1
            if n == most:
                break
    for i in range(n // 2):  # into the order of time
        j = n - 1 - i
        tail[BAR, i], tail[BAR, j] = tail[BAR, j], tail[BAR, i]
        tail_price[i], tail_price[j] = tail_price[j], tail_price[i]
    return n


@compiled
def _insert_rows(
    sign: float, level: int, rows: tuple[Ints, Floats], first: int, n: int, out: PivotArrays, start: int, end: int
) -> int:
    """Insert the pivots of a level among those of lower levels, the rows from `start` to `end`; return the new end.

    Rows are ordered by known_at, and by level where that is equal: moved from the last one on, each goes to its place.
    """
    bar, known_at = rows[0][BAR][first:], rows[0][KNOWN_AT][first:]
    price, prominence = rows[1][PRICE][first:], rows[1][PROMINENCE][first:]
    out_bar, out_known_at, out_level = out[0][BAR], out[0][KNOWN_AT], out[2]
    out_price, out_prominence = out[1][PRICE], out[1][PROMINENCE]
    i, to = end - 1, end + n - 1
    for j in range(n - 1, -1, -1):
        while i >= start and out_known_at[i] > known_at[j]:
            out_bar[to], out_known_at[to], out_level[to] = out_bar[i], out_known_at[i], out_level[i]
            out_price[to], out_prominence[to] = out_price[i], out_prominence[i]
            i, to = i - 1, to - 1
        out_bar[to], out_known_at[to], out_level[to] = bar[j], known_at[j], level
        out_price[to], out_prominence[to] = sign * price[j], prominence[j]
        to -= 1
    return end + n


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
    highs, lows = pivots[HIGH, :, :n_highs], pivots[LOW, :, :n_lows]
    high_price, low_price = price[HIGH, PRICE], price[LOW, PRICE]
    n_lines, n_runs, i, j = 0, 0, 0, 0
    hole = _next_hole(time, 0, first_bar, last_time, longest_step)
    while hole < len(time) or i < highs.shape[1] or j < lows.shape[1]:
        is_high = _comes_first(highs, i, lows, j)
        bar = first_bar + hole
        if hole < len(time) and bar <= _known_at(highs, i, lows, j, is_high):  # no later line is known by then
            n_runs = _add_run(bar, UNKNOWN, bar, -1, state, runs, run_direction, n_runs)
            hole = _next_hole(time, hole + 1, first_bar, last_time, longest_step)
            continue
        kind, rows, at = (HIGH, highs, i) if is_high else (LOW, lows, j)
        own_price = high_price[i] if is_high else low_price[j]
        if last[kind, BAR] >= 0 and last[kind, SEGMENT] == rows[SEGMENT, at]:
            direction = _direction(last_price[kind], own_price, flat_band)
            _write_line(last[kind], rows, at, lines, n_lines)
            line_price[0, n_lines], line_price[1, n_lines] = last_price[kind], own_price
            line_code[0, n_lines], line_code[1, n_lines] = kind, direction
            n_lines += 1
            event = state[0]
            state[0] += 1
            known_at = rows[KNOWN_AT, at]
            n_runs = _add_run(last[kind, BAR], direction, known_at, event, state, runs, run_direction, n_runs)
        for column in (BAR, KNOWN_AT, TIME, SEGMENT):
            last[kind, column] = rows[column, at]
        last_price[kind] = own_price
        i, j = i + is_high, j + (not is_high)
    return n_lines, n_runs


@compiled
def _write_line(first: Ints, rows: Ints, at: int, lines: Ints, n_lines: int) -> None:
    """Write bars and times of the line from the pivot `first` to the one in column `at` of `rows`."""
    lines[FIRST_BAR, n_lines], lines[LAST_BAR, n_lines] = first[BAR], rows[BAR, at]
    lines[START_TIME, n_lines], lines[END_TIME, n_lines] = first[TIME], rows[TIME, at]
    lines[LINE_KNOWN_AT, n_lines] = rows[KNOWN_AT, at]


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
def _comes_first(highs: Ints, i: int, lows: Ints, j: int) -> bool:
    """Return whether the next high comes before the next low: known first, or lying earlier, or equal in both."""
    if i >= highs.shape[1] or j >= lows.shape[1]:
        return bool(i < highs.shape[1])
    difference = highs[KNOWN_AT, i] - lows[KNOWN_AT, j]
    return bool(difference < 0 or (difference == 0 and highs[BAR, i] <= lows[BAR, j]))


@compiled
def _known_at(highs: Ints, i: int, lows: Ints, j: int, is_high: bool) -> int:
    """Return when the next pivot is known, if there is one."""
    if is_high:
        return int(highs[KNOWN_AT, i])
    return int(lows[KNOWN_AT, j]) if j < lows.shape[1] else NO_LIMIT


@compiled
def _direction(first: float, last: float, flat_band: float) -> int:
    if last == first or (flat_band > 0 and abs(last - first) / first <= flat_band):
        return FLAT
    return DOWN + int(last > first) * (UP - DOWN)  # no branch: up and down alternate at random


@compiled
def _add_run(
    end: int, direction: int, known_at: int, event: int, state: Ints, runs: Ints, run_direction: Codes, n_runs: int
) -> int:
    """Label the bars before `end` that have no label; return how many runs there are."""
    if end <= state[1]:
        return n_runs
    runs[RUN_START, n_runs], runs[RUN_END, n_runs] = state[1], end
    runs[RUN_KNOWN_AT, n_runs], runs[RUN_EVENT, n_runs] = known_at, event
    run_direction[n_runs] = direction
    state[1] = end
    return n_runs + 1
