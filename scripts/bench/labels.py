#!/usr/bin/env python
"""Time pivots, labels and a live bar against a plain copy of the same bars, and against peers where they are installed.

./scripts/bench/labels.py [--bars 10000000] [--series 1 100] [--file BARS.parquet] [--json FILE]

Medians of 5 runs on one thread. Machines differ: what counts is the ratio to the copy (`x memcpy`) or to the peer
(`x find_peaks`), taken in the same run. No peer does the same job: scipy's `find_peaks` gives level-1 pivots alone,
zigzag pivots of closes by a threshold, smartmoneyconcepts one level by windows; none says when each was known. `pivots`
are those of both levels, with bar, price, known_at, level, prominence, time and segment of each; `level-2 pivots and
lines` is what labels cost without a close time for each bar.
`--file` repeats a file's bars up to the size asked for.
"""

import argparse
import importlib.util
import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from rows import Row, show_rows

from trendtrain.market import Bars, LabelTracker, PivotRules, find_pivots, label_bars, random_walk

OTHER_RULES = [PivotRules(tie="strict"), PivotRules((2, 2)), PivotRules(inside="skip"), PivotRules(max_gap=3)]


def seconds(job: Callable[[], object], n_runs: int = 5) -> float:
    """Return the median time of a job after one run that warms up."""
    job()
    times = []
    for _ in range(n_runs):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def batch_rows(bars: Bars) -> list[Row]:
    """Time the batch jobs on one series."""
    n_bars, target = len(bars), np.zeros(len(bars))
    jobs: dict[str, Callable[[], object]] = {
        "copy of high and low": lambda: (np.copyto(target, bars.high), np.copyto(target, bars.low)),
        **peers(bars),
        "pivots": lambda: find_pivots(bars),
        "level-2 pivots and lines": lambda: LabelTracker().update(bars),
        "label_bars": lambda: label_bars(bars),
        **{f"label_bars, {rules}": partial(label_bars, bars, rules) for rules in OTHER_RULES},
    }
    taken = {name: seconds(job, n_runs=3 if n_bars > 2e7 else 5) for name, job in jobs.items()}
    limit, peer = (taken.get(name, np.nan) for name in ("copy of high and low", "scipy find_peaks, twice"))
    return [
        {
            "job": name,
            "bars": n_bars,
            "M bars/s": n_bars / each / 1e6,
            "x memcpy": limit / each,
            "x find_peaks": peer / each,
        }
        for name, each in taken.items()
    ]


def peers(bars: Bars) -> dict[str, Callable[[], object]]:
    """Return the jobs of those peers that are installed."""
    jobs: dict[str, Callable[[], object]] = {}
    if importlib.util.find_spec("scipy"):
        from scipy.signal import find_peaks

        jobs["scipy find_peaks, twice"] = lambda: (find_peaks(bars.high), find_peaks(-bars.low))
    if importlib.util.find_spec("zigzag"):
        from zigzag import peak_valley_pivots

        jobs["zigzag of closes"] = lambda: peak_valley_pivots(bars.close, 0.01, -0.01)
    if importlib.util.find_spec("smartmoneyconcepts") and len(bars) <= 1_000_000:
        import pandas as pd
        from smartmoneyconcepts import smc

        table = pd.DataFrame({name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")})
        jobs["smartmoneyconcepts swing_highs_lows"] = lambda: smc.swing_highs_lows(table, swing_length=1)
    return jobs


def bars_of(path: Path | None, n_bars: int) -> Bars:
    """Return a random walk, or a file's bars again and again, a bar after a bar."""
    if path is None:
        return random_walk(n_bars, seed=0)
    from trendtrain.importing import read_bars

    _, bars = read_bars(path)
    prices = (np.resize(getattr(bars, name), n_bars) for name in ("open", "high", "low", "close", "volume"))
    return Bars(bars.open_time[0] + np.arange(n_bars) * bars.timeframe, *prices, bars.timeframe)


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


def stream_row(n_bars: int) -> Row:
    """Feed bars one by one; say how much memory Python holds more at the end than after a tenth of them."""
    bars, tracker = random_walk(n_bars, seed=0), LabelTracker()
    tracemalloc.start()
    for i in range(n_bars):
        tracker.update(bars[i : i + 1])
        if i == n_bars // 10:
            early = tracemalloc.get_traced_memory()[0]
    growth = tracemalloc.get_traced_memory()[0] - early
    tracemalloc.stop()
    return {"job": "memory of a stream of single bars", "bars": n_bars, "KiB more than after a tenth": growth / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--series", type=int, nargs="+", default=[1, 100, 1_000])
    parser.add_argument("--file", type=Path, help="bars to repeat; by default a random walk")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [row for n_bars in options.bars for row in batch_rows(bars_of(options.file, n_bars))]
    rows += [many_series_row(n_series) for n_series in options.series]
    rows += [live_row(n_history) for n_history in (1_000, 100_000, 1_000_000)]
    rows.append(stream_row(100_000))
    show_rows(rows, options.json)


if __name__ == "__main__":
    main()
