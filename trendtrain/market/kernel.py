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

HIGH, LOW = 0, 1
NO_LIMIT = np.iinfo(np.int64).max  # for `longest_step`: no step in time is longer

# Rows of the integer and the float columns of points, pivots and lines.
BAR, KNOWN_AT, TIME, SEGMENT = 0, 1, 2, 3
PRICE, PROMINENCE = 0, 1
FIRST_BAR, LAST_BAR, START_TIME, END_TIME, LINE_KNOWN_AT = 0, 1, 2, 3, 4
RUN_START, RUN_END, RUN_KNOWN_AT, RUN_EVENT = 0, 1, 2, 3


@compiled
def find_pivots_of_kind(
    sign: float,
    high: Floats,
    low: Floats,
    time: Ints,
    strength: Ints,
    is_strict: bool,
    skips_inside: bool,
    longest_step: int,
    lowest: int,
    block: int,
    clock: Ints,
    kept: Floats,
    n_tail: Ints,
    tail: Ints,
    tail_price: Floats,
    out: Ints,
    out_float: Floats,
    out_level: Codes,
) -> np.int64:
    """Find the pivots of one kind, of all levels, that the next bars of a series make certain.

    Args:
        sign: 1 for highs; -1 for lows, which are the highs of negated prices.
        high, low, time: The next bars, open times in ms, shape (n_bars,).
        strength: Per level, points on either side that a pivot must exceed, shape (n_levels,).
        is_strict: Whether equal neighbours hide a pivot; otherwise a run of equal prices is one point.
        skips_inside: Whether to drop bars inside the last kept bar.
        longest_step: A longer step in time, in ms, starts a new segment.
        lowest: The lowest level to write out, from 1.
        block: How many bars to process at once.
        clock: State: number of bars so far, open time of the last, its segment.
        kept: State: low and high of the last kept bar.
        n_tail: State: per level, how many of its last points are kept, shape (n_levels,).
        tail, tail_price: State: bars and times, and prices, of these points, shape (n_levels, 2, room) and
            (n_levels, room), where room is twice the largest strength.
        out: Bar, known_at, time and segment of the pivots, in the order in which they became known, the lower level
            first, shape (4, capacity).
        out_float: Their price and prominence, shape (2, capacity).
        out_level: Their level, shape (capacity,).

    Returns:
        How many pivots were found.
    """
    n_bars, n_levels = len(time), len(strength)
    room = min(block, n_bars) + tail_price.shape[1] + 1
    # Level m reads the points in row m, and writes its pivots to row m + 1 after those kept from earlier blocks.
    ints, floats = np.empty((n_levels + 1, 2, room), np.int64), np.empty((n_levels + 1, 2, room))
    upper_int, upper_float = np.empty((2, 2, room + n_levels), np.int64), np.empty((2, 2, room + n_levels))
    upper_level = np.empty((2, room + n_levels), np.int8)
    merged, position = np.empty(room), np.empty(room, np.int32)
    is_pivot, pick = np.empty(room, np.bool_), np.empty(room, np.int32)
    first, n_new = np.zeros(n_levels + 1, np.int64), np.zeros(n_levels + 1, np.int64)
    early, first_bar = tail.copy(), clock[0]
    n_found, start = np.int64(0), 0
    while start < n_bars:
        if clock[0] > 0 and time[start] - clock[1] > longest_step:
            clock[2] += 1
            for level in range(n_levels):
                n_tail[level] = 0
            kept[0], kept[1] = np.inf, -np.inf
        end = _block_end(time, start, block, longest_step)
        for level in range(n_levels):
            first[level] = n_tail[level]
            _read_tail(n_tail[level], tail[level], tail_price[level], ints[level], floats[level])
        bars = (high[start:end], low[start:end])
        n_new[0] = _read_bars(sign, bars, clock[0], skips_inside, kept, ints[0], floats[0], first[0])
        for level in range(n_levels):
            k, above = strength[level], level + 1
            values = floats[level, PRICE][: first[level] + n_new[level]]
            if not is_strict and _has_ties(values):
                values = merged[: _merge_ties(values, merged, position)]
            else:
                _number(position[: len(values)])
            n_new[above] = _pick_pivots(
                values, k, position, ints[level], is_pivot, pick, ints[above], floats[above], first[above]
            )
            n_tail[level] = _keep_tail(values, 2 * k, position, ints[level, BAR], tail[level, BAR], tail_price[level])
            _look_up_times(tail[level, BAR, : n_tail[level]], time, first_bar, early, tail[level, 1])
        n_before, n_upper = n_found, np.int64(0)
        for level in range(n_levels, lowest - 1, -1):  # from the top: each level's rows with those of higher levels
            rows, this, other = (ints[level], floats[level]), level % 2, (level + 1) % 2
            upper = (upper_int[this], upper_float[this], upper_level[this])
            if level > lowest:
                target = (upper_int[other], upper_float[other], upper_level[other])
                n_upper = _merge_rows(1.0, level, rows, first[level], n_new[level], upper, n_upper, target, 0)
            else:
                target = (out, out_float, out_level)
                n_found = _merge_rows(sign, level, rows, first[level], n_new[level], upper, n_upper, target, n_found)
        _look_up_times(out[BAR, n_before:n_found], time, first_bar, early, out[TIME, n_before:])
        if clock[2]:  # the column starts as zeros
            for i in range(n_before, n_found):
                out[SEGMENT, i] = clock[2]
        clock[0] += end - start
        clock[1] = time[end - 1]
        start = end
    return n_found


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
    bars: tuple[Floats, Floats],
    first_bar: int,
    skips_inside: bool,
    kept: Floats,
    ints: Ints,
    floats: Floats,
    offset: int,
) -> int:
    """Write the bars of a block as the points that level 1 reads, from `offset`; return how many there are."""
    high, low = bars
    source = high if sign > 0 else low
    bar, known_at, price = ints[BAR][offset:], ints[KNOWN_AT][offset:], floats[PRICE][offset:]
    n = 0
    if not skips_inside:
        n = len(source)
        for i in range(n):
            price[i], bar[i], known_at[i] = sign * source[i], first_bar + i, first_bar + i
        return n
    for i in range(len(source)):
        if high[i] > kept[1] or low[i] < kept[0]:
            kept[0], kept[1] = low[i], high[i]
            price[n], bar[n], known_at[n] = sign * source[i], first_bar + i, first_bar + i
            n += 1
    return n


