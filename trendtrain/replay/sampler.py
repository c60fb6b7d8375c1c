"""Draw training batches from a replay memory, lazily, and say how much each row counts."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from trendtrain.errors import check_at_least, check_number
from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.replay.memory import ReplayMemory
from trendtrain.validation.predictions import Verdicts


class Draw(NamedTuple):
    """Rows of a batch and how much each counts in the loss, shape (B,) both."""

    row: IntArray
    weight: FloatArray


class ReplaySampler:
    """Yield the same number of batches each epoch, drawn when they are asked for.

    A row's importance weight is (1 / its replay weight) ** beta, divided by the batch mean: beta = 1 undoes the
    preference for wrong predictions in expectation, so that the model sees them more often and learns no falsehood
    (Schaul et al. 2015; Fujimoto et al. 2020).

    Args:
        memory: The bars known so far; while it is empty, batches carry weight 0.
        batch_size: Rows a batch.
        n_batches: Batches an epoch (a walk step).
        weigh: The replay weight of each verdict's bar.
        beta: How much of the preference is corrected, 0 (none: biased) to 1 (all).
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
        seed: int = 0,
    ) -> None:
        check_at_least("replay.batch_size", batch_size, 1)
        check_at_least("replay.n_batches", n_batches, 1)
        check_number("replay.beta", beta, 0.0, 1.0)
        self.memory = memory
        self.batch_size = batch_size
        self.n_batches = n_batches
        self.weigh = weigh
        self.beta = beta
        self.seed = seed
        self._random = np.random.default_rng(seed)

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[Draw]:
        for _ in range(self.n_batches):
            yield self.draw()

    def draw(self) -> Draw:
        """Return the next batch; of an empty memory, row 0 with weight 0."""
        if self.memory.n_events == 0:
            return Draw(np.zeros(self.batch_size, dtype=np.int64), np.zeros(self.batch_size))
        rows = self.memory.draw(self.batch_size, self._random)
        weight = self.memory.weight[rows].astype(np.float64) ** -self.beta
        return Draw(rows, weight / weight.mean())

    def reweight(self, verdicts: Verdicts) -> None:
        """Let verdicts decide how often their bars are drawn from now on."""
        self.memory.reweight(verdicts.row, self.weigh(verdicts))

    def state_dict(self) -> dict[str, Any]:
        """Return the random state and the weights; which rows are known follows from the clock."""
        return {
            "random": self._random.bit_generator.state,
            "weight": torch.from_numpy(self.memory.weight.copy()),
            "largest_weight": self.memory.largest_weight,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where the sampler that gave `state` stood."""
        self._random.bit_generator.state = state["random"]
        self.memory.weight[:] = state["weight"].numpy()
        self.memory.largest_weight = state["largest_weight"]
