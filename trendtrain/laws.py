"""Check your own functions for causality: no look-ahead, and no dependence on how bars are cut into chunks."""

from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import chain
from math import isqrt
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from trendtrain.errors import InputError, check_at_least
from trendtrain.market import Bars, Labels

_Array = npt.NDArray[np.generic]
_Table = dict[str, _Array]  # columns of equal length; a row is a bar, a line or a pivot

_NUMERIC = "biufmM"  # kinds of dtype: numbers, booleans and times

BarsFunction = Callable[[Bars], Labels | npt.ArrayLike]

_N_SMALL = 50  # consecutive cuts from the shortest on
_N_RANDOM = 100
_N_PREFIXES = 300  # for each chunk size
_N_UPDATES = 2_000  # for each chunk size
_MAX_BARS = 2_000_000  # fed in total at the random cuts, and for each chunk size


class CausalityError(AssertionError):
    """A function looks ahead, or a tracker depends on its chunks; the message says where."""


class Tracker(Protocol):
    """An object that takes the bars of a series in chunks and keeps its own state between them."""

    def update(self, bars: Bars) -> object:
        """Return the results of the next bars: an array, a dataclass of arrays, or a tuple of these."""


class _Difference(NamedTuple):
    """The first cell in which two tables differ."""

    row: int
    column: str
    before: object
    after: object


def check_causal(
    fn: BarsFunction,
    bars: Bars,
    cuts: Iterable[int] | None = None,
    chunks: Iterable[int] = (1, 7, 1009),
    shortest: int = 1,
) -> None:
    """Raise if a labeler or a feature function looks ahead.

    At a cut n, `fn(bars[:n])` must equal, bit by bit (NaN equals NaN), the part of `fn(bars)` that was known at the
    close of bar n - 1, and hold nothing else. An array's row is known at its bar's close, a label by `Labels.known`
    (other labels must be -1), a line if `known_at` < n. Fed in chunks, a series grows from cut to cut, so each end of a
    chunk is one more cut. `fn` must be deterministic: the last cut is the whole series.

    Args:
        fn: `Bars -> Labels`, or `Bars -> array` of shape (n_bars,) or (n_bars, F).
        bars: Bars to test with; a few thousand with ties and holes, such as `synthetic_market`, find most mistakes.
        cuts: Numbers of bars to keep, each `shortest` to n_bars; None for the 50 smallest, 100 seeded random ones
            (fewer beyond 40,000 bars, to feed some 2 million bars in total) and all bars.
        chunks: Chunk sizes by which the series grows; the first 300 chunks of each size are tried, and no more than
            feed 2 million bars in total. Empty for cuts alone.
        shortest: The smallest number of bars that `fn` accepts, 0 or more.

    Raises:
        CausalityError: If `fn` looks ahead; it names the cut, the first bar that changed, the column and both values.
        InputError: If an argument breaks its rule, or `fn` fails on `shortest` bars or more, or returns anything else.

    Example:
        >>> from trendtrain.market import label_bars, random_walk
        >>> bars = random_walk(300, seed=0)
        >>> check_causal(label_bars, bars)
        >>> check_causal(lambda bars: bars.close / np.maximum.accumulate(bars.close), bars)
        >>> def centred_average(bars):
        ...     return np.convolve(bars.close, [0.25, 0.5, 0.25], mode="same")
        >>> check_causal(centred_average, bars, shortest=3)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        trendtrain.laws.CausalityError: `centred_average` looks ahead at cut 3: value at bar 2 is 74.8... from those 3
        bars alone, but all 300 bars say that 99.8... was known by then.
    """
    if not callable(fn):
        raise InputError(f"`fn` must be a function of bars, got {fn!r}.")
    check_at_least("shortest", shortest, 0)
    _check_bars(bars, shortest)
    chunk_ends = chain.from_iterable(_chunk_ends(len(bars), size, shortest) for size in _integers("chunks", chunks, 1))
    all_cuts = sorted({*_checked_cuts(cuts, len(bars), shortest), *chunk_ends})
    whole = _result(fn, bars)
    for cut in all_cuts:
        before = _result_of_cut(fn, bars[:cut], shortest)
        if (difference := _first_look_ahead(before, whole, cut)) is not None:
            bar, column, value, other = difference
            raise CausalityError(
                f"`{_name(fn)}` looks ahead at cut {cut}: {column} at bar {bar} is {value} from those {cut} bars "
                f"alone, but all {len(bars)} bars say that {other} was known by then."
            )


