"""The compiled loop that joins level-2 pivots to trend lines, which label the bars before them."""

from trendtrain.market.compiled import compiled, inlined
from trendtrain.market.directions import DOWN, FLAT, UNKNOWN, UP
from trendtrain.market.kernel import BAR, HIGH, KNOWN_AT, LATER, LOW, PRICE, SEGMENT, TIME, Codes, Floats, Ints

FIRST_BAR, LAST_BAR, START_TIME, END_TIME, LINE_KNOWN_AT = 0, 1, 2, 3, 4
RUN_START, RUN_END, RUN_KNOWN_AT, RUN_EVENT = 0, 1, 2, 3


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
