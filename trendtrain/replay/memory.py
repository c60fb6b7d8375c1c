"""The rows whose labels are known, grouped by event, each with a weight."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trendtrain.errors import InputError, check_at_least
from trendtrain.market.bars import BoolArray, FloatArray, IntArray
from trendtrain.market.codes import whole_numbers
from trendtrain.replay.columns import Columns
from trendtrain.replay.draws import SCALE, draw_rows, working_room

_LARGEST_ROW = 2**63 - 1
_SMALLEST, _LARGEST = 1e-4, 60_000.0  # what half precision holds with three digits


class Lessons(NamedTuple):
    """Rows whose labels became known, the rows of an event together, shape (n,) each.

    Attributes:
        row: Their numbers, each added once.
        event: The event of each, equal ones adjacent.
        label: The class of each.
        weight: The replay weight of each, 0.0001 to 60,000; None: 1.
        known_at: The row at whose close the label is known, for transitions; None: -1.
        change: ln(last price / first price) of the line that judges the row, for transitions; None: 0.
    """

    row: IntArray
    event: IntArray
    label: IntArray
    weight: FloatArray | None = None
    known_at: IntArray | None = None
    change: FloatArray | None = None


class Drawn(NamedTuple):
    """Drawn rows, shape (n,) each.

    Attributes:
        slot: The place of each in the memory, which it keeps for as long as it is held.
        row: Their numbers.
        age: The number of events younger than theirs.
    """

    slot: IntArray
    row: IntArray
    age: IntArray


class ReplayMemory:
    """Hold labelled rows event by event in the order in which their labels became known, and a weight for each.

    It takes 11 bytes a row (its number, its class, its weight in half precision of 3 digits) and 40 an event, and at
    most about twice of it for room to grow.

    Args:
        max_bars: Most rows held, the oldest events leave first; the newest event always stays. None for all.

    Attributes:
        largest_weight: At least the largest weight.

    Raises:
        InputError: If `max_bars` is below 1.

    Example:
        >>> memory = ReplayMemory()
        >>> memory.add(Lessons(np.arange(30), event=np.repeat([5, 6, 9], 10), label=np.ones(30)))
        >>> memory.reweight(memory.find(np.arange(20, 30)), np.full(10, 3.0))
        >>> memory.cut(2)
        >>> memory.n_events, memory.n_known, int(memory.draw(50, np.random.default_rng(0)).row.min()) >= 10
        (2, 20, True)
    """

    def __init__(self, max_bars: int | None = None) -> None:
        if max_bars is not None:
            check_at_least("replay.max_bars", max_bars, 1)
        self.max_bars = max_bars
        self.largest_weight = 1.0
        self._rows, self._events = _no_rows(), _no_events()

    @property
    def n_events(self) -> int:
        """Number of events held."""
        return len(self._events) - 1

    @property
    def n_known(self) -> int:
        """Number of rows held."""
        return len(self._rows)

    @property
    def first_slot(self) -> int:
        """The slot of the oldest row held: what is known of slot s is at position s - first_slot of each column."""
        return self._rows.start

    @property
    def rows(self) -> IntArray:
        """The rows held, the oldest event's first."""
        return self._rows["row"]

    @property
    def weight(self) -> npt.NDArray[np.float16]:
        """The weight of each row held."""
        return self._rows["weight"]

    @property
    def label(self) -> IntArray:
        """The class of each row held."""
        return self._rows["label"]

    @property
    def event(self) -> IntArray:
        """The number of each event held, the oldest first: that of a row of age a is at position -1 - a."""
        return self._events["event"][1:]

    @property
    def known_at(self) -> IntArray:
        """The row at whose close each event's labels are known, -1 if it was not given."""
        return self._events["known_at"][1:]

    @property
    def change(self) -> FloatArray:
        """The log price change of each event's line, 0 if it was not given."""
        return self._events["change"][1:]

    @property
    def n_bytes(self) -> int:
        """Bytes of the arrays."""
        return self._rows.n_bytes + self._events.n_bytes

    @property
    def _end(self) -> IntArray:
        """Event e has the slots from the e-th of these to the next, shape (n_events + 1,)."""
        return self._events["span"][:, 0]

    def add(self, known: Lessons) -> None:
        """Append newly labelled rows, whole events in the order in which they became known; the oldest leave.

        Raises:
            InputError: If a row, event or class is no whole number in its range, or a weight lies outside its own.
        """
        n = len(known.row)
        if not n:
            return
        row = whole_numbers("row", known.row, 0, _LARGEST_ROW)
        event = whole_numbers("event", known.event, 0, _LARGEST_ROW, length=n)
        label = whole_numbers("label", known.label, 0, np.iinfo(np.int8).max, length=n)
        weight = as_weights(np.ones(n) if known.weight is None else known.weight, n)
        last = np.flatnonzero(np.diff(event, append=event[-1] + 1))  # of each event
        known_at = np.full(n, -1) if known.known_at is None else known.known_at
        known_at = whole_numbers("known_at", known_at, -1, _LARGEST_ROW, length=n)
        change = _numbers("`change` must be", np.zeros(n) if known.change is None else known.change, n)
        span = np.stack([self._rows.stop + last + 1, _first_rows(row, last)], axis=1)
        self._rows.append(row=row, weight=weight, label=label)
        self._events.append(span=span, event=event[last], known_at=known_at[last], change=change[last])
        self.largest_weight = max(self.largest_weight, float(weight.max()))
        if self.max_bars is not None:
            self.trim(self.max_bars)

    def cut(self, n_events: int) -> None:
        """Remove all but the newest events."""
        self._events.drop(upto=self._events.stop - 1 - n_events)
        self._rows.drop(upto=int(self._end[0]))

    def trim(self, n_rows: int) -> None:
        """Remove the oldest events until at most `n_rows` rows are held; the newest event always stays."""
        n_leaving = int(np.searchsorted(self._end[:-1], self._end[-1] - n_rows))
        self.cut(max(self.n_events - n_leaving, 1))

    def forget(self, is_gone: Callable[[IntArray], BoolArray]) -> None:
        """Remove the newest event that has a row which is gone, and all before it.

        Args:
            is_gone: Says of the first rows of events, shape (n,), which are gone; rows of an event ascend.
        """
        gone = np.flatnonzero(is_gone(self.rows[self._end[:-1] - self.first_slot]))
        if len(gone):
            self.cut(self.n_events - 1 - int(gone[-1]))

    def find(self, rows: IntArray) -> IntArray:
        """Return the slot of each row, -1 where it is not held: O(n log n) in the rows held."""
        order = np.argsort(self.rows, kind="stable")
        place = np.searchsorted(self.rows, rows, sorter=order)
        slot = np.append(order, 0)[place]
        is_held = np.append(self.rows, -1)[slot] == rows if self.n_known else np.zeros(len(rows), dtype=bool)
        return np.where(is_held, slot + self.first_slot, -1)

    def position_of_event(self, slots: IntArray) -> IntArray:
        """Return at which position of `event`, `known_at` and `change` the events of slots are."""
        return np.searchsorted(self._end, slots, side="right") - 1

    def reweight(self, slots: IntArray, weights: FloatArray, rule: str = "`weights` must be") -> None:
        """Set the weights of slots; of a slot that comes twice, the last weight.

        Args:
            slots: Where the rows are, as `find` gives them, shape (n,).
            weights: Shape (n,), 0.0001 to 60,000; only their ratios count.
            rule: What the message of an error begins with.

        Raises:
            InputError: If a slot is not held, or a weight lies outside: every row must keep a chance of being drawn.
        """
        halves = as_weights(weights, len(slots), rule)
        if not len(slots):
            return
        slots = whole_numbers("slots", slots, self.first_slot, self._rows.stop - 1)
        self.weight[slots - self.first_slot] = halves
        self.largest_weight = max(self.largest_weight, float(np.float16(np.max(weights))))  # faster than of halves

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
        drawn = Drawn(*np.empty((3, n), dtype=np.int64))
        seed = random.integers(2**64, dtype=np.uint64)
        weight, scale = self.weight.view(np.uint16), SCALE / self.largest_weight
        with np.errstate(over="ignore"):  # uncompiled, the random numbers overflow with a warning
            draw_rows(seed, self._events["span"], half_life, self.rows, weight, scale, *drawn, *working_room())
        return drawn

    def state_dict(self) -> dict[str, Any]:
        """Return all that is held."""
        rows = {name: self._rows[name].copy() for name in ("row", "weight", "label")}
        events = {name: self._events[name].copy() for name in _EVENT}
        events["span"][:, 0] -= self.first_slot
        return {"rows": rows, "events": events, "largest_weight": self.largest_weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`; slots are numbered anew."""
        self._rows, self._events = _no_rows(), Columns(**_EVENT)
        self._rows.append(**state["rows"])
        self._events.append(**state["events"])
        self.largest_weight = state["largest_weight"]


def as_weights(weights: npt.ArrayLike, n: int, rule: str = "`weights` must be") -> npt.NDArray[np.float16]:
    """Return replay weights in half precision after checking them.

    Raises:
        InputError: If they are no numbers of shape (n,), or one lies outside 0.0001 to 60,000; the message begins with
            `rule`.
    """
    array = _numbers(rule, weights, n)
    if n and not (array.min() >= _SMALLEST and array.max() <= _LARGEST):
        row = int(np.argmin((array >= _SMALLEST) & (array <= _LARGEST)))
        raise InputError(f"{rule} numbers from {_SMALLEST} to {_LARGEST:.0f}, got {array[row]} at row {row}.")
    return array.astype(np.float16)


def _first_rows(row: IntArray, last: IntArray) -> IntArray:
    """Return the first row of each event whose rows are consecutive, else -1; `last` is where each event ends."""
    n_jumps = np.cumsum(np.diff(row, prepend=row[0]) != 1)
    start = np.append(0, last[:-1] + 1)
    return np.where(n_jumps[last] == n_jumps[start], row[start], -1)


def _numbers(rule: str, values: npt.ArrayLike, n: int) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.shape != (n,) or array.dtype.kind not in "iuf":
        got = f"{array.dtype} of shape {array.shape}"
        raise InputError(f"{rule} numbers of shape {(n,)}, one a row, got {got}.")
    return array


# `span`: the end of an event's slots, and its first row if its rows are consecutive, else -1; one look gets both. The
# first entry is that of the event that left last: the slots of the oldest begin at its end.
_EVENT: dict[str, npt.DTypeLike] = {
    "span": np.dtype((np.int64, (2,))),
    "event": np.int64,
    "known_at": np.int64,
    "change": np.float64,
}


def _no_rows() -> Columns:
    return Columns(row=np.int64, weight=np.float16, label=np.int8)


def _no_events() -> Columns:
    events = Columns(**_EVENT)
    events.append(**{name: np.zeros(1, dtype) for name, dtype in _EVENT.items()})
    return events
