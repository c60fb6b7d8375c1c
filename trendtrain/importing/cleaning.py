"""Clean the rows of a file: sorted, each time once, no price rule broken."""

from dataclasses import dataclass, replace

import numpy as np

from trendtrain.importing.raw_bars import VALUES, RawBars
from trendtrain.market.bars import Bars, BarsError, IntArray, obey_price_rules, price_error
from trendtrain.market.timeframe import format_timeframe, is_off_grid

_NO_TIME = np.timedelta64(0, "ms")


@dataclass(frozen=True)
class Findings:
    """What had to be done to the rows of a file.

    Attributes:
        n_rows: How many there were.
        is_newest_first: Whether their order was reversed.
        n_unordered: Rows that lie before their neighbour all the same; they were sorted in.
        n_duplicates: Rows left out because an equal one has their time.
        n_conflicts: Rows left out because a later row has their time and other values.
        n_broken: Rows left out because they break a rule of `Bars`.
        first_fault: The first row that is unordered, conflicting, broken or off the grid, as a rule that it breaks;
            None where there is none.
        n_off_grid: Bars that lie no whole number of timeframes from their neighbours; they stay.
        first_off_grid: The first of them, as a rule that it breaks.
    """

    n_rows: int
    is_newest_first: bool = False
    n_unordered: int = 0
    n_duplicates: int = 0
    n_conflicts: int = 0
    n_broken: int = 0
    first_fault: BarsError | None = None
    n_off_grid: int = 0
    first_off_grid: BarsError | None = None


def clean(raw: RawBars) -> tuple[RawBars, Findings]:
    """Return the rows that can become bars, in order, and what was done.

    Of rows with one time the last in the file counts. Volume 0 everywhere, though prices moved within bars, means that
    none is supplied: it becomes NaN.

    Example:
        >>> time = np.array(["2024-01-02", "2024-01-01", "2024-01-01"], "datetime64[ms]")
        >>> price = np.array([1.0, 2.0, 2.0])
        >>> rows, found = clean(RawBars(time, price, price, price, price, price, time_rule="UTC"))
        >>> rows.close, found.is_newest_first, found.n_duplicates
        (array([2., 1.]), True, 1)
    """
    raw, n_rows = _without_constant_zero(raw), len(raw.open_time)
    is_sound = obey_price_rules(*raw.values)
    if is_sound.all() and (np.diff(raw.open_time) > _NO_TIME).all():
        return raw, Findings(n_rows)
    rows: IntArray = np.flatnonzero(is_sound)
    rows, is_newest_first, unordered = _sort(raw, rows)
    rows, n_duplicates, conflicts = _keep_last(raw, rows)
    faults = [] if is_sound.all() else [_price_fault(raw, int(np.argmin(is_sound)))]
    faults += [_order_fault(raw, int(unordered[0]), is_newest_first)] if len(unordered) else []
    faults += [_conflict(raw, int(conflicts.min()))] if len(conflicts) else []
    first = min(faults, key=lambda fault: fault.row or 0, default=None)
    counts = (len(unordered), n_duplicates, len(conflicts), n_rows - int(is_sound.sum()))
    kept = {name: getattr(raw, name)[rows] for name in ("open_time", *VALUES)}
    return replace(raw, **kept), Findings(n_rows, is_newest_first, *counts, first)


def note_off_grid(findings: Findings, raw: RawBars, bars: Bars) -> Findings:
    """Return the findings with the bars off the grid, each by its row among `raw`, the rows of the file."""
    stray = bars.open_time[is_off_grid(bars.open_time, bars.timeframe)]
    if not len(stray):
        return findings
    row = int(np.flatnonzero(raw.open_time == stray[0])[-1])
    rule = f"bars must lie a whole number of timeframes ({format_timeframe(bars.timeframe)}) apart"
    fault = BarsError(f"{rule}, got {stray[0]}.", row)
    first = min([fault, findings.first_fault or fault], key=lambda fault: fault.row or 0)
    return replace(findings, first_fault=first, n_off_grid=len(stray), first_off_grid=fault)


def _without_constant_zero(raw: RawBars) -> RawBars:
    is_supplied = bool((raw.volume != 0).any()) or not (raw.high > raw.low).any()
    return raw if is_supplied else replace(raw, volume=np.full(len(raw.volume), np.nan), volume_rule="0 in every bar")


def _sort(raw: RawBars, rows: IntArray) -> tuple[IntArray, bool, IntArray]:
    """Return rows by time, those of one time in the order of the file; whether most fell; and those out of order."""
    steps = np.diff(raw.open_time[rows])
    is_newest_first = int((steps < _NO_TIME).sum()) > int((steps > _NO_TIME).sum())
    is_wrong = steps > _NO_TIME if is_newest_first else steps < _NO_TIME
    order = np.argsort(raw.open_time[rows], kind="stable")
    return rows[order], is_newest_first, rows[1:][is_wrong]


def _keep_last(raw: RawBars, rows: IntArray) -> tuple[IntArray, int, IntArray]:
    """Return the last row of each time, how many equal ones were left out, and the others that were."""
    is_same_time = np.diff(raw.open_time[rows]) == _NO_TIME
    is_last = np.append(~is_same_time, True)[: len(rows)]
    kept, dropped = rows[is_last], rows[~is_last]
    winner = kept[np.searchsorted(raw.open_time[kept], raw.open_time[dropped])]
    is_equal = np.ones(len(dropped), np.bool_)
    for values in raw.values:
        is_equal &= (values[dropped] == values[winner]) | (np.isnan(values[dropped]) & np.isnan(values[winner]))
    return kept, int(is_equal.sum()), dropped[~is_equal]


def _price_fault(raw: RawBars, row: int) -> BarsError:
    error = price_error(row, *raw.values)
    return BarsError(f"{str(error).removesuffix(f' at row {row}.')}.", row)


def _order_fault(raw: RawBars, row: int, is_newest_first: bool) -> BarsError:
    first = "newest" if is_newest_first else "oldest"
    here, before = raw.open_time[row], raw.open_time[row - 1]
    return BarsError(f"times must be sorted, the {first} first, got {here} after {before}.", row)


def _conflict(raw: RawBars, row: int) -> BarsError:
    return BarsError(f"a time must come once, got {raw.open_time[row]} again with other values.", row)
