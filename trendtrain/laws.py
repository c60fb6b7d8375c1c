"""The laws of time as checks of anyone's functions: no look at the future, no dependence on chunks."""

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
_Table = dict[str, _Array]  # columns of equal length, a row a bar, a line or a pivot

BarsFunction = Callable[[Bars], Labels | npt.ArrayLike]

_N_SMALL = 50  # cuts from the shortest on, one by one
_N_RANDOM = 100
_N_PREFIXES = 300  # for each size of chunk
_N_UPDATES = 2_000  # for each size of chunk
_MOST_BARS = 2_000_000  # fed in all to the random cuts, and to each size of chunk


class CausalityError(AssertionError):
    """A function looked ahead, or a tracker depends on its chunks; one line says where."""


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
    """Raise unless a labeler, or a feature function, knows at the close of each bar what it says it knows.

    At a cut n, `fn(bars[:n])` must equal, bit by bit (NaN equals NaN), what `fn(bars)` says was known at the close of
    bar n - 1, and hold nothing else. An array's row is known at its bar's close. A label is known by `Labels.known`;
    what is not must be -1; lines are those with `known_at` < n. Fed in chunks, a series grows from cut to cut, so each
    end of a chunk is one more cut. `fn` must answer the same bars alike: the last cut is the whole.

    Args:
        fn: `Bars -> Labels`, or `Bars -> array` of shape (n_bars,) or (n_bars, F).
        bars: Bars to try it on; some thousand with ties and holes, such as `synthetic_market`, find most mistakes.
        cuts: How many bars to keep, each `shortest` to n_bars; None for the 50 smallest, 100 seeded random ones (fewer
            beyond 40,000 bars: they feed some 2 million bars in all) and all bars.
        chunks: Sizes of chunks by which the series grows. Of each the first 300 chunks are tried, and at most as many
            as feed 2 million bars in all; none for cuts alone.
        shortest: The fewest bars that `fn` accepts, 0 or more.

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
    name, cuts, chunks = _name(fn), *_checked(fn, bars, cuts, chunks, shortest)
    whole = _answer(fn, bars)
    growths = chain.from_iterable(_growths(len(bars), size, shortest) for size in chunks)
    for cut in sorted({*cuts, *growths}):
        before = _answer_to_cut(fn, bars[:cut], shortest)
        if (difference := _first_look_ahead(before, whole, cut)) is not None:
            bar, column, value, other = difference
            raise CausalityError(
                f"`{name}` looks ahead at cut {cut}: {column} at bar {bar} is {value} from those {cut} bars alone, "
                f"but all {len(bars)} bars say that {other} was known by then."
            )


def check_chunks(make: Callable[[], Tracker], bars: Bars, chunks: Iterable[int] = (1, 7, 1009)) -> None:
    """Raise unless a tracker returns the same, in the same order, whatever the chunks it is fed.

    Args:
        make: Returns a new tracker, such as the class `PivotTracker` itself. Its `update(bars)` returns an array (of
            features: shape (n_bars,) or (n_bars, F)), a dataclass of arrays, or a tuple of these; joined over all
            updates they must equal those of one update.
        bars: Bars of one series.
        chunks: Sizes of chunks; of each the first 2,000 chunks are tried.

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
    for size in _checked_sizes(chunks):
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


def _checked(
    fn: BarsFunction, bars: Bars, cuts: Iterable[int] | None, chunks: Iterable[int], shortest: int
) -> tuple[list[int], list[int]]:
    """Return cuts and sizes of chunks, or raise."""
    if not callable(fn):
        raise InputError(f"`fn` must be a function of bars, got {fn!r}.")
    check_at_least("shortest", shortest, 0)
    _check_bars(bars, shortest)
    if cuts is None:
        return _default_cuts(len(bars), shortest), _checked_sizes(chunks)
    numbers = _listed("cuts", cuts)
    for cut in numbers:
        check_at_least("cuts", cut, shortest)
        if cut > len(bars):
            raise InputError(f"`cuts` must be at most the {len(bars)} bars there are, got {cut}.")
    return numbers, _checked_sizes(chunks)


