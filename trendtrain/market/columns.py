"""Columns of a table that are made when they are first asked for."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import numpy.typing as npt

Column = npt.NDArray[Any]
Maker = Callable[[str], Column]

T = TypeVar("T")


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
