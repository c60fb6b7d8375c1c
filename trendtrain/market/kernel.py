"""The compiled loop that finds pivots of every level in bars.

It takes a chunk of any size and carries its state in small arrays, so that no result depends on how bars are cut into
chunks. Bars are processed in blocks that stay in the processor's cache. A loop that picks some of many rows writes
every candidate and advances its index by the condition: a branch on a price is mispredicted half of the time.

To compile takes most of the first call. It grows with each array that is made, viewed or put into a tuple: so callers
pass every array, one by one.
"""

import numpy as np
import numpy.typing as npt

from trendtrain.market.compiled import compiled, inlined

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]

HIGH, LOW = 0, 1
N_BITS, ALL_BITS, ONE = 32, 0xFFFFFFFF, np.uint64(1)
LATER = np.iinfo(np.int64).max  # than any bar

# Rows of the integer and the float columns of pivots, and of points, which a level reads and the one below writes.
BAR, KNOWN_AT, TIME, SEGMENT = 0, 1, 2, 3
PRICE, PROMINENCE = 0, 1
BASE, N_FOUND, N_POINT_ROWS = 3, 4, 5
OWN, AFTER, CONFIRMING, PLACE, RUN, N_PICKED_ROWS = 0, 1, 2, 3, 4, 5
TAIL_TIME = 1


@compiled
def find_pivots_in_bars(
    high: Floats,
    low: Floats,
    time: Ints,
    strength: Ints,
    is_strict: bool,
    is_skip: bool,
    lowest: int,
    holes: Ints,
    clock: Ints,
    kept: Floats,
    tail: Ints,
    tail_price: Floats,
    out: Ints,
    out_price: Floats,
    out_level: Codes,
    points: Ints,
    prices: Floats,
    picked: Ints,
) -> tuple[int, int]:
    """Find the pivots of all levels that the next bars of a series make certain.

    Args:
        high, low, time: Of the next bars, shape (n_bars,) each; the time is that of the open, in ms.
        strength: Per level, points on either side that a pivot must exceed, shape (n_levels,).
        is_strict: Whether equal neighbours hide a pivot; otherwise a run of equal prices is one point.
        is_skip: Whether to drop bars inside the last kept bar.
        lowest: The lowest level to write out, from 1.
        holes: The number of each of these bars that starts a new segment, because a hole precedes it.
        clock: State: number of bars so far, open time of the last and its segment, shape (3,).
        kept: State, for highs and for lows: low and high of the last kept bar, (2, 2).
        tail, tail_price: State, for highs and for lows: of the last points that each level has read, bar and time,
            (2, n_levels, 2, room), and price, negated for lows and infinite for no point, (2, n_levels, room), where
            room is twice the largest strength.
        out, out_price, out_level: Written: pivots in the order in which they become known, the lower level first, a row
            for highs and one for lows: bar, known_at, time and segment, shape (2, 4, capacity); price and prominence,
            (2, 2, capacity); level, (2, capacity).
        points, prices, picked: Room to work in, (n_levels + 1, 5, size), (n_levels + 1, 2, size) and (5, size): `size`
            less room and 32 is how many bars are processed at once.

    Level m reads the points in row m of `points` and `prices`, behind those kept from earlier blocks, and writes its
    pivots as points to row m + 1. Each becomes known together with a pivot of every level below: so its row follows
    from how many pivots of higher levels become known with each pivot of the lowest. The loop over levels stands here
    because an inlined function that holds others takes longer to compile, here .4 of 2.4 s.

    Returns:
        How many highs and how many lows were found.
    """
    n_levels, first_bar, n_highs, n_lows, start, hole = len(strength), clock[0], 0, 0, 0, 0
    block = picked.shape[1] - tail_price.shape[2] - N_BITS
    while start < len(time):
        if hole < len(holes) and holes[hole] == clock[0]:
            hole += 1
            clock[2] += 1
            kept[:, 0], kept[:, 1], tail[:], tail_price[:] = np.inf, -np.inf, -1, np.inf  # nothing spans a hole
        end = min(start + block, holes[hole] - first_bar if hole < len(holes) else len(time))
        for kind in range(2):
            row, n_lowest = n_highs if kind == HIGH else n_lows, 0
            n = _read_bars(
                kind, high[start:end], low[start:end], clock[0], is_skip, kept[kind], 2 * strength[0], points, prices
            )
            for level in range(n_levels):
                above, k = level + 1, strength[level]
                below, values = points[level], prices[level, PRICE]
                _read_tail(k, tail[kind, level], tail_price[kind, level], below, values)
                n += 2 * k
                n_found = _turns(values, n, is_strict, picked) if k == 1 else _peaks(values, n, k, is_strict, picked)
                known_row = BAR if level == 0 else KNOWN_AT  # a bar is known at itself
                offset = 2 * strength[above] if above < n_levels else 0
                height = above - lowest
                _write_points(
                    values, below, known_row, first_bar, picked, n_found, height, points[above], prices[above], offset
                )
                _keep_tail(values, n, k, is_strict, below, time, first_bar, tail[kind, level], tail_price[kind, level])
                n_lowest = n_found if above == lowest else n_lowest
                n = points[above, N_FOUND, 0] = n_found
            row = _write_rows(
                kind,
                n_lowest,
                strength,
                lowest,
                time,
                first_bar,
                clock[2],
                points,
                prices,
                picked[PLACE],
                row,
                out[kind],
                out_price[kind],
                out_level[kind],
            )
            n_highs, n_lows = (row, n_lows) if kind == HIGH else (n_highs, row)
        clock[0] += end - start
        clock[1] = time[end - 1]
        start = end
    return n_highs, n_lows


