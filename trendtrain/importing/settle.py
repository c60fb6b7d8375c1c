"""Put the rows of a file in order: sorted, each time once, no price rule broken."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from trendtrain.importing.raw_bars import RawBars
from trendtrain.market.bars import PRICES, BarsError, IntArray, obey_price_rules, price_error

_COLUMNS: Final = (*PRICES, "volume")


@dataclass(frozen=True)
class Findings:
    """What had to be done to the rows of a file.

    Attributes:
        n_rows: How many there were.
        is_newest_first: Whether they were turned.
        n_unordered: Rows that lie before their neighbour all the same; they were sorted in.
        n_duplicates: Rows left out because an equal one has their time.
        n_conflicts: Rows left out because a later row has their time and other values.
        n_broken: Rows left out because they break a rule of `Bars`.
        first_fault: The first unordered, conflicting or broken row as a rule that it breaks; None where there is none.
    """

    n_rows: int
    is_newest_first: bool = False
    n_unordered: int = 0
    n_duplicates: int = 0
    n_conflicts: int = 0
    n_broken: int = 0
    first_fault: BarsError | None = None


def settle(raw: RawBars) -> tuple[RawBars, Findings]:
    """Return the rows as bars can be made of them, and what was done.

    Of rows with one time the last in the file counts. Volume 0 everywhere, though prices moved within bars, means that
    none is supplied: it becomes NaN.

    Example:
        >>> time = np.array(["2024-01-02", "2024-01-01", "2024-01-01"], "datetime64[ms]")
        >>> price = np.array([1.0, 2.0, 2.0])
        >>> rows, found = settle(RawBars(time, price, price, price, price, price, time_rule="UTC"))
        >>> rows.close, found.is_newest_first, found.n_duplicates
        (array([2., 1.]), True, 1)
    """
    raw, n_rows = _without_constant_zero(raw), len(raw.open_time)
    is_broken = ~obey_price_rules(*(getattr(raw, name) for name in _COLUMNS))
    if not is_broken.any() and (np.diff(raw.open_time) > np.timedelta64(0)).all():
        return raw, Findings(n_rows)
    rows: IntArray = np.flatnonzero(~is_broken)
    rows, is_newest_first, unordered = _sort(raw, rows)
    rows, n_duplicates, conflicts = _once(raw, rows)
    faults = [_fault_of_price(raw, int(np.argmax(is_broken)))] if is_broken.any() else []
    faults += [_fault_of_order(raw, int(unordered[0]), is_newest_first)] if len(unordered) else []
    faults += [_fault_of_conflict(raw, int(conflicts.min()))] if len(conflicts) else []
    counts = (len(unordered), n_duplicates, len(conflicts), int(is_broken.sum()))
    return _take(raw, rows), Findings(n_rows, is_newest_first, *counts, _first(faults))


def _without_constant_zero(raw: RawBars) -> RawBars:
    is_supplied = bool((raw.volume != 0).any()) or not (raw.high > raw.low).any()
    return raw if is_supplied else replace(raw, volume=np.full(len(raw.volume), np.nan), volume_rule="0 in every bar")


def _fault_of_price(raw: RawBars, row: int) -> BarsError:
    error = price_error(row, *(getattr(raw, name) for name in _COLUMNS))
    return BarsError(f"{str(error).removesuffix(f' at row {row}.')}.", row)


def _sort(raw: RawBars, rows: IntArray) -> tuple[IntArray, bool, IntArray]:
    """Return rows by time, those of one time in the order of the file; whether most fell; and those out of order."""
    steps = np.diff(raw.open_time[rows])
    is_newest_first = int((steps < np.timedelta64(0)).sum()) > int((steps > np.timedelta64(0)).sum())
    is_wrong = steps > np.timedelta64(0) if is_newest_first else steps < np.timedelta64(0)
    order = np.argsort(raw.open_time[rows], kind="stable")
    return rows[order], is_newest_first, rows[1:][is_wrong]


def _fault_of_order(raw: RawBars, row: int, is_newest_first: bool) -> BarsError:
    first = "newest" if is_newest_first else "oldest"
    here, before = raw.open_time[row], raw.open_time[row - 1]
    return BarsError(f"times must be sorted, the {first} first, got {here} after {before}.", row)


def _fault_of_conflict(raw: RawBars, row: int) -> BarsError:
    return BarsError(f"a time must come once, got {raw.open_time[row]} again with other values.", row)


def _once(raw: RawBars, rows: IntArray) -> tuple[IntArray, int, IntArray]:
    """Return the last row of each time, how many equal ones were left out, and the others that were."""
    is_same_time = np.diff(raw.open_time[rows]) == np.timedelta64(0)
    is_last = np.append(~is_same_time, True)[: len(rows)]
    kept = rows[is_last]
    dropped = rows[~is_last]
    winner = kept[np.searchsorted(raw.open_time[kept], raw.open_time[dropped])]
    is_equal = np.ones(len(dropped), np.bool_)
    for name in _COLUMNS:
        values = getattr(raw, name)
        is_equal &= (values[dropped] == values[winner]) | (np.isnan(values[dropped]) & np.isnan(values[winner]))
    return kept, int(is_equal.sum()), dropped[~is_equal]


def _take(raw: RawBars, rows: IntArray) -> RawBars:
    return replace(raw, **{name: getattr(raw, name)[rows] for name in ("open_time", *_COLUMNS)})


def _first(faults: list[BarsError]) -> BarsError | None:
    return min(faults, key=lambda fault: fault.row or 0, default=None)