def check_chunks(make: Callable[[], Tracker], bars: Bars, chunks: Iterable[int] = (1, 7, 1009)) -> None:
    """Raise if the results of a tracker depend on the chunks in which it gets the bars.

    Args:
        make: Returns a new tracker, such as the class `PivotTracker` itself. Its `update(bars)` returns an array (of
            features: shape (n_bars,) or (n_bars, F)), a dataclass of arrays, or a tuple of these; joined over all
            updates they must equal those of one update.
        bars: Bars of one series.
        chunks: Chunk sizes; the first 2,000 chunks of each are tried.

    Raises:
        CausalityError: If they differ; it names the size, the first row that differs, the field and both values.
        InputError: If an argument breaks its rule, or `update` returns anything else.

    Example:
        >>> from trendtrain.market import PivotTracker, random_walk
        >>> check_chunks(PivotTracker, random_walk(300, seed=0))
    """
    if not callable(make):
        raise InputError(f"`make` must return a new tracker, got {make!r}.")
    _check_bars(bars, 1)
    for size in _integers("chunks", chunks, 1):
        tracker, part = make(), bars[: size * _N_UPDATES]
        updates = [_tables(tracker.update(part[i : i + size])) for i in range(0, len(part), size)]
        _compare_chunks(type(tracker).__name__, size, updates, _tables(make().update(part)))


def _compare_chunks(name: str, size: int, updates: list[dict[str, _Table]], whole: dict[str, _Table]) -> None:
    for key, after in whole.items():
        before = {column: np.concatenate([update[key][column] for update in updates]) for column in after}
        if (difference := _first_difference(before, after)) is not None:
            row, column, value, other = difference
            longer = max(before, after, key=_n_rows)
            at = "".join(f" ({what} {longer[what][row]})" for what in ("level", "bar") if what in longer)
            raise CausalityError(
                f"`{name}` depends on its chunks: {column} of row {row}{at} of {key} is {value} fed {size} bars at a "
                f"time, but {other} fed all at once."
            )


