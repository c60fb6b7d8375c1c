#!/usr/bin/env python
"""Time a draw and the new weights of the bars drawn, against the samplers that can be imported.

./scripts/bench/replay.py [--bars 1000000 10000000] [--batch 4096 256] [--json FILE]

The fastest of 40 runs on one thread, the jobs in turn, each of some draws of a batch and new weights for its bars.
Weights lie between 0.1 and 1.1, as `weigh_by_gradient` gives them: 55 % of proposals are accepted; 14 bars an event.
`plain` is rejection alone (all bars in one event), `events` draws the event first, `recent` with the half-life given.
Machines differ: what counts is the ratio to the limit, uniform integers and a gather, or to the peers (torchrl, cpprb,
WeightedRandomSampler, torch.multinomial), taken in the same run. The last two build a table of all bars anew for each
batch.
"""

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rows import Row, show_rows
from torch.utils.data import WeightedRandomSampler

from trendtrain.replay import Lessons, ReplayMemory

Job = Callable[[], object]

N_BARS_AN_EVENT = 14
HALF_LIVES = (700.0, 2800.0)


def seconds(job: Job, n_draws: int) -> float:
    """Return the mean time of one draw."""
    start = time.perf_counter()
    for _ in range(n_draws):
        job()
    return (time.perf_counter() - start) / n_draws


def fastest(jobs: dict[str, tuple[Job, int]], n_runs: int = 40) -> dict[str, float]:
    """Return the time of a draw in the fastest run of each job; on a shared machine the others time its neighbours."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(n_runs):
        for name, (job, n_draws) in jobs.items():
            times[name].append(seconds(job, n_draws))
    return {name: min(taken) for name, taken in times.items()}


def first_weights(n: int) -> np.ndarray:
    return 0.1 + np.random.default_rng(0).random(n)


def limit(n_bars: int, batch: int) -> Job:
    random, weight = np.random.default_rng(0), first_weights(n_bars).astype(np.float32)
    return lambda: weight[random.integers(n_bars, size=batch)]


def lessons(rows: np.ndarray, per_event: int) -> Lessons:
    return Lessons(rows, rows // per_event, np.zeros(len(rows), dtype=np.int8))


def ours(n_bars: int, batch: int, per_event: int, half_life: float | None) -> Job:
    memory, random, latest = ReplayMemory(), np.random.default_rng(0), first_weights(batch)
    memory.add(lessons(np.arange(n_bars), per_event)._replace(weight=first_weights(n_bars)))
    return lambda: memory.reweight(memory.draw(batch, random, half_life).slot, latest)


def torchrl_sampler(n_bars: int, batch: int) -> Job:
    from torchrl.data import LazyTensorStorage
    from torchrl.data.replay_buffers.samplers import PrioritizedSampler

    sampler = PrioritizedSampler(n_bars, alpha=1.0, beta=1.0)
    storage = LazyTensorStorage(n_bars)
    storage.set(torch.arange(n_bars), torch.zeros(n_bars))
    sampler.extend(torch.arange(n_bars))
    sampler.update_priority(torch.arange(n_bars), torch.from_numpy(first_weights(n_bars)).float())
    latest = torch.from_numpy(first_weights(batch)).float()
    return lambda: sampler.update_priority(torch.as_tensor(sampler.sample(storage, batch)[0]), latest)


def cpprb_buffer(n_bars: int, batch: int) -> Job:
    from cpprb import PrioritizedReplayBuffer

    buffer = PrioritizedReplayBuffer(n_bars, {"bar": {"dtype": np.int32}}, alpha=1.0)
    buffer.add(bar=np.arange(n_bars), priorities=first_weights(n_bars))
    latest = first_weights(batch)
    return lambda: buffer.update_priorities(buffer.sample(batch, beta=1.0)["indexes"], latest)


def multinomial(n_bars: int, batch: int) -> Job:
    weight, latest = torch.from_numpy(first_weights(n_bars)), torch.from_numpy(first_weights(batch))
    return lambda: weight.index_copy_(0, torch.multinomial(weight, batch, replacement=True), latest)


def weighted_random_sampler(n_bars: int, batch: int) -> Job:
    weight, latest = torch.from_numpy(first_weights(n_bars)), torch.from_numpy(first_weights(batch))
    return lambda: weight.index_copy_(
        0, torch.tensor(list(WeightedRandomSampler(weight, batch, replacement=True))), latest
    )


def jobs(n_bars: int, batch: int) -> dict[str, tuple[Callable[[], Job], int]]:
    """Return what makes each job, and how many draws a run has."""
    per = N_BARS_AN_EVENT
    made: dict[str, tuple[Callable[[], Job], int]] = {
        "limit: uniform integers and a gather": (lambda: limit(n_bars, batch), 20),
        "ours, plain": (lambda: ours(n_bars, batch, n_bars, None), 20),
        "ours, events": (lambda: ours(n_bars, batch, per, None), 20),
        "torch.multinomial": (lambda: multinomial(n_bars, batch), 1),
        "WeightedRandomSampler": (lambda: weighted_random_sampler(n_bars, batch), 1),
    }
    for half_life in HALF_LIVES:
        made[f"ours, recent {half_life:.0f}"] = (partial(ours, n_bars, batch, per, half_life), 20)
    if importlib.util.find_spec("torchrl"):
        made["torchrl PrioritizedSampler"] = (lambda: torchrl_sampler(n_bars, batch), 5)
    if importlib.util.find_spec("cpprb"):
        made["cpprb PrioritizedReplayBuffer"] = (lambda: cpprb_buffer(n_bars, batch), 5)
    return made


def rows(n_bars: int, batch: int) -> list[Row]:
    ready: dict[str, tuple[Job, int]] = {}
    failed: list[Row] = []
    for name, (make, n_draws) in jobs(n_bars, batch).items():
        try:
            ready[name] = (make(), n_draws)
            ready[name][0]()  # the first draw compiles
        except (RuntimeError, ImportError) as error:  # multinomial ends at 2^24 bars; a peer's wheel may not load
            ready.pop(name, None)
            failed.append({"job": name, "bars": n_bars, "batch": batch, "error": str(error).splitlines()[0]})
    taken = fastest(ready)
    best = taken["limit: uniform integers and a gather"]
    sizes: Row = {"bars": n_bars, "batch": batch}
    times = {name: {"us a draw": s * 1e6, "M/s": batch / s / 1e6, "x limit": best / s} for name, s in taken.items()}
    return [{"job": name} | sizes | row for name, row in times.items()] + failed


def bytes_row(n_bars: int) -> Row:
    memory = ReplayMemory()
    for part in np.array_split(np.arange(n_bars), 100):
        memory.add(lessons(part, N_BARS_AN_EVENT))
    return {"job": "memory of ours", "bars": n_bars, "bytes a bar": memory.n_bytes / n_bars}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--batch", type=int, nargs="+", default=[4096, 256])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found = [row for n_bars in options.bars for batch in options.batch for row in rows(n_bars, batch)]
    found += [bytes_row(n_bars) for n_bars in options.bars]
    show_rows(found, options.json)


if __name__ == "__main__":
    main()
