"""The bars whose labels are known, grouped by event, each with a weight."""

from typing import Any, NamedTuple

import numpy as np

from trendtrain.errors import InputError, check_number
from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.market.codes import LARGEST_EVENT, whole_numbers
from trendtrain.replay.draws import draw_rows

_SMALLEST, _LARGEST = 1e-4, 60_000.0  # what half precision holds with three digits


class Drawn(NamedTuple):
    """Drawn rows, and the number of events younger than theirs, shape (n,) both."""

    row: IntArray
    age: IntArray


class ReplayMemory:
    """Hold known rows event by event in the order they became known, and a weight for each row.

    It takes 6 bytes a row, for its number and its weight in half precision (3 digits), and 4 an event.

    Args:
        n_rows: Number of rows there can be, each added once; a row's weight is 1 until it is reweighted.

    Attributes:
        weight: Of each row, known or not, float16, shape (n_rows,).
        largest_weight: At least the largest weight.

    Example:
        >>> memory = ReplayMemory(n_rows=100)
        >>> memory.add(rows=np.arange(30), events=np.repeat([5, 6, 9], 10))
        >>> memory.reweight(np.arange(20, 30), np.full(10, 3.0))
        >>> memory.cut(2)
        >>> memory.n_events, memory.n_known, int(memory.draw(50, np.random.default_rng(0)).row.min()) >= 10
        (2, 20, True)
    """

    def __init__(self, n_rows: int) -> None:
        check_number("n_rows", n_rows, 0, 2**31 - 1)
        self.weight = np.ones(n_rows, dtype=np.float16)
        self.largest_weight = 1.0
        self._row = np.zeros(n_rows, dtype=np.int32)
        self._end: IntArray = np.zeros(1, dtype=np.int32)  # event e has the rows _row[_end[e] : _end[e + 1]]
        self._first = self._last = 0  # the events held

    @property
    def n_events(self) -> int:
        """Number of events held."""
        return self._last - self._first

    @property
    def n_known(self) -> int:
        """Number of rows held."""
        return int(self._end[self._last] - self._end[self._first])

    @property
    def rows(self) -> IntArray:
        """The rows held, the oldest event's first."""
        rows: IntArray = self._row[self._end[self._first] : self._end[self._last]]
        return rows

    @property
    def n_bytes(self) -> int:
        """Bytes of the arrays."""
        return self.weight.nbytes + self._row.nbytes + self._end.nbytes

    def clear(self) -> None:
        """Remove all rows; weights stay."""
        self._first = self._last = 0

    def add(self, rows: IntArray, events: IntArray) -> None:
        """Append newly known rows; the rows of an event come together and all at once.

        Args:
            rows: Shape (n,).
            events: The event of each row, equal ones adjacent, shape (n,).

        Raises:
            InputError: If there are more rows than `n_rows` in all, or a row or event is no whole number in its range.
        """
        if not len(rows):
            return
        start = int(self._end[self._last])
        if start + len(rows) > len(self._row):
            rule = f"be known once each, {len(self._row)} in all"
            raise InputError(f"`rows` must {rule}, got {len(rows)} after {start}.")
        rows = whole_numbers("rows", rows, 0, len(self._row) - 1)
        events = whole_numbers("events", events, 0, LARGEST_EVENT, length=len(rows))
        last_of_event = np.flatnonzero(np.diff(events, append=events[-1] + 1)) + 1
        self._row[start : start + len(rows)] = rows
        end = self._last + len(last_of_event)
        self._end = _with_room(self._end, end + 1)
        self._end[self._last + 1 : end + 1] = start + last_of_event
        self._last = end

    def cut(self, n_events: int) -> None:
        """Remove all but the newest events."""
        self._first = max(self._first, self._last - n_events)

    def trim(self, n_rows: int) -> None:
        """Remove the oldest events until at most `n_rows` rows are held; the newest event always stays."""
        oldest = np.searchsorted(self._end[: self._last], self._end[self._last] - n_rows)
        self._first = max(self._first, min(int(oldest), self._last - 1))

    def reweight(self, rows: IntArray, weights: FloatArray) -> None:
        """Set the weights of rows.

        Args:
            rows: Shape (n,).
            weights: Shape (n,), 0.0001 to 60,000; only their ratios count.

        Raises:
            InputError: If a weight lies outside: every row must keep a chance of being drawn.
        """
        if not len(rows):
            return
        rows = whole_numbers("rows", rows, 0, len(self.weight) - 1)
        weights = np.asarray(weights)
        if weights.shape != rows.shape or weights.dtype.kind not in "iuf":
            got = f"{weights.dtype} of shape {weights.shape}"
            raise InputError(f"`weights` must be numbers of shape {rows.shape}, one a row, got {got}.")
        largest = float(weights.max())
        if not (weights.min() >= _SMALLEST and largest <= _LARGEST):
            bad = weights[~((weights >= _SMALLEST) & (weights <= _LARGEST))][0]
            raise InputError(f"`weights` must be from {_SMALLEST} to {_LARGEST:.0f}, got {bad}.")
        self.weight[rows] = weights.astype(np.float16)  # converted apart, it takes half as long
        self.largest_weight = max(self.largest_weight, float(np.float16(largest)))

    def draw(self, n: int, random: np.random.Generator, half_life: float | None = None) -> Drawn:
        """Draw rows with replacement: an event by its age, a row of it uniformly, accepted by weight.

        Rejection sampling is exact and makes reweighting O(1). The probability of a row is proportional to
        2^(-age / half_life) * weight / (rows of its event). A draw costs largest / mean weight proposals, at any size.

        Args:
            n: How many.
            random: Gives the seed of the draw, one number.
            half_life: In events, positive; None draws all events alike.

        Raises:
            InputError: If the memory is empty, or the half-life is not positive.
        """
        half_life = np.inf if half_life is None else float(half_life)
        if not half_life > 0:
            raise InputError(f"`half_life` must be positive, got {half_life}.")
        if self.n_events < 1:
            raise InputError("`draw` must come after `add`, got an empty memory.")
        drawn = Drawn(np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64))
        seed = random.integers(2**64, dtype=np.uint64)
        events = (self._end, self._first, self._last, half_life)
        with np.errstate(over="ignore"):  # uncompiled, the random numbers overflow with a warning
            draw_rows(seed, *events, self._row, self.weight.view(np.uint16), self.largest_weight, *drawn)
        return drawn

    def state_dict(self) -> dict[str, Any]:
        """Return the weights and which events are held; the rows themselves follow from what was added."""
        return {
            "weight": self.weight.copy(),
            "largest_weight": self.largest_weight,
            "first_event": self._first,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`, after the same rows were added."""
        self.weight[:] = state["weight"]
        self.largest_weight = state["largest_weight"]
        self._first = state["first_event"]


def _with_room(values: IntArray, n: int) -> IntArray:
    """Return `values` with room for n, an eighth more when it is full, so that appending stays O(1)."""
    if n <= len(values):
        return values
    grown = np.zeros(max(n, len(values) + len(values) // 8), dtype=values.dtype)
    grown[: len(values)] = values
    return grown
