#!/usr/bin/env python
"""Time averages, features, a live bar and the set-up of a datamodule against a plain copy, and against peers.

./scripts/bench/features.py [--bars 1000000] [--values 10000000] [--json FILE]

Medians of 5 runs of CPU time on one thread. Machines differ: what counts is the ratio to the copy of as many numbers
(`x memcpy`) or to the peer (`x pandas`), taken in the same run. The live bar goes through all features of one series,
its segment included; setup is that of the default datamodule.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from rows import Row, show_rows

from trendtrain.data import PivotDataModule, Walk
from trendtrain.features import (
    BarFeatures,
    SegmentedFeatures,
    SkillFeatures,
    VolatilityUnit,
    bar_features,
    by_segment,
    price_levels,
    skill_features,
    volatility_unit,
)
from trendtrain.features.bar import write_distances
from trendtrain.features.skill import RollingRanges
from trendtrain.market import Bars, Series, label_bars, random_walk, synthetic_market

FEATURES = (price_levels, volatility_unit, bar_features, skill_features)
MAX_GAP = 5


def seconds(job: Callable[[], object], n_runs: int = 5) -> float:
    """Return the median CPU time of a job after one run that warms up."""
    job()
    times = []
    for _ in range(n_runs):
        start = time.process_time()
        job()
        times.append(time.process_time() - start)
    return statistics.median(times)


def average_rows(n_values: int) -> list[Row]:
    """Time the distances from an average and one rolling range."""
    values, target = np.random.default_rng(0).normal(size=n_values), np.zeros(n_values)
    series, place, unit = pd.Series(values), np.empty((n_values, 1)), np.ones(n_values)
    alpha, root = np.array([2.0 / 101.0]), np.array([10.0])
    jobs: dict[str, Callable[[], object]] = {
        "copy": lambda: np.copyto(target, values),
        "EMA_100": lambda: write_distances(values, unit, alpha, root, np.full(1, np.nan), place, 0),
        "EMA_100, pandas": lambda: series.ewm(span=100, adjust=False).mean(),
        **average_peers(values),
        "range of 1,000": lambda: RollingRanges((1000,)).write(values, values, values, place, 0),
        "range of 1,000, pandas": lambda: (series.rolling(1000, min_periods=1).max(), series.rolling(1000, 1).min()),
    }
    taken = {name: seconds(job) for name, job in jobs.items()}
    return [
        {
            "job": name,
            "values": n_values,
            "M/s": n_values / each / 1e6,
            "x memcpy": taken["copy"] / each,
            "x pandas": taken["range of 1,000, pandas" if "range" in name else "EMA_100, pandas"] / each,
        }
        for name, each in taken.items()
    ]


def average_peers(values: np.ndarray) -> dict[str, Callable[[], object]]:
    """Return the jobs of those peers that are installed."""
    jobs: dict[str, Callable[[], object]] = {}
    if importlib.util.find_spec("scipy"):
        from scipy.signal import lfilter

        alpha = 2.0 / 101.0
        jobs["EMA_100, scipy lfilter"] = lambda: lfilter([alpha], [1.0, alpha - 1.0], values)
    if importlib.util.find_spec("talib"):
        import talib

        jobs["EMA_100, talib"] = lambda: talib.EMA(values, 100)
    return jobs


def feature_rows(bars: Bars) -> list[Row]:
    """Time the features of one series, as one segment and cut at each hole."""
    rows: list[Row] = []
    for max_gap in (None, 0):
        n_segments = 1 if max_gap is None else int((np.diff(bars.open_time) > bars.timeframe).sum()) + 1
        for function in FEATURES:
            taken = seconds(lambda function=function: by_segment(function, bars, max_gap), n_runs=3)  # noqa: B023
            name = f"{function.__name__}, {n_segments:,} segments"
            rows.append({"job": name, "values": len(bars), "M/s": len(bars) / taken / 1e6, "ms": taken * 1e3})
    return rows


def live_row(n_history: int, n_bars: int = 3_000) -> Row:
    """Time one bar through all features after some history; the bar itself is made beforehand."""
    bars = random_walk(n_history + n_bars, seed=0)
    features = [
        price_levels,
        *(tracker(kind, bars[:n_history]) for kind in (VolatilityUnit, BarFeatures, SkillFeatures)),
    ]
    times = []
    for i in range(n_history, n_history + n_bars):
        bar = bars[i : i + 1]
        start = time.perf_counter()
        for feature in features:
            feature(bar)
        times.append((time.perf_counter() - start) * 1e6)
    return {"job": "live bar", "values": n_history, "us median": statistics.median(times), "us mean": np.mean(times)}


def tracker(kind: Callable[[], object], history: Bars) -> Callable[[Bars], object]:
    tracked = SegmentedFeatures(kind, MAX_GAP)  # type: ignore[arg-type]
    tracked.update(history)
    return tracked.update


def setup_rows(bars: Bars) -> list[Row]:
    """Time the set-up of a datamodule that takes in nearly all bars, and of its features and labels."""
    name = Series("BENCH", "5m")
    jobs: dict[str, Callable[[], object]] = {
        "setup": lambda: PivotDataModule({name: bars}, walk=Walk(start=0.999)).setup(),
        "features of it": lambda: [by_segment(function, bars, None) for function in FEATURES],
        "labels of it": lambda: label_bars(bars),
    }
    taken = {job: seconds(run, n_runs=3) for job, run in jobs.items()}
    return [{"job": job, "values": len(bars), "ms": each * 1e3} for job, each in taken.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--values", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    bars = synthetic_market(options.bars, seed=0)
    rows = [row for n_values in options.values for row in average_rows(n_values)]
    rows += feature_rows(bars)
    rows += [live_row(options.bars // share) for share in (1000, 10, 1)]
    rows += setup_rows(bars)
    show_rows(rows, options.json)


if __name__ == "__main__":
    main()
