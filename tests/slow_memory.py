"""The replay memory as its definition says it, event by event and row by row."""

from dataclasses import dataclass, field

import numpy as np

from trendtrain.replay import Lessons, ReplayMemory

SERIES = 3 << 40  # rows are numbers of any size


@dataclass
class SlowEvent:
    """One event: its number, what its line says, and its rows with their classes and weights."""

    event: int
    known_at: int
    change: float
    rows: list[int]
    labels: list[int]
    weights: list[float]


@dataclass
class SlowMemory:
    """A list of events, the oldest first."""

    max_bars: int | None = None
    events: list[SlowEvent] = field(default_factory=list)

    def add(self, events: list[SlowEvent]) -> None:
        self.events += events
        if self.max_bars is not None:
            self.trim(self.max_bars)

    def cut(self, n_events: int) -> None:
        self.events = self.events[len(self.events) - min(n_events, len(self.events)) :]

    def trim(self, n_rows: int) -> None:
        while len(self.rows) > n_rows and len(self.events) > 1:
            self.events.pop(0)

    def reweight(self, rows: list[int], weights: list[float]) -> None:
        for row, weight in zip(rows, weights, strict=True):
            for event in self.events:
                if row in event.rows:
                    event.weights[event.rows.index(row)] = weight

    @property
    def rows(self) -> list[int]:
        return [row for event in self.events for row in event.rows]

    def chances(self, half_life: float | None) -> np.ndarray:
        """The documented chance of each row held: an event by its age, a row of it uniformly, times its weight."""
        chance = []
        for age, event in enumerate(reversed(self.events)):
            recency = 1.0 if half_life is None else 2.0 ** (-age / half_life)
            chance[:0] = [recency / len(event.rows) * weight for weight in event.weights]
        return np.array(chance) / sum(chance)


def surprise(rows: np.ndarray, chance: np.ndarray) -> float:
    """Pearson's chi-square in standard deviations of its law under `chance`; rare rows are counted together."""
    expected = chance * len(rows)
    assert set(rows) <= set(np.flatnonzero(chance))
    cell = np.where(expected >= 20, np.arange(len(chance)), np.where(chance > 0, len(chance), -1))
    used = cell[cell >= 0]
    seen = np.bincount(cell[rows], minlength=len(chance) + 1)[np.unique(used)]
    due = np.bincount(used, expected[cell >= 0], minlength=len(chance) + 1)[np.unique(used)]
    degrees = len(due) - 1
    return float((((seen - due) ** 2 / due).sum() - degrees) / np.sqrt(2 * degrees))


def assert_equal(fast: ReplayMemory, slow: SlowMemory) -> None:
    """Fail unless both hold the same, and the arrays are at most about twice as large as what is held."""
    events = slow.events
    assert (fast.n_known, fast.n_events) == (len(slow.rows), len(events))
    assert fast.rows.tolist() == slow.rows
    assert fast.label.tolist() == [label for event in events for label in event.labels]
    assert fast.weight.tolist() == [weight for event in events for weight in event.weights]
    assert fast.event.tolist() == [event.event for event in events]
    assert fast.known_at.tolist() == [event.known_at for event in events]
    assert fast.change.tolist() == [event.change for event in events]
    assert fast.n_bytes <= 2 * (11 * fast.n_known + 40 * (fast.n_events + 1))


class Story:
    """One random history of a memory, told to the fast and to the slow one alike.

    Weights are told in eighths, which half precision holds exactly.
    """

    def __init__(self, seed: int, n_acts: int = 60, max_bars: int | None = None) -> None:
        self.random = np.random.default_rng(seed)
        self.fast, self.slow = ReplayMemory(max_bars), SlowMemory(max_bars)
        self.n_told = 0
        self.add()
        acts = [self.add, self.add, self.add, self.reweight, self.reweight, self.cut, self.trim, self.restore]
        for act in self.random.choice(len(acts), n_acts):
            acts[act]()
            assert_equal(self.fast, self.slow)

    def add(self) -> None:
        sizes = self.random.integers(1, 12, self.random.integers(1, 6))
        events = [self._event(int(size)) for size in sizes]
        self.slow.add(events)
        self.fast.add(lessons_of(events))

    def _event(self, size: int) -> SlowEvent:
        rows = (SERIES + self.n_told + np.arange(size)).tolist()
        self.n_told += size
        if self.random.random() < 0.5:  # not consecutive
            self.random.shuffle(rows)
        labels, weights = self.random.integers(0, 3, size).tolist(), (self.random.integers(1, 25, size) / 8.0).tolist()
        return SlowEvent(3 * self.n_told, SERIES + self.n_told, float(self.random.normal()), rows, labels, weights)

    def reweight(self) -> None:
        n = min(40, len(self.slow.rows))
        rows = self.random.choice(self.slow.rows, n, replace=False)
        weights = self.random.integers(1, 25, n) / 8.0
        self.fast.reweight(self.fast.find(rows), weights)
        self.slow.reweight(rows.tolist(), weights.tolist())

    def cut(self) -> None:
        n_events = int(self.random.integers(4, 40))
        self.fast.cut(n_events)
        self.slow.cut(n_events)

    def trim(self) -> None:
        n_rows = int(self.random.integers(20, 300))
        self.fast.trim(n_rows)
        self.slow.trim(n_rows)

    def restore(self) -> None:
        """Go on with a new memory that has the old one's state."""
        memory = ReplayMemory(self.fast.max_bars)
        memory.load_state_dict(self.fast.state_dict())
        self.fast = memory


def lessons_of(events: list[SlowEvent]) -> Lessons:
    """Return events as they are added."""
    size = [len(event.rows) for event in events]
    row, label, weight = (
        np.concatenate([getattr(event, name) for event in events]) for name in ("rows", "labels", "weights")
    )
    event, known_at, change = (
        np.repeat([getattr(event, name) for event in events], size) for name in ("event", "known_at", "change")
    )
    return Lessons(row, event, label, weight, known_at, change)