def _check_bars(bars: Bars, shortest: int) -> None:
    if not isinstance(bars, Bars) or len(bars) < shortest:
        got = f"{len(bars)} of them" if isinstance(bars, Bars) else repr(bars)
        raise InputError(f"`bars` must be Bars, at least {shortest} of them, got {got}.")


def _checked_sizes(chunks: Iterable[int]) -> list[int]:
    sizes = _listed("chunks", chunks)
    for size in sizes:
        check_at_least("chunks", size, 1)
    return sizes


def _listed(name: str, numbers: Iterable[int]) -> list[int]:
    if isinstance(numbers, str) or not isinstance(numbers, Iterable):
        raise InputError(f"`{name}` must list integers, got {numbers!r}.")
    return list(numbers)


def _default_cuts(n_bars: int, shortest: int) -> list[int]:
    n_random = min(_N_RANDOM, 2 * _MOST_BARS // max(1, n_bars))
    spread = np.random.default_rng(0).integers(shortest, n_bars + 1, n_random)
    return [*range(shortest, min(shortest + _N_SMALL, n_bars + 1)), *spread.tolist(), n_bars]


def _growths(n_bars: int, size: int, shortest: int) -> range:
    """Return the ends of the first chunks: k of them feed size k (k + 1) / 2 bars."""
    n_prefixes = min(_N_PREFIXES, isqrt(2 * _MOST_BARS // size))
    return range(max(size, shortest), n_bars + 1, size)[:n_prefixes]


def _name(fn: object) -> str:
    fn = fn.func if isinstance(fn, partial) else fn
    return str(getattr(fn, "__name__", type(fn).__name__))


def _answer_to_cut(fn: BarsFunction, bars: Bars, shortest: int) -> Labels | _Array:
    try:
        return _answer(fn, bars)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"`fn` must accept any number of bars from `shortest` ({shortest}) on, but {_name(fn)} failed on the first "
            f"{len(bars)}: {reason}"
        ) from error


def _answer(fn: BarsFunction, bars: Bars) -> Labels | _Array:
    """Return labels, or a copy of an array: the function may write its next answer into the same memory."""
    result = fn(bars)
    answer = result if isinstance(result, Labels) else np.array(result)
    shape = (len(answer),) if isinstance(answer, Labels) else answer.shape
    is_numeric = isinstance(answer, Labels) or answer.dtype.kind in "biufmM"
    if shape[:1] != (len(bars),) or len(shape) > 2 or not is_numeric:
        got = f"shape {shape}" if is_numeric else f"{type(result).__name__} of {np.array(result).dtype}"
        raise InputError(f"`fn` must return Labels or numbers, one row for each of {len(bars)} bars, got {got}.")
    return answer


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
    if isinstance(part, np.ndarray) and part.ndim and part.dtype.kind in "biufmM":
        return {"": part.copy()}
    if not is_dataclass(part) or isinstance(part, type):
        got = f"{part.dtype} array of shape {part.shape}" if isinstance(part, np.ndarray) else type(update).__name__
        raise InputError(f"`update` must return arrays of numbers, or dataclasses of arrays, got {got}.")
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    return {name: np.array(value) for name, value in values.items() if np.ndim(value)}


def _n_rows(table: _Table) -> int:
    return len(next(iter(table.values()), ()))


def _first_difference(before: _Table, after: _Table) -> _Difference | None:
    """Return the first row that differs, in its first column that does; a surplus row counts as one."""
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
    """Compare bit by bit, but for NaNs, which are all equal."""
    if before.dtype.kind in "mM":  # NaT differs from itself
        before, after = before.view(np.int64), after.view(np.int64)
    if before.dtype.kind != "f":
        return np.asarray(before != after)
    x, y = before.astype(np.float64), after.astype(np.float64)
    is_same: npt.NDArray[np.bool_] = ((x == y) & (np.signbit(x) == np.signbit(y))) | (np.isnan(x) & np.isnan(y))
    return ~is_same