def _checked_cuts(cuts: Iterable[int] | None, n_bars: int, shortest: int) -> list[int]:
    if cuts is None:
        n_random = min(_N_RANDOM, 2 * _MAX_BARS // max(1, n_bars))
        random = np.random.default_rng(0).integers(shortest, n_bars + 1, n_random)
        return [*range(shortest, min(shortest + _N_SMALL, n_bars + 1)), *random.tolist(), n_bars]
    numbers = _integers("cuts", cuts, shortest)
    if max(numbers, default=0) > n_bars:
        raise InputError(f"`cuts` must be at most the {n_bars} bars there are, got {max(numbers)}.")
    return numbers


def _check_bars(bars: Bars, shortest: int) -> None:
    if not isinstance(bars, Bars) or len(bars) < shortest:
        got = f"{len(bars)} of them" if isinstance(bars, Bars) else repr(bars)
        raise InputError(f"`bars` must be Bars, at least {shortest} of them, got {got}.")


def _integers(name: str, numbers: Iterable[int], minimum: int) -> list[int]:
    if isinstance(numbers, str) or not isinstance(numbers, Iterable):
        raise InputError(f"`{name}` must list integers, got {numbers!r}.")
    listed = list(numbers)
    for number in listed:
        check_at_least(name, number, minimum)
    return listed


def _chunk_ends(n_bars: int, size: int, shortest: int) -> range:
    """Return the ends of the first chunks: k of them feed size k (k + 1) / 2 bars."""
    n_prefixes = min(_N_PREFIXES, isqrt(2 * _MAX_BARS // size))
    return range(max(size, shortest), n_bars + 1, size)[:n_prefixes]


def _name(fn: object) -> str:
    fn = fn.func if isinstance(fn, partial) else fn
    return str(getattr(fn, "__name__", type(fn).__name__))


def _result_of_cut(fn: BarsFunction, bars: Bars, shortest: int) -> Labels | _Array:
    try:
        return _result(fn, bars)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"`fn` must accept any number of bars from `shortest` ({shortest}) on, but {_name(fn)} failed on the first "
            f"{len(bars)}: {reason}"
        ) from error


def _result(fn: BarsFunction, bars: Bars) -> Labels | _Array:
    """Return labels, or a copy of an array: the function may write its next result into the same memory."""
    returned = fn(bars)
    result = returned if isinstance(returned, Labels) else np.array(returned)
    shape = (len(result),) if isinstance(result, Labels) else result.shape
    is_numeric = isinstance(result, Labels) or result.dtype.kind in _NUMERIC
    if shape[:1] != (len(bars),) or len(shape) > 2 or not is_numeric:
        got = f"shape {shape}" if is_numeric else f"{type(returned).__name__} of {np.array(returned).dtype}"
        raise InputError(f"`fn` must return Labels or numbers, one row for each of {len(bars)} bars, got {got}.")
    return result


def _first_look_ahead(before: Labels | _Array, whole: Labels | _Array, cut: int) -> _Difference | None:
    if isinstance(before, Labels) != isinstance(whole, Labels):
        raise InputError(f"`fn` must always return Labels or always arrays, got both (first {cut} bars, and all).")
    if not isinstance(before, Labels) or not isinstance(whole, Labels):
        return _first_difference({"": np.asarray(before)}, {"": np.asarray(whole)[:cut]})
    is_known = whole.known(cut - 1)[:cut]
    names = ("direction", "known_at", "event")
    known = {name: np.where(is_known, getattr(whole, name)[:cut], -1) for name in names}
    found = _first_difference({name: getattr(before, name) for name in names}, known)
    return found or _first_new_line(before, whole, cut)


def _first_new_line(before: Labels, whole: Labels, cut: int) -> _Difference | None:
    lines, known = before.lines, whole.lines[whole.lines.known_at < cut]
    found = _first_difference(
        *({f"lines.{f.name}": getattr(part, f.name) for f in fields(part)} for part in (lines, known))
    )
    if found is None:
        return None
    bar = max(lines, known, key=len).first_bar[found.row]
    return found._replace(row=int(bar), column=found.column.replace("rows", "lines"))


def _tables(update: object) -> dict[str, _Table]:
    """Return the columns of each part of an update, by the part's type and position; copies, as buffers are reused."""
    parts = update if isinstance(update, tuple) else (update,)
    return {f"{type(part).__name__} {i}": _columns(part, update) for i, part in enumerate(parts)}


def _columns(part: object, update: object) -> _Table:
    if isinstance(part, np.ndarray) and part.ndim and part.dtype.kind in _NUMERIC:
        return {"": part.copy()}
    if not is_dataclass(part) or isinstance(part, type):
        got = f"{part.dtype} array of shape {part.shape}" if isinstance(part, np.ndarray) else type(update).__name__
        raise InputError(f"`update` must return arrays of numbers, or dataclasses of arrays, got {got}.")
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    return {name: np.array(value) for name, value in values.items() if np.ndim(value)}


def _n_rows(table: _Table) -> int:
    return len(next(iter(table.values()), ()))


def _first_difference(before: _Table, after: _Table) -> _Difference | None:
    """Return the first row that differs, in the first column that differs there; an extra row is a difference."""
    n_rows = min(_n_rows(before), _n_rows(after))
    found = [_first_in_column(name, before[name][:n_rows], after[name][:n_rows]) for name in after if n_rows]
    differences = [difference for difference in found if difference is not None]
    if differences:
        return min(differences, key=lambda difference: difference.row)
    if _n_rows(before) != _n_rows(after):
        return _Difference(n_rows, "the number of rows", _n_rows(before), _n_rows(after))
    return None


def _first_in_column(name: str, before: _Array, after: _Array) -> _Difference | None:
    if before.dtype != after.dtype:
        return _Difference(0, f"{name} dtype".strip(), before.dtype, after.dtype)
    if before.shape != after.shape:
        return _Difference(0, f"{name} shape".strip(), before.shape[1:], after.shape[1:])
    differs = _differs(before, after)
    if not differs.any():
        return None
    index = tuple(int(i) for i in np.unravel_index(np.argmax(differs), differs.shape))
    column = name or ("value" if len(index) == 1 else f"column {index[1]}")
    return _Difference(index[0], column, before[index], after[index])


def _differs(before: _Array, after: _Array) -> npt.NDArray[np.bool_]:
    """Compare bit by bit, except that all NaNs are equal."""
    if before.dtype.kind in "mM":  # NaT differs from itself
        before, after = before.view(np.int64), after.view(np.int64)
    if before.dtype.kind != "f":
        return np.asarray(before != after)
    x, y = before.astype(np.float64), after.astype(np.float64)
    is_same: npt.NDArray[np.bool_] = ((x == y) & (np.signbit(x) == np.signbit(y))) | (np.isnan(x) & np.isnan(y))
    return ~is_same
