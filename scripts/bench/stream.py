#!/usr/bin/env python
"""Time a walk step of the stream, and weigh its checkpoint, by the length of history and the number of series.

./scripts/bench/stream.py [--bars 1000 100000 2000000] [--series 1 100 1000] [--json FILE]

A step is 256 bars of each series: `open` (labels, features, rules, inputs of the new bars) and `close` (judging,
replay, scores) without a net; medians of 20 steps, CPU time on one thread. The state is what a checkpoint holds beside
the net.
"""

import argparse
import io
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from rows import Row, show_rows

from trendtrain.data import PivotDataModule, Walk
from trendtrain.market import Bars, Series, random_walk
from trendtrain.validation import Predictions

N_STEPS, STEP = 20, 256


def measured(n_bars: int, n_series: int) -> Row:
    """Return the times of the last steps of a walk over series of so many bars, and the size of its state."""
    whole = random_walk(n_bars + N_STEPS * STEP, seed=0)
    start = whole.close_time[n_bars - 1]
    series: dict[Series, Bars] = {Series(f"S{i}", "1m"): whole for i in range(n_series)}
    module = PivotDataModule(series, walk=Walk(start=str(start), step=f"{STEP}bars"))
    begun = time.process_time()
    module.setup()
    setup = time.process_time() - begun
    times = [step_seconds(module) for _ in range(N_STEPS)]
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    return {
        "job": f"{n_series} series of {n_bars:,} bars",
        "setup s": setup,
        "open ms": 1e3 * statistics.median(opened for opened, _ in times),
        "close ms": 1e3 * statistics.median(closed for _, closed in times),
        "us a series": 1e6 * statistics.median(map(sum, times)) / n_series,
        "state MB": file.tell() / 1e6,
        "bytes a row": file.tell() / max(1, module.replay.memory.n_known),
    }


def step_seconds(module: PivotDataModule) -> tuple[float, float]:
    """Return the seconds of `open` and `close` of a step."""
    begun = time.process_time()
    row = module.stream.open().row
    opened = time.process_time()
    module.stream.close(Predictions(row, np.full((len(row), 2), 0.5)))
    return opened - begun, time.process_time() - opened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, nargs="+", default=[1_000, 100_000, 2_000_000])
    parser.add_argument("--series", type=int, nargs="+", default=[1, 100, 1_000])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measured(n_bars, 1) for n_bars in options.bars]
    rows += [measured(options.bars[0], n_series) for n_series in options.series[1:]]
    show_rows(rows, options.json)


if __name__ == "__main__":
    main()
