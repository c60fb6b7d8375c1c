"""A sampler whose memory holds events of many sizes, and what it must draw."""

from functools import partial
from typing import Any

import numpy as np
from slow_memory import SlowEvent, SlowMemory

from trendtrain.replay import Lessons, ReplayMemory, ReplaySampler, weigh, weigh_by_gradient
from trendtrain.validation import Predictions, Verdicts

N_EVENTS, N_ROWS = 60, 1200
RANDOM = np.random.default_rng(0)
EVENT = np.sort(np.concatenate([np.arange(N_EVENTS), RANDOM.integers(N_EVENTS, size=N_ROWS - N_EVENTS)]))
IS_WRONG = RANDOM.random(N_ROWS) < 0.4
QUANTITY = 2.0 * IS_WRONG + RANDOM.normal(size=N_ROWS)  # wrong rows have more of it


STRATEGIES = {"uniform": partial(weigh, wrong=1.0), "incorrect": weigh, "gradient": weigh_by_gradient}


def verdicts_of(rows: np.ndarray, outcome: np.ndarray) -> Verdicts:
    """UP came everywhere; a wrong prediction gave it a chance below one half."""
    up = np.where(outcome == 0, 0.45 - 0.4 * (rows % 7) / 7.0, 0.55 + 0.4 * (rows % 7) / 7.0)
    predictions = Predictions(rows, np.stack([1.0 - up, up], axis=1))
    return Verdicts(predictions, np.ones(len(rows), dtype=np.int8), outcome, EVENT[rows], rows)


ALL_VERDICTS = verdicts_of(np.arange(N_ROWS), np.where(IS_WRONG, 0, 1))
LESSONS = Lessons(np.arange(N_ROWS), EVENT, np.ones(N_ROWS, dtype=np.int8))


def sampler_of(
    beta: float = 1.0, batch_size: int = 2048, n_batches: int = 200, strategy: str = "incorrect", **options: Any
) -> ReplaySampler:
    options = {"half_life": None} | options
    sampler = ReplaySampler(ReplayMemory(), batch_size, n_batches, STRATEGIES[strategy], beta, **options)
    sampler.add(LESSONS, ALL_VERDICTS)
    return sampler


def slow_chances(half_life: float | None, weight: np.ndarray) -> np.ndarray:
    weight = np.asarray(weight, dtype=np.float16)
    rows = [np.flatnonzero(event == EVENT) for event in range(N_EVENTS)]
    events = [SlowEvent(i, -1, 0.0, of.tolist(), [1] * len(of), weight[of].tolist()) for i, of in enumerate(rows)]
    return SlowMemory(events=events).chances(half_life)


def unweighted_mean(half_life: float | None = None) -> float:
    """The mean of the quantity over events by their age, each event the mean of its rows."""
    return float(slow_chances(half_life, np.ones(N_ROWS)) @ QUANTITY)


def flat(sampler: ReplaySampler, n: int = 5) -> list[list[float]]:
    """Return the next draws as lists."""
    return [values.tolist() for _ in range(n) for values in sampler.draw() if values is not None]
