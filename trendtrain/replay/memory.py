"""The bars whose labels are known, grouped by the event that judged them, each with a weight."""

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import FloatArray, IntArray


class ReplayMemory:
    """Hold known rows event by event in the order they became known, and a weight for each row.

    Args:
        n_rows: Number of rows there can be; a row's weight is 1 until it is reweighted.
    """

    def __init__(self, n_rows: int) -> None:
        self.weight = np.ones(n_rows, dtype=np.float32)
        self.largest_weight = 1.0
        self.n_events = 0
        self.n_known = 0
        self._row: IntArray = np.zeros(0, dtype=np.int64)
        self._end: IntArray = np.zeros(0, dtype=np.int64)  # of each event: where its rows end in _row

    def clear(self) -> None:
        """Forget which rows are known; weights stay."""
        self.n_events = self.n_known = 0

    def add(self, rows: IntArray, events: IntArray) -> None:
        """Append newly known rows; the rows of an event come together and all at once.

        Args:
            rows: Shape (n,).
            events: The event of each row, equal ones adjacent, shape (n,).
        """
        if not len(rows):
            return
        last_of_event = np.flatnonzero(np.diff(events, append=events[-1] + 1)) + 1
        self._row = _with_room(self._row, self.n_known + len(rows))
        self._end = _with_room(self._end, self.n_events + len(last_of_event))
        self._row[self.n_known : self.n_known + len(rows)] = rows
        self._end[self.n_events : self.n_events + len(last_of_event)] = self.n_known + last_of_event
        self.n_known += len(rows)
        self.n_events += len(last_of_event)

    def reweight(self, rows: IntArray, weights: FloatArray) -> None:
        """Set the weights of rows.

        Raises:
            InputError: If a weight is not positive: every known bar must stay reachable.
        """
        if not len(rows):
            return
        is_bad = ~(np.isfinite(weights) & (weights > 0))
        if is_bad.any():
            raise InputError(f"`weights` must be positive and finite, got {weights[is_bad][0]}.")
        self.weight[rows] = weights
        self.largest_weight = max(self.largest_weight, float(np.float32(weights.max())))

    def draw(self, n: int, random: np.random.Generator) -> IntArray:
        """Draw rows with replacement: an event uniformly, a row of it uniformly, accepted by weight.

        Rejection sampling is exact and makes reweighting O(1). The chance of a row is proportional to
        weight / (rows of its event).

        Args:
            n: How many; the memory must not be empty.
            random: Where randomness comes from.
        """
        parts: list[IntArray] = []
        missing = n
        while missing > 0:
            rows = self._propose(2 * missing + 16, random)
            is_accepted = random.random(len(rows)) * self.largest_weight < self.weight[rows]
            parts.append(rows[is_accepted][:missing])
            missing -= len(parts[-1])
        return np.concatenate(parts)

    def _propose(self, n: int, random: np.random.Generator) -> IntArray:
        event = random.integers(self.n_events, size=n)
        end = self._end[event]
        start = np.where(event > 0, self._end[event - 1], 0)
        rows: IntArray = self._row[start + (random.random(n) * (end - start)).astype(np.int64)]
        return rows


def _with_room(values: IntArray, n: int) -> IntArray:
    """Return `values` with room for n, doubled when it is full, so that appending stays O(1) a row."""
    if n <= len(values):
        return values
    grown = np.zeros(max(n, 2 * len(values), 1024), dtype=values.dtype)
    grown[: len(values)] = values
    return grown
