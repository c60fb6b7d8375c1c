#!/usr/bin/env python
"""Count alarms where nothing changes: verdicts of a model whose accuracy stays, event by event.

./scripts/bench/alarms.py [--events 500000] [--verdicts FILE] [--json FILE]

repeating: an event is found correct or wrong as a whole, the noisiest it can be, and now and then as the one before it:
`lag-1` is the autocorrelation of neighbours (.05 to .12 on real bars, which have next to none at longer lags).
wandering: the accuracy itself moves around its mean, and forgets where it was in 100 events; such a stream does change,
and an alarm is not quite a false one.
shuffled: each uniform run in a file that `learning.py --train --json` wrote, its events in blocks of 25 in random
order: slow changes are gone, what neighbours share is there. Runs on bars that flip or drift are no null: their blocks
differ.

18 events a step, as in a walk of 256 bars; streams of 100,000 events, seeds 0, 1, ...
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from learning_scenarios import autoregression
from rows import Row, show_rows

from trendtrain.market.bars import FloatArray
from trendtrain.validation import ChangeDetector

EVENTS_A_STEP, LONGEST = 18, 100_000
ACCURACIES = (0.5, 0.6, 0.67, 0.83, 0.93)
LAG_1 = {"repeating": (0.0, 0.04, 0.11, 0.3), "wandering": (0.04, 0.11)}
MEMORY, BLOCK = 100.0, 25  # events

Maker = Callable[..., FloatArray]  # of n and a random generator


def repeating(n: int, random: np.random.Generator, accuracy: float, lag_1: float) -> FloatArray:
    """Return verdicts, 1.0 or 0.0, some of which are those before them, shape (n,)."""
    values, is_new = (random.random(n) < accuracy).astype(np.float64), random.random(n) >= lag_1
    return values[np.maximum.accumulate(np.where(is_new, np.arange(n), 0))]


def wandering(n: int, random: np.random.Generator, accuracy: float, lag_1: float) -> FloatArray:
    """Return verdicts, 1.0 or 0.0, whose accuracy is an autoregression, shape (n,)."""
    stay = math.exp(-1.0 / MEMORY)
    spread = math.sqrt(lag_1 / stay * accuracy * (1.0 - accuracy))
    chance = accuracy + spread * autoregression(random.standard_normal(n), stay)
    return (random.random(n) < chance).astype(np.float64)


def shuffled(n: int, random: np.random.Generator, by_event: list[float]) -> FloatArray:
    """Return blocks of events in random order, again and again, shape (n,)."""
    blocks = np.array(by_event[: len(by_event) // BLOCK * BLOCK]).reshape(-1, BLOCK)
    rounds = -(-n // blocks.size)
    return np.concatenate([random.permutation(blocks).ravel() for _ in range(rounds)])[:n]


def makers(verdicts: Path | None) -> Iterator[tuple[str, Maker]]:
    """Yield what there is to try: its name, and what makes `n` verdicts of it."""
    for make in (repeating, wandering):
        for accuracy, lag_1 in product(ACCURACIES, LAG_1[make.__name__]):
            yield make.__name__, partial(make, accuracy=accuracy, lag_1=lag_1)
    for row in json.loads(verdicts.read_text()) if verdicts else []:
        if row["strategy"] == "uniform":
            yield (
                f"{row['learner']} {row['scenario']} {row['seed']}, shuffled",
                partial(shuffled, by_event=row["by_event"]),
            )


def n_alarms(stream: FloatArray) -> int:
    """Return how often the default detector is alarmed."""
    detector = ChangeDetector()
    steps = np.split(stream, range(EVENTS_A_STEP, len(stream), EVENTS_A_STEP))
    return sum(detector.update(step) is not None for step in steps)


def count(name: str, make: Maker, n_events: int) -> Row:
    """Return the alarms in streams of one kind."""
    sizes = [min(LONGEST, n_events - start) for start in range(0, n_events, LONGEST)]
    streams = [make(n, random=np.random.default_rng(seed)) for seed, n in enumerate(sizes)]
    lag_1 = np.mean([np.corrcoef(stream[1:], stream[:-1])[0, 1] for stream in streams])
    row: Row = {"job": name, "accuracy": float(np.mean(streams[0])), "lag-1": float(lag_1)}
    return row | {"events": n_events, "alarms": sum(n_alarms(stream) for stream in streams)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000, help="of each kind of stream")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--verdicts", type=Path, help="what scripts/bench/learning.py wrote")
    options = parser.parse_args()
    show_rows([count(name, make, options.events) for name, make in makers(options.verdicts)], options.json)


if __name__ == "__main__":
    main()
