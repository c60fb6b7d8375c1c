"""Swing highs, or swing lows, as columns that are made when they are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np

from trendtrain.market.bars import BoolArray, FloatArray, IntArray, TimeArray
from trendtrain.market.columns import Column, Maker, made_on_demand, make_column, pickle_columns
from trendtrain.market.merge import merge_order
from trendtrain.market.peaks import Point

Row = tuple[int, float, int, int, float, int, int]


class LevelPart(NamedTuple):
    """The pivots of one level, in order.

    Attributes:
        level: Their level.
        column: Gives a column of them by its name in `Pivots`.
        last: Gives a column of the last one alone.
    """

    level: int
    column: Maker
    last: Maker


@dataclass(frozen=True, eq=False)
class Pivots:
    """Swing highs, or swing lows, in the order in which they became known; of one bar the lower level first.

    Attributes:
        kind: HIGH or LOW.
        bar: Where each lies, shape (n_pivots,).
        price: Its high or low.
        known_at: The bar at which it was certain.
        level: 1 on bars, 2 on level-1 pivots, and so on.
        prominence: The smaller price distance to its neighbours in the sequence it was found in.
        time: Open time of its bar, `datetime64[ms]`.
        segment: Number of the stretch between holes in which it lies.
    """

    kind: int
    bar: IntArray
    price: FloatArray
    known_at: IntArray
    level: IntArray
    prominence: FloatArray
    time: TimeArray
    segment: IntArray

    def __len__(self) -> int:
        return len(self.bar)

    __getattr__ = make_column
    __reduce__ = pickle_columns

    @classmethod
    def of_levels(cls, kind: int, parts: Sequence[LevelPart]) -> "Pivots":
        """Return the pivots of several levels, from the lowest; each column is made when first asked for.

        Whoever needs level 2 alone, as labels do, never pays for level 1.
        """
        if len(parts) == 1:
            return made_on_demand(cls, parts[0].column, kind=kind, _parts=tuple(parts))
        orders: list[IntArray] = []

        def make(name: str) -> Column:
            columns = [part.column(name) for part in parts]
            if not orders:
                orders.append(merge_order([part.column("known_at") for part in parts]))
            return np.concatenate(columns)[orders[0]]

        return made_on_demand(cls, make, kind=kind, _parts=tuple(parts))

    @classmethod
    def of_rows(cls, kind: int, rows: Sequence[Row]) -> Self:
        """Return pivots given as rows: bar, price, known_at, level, prominence, open time in ms, segment."""
        bar, price, known_at, level, prominence, time, segment = zip(*rows, strict=True) if rows else [()] * 7
        whole = [np.array(values, dtype=np.int64) for values in (bar, known_at, level, time, segment)]
        distance = np.array(prominence, dtype=np.float64)
        times = whole[3].view("datetime64[ms]")
        return cls(kind, whole[0], np.array(price, dtype=np.float64), whole[1], whole[2], distance, times, whole[4])

    def as_rows(self) -> list[Row]:
        """Return pivots as rows, the other way round of `of_rows`."""
        times = self.time.astype("datetime64[ms]").view(np.int64)
        columns = (self.bar, self.price, self.known_at, self.level, self.prominence, times, self.segment)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def at_level(self, level: int) -> "Pivots":
        """Return the pivots of one level, in order of their bars."""
        parts: tuple[LevelPart, ...] | None = self.__dict__.get("_parts")
        if parts is None:
            return self.take(self.level == level)
        return Pivots.of_levels(self.kind, [part for part in parts if part.level == level] or [_NO_PIVOTS])

    def after(self, point: Point) -> "Pivots":
        """Return these after an earlier pivot of the kind, whose prominence and level are not needed any more."""
        bar, price, known_at, time, segment = point
        first = Pivots.of_rows(self.kind, [(bar, price, known_at, 0, np.nan, time, segment)])
        return made_on_demand(
            Pivots, lambda name: np.concatenate([getattr(first, name), getattr(self, name)]), kind=self.kind
        )

    def last_point(self) -> Point:
        """Return the last pivot as a point."""
        parts: tuple[LevelPart, ...] = self.__dict__.get("_parts", ())
        last = made_on_demand(Pivots, parts[-1].last) if parts else self.take(np.array([-1]))
        names = ("bar", "price", "known_at", "segment")
        bar, price, known_at, segment = (getattr(last, name)[0].item() for name in names)
        return bar, price, known_at, last.time.astype("datetime64[ms]").view(np.int64)[0].item(), segment

    def take(self, index: IntArray | BoolArray) -> "Pivots":
        """Return the pivots at `index`."""
        return Pivots(self.kind, *(getattr(self, name)[index] for name in _COLUMNS))


_COLUMNS = tuple(field.name for field in fields(Pivots) if field.name != "kind")
_EMPTY = Pivots.of_rows(0, [])
_NO_PIVOTS = LevelPart(0, *[lambda name: getattr(_EMPTY, name)] * 2)
