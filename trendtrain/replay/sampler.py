"""Draw training batches from a replay memory when they are needed, with the weight of each row in the loss."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from trendtrain.errors import InputError, check_at_least, check_number
from trendtrain.market.bars import BoolArray, FloatArray, IntArray
from trendtrain.replay.memory import Lessons, ReplayMemory, as_weights
from trendtrain.validation.predictions import CORRECT, WRONG, Predictions, Verdicts
from trendtrain.validation.score import event_means

HalfLife = float | None  # in events; None: all ages alike

_WEIGH_RULE: Final = "`replay.weigh` must give"


class Draw(NamedTuple):
    """Rows of a batch and what is known of them, shape (B,) each.

    Attributes:
        row: Their numbers.
        weight: How much each counts in the loss.
        label: The class of each; None where labels are not known yet, and for what follows.
        known_at: The row at whose close the label of each is known, for transitions.
        change: The log price change of the line that judges each, for transitions.
    """

    row: IntArray
    weight: FloatArray
    label: IntArray | None = None
    known_at: IntArray | None = None
    change: FloatArray | None = None


class Detector(Protocol):
    """A detector of changes, such as `trendtrain.validation.ChangeDetector`."""

    def update(self, accuracy: FloatArray) -> int | None:
        """Add the accuracies of new events; return the number of the newest that follow a change, or None."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that later updates depend on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""


