"""Columns of one length that grow at the end and shrink at the front."""

from typing import Any

import numpy as np
import numpy.typing as npt


class Columns:
    """Hold arrays of one length; an entry keeps its number, however many have left before it.

    Room at the end makes adding O(1) on average: when there is none, what is held moves to arrays a quarter larger, and
    it moves when less than half of the room is used. Thus the arrays take at most about twice what is held.

    Args:
        dtypes: The type of each column.

    Attributes:
        start: Number of the first entry held.
        stop: Number of the next entry.

    Example:
        >>> columns = Columns(age=np.int64)
        >>> columns.append(age=np.array([30, 40, 50]))
        >>> columns.drop(upto=2)
        >>> columns["age"].tolist(), columns.start, columns.stop
        ([50], 2, 3)
    """

    def __init__(self, **dtypes: npt.DTypeLike) -> None:
        self.start = self.stop = 0
        self._origin = 0  # number of the first place
        self._places: dict[str, npt.NDArray[Any]] = {name: np.empty(0, dtype) for name, dtype in dtypes.items()}

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return a column as a view, which is valid until the next entries come or leave."""
        return self._places[name][self.start - self._origin : self.stop - self._origin]

    @property
    def n_bytes(self) -> int:
        """Bytes of the arrays."""
        return sum(places.nbytes for places in self._places.values())

    def append(self, **values: npt.NDArray[Any]) -> None:
        """Add entries at the end: of each column, shape (n,) all."""
        n = len(next(iter(values.values())))
        if self.stop - self._origin + n > self._capacity:
            self._move(len(self) + n)
        first = self.stop - self._origin
        for name, column in values.items():
            self._places[name][first : first + n] = column
        self.stop += n

    def drop(self, upto: int) -> None:
        """Remove the entries whose number is below `upto`."""
        self.start = max(self.start, upto)
        if 2 * len(self) < self._capacity:
            self._move(len(self))

    @property
    def _capacity(self) -> int:
        return len(next(iter(self._places.values())))

    def _move(self, n: int) -> None:
        """Move what is held to the front of new arrays with room for n entries and a quarter more."""
        for name in self._places:
            held = self[name]
            self._places[name] = np.empty((n + n // 4, *held.shape[1:]), held.dtype)
            self._places[name][: len(held)] = held
        self._origin = self.start
