"""Columns of a table that are made when they are first asked for, and pivots and lines of several sources in order."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from trendtrain.market.bars import IntArray

Column = npt.NDArray[Any]
Maker = Callable[[str], Column]

T = TypeVar("T")

_WINDOW = 65_536  # bars a pass: what numpy sorts as 16-bit integers, by counting, in a fifth of the time


def made_on_demand(table: type[T], make: Maker, **given: object) -> T:
    """Return a table of dataclass `table` each of whose columns is `make(name)`, when first asked for; but for `given`.

    The class takes part by `__getattr__ = make_column` and `__reduce__ = pickle_columns`.
    """
    instance = object.__new__(table)
    instance.__dict__.update(given, _make=make)
    return instance


def make_column(table: object, name: str) -> Column:
    """Make a column that is missing, and keep it."""
    make: Maker | None = table.__dict__.get("_make")
    if make is None or name not in getattr(type(table), "__dataclass_fields__", ()):
        raise AttributeError(f"{type(table).__name__!r} object has no attribute {name!r}")
    column = table.__dict__[name] = make(name)
    return column


def pickle_columns(table: Any) -> tuple[type, tuple[object, ...]]:
    """Say how to pickle or copy a table: with all of its columns made."""
    return type(table), tuple(getattr(table, field.name) for field in fields(table))


def merge_order(known_at: Sequence[IntArray]) -> IntArray:
    """Return the order that joins ascending sequences into one; among equals the earlier sequence first.

    Example:
        >>> merge_order([np.array([1, 5, 9]), np.array([2, 5])])
        array([0, 3, 1, 4, 2])
    """
    offset = np.cumsum([0, *(len(part) for part in known_at)])
    whole = [part for part in known_at if len(part)]
    if len(whole) < 2:
        return np.arange(offset[-1])
    edges = np.arange(min(part[0] for part in whole), max(part[-1] for part in whole) + 1, _WINDOW)
    cuts = np.array([[*np.searchsorted(part, edges), len(part)] for part in known_at])
    order = [_order_of(known_at, offset, cuts[:, i], cuts[:, i + 1], edge) for i, edge in enumerate(edges)]
    return np.concatenate(order)


def _order_of(known_at: Sequence[IntArray], offset: IntArray, start: IntArray, end: IntArray, edge: int) -> IntArray:
    """Return the order of what lies in one window."""
    parts = [part[a:b] for part, a, b in zip(known_at, start, end, strict=True)]
    places = [np.arange(a, b) + by for a, b, by in zip(start, end, offset, strict=False)]
    order = np.argsort((np.concatenate(parts) - edge).astype(np.uint16), kind="stable")
    return np.concatenate(places)[order]