class ReplaySampler:
    """Yield the same number of batches each epoch, drawn when they are asked for; none of an empty memory.

    A row's importance weight is (1 / its replay weight) ** beta, divided by the batch mean: beta = 1 undoes the
    preference for wrong predictions in expectation, so that the model sees them more often and learns no falsehood
    (Schaul et al. 2015; Fujimoto et al. 2020). The preference for recent events is not undone: it is how the model
    follows the market.

    With two half-lives the first half of a batch is drawn by the first, the rest by the second, as the net `TwoHeads`
    expects; an odd row belongs to the first half. Weights are then divided by the mean of their own half.

    Args:
        memory: The bars known so far.
        batch_size: Rows a batch.
        n_batches: Batches an epoch (a walk step).
        weigh: The replay weight of each verdict's bar.
        beta: The part of the preference that is corrected, 0 (none: biased) to 1 (all).
        half_life: After how many events an event is half as likely to be drawn, None for never; or a list of two.
        detector: Detects a change in the verdicts; None detects none.
        forgets: Whether the memory forgets what came before a change; False only reports it.
        seed: Seed of the sampler's own generator.

    Raises:
        InputError: If a number lies outside its range.
    """

    def __init__(
        self,
        memory: ReplayMemory,
        batch_size: int,
        n_batches: int,
        weigh: Callable[[Verdicts], FloatArray],
        beta: float = 1.0,
        half_life: HalfLife | Sequence[HalfLife] = 2800.0,
        detector: Detector | None = None,
        forgets: bool = True,
        seed: int = 0,
    ) -> None:
        half_lives = _half_lives(half_life)
        check_at_least("replay.batch_size", batch_size, len(half_lives))
        check_at_least("replay.n_batches", n_batches, 1)
        check_number("replay.beta", beta, 0.0, 1.0)
        if not callable(weigh):
            raise InputError(f"`replay.weigh` must be a function, or say `_partial_: true`, got {weigh!r}.")
        self.memory = memory
        self.batch_size = batch_size
        self.n_batches = n_batches
        self.weigh = weigh
        self.beta = beta
        self.half_lives = half_lives
        self.detector = detector
        self.forgets = forgets
        self.seed = seed
        self.n_alarms = 0
        self._random = np.random.default_rng(seed)
        self._stats = _DrawStats()
        self._drawn: deque[tuple[IntArray, IntArray]] = deque(maxlen=n_batches)  # rows and slots since the last refresh

    def __len__(self) -> int:
        return self.n_batches if self.memory.n_events else 0  # a batch of weight 0 would still move Adam

    def __iter__(self) -> Iterator[Draw]:
        for _ in range(len(self)):
            yield self.draw()

    def draw(self) -> Draw:
        """Return the next batch.

        Raises:
            InputError: If the memory is empty.
        """
        n, n_parts = self.batch_size, len(self.half_lives)
        # An odd row goes to the first part.
        parts = [self._part((n + n_parts - 1 - i) // n_parts, one) for i, one in enumerate(self.half_lives)]
        slot, row, age, weight = map(np.concatenate, zip(*parts, strict=True))
        self._stats.add_draw(weight, age)
        self._drawn.append((row, slot))
        label, event = self.memory.label[slot - self.memory.first_slot], -1 - age
        return Draw(row, weight, label, self.memory.known_at[event], self.memory.change[event])

    def _part(self, n: int, half_life: HalfLife) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        """Return slots, rows, their ages in events, and their importance weights of mean 1, shape (n,) each."""
        slot, row, age = self.memory.draw(n, self._random, half_life)
        weight = self.memory.weight[slot - self.memory.first_slot].astype(np.float64) ** -self.beta
        return slot, row, age, weight / weight.mean()

    def add(self, lessons: Lessons, verdicts: Verdicts | None = None) -> None:
        """Add newly labelled rows to the memory, with weights by the verdicts that became known with their labels.

        Args:
            lessons: The rows, the rows of an event together.
            verdicts: Some of their rows, and others that are no lessons.
        """
        if verdicts is not None and len(verdicts) and len(lessons.row):
            weight = np.ones(len(lessons.row)) if lessons.weight is None else np.array(lessons.weight)
            order = np.argsort(verdicts.row, kind="stable")
            place = order[np.searchsorted(verdicts.row, lessons.row, sorter=order) % len(order)]
            has_verdict = verdicts.row[place] == lessons.row
            weight[has_verdict] = self._weigh(verdicts)[place[has_verdict]]
            lessons = lessons._replace(weight=weight)
        self.memory.add(lessons)

    def reweight(self, verdicts: Verdicts) -> None:
        """Weigh the rows of verdicts anew; those that the memory does not hold are left out."""
        weight, slot = self._weigh(verdicts), self.memory.find(verdicts.row)
        self.memory.reweight(slot[slot >= 0], weight[slot >= 0])

    def _weigh(self, verdicts: Verdicts) -> FloatArray:
        """Return the weight of each verdict's row, as precise as the memory holds it."""
        return as_weights(self.weigh(verdicts), len(verdicts), _WEIGH_RULE).astype(np.float64)

    def refresh(self, rows: IntArray, probability: FloatArray) -> None:
        """Weigh drawn rows by a model's newest predictions of them; those that have left the memory are left out.

        Args:
            rows: Rows drawn since the last refresh, fastest if all of them in order; of a row drawn twice, the last
                prediction counts. Shape (n,).
            probability: The probability of each class, shape (n, C).
        """
        slot = self._slots(rows)
        is_held = slot >= self.memory.first_slot
        slot = slot[is_held]
        verdicts = self._verdicts(slot, Predictions(rows[is_held], probability[is_held]))
        weight = self.memory.weight[slot - self.memory.first_slot].astype(np.float64)
        self._stats.add_predictions(~verdicts.is_correct, weight)
        self.memory.reweight(slot, self.weigh(verdicts), _WEIGH_RULE)

    def _slots(self, rows: IntArray) -> IntArray:
        """Return the slots of rows, -1 where they are not held; forget what was drawn."""
        drawn, slots = map(np.concatenate, zip(*self._drawn, strict=True)) if self._drawn else (rows[:0], rows[:0])
        self._drawn.clear()
        return slots[: len(rows)] if np.array_equal(drawn[: len(rows)], rows) else self.memory.find(rows)

    def _verdicts(self, slot: IntArray, predictions: Predictions) -> Verdicts:
        """Return the verdicts on predictions of rows held."""
        truth = self.memory.label[slot - self.memory.first_slot]
        outcome = np.where(predictions.direction == truth, CORRECT, WRONG)
        event = self.memory.position_of_event(slot)
        return Verdicts(predictions, truth, outcome, self.memory.event[event], self.memory.known_at[event])

    def detect(self, verdicts: Verdicts) -> int | None:
        """Test new verdicts for a change, and forget what came before it if the replay forgets.

        Returns:
            The number of the newest events that follow the change; None for no change.

        Raises:
            InputError: If the detector gives no number of events.
        """
        if self.detector is None:
            return None
        verdicts = verdicts[verdicts.is_validated]
        n_events = self.detector.update(event_means(verdicts.event, verdicts.is_correct.astype(np.float64))[1])
        if n_events is not None:
            is_number = isinstance(n_events, Integral) and not isinstance(n_events, bool)
            if not is_number or n_events < 1:  # of an empty memory there is no batch
                rule = "`replay.detector` must give None or a number of events, at least 1"
                raise InputError(f"{rule}, got {n_events!r}.")
            self.n_alarms += 1
            if self.forgets:
                self.memory.cut(n_events)
        return n_events

    def take_metrics(self) -> dict[str, float]:
        """Return what the step drew and what the memory holds, by TensorBoard tag without `replay/`."""
        held = {"events": self.memory.n_events, "bars": self.memory.n_known, "alarms": self.n_alarms}
        return {**self._stats.take(), **{name: float(count) for name, count in held.items()}}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of generator, memory and detector."""
        return {
            "random": self._random.bit_generator.state,
            "memory": self.memory.state_dict(),
            "n_alarms": self.n_alarms,
            "detector": None if self.detector is None else self.detector.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        self._drawn.clear()
        self._random.bit_generator.state = state["random"]
        self.memory.load_state_dict(state["memory"])
        self.n_alarms = state["n_alarms"]
        if self.detector is not None:
            self.detector.load_state_dict(state["detector"])


def make_sampler(max_bars: int | None = None, **options: Any) -> ReplaySampler:
    """Return a sampler of an empty memory.

    Args:
        max_bars: Most bars held, the oldest events leave first; None for all.
        options: Of the sampler.

    Raises:
        InputError: If a number lies outside its range.
    """
    return ReplaySampler(ReplayMemory(max_bars), **options)


def _half_lives(half_life: HalfLife | Sequence[HalfLife]) -> tuple[HalfLife, ...]:
    """Return one half-life, or both of two, as a tuple."""
    is_list = isinstance(half_life, Sequence) and not isinstance(half_life, str)
    half_lives = tuple(half_life) if is_list else (half_life,)  # type: ignore[arg-type]
    if is_list and len(half_lives) != 2:
        raise InputError(f"`replay.half_life` must be one half-life or a list of two, got {list(half_lives)}.")
    for one in half_lives:
        if one is not None:
            check_number("replay.half_life", one, 1.0)
    return half_lives  # type: ignore[return-value]


class _DrawStats:
    """Sums over the draws of a step."""

    def __init__(self) -> None:
        self._draws = np.zeros(3)  # batches, effective size, mean age
        self._wrong = np.zeros(4)  # predictions, wrong ones; the same, each divided by the weight it was drawn with

    def add_draw(self, weight: FloatArray, age: IntArray) -> None:
        """Add a batch: the importance weights and the ages in events of its rows, shape (B,)."""
        effective = weight.sum() ** 2 / (weight**2).sum()
        self._draws += (1.0, effective, age.mean())

    def add_predictions(self, is_wrong: BoolArray, weight: FloatArray) -> None:
        """Add the model's predictions of drawn rows: whether each is wrong, and the weight it was drawn with."""
        share = 1.0 / weight
        self._wrong += (len(is_wrong), is_wrong.sum(), share.sum(), share[is_wrong].sum())

    def take(self) -> dict[str, float]:
        """Return the step's means, NaN if there are none, and start a new step."""
        n, effective, age = self._draws.tolist()
        n_predictions, n_wrong, mass, wrong_mass = self._wrong.tolist()
        self._draws[:] = self._wrong[:] = 0.0
        return {
            "effective_size": _ratio(effective, n),
            "age_events": _ratio(age, n),
            "wrong_in_draws": _ratio(n_wrong, n_predictions),
            "wrong_in_memory": _ratio(wrong_mass, mass),
        }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