@compiled
def _look_up_times(bar: Ints, time: Ints, first_bar: int, early: Ints, out: Ints) -> None:
    """Write the open time of each bar: of this chunk, which starts at `first_bar`, or of the points kept before it."""
    for i in range(len(bar)):
        if bar[i] >= first_bar:
            out[i] = time[bar[i] - first_bar]
            continue
        for level in range(len(early)):
            for j in range(early.shape[2]):
                if early[level, 0, j] == bar[i]:
                    out[i] = early[level, 1, j]


@compiled
def _number(position: Positions) -> None:
    for i in range(len(position)):
        position[i] = i


@compiled
def _has_ties(values: Floats) -> bool:
    """Return whether two neighbours are equal."""
    left, right = values[: max(len(values) - 1, 0)], values[1:]
    is_found = False
    for i in range(len(left)):
        is_found |= left[i] == right[i]
    return is_found


@compiled
def _merge_ties(values: Floats, merged: Floats, position: Positions) -> np.int64:
    """Write one value for each run of equal values, and where it starts; return how many runs there are."""
    n, last = np.uint64(0), np.nan
    for i in range(len(values)):
        value = values[i]
        merged[n], position[n] = value, i
        n += np.uint64(value != last)
        last = value
    # The write at index n repeats the last run's value at a later bar; nothing reads it.
    return np.int64(n)


@compiled
def _pick_pivots(
    values: Floats,
    k: int,
    position: Positions,
    ints: Ints,
    is_pivot: npt.NDArray[np.bool_],
    pick: Positions,
    out: Ints,
    out_float: Floats,
    offset: int,
) -> np.int64:
    """Write the values above the k values on either side, from `offset` of `out`; return how many there are."""
    n = max(len(values) - 2 * k, 0)
    middle, left, right = values[k : k + n], values[k - 1 : k - 1 + n], values[k + 1 : k + 1 + n]
    for i in range(n):
        is_pivot[i] = (middle[i] > left[i]) & (middle[i] > right[i])
    for shift in range(2, k + 1):
        before, after = values[k - shift : k - shift + n], values[k + shift : k + shift + n]
        for i in range(n):
            is_pivot[i] &= (middle[i] > before[i]) & (middle[i] > after[i])
    n_found = np.uint64(0)
    for i in range(n):
        pick[n_found] = i
        n_found += np.uint64(is_pivot[i])
    bar, known_at = ints[BAR], ints[KNOWN_AT]
    out_bar, out_known_at = out[BAR][offset:], out[KNOWN_AT][offset:]
    price, prominence = out_float[PRICE][offset:], out_float[PROMINENCE][offset:]
    for j in range(np.int64(n_found)):
        i = pick[j]
        own, confirming = position[i + k], position[i + 2 * k]
        out_bar[j], out_known_at[j] = bar[own], known_at[confirming]
        price[j], prominence[j] = middle[i], min(middle[i] - left[i], middle[i] - right[i])
    return np.int64(n_found)


