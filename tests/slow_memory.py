"""The replay memory as its definition says it, event by event and row by row."""

from dataclasses import dataclass, field

import numpy as np

from trendtrain.replay import ReplayMemory


@dataclass
class SlowMemory:
    """Lists of rows, oldest event first, and the weight of each row that is not 1."""

    n_rows: int
    events: list[list[int]] = field(default_factory=list)
    weight: dict[int, float] = field(default_factory=dict)

    def add(self, rows: list[list[int]]) -> None:
        self.events += rows

    def cut(self, n_events: int) -> None:
        self.events = self.events[len(self.events) - min(n_events, len(self.events)) :]

    def trim(self, n_rows: int) -> None:
        while sum(map(len, self.events)) > n_rows and len(self.events) > 1:
            self.events.pop(0)

    def chances(self, half_life: float | None) -> np.ndarray:
        """The documented chance of each row: an event by its age, a row of it uniformly, times its weight."""
        chance = np.zeros(self.n_rows)
        for age, rows in enumerate(reversed(self.events)):
            for row in rows:
                recency = 1.0 if half_life is None else 2.0 ** (-age / half_life)
                chance[row] = recency / len(rows) * self.weight.get(row, 1.0)
        return chance / chance.sum()


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


class Story:
    """One random history of a memory, told to the fast and to the slow one alike.

    Weights are told in eighths, which half precision holds exactly.
    """

    def __init__(self, seed: int, n_rows: int = 400, n_acts: int = 60) -> None:
        self.random = np.random.default_rng(seed)
        self.fast, self.slow = ReplayMemory(n_rows), SlowMemory(n_rows)
        self.fresh = self.random.permutation(n_rows).tolist()  # rows not known yet, in any order
        self.told: list[list[list[int]]] = []
        self.n_told = 0
        self.add()
        acts = [self.add, self.add, self.add, self.reweight, self.reweight, self.cut, self.trim, self.restore]
        for act in self.random.choice(len(acts), n_acts):
            acts[act]()

    def add(self) -> None:
        sizes = self.random.integers(1, 12, self.random.integers(1, 6))
        events = [[self.fresh.pop() for _ in range(size) if self.fresh] for size in sizes]
        events = [event for event in events if event]
        if not events:
            return
        self.told.append(events)
        self._tell(self.fast, events)
        self.slow.add(events)

    def _tell(self, memory: ReplayMemory, events: list[list[int]]) -> None:
        names = np.repeat(np.arange(len(events)) * 3 + 1, [len(event) for event in events])
        memory.add(np.concatenate(events), names)

    def reweight(self) -> None:
        rows = self.random.choice(self.slow.n_rows, 40, replace=False)  # known or not
        weights = self.random.integers(1, 25, 40) / 8.0
        self.fast.reweight(rows, weights)
        self.slow.weight |= dict(zip(rows.tolist(), weights.tolist(), strict=True))

    def cut(self) -> None:
        n_events = int(self.random.integers(8, 40))
        self.fast.cut(n_events)
        self.slow.cut(n_events)

    def trim(self) -> None:
        n_rows = int(self.random.integers(60, 300))
        self.fast.trim(n_rows)
        self.slow.trim(n_rows)

    def restore(self) -> None:
        """Go on with a new memory that got the same rows and the old one's state."""
        memory = ReplayMemory(self.slow.n_rows)
        for events in self.told:
            self._tell(memory, events)
        memory.load_state_dict(self.fast.state_dict())
        self.fast = memory
