#!/usr/bin/env python
"""Time the gathering of random windows through a real DataLoader, beside a memcpy and per-item loading.

./scripts/bench/windows.py [--bars 1000000] [--json FILE]

Windows of 64 bars and 8 channels, batches of 1024, one thread; CPU time, so that a busy machine matters less.
"""

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from trendtrain.data.arena import Arena
from trendtrain.data.windows import WindowDataset
from trendtrain.features import bar_features
from trendtrain.market import random_walk
from trendtrain.replay import Draw
from trendtrain.stream.inputs import InputTracker

WINDOW, BATCH, N_BATCHES, N_ROUNDS = 64, 1024, 40, 9


class OneByOne(Dataset[torch.Tensor]):
    """What a DataLoader does by default: one window at a time."""

    def __init__(self, n_bars: int) -> None:
        self.values = torch.from_numpy(np.random.default_rng(0).normal(size=(n_bars, 8)).astype(np.float32))

    def __len__(self) -> int:
        return len(self.values) - WINDOW + 1

    def __getitem__(self, first: int) -> torch.Tensor:
        return self.values[first : first + WINDOW]


def seconds(run: Callable[[], object]) -> float:
    """Return the CPU seconds of a run."""
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    arena = Arena(WINDOW)
    arena.append(0, InputTracker(bar_features, None, None).update(random_walk(options.bars, seed=0)))
    dataset = WindowDataset(arena)
    rows = np.random.default_rng(0).integers(WINDOW - 1, options.bars, (N_BATCHES, BATCH))
    draws = [Draw(row, np.ones(BATCH)) for row in rows]
    source = torch.randn(BATCH, WINDOW, 8)
    ours = DataLoader(dataset, sampler=draws, batch_size=None)
    few = DataLoader(OneByOne(options.bars), sampler=(rows[:4].ravel() - WINDOW).clip(0), batch_size=BATCH)
    runs: dict[str, tuple[Callable[[], object], int]] = {
        "memcpy": (lambda: [torch.empty_like(source).copy_(source) for _ in draws], N_BATCHES),
        "ours": (lambda: [None for _ in ours], N_BATCHES),
        "one by one": (lambda: [None for _ in few], 4),
    }
    rounds = [{name: n * BATCH / seconds(run) for name, (run, n) in runs.items()} for _ in range(N_ROUNDS)]
    table = {}
    for name in runs:
        speed = median(speeds[name] for speeds in rounds)
        ratio = median(speeds[name] / speeds["memcpy"] for speeds in rounds)
        table[name] = {"windows_per_second": speed, "times_memcpy": ratio}
        print(f"{name:12} {speed / 1e6:6.2f} M windows/s   {ratio:.2f} x memcpy")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(table, file)


if __name__ == "__main__":
    main()