@compiled
def _keep_tail(values: Floats, most: int, position: Positions, bar: Ints, tail: Ints, tail_price: Floats) -> int:
    """Keep the last points, at most `most`: no other can be decided later. Return how many they are."""
    n = min(len(values), most)
    for i in range(n):
        at = len(values) - n + i
        tail[i], tail_price[i] = bar[position[at]], values[at]
    return n


@compiled
def _merge_rows(
    sign: float,
    level: int,
    rows: tuple[Ints, Floats],
    first: int,
    n: int,
    upper: tuple[Ints, Floats, Codes],
    n_upper: np.int64,
    out: tuple[Ints, Floats, Codes],
    n_out: int | np.int64,
) -> np.int64:
    """Append the pivots of a level, each followed by those of higher levels known at the same bar; return how many.

    A pivot becomes known together with one of the level below, so that each upper row finds its place.
    """
    bar, known_at = rows[0][BAR][first:], rows[0][KNOWN_AT][first:]
    price, prominence = rows[1][PRICE][first:], rows[1][PROMINENCE][first:]
    upper_bar, upper_known_at, upper_level = upper[0][BAR], upper[0][KNOWN_AT], upper[2]
    upper_price, upper_prominence = upper[1][PRICE], upper[1][PROMINENCE]
    out_bar, out_known_at, out_level = out[0][BAR], out[0][KNOWN_AT], out[2]
    out_price, out_prominence = out[1][PRICE], out[1][PROMINENCE]
    upper_known_at[n_upper] = -1  # equals none
    m, j = np.uint64(n_out), np.uint64(0)
    for i in range(n):
        out_bar[m], out_known_at[m], out_level[m] = bar[i], known_at[i], level
        out_price[m], out_prominence[m] = sign * price[i], prominence[i]
        m += np.uint64(1)
        while upper_known_at[j] == known_at[i]:
            out_bar[m], out_known_at[m], out_level[m] = upper_bar[j], upper_known_at[j], upper_level[j]
            out_price[m], out_prominence[m] = sign * upper_price[j], upper_prominence[j]
            m += np.uint64(1)
            j += np.uint64(1)
    return np.int64(m)


@compiled
def join_pivots(
    pivots: tuple[Ints, Ints],
    price: tuple[Floats, Floats],
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
        pivots: Of highs and of lows, their columns as `find_pivots_of_kind` writes them, shape (4, n) each.
        price: Their prices, shape (n,) each.
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
    highs, lows = pivots
    high_price, low_price = price
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
            lines[FIRST_BAR, n_lines], lines[LAST_BAR, n_lines] = last[kind, BAR], rows[BAR, at]
            lines[START_TIME, n_lines], lines[END_TIME, n_lines] = last[kind, TIME], rows[TIME, at]
            lines[LINE_KNOWN_AT, n_lines] = rows[KNOWN_AT, at]
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
    if highs[KNOWN_AT, i] != lows[KNOWN_AT, j]:
        return bool(highs[KNOWN_AT, i] < lows[KNOWN_AT, j])
    return bool(highs[BAR, i] <= lows[BAR, j])


@compiled
def _known_at(highs: Ints, i: int, lows: Ints, j: int, is_high: bool) -> int:
    """Return when the next pivot is known, if there is one."""
    if is_high:
        return int(highs[KNOWN_AT, i])
    return int(lows[KNOWN_AT, j]) if j < lows.shape[1] else NO_LIMIT


@compiled
def _direction(first: float, last: float, flat_band: float) -> int:
    if last == first or abs(last - first) / first <= flat_band:
        return FLAT
    return UP if last > first else DOWN


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
