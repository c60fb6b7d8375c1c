#!/usr/bin/env python
"""Time pivots, labels and a live bar against a plain copy of the same bars, and against scipy where it is installed.

./scripts/bench_labels.py [--bars 10000000] [--series 1 100] [--json FILE]

Medians of 5 runs on one thread. Machines differ: what counts is the ratio to the copy (`x memcpy`) or to the peer,
taken in the same run. scipy's `find_peaks` gives level-1 pivots alone, without the bar at which each is known.
"""

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trendtrain.market import Bars, LabelTracker, find_pivots, label_bars, random_walk

Row = dict[str, float | str]


def seconds(job: Callable[[], object], n_runs: int = 5) -> float:
    """Return the median time of a job after one run that warms up."""
    job()
    times = []
    for _ in range(n_runs):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def batch_rows(n_bars: int) -> list[Row]:
    """Time the batch jobs on one series."""
    bars = random_walk(n_bars, seed=0)
    target = np.zeros(n_bars)
    copy = seconds(lambda: (np.copyto(target, bars.high), np.copyto(target, bars.low)))
    jobs: dict[str, Callable[[], object]] = {
        "copy of high and low": lambda: (np.copyto(target, bars.high), np.copyto(target, bars.low)),
        "find_pivots": lambda: find_pivots(bars),
        "label_bars": lambda: label_bars(bars),
    }
    if importlib.util.find_spec("scipy"):
        from scipy.signal import find_peaks

        jobs["scipy find_peaks, twice"] = lambda: (find_peaks(bars.high), find_peaks(-bars.low))
    return [batch_row(name, n_bars, seconds(job, n_runs=3 if n_bars > 2e7 else 5), copy) for name, job in jobs.items()]


def batch_row(name: str, n_bars: int, taken: float, copy: float) -> Row:
    return {"job": name, "bars": n_bars, "M bars/s": n_bars / taken / 1e6, "x memcpy": copy / taken}


def many_series_row(n_series: int, n_bars: int = 1_000_000) -> Row:
    """Time the labels of many short series that hold `n_bars` together."""
    parts = [random_walk(n_bars // n_series, seed) for seed in range(n_series)]
    taken = seconds(lambda: [label_bars(part) for part in parts])
    return {"job": f"label_bars of {n_series} series", "bars": n_bars, "M bars/s": n_bars / taken / 1e6}


def live_row(n_history: int, n_bars: int = 3_000) -> Row:
    """Time one bar through pivots and labels after some history; the bar itself is made beforehand."""
    bars = random_walk(n_history + n_bars, seed=0)
    tracker = LabelTracker()
    tracker.update(bars[:n_history])
    times = [one_bar(tracker, bars[i : i + 1]) for i in range(n_history, n_history + n_bars)]
    return {"job": "one live bar", "bars": n_history, "us median": statistics.median(times), "us mean": np.mean(times)}


def one_bar(tracker: LabelTracker, bar: Bars) -> float:
    start = time.perf_counter()
    tracker.update(bar)
    return (time.perf_counter() - start) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--series", type=int, nargs="+", default=[1, 100, 1_000])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [row for n_bars in options.bars for row in batch_rows(n_bars)]
    rows += [many_series_row(n_series) for n_series in options.series]
    rows += [live_row(n_history) for n_history in (1_000, 100_000, 1_000_000)]
    for row in rows:
        print(
            "  ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{value}" for name, value in row.items())
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2, default=float) + "\n")


if __name__ == "__main__":
    main()