@inlined
def _read_bars(
    kind: int,
    high: Floats,
    low: Floats,
    first_bar: int,
    is_skip: bool,
    kept: Floats,
    offset: int,
    points: Ints,
    prices: Floats,
) -> int:
    """Write the bars of a block as the points that level 1 reads; lows are the highs of negated prices.

    Returns:
        How many there are.
    """
    source, sign, n = high if kind == HIGH else low, 1.0 - 2.0 * kind, 0
    bar, price = points[0, BAR, offset:], prices[0, PRICE, offset:]
    if not is_skip:
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
def _read_tail(k: int, tail: Ints, tail_price: Floats, below: Ints, values: Floats) -> None:
    """Put the last 2 k points of a level before the new ones: no earlier point can be decided later."""
    for i in range(2 * k):
        below[BAR, i], below[TIME, i], values[i] = tail[BAR, i], tail[TAIL_TIME, i], tail_price[i]


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
        picked: Written: position of each, of the next value and of the k-th one after it; where runs start.

    Returns:
        How many there are.
    """
    run, n_runs, n_found = picked[RUN], 0, 0
    for i in range(n):
        run[n_runs] = i
        n_runs += int(is_strict or i == 0 or values[i] != values[i - 1])
    for i in range(k, n_runs - k):
        value, is_higher = values[run[i]], True
        for j in range(1, k + 1):
            is_higher &= (value > values[run[i - j]]) & (value > values[run[i + j]])
        picked[OWN, n_found], picked[AFTER, n_found], picked[CONFIRMING, n_found] = run[i], run[i + 1], run[i + k]
        n_found += int(is_higher)
    return n_found


@inlined
def _write_points(
    values: Floats,
    below: Ints,
    known_row: int,
    first_bar: int,
    picked: Ints,
    n: int,
    height: int,
    ints: Ints,
    floats: Floats,
    offset: int,
) -> None:
    """Write the `n` pivots picked as points of the next level, from `offset`; times only of bars before the chunk.

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
        if below[BAR, at] < first_bar:
            ints[TIME, to] = below[TIME, at]
        floats[PRICE, to], floats[PROMINENCE, to] = value, value - (left if left > right else right)
        if height > 0:
            ints[BASE, to] = below[BASE, confirming]
            n_above[below[BASE, confirming]] += 1
        else:
            ints[BASE, to], n_above[j] = j, 0


@inlined
def _keep_tail(
    values: Floats,
    n: int,
    k: int,
    is_strict: bool,
    below: Ints,
    time: Ints,
    first_bar: int,
    tail: Ints,
    tail_price: Floats,
) -> None:
    """Keep the last 2 k points of a level: no other can be decided later. An infinite value stands for no point."""
    i = n - 1
    for j in range(2 * k - 1, -1, -1):
        while not is_strict and i > 0 and values[i] == values[i - 1] and values[i] < np.inf:
            i -= 1
        bar = below[BAR, i]
        tail[BAR, j], tail_price[j] = bar, values[i]
        tail[TAIL_TIME, j] = time[bar - first_bar] if bar >= first_bar else below[TIME, i]
        i -= 1


@inlined
def _write_rows(
    kind: int,
    n: int,
    strength: Ints,
    lowest: int,
    time: Ints,
    first_bar: int,
    segment: int,
    points: Ints,
    prices: Floats,
    place: Ints,
    first_row: int,
    out: Ints,
    out_price: Floats,
    out_level: Codes,
) -> int:
    """Write the pivots of a block, each as many rows behind its base as it lies levels above.

    Args:
        n: How many bases there are.
        place: How many pivots have each base; becomes its row.
        first_row: The first row to write.

    Returns:
        The row after the last.
    """
    sign, row = 1.0 - 2.0 * kind, first_row
    for j in range(n):
        row, place[j] = row + 1 + place[j], row
    for level in range(lowest, len(strength) + 1):
        offset = 2 * strength[level] if level < len(strength) else 0
        ints, floats, height = points[level, :, offset:], prices[level, :, offset:], level - lowest
        for j in range(points[level, N_FOUND, 0]):
            to = np.uint64(place[np.uint64(ints[BASE, j])] + height)
            out[BAR, to], out[KNOWN_AT, to], out_level[to] = ints[BAR, j], ints[KNOWN_AT, j], level
            out_price[PRICE, to], out_price[PROMINENCE, to] = sign * floats[PRICE, j], floats[PROMINENCE, j]
            if ints[BAR, j] < first_bar:
                out[TIME, to] = ints[TIME, j]
    bar, opened = out[BAR, first_row:row], out[TIME, first_row:row]
    for i in range(len(bar)):
        if bar[i] >= first_bar:
            opened[i] = time[np.uint64(bar[i] - first_bar)]
    if segment > 0:  # it is 0 already, and memory that nobody touched costs nothing
        out[SEGMENT, first_row:row] = segment
    return row
