#!/usr/bin/env python
"""Compare replay strategies by what a model learns where the optimum is known, each bar predicted before its label.

./scripts/bench_learning.py [--quick] [--json FILE] [--scenario NAME ...] [--strategy NAME ...] [--seeds 0 1 2]
./scripts/bench_learning.py --train [--json FILE] [--scenario NAME ...] [--seeds 0 1 2]

A small MLP walks through 240,000 bars in steps of 256: predict the step, let what became known in, judge, train on 8
batches of 256 drawn by the strategy. Every strategy makes the same number of gradient steps. Events from bar 20,480 on
count. `difference` is the paired difference to `uniform` in event accuracy, in points, with its event-block error;
FILTER is the Bayes filter (of the drift, not of the label: its NLL says little). Results go to the JSON file as they
come; a later call goes on where it ended. `--quick`: short streams, one seed, two strategies, in under a minute.
`--train`: {uniform, default, naive} through `trendtrain train` instead, on `weak`, `strong` and, where TRENDTRAIN_DATA
names their folder, files of real bars such as ETHUSDT_5m.
"""

import argparse
import json
import math
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from learning_net import SmallNet
from learning_scenarios import FLIP_EVERY, SCENARIOS, Stream

from trendtrain.evaluate import ChangeDetector
from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.replay import ReplayMemory, ReplaySampler, weigh, weigh_by_gradient
from trendtrain.validation import Predictions, Verdicts
from trendtrain.validation.score import (
    calendar_blocks,
    calibration_bins,
    estimate,
    event_means,
    expected_calibration_error,
)

N_BARS, FIRST_STEP, FIRST_SCORED, STEP = 240_000, 4_096, 20_480, 256
BATCH, N_BATCHES, LEARNING_RATE = 256, 8, 5e-4
LAST_50K = 50_000
CURVE_BIN, CURVE_BINS = 50, 40  # events after a flip

Row = dict[str, Any]

_uniform = partial(weigh, wrong=1.0)
STRATEGIES: dict[str, dict[str, Any]] = {
    "uniform": {"weigh": _uniform, "max_bars": LAST_50K},
    "naive": {"weigh": weigh, "beta": 0.0, "max_bars": LAST_50K},
    "incorrect": {"weigh": weigh, "max_bars": LAST_50K},
    "gradient": {"weigh": weigh_by_gradient, "max_bars": LAST_50K},
    "recent": {"weigh": _uniform, "half_life": 700.0},
    "recent, cut": {"weigh": _uniform, "half_life": 700.0, "detector": ChangeDetector},
    "incorrect, recent, cut": {"weigh": weigh, "half_life": 700.0, "detector": ChangeDetector},
    "gradient, recent, cut": {"weigh": weigh_by_gradient, "half_life": 700.0, "detector": ChangeDetector},
    "default": {"weigh": weigh_by_gradient, "half_life": 2800.0, "detector": ChangeDetector},
}


@dataclass
class Run:
    """What a walk leaves behind: the chance given to UP at each bar, and the bars at which a change was noticed."""

    up: FloatArray
    alarms: list[int] = field(default_factory=list)


def judged(stream: Stream, rows: IntArray, up: FloatArray) -> Verdicts:
    predictions = Predictions(rows, np.stack([1.0 - up, up], axis=1))
    outcome = (predictions.direction == stream.label[rows]).astype(np.int8)  # 1 is CORRECT, 0 is WRONG
    return Verdicts(predictions, stream.label[rows], outcome, stream.event[rows], stream.known_at[rows])


def sampler_of(strategy: str, n_bars: int, seed: int) -> ReplaySampler:
    options = STRATEGIES[strategy] | {"seed": seed}
    if "detector" in options:
        options["detector"] = options["detector"]()
    return ReplaySampler(ReplayMemory(n_bars), BATCH, N_BATCHES, **options)


def walk(stream: Stream, strategy: str, seed: int) -> Run:
    """Predict, judge and learn, step by step."""
    n_bars = len(stream.label)
    sampler, net = sampler_of(strategy, n_bars, seed), SmallNet(stream.features.shape[1], seed, LEARNING_RATE)
    rows = np.flatnonzero(stream.known_at >= 0)
    rows = rows[np.lexsort((rows, stream.event[rows], stream.known_at[rows]))]
    ends = np.searchsorted(stream.known_at[rows], np.arange(FIRST_STEP, n_bars + 1, STEP))
    run, known = Run(np.full(n_bars, 0.5)), 0
    for now, end in zip(range(FIRST_STEP, n_bars + 1, STEP), ends, strict=True):
        fresh, known = rows[known:end], end
        sampler.add(fresh, stream.event[fresh])
        verdicts = judged(stream, fresh, run.up[fresh])[fresh >= FIRST_STEP]
        sampler.reweight(verdicts)
        if sampler.detect(verdicts) is not None:
            run.alarms.append(now)
        for draw in sampler:
            row = draw.row.astype(np.int64)
            up = net.learn(stream.features[row], stream.label[row], draw.weight)
            sampler.refresh(judged(stream, row, up))
        run.up[now : now + STEP] = net.predict(stream.features[now : now + STEP])
    return run


def scored(stream: Stream, run: Run) -> tuple[IntArray, FloatArray]:
    """Return the bars that count, and of each the correctness and the negative log-likelihood, shape (n, 2)."""
    rows = np.flatnonzero((stream.event >= 0) & (np.arange(len(stream.label)) >= FIRST_SCORED))
    up, label = run.up[rows], stream.label[rows]
    nll = -np.log(np.maximum(np.where(label == 1, up, 1.0 - up), 1e-7))
    return rows, np.stack([(up > 0.5) == (label == 1), nll], axis=1)


def result(stream: Stream, run: Run, uniform: Run) -> Row:
    """Return the scores of a run beside those of the uniform one."""
    rows, values = scored(stream, run)
    _, means, counts = event_means(stream.event[rows], values)
    _, base, _ = event_means(stream.event[rows], scored(stream, uniform)[1])
    _, first, inverse = np.unique(stream.event[rows], return_index=True, return_inverse=True)
    first = np.sort(first)
    known_at = stream.known_at[rows[first]]
    block = calendar_blocks(known_at.astype("datetime64[ms]"), np.zeros(len(first), dtype=np.int64))
    paired, alone = estimate(means[:, 0] - base[:, 0], block), estimate(means[:, 0], block)
    confidence = np.maximum(run.up, 1.0 - run.up)[rows]
    weight = 1.0 / np.bincount(inverse)[inverse]
    row: Row = {
        "n_events": len(counts),
        "event_accuracy": 100.0 * alone.mean,
        "accuracy_se": 100.0 * alone.se,
        "difference": 100.0 * paired.mean,
        "difference_se": 100.0 * paired.se,
        "nll": float(means[:, 1].mean()),
        "ece": expected_calibration_error(calibration_bins(confidence, values[:, 0], weight)),
        "n_alarms": len(run.alarms),
        "alarms": run.alarms,
    }
    if stream.is_rare is not None:
        row["rare_accuracy"] = 100.0 * float(values[stream.is_rare[rows], 0].mean())
    return row


def recovery(stream: Stream, run: Run) -> Row:
    """Return the mean accuracy by events after a flip, in bins of 50, that before it, and the events to each alarm."""
    rows, values = scored(stream, run)
    _, means, _ = event_means(stream.event[rows], values)
    first = rows[np.sort(np.unique(stream.event[rows], return_index=True)[1])]
    known_at = stream.known_at[first]
    curves, before, delays = [], [], []
    for flip in range(FLIP_EVERY, len(stream.label), FLIP_EVERY):
        start = int(np.searchsorted(first, flip))
        curve = means[start : start + CURVE_BIN * CURVE_BINS, 0]
        if len(curve) < CURVE_BIN * CURVE_BINS or start < 1000:
            continue
        curves.append(curve.reshape(CURVE_BINS, CURVE_BIN).mean(axis=1))
        before.append(means[start - 1000 : start, 0].mean())
        late = [alarm for alarm in run.alarms if flip < alarm <= flip + FLIP_EVERY]
        delays.append(int((known_at[start:] <= late[0]).sum()) if late else None)
    if not curves:
        return {}
    return {"curve": np.mean(curves, axis=0).tolist(), "before": float(np.mean(before)), "alarm_delays": delays}


def group(scenario: str, seed: int, strategies: list[str], n_bars: int) -> list[Row]:
    """Walk through one stream with every strategy."""
    stream = SCENARIOS[scenario](n_bars, seed)
    found: list[Row] = []
    uniform = walk(stream, "uniform", seed)
    runs = {"uniform": uniform}
    if stream.best is not None:
        runs["FILTER"] = Run(stream.best)
    for strategy in ["uniform", "FILTER", *strategies]:
        if strategy == "FILTER" and stream.best is None:
            continue
        start = time.perf_counter()
        run = runs.get(strategy) or walk(stream, strategy, seed)
        row = {"scenario": scenario, "seed": seed, "strategy": strategy, **result(stream, run, uniform)}
        if scenario == "flips":
            row |= recovery(stream, run)
        found.append(row | {"seconds": time.perf_counter() - start})
    return found


def pooled(rows: list[Row]) -> Row:
    """Return the mean over seeds of one strategy in one scenario, with the errors of the means."""
    mean = {
        name: float(np.mean([row[name] for row in rows])) for name in ("event_accuracy", "difference", "nll", "ece")
    }
    errors = ("accuracy_se", "difference_se")
    mean |= {name: math.sqrt(sum(row[name] ** 2 for row in rows)) / len(rows) for name in errors}
    mean["alarms"] = float(np.mean([row["n_alarms"] for row in rows]))
    if "rare_accuracy" in rows[0]:
        mean["rare"] = float(np.mean([row["rare_accuracy"] for row in rows]))
    return mean | regained([row for row in rows if "curve" in row])


def regained(rows: list[Row]) -> Row:
    """Return after how many events 90 and 95 % of the edge before a flip were back, and the slowest alarm."""
    if not rows:
        return {}
    curve, edge = np.mean([row["curve"] for row in rows], axis=0) - 0.5, np.mean([row["before"] for row in rows]) - 0.5
    smooth = np.convolve(curve, np.ones(3) / 3, mode="same")
    back = {f"regained_{share}": smooth >= share / 100.0 * edge for share in (90, 95)}
    found: Row = {
        name: float(np.argmax(is_back) * CURVE_BIN) if is_back.any() else None for name, is_back in back.items()
    }
    delays = [delay for row in rows for delay in row["alarm_delays"]]
    if any(delay is not None for delay in delays):
        found["slowest_alarm"] = None if None in delays else max(delays)
        found["missed_alarms"] = sum(delay is None for delay in delays)
    return found


def show(rows: list[Row]) -> None:
    """Print the pooled table."""
    for scenario in dict.fromkeys(row["scenario"] for row in rows):
        for strategy in dict.fromkeys(["FILTER", *STRATEGIES]):
            part = [row for row in rows if (row["scenario"], row["strategy"]) == (scenario, strategy)]
            if not part:
                continue
            values = pooled(part)
            text = "  ".join(f"{name} {value:.3g}" for name, value in values.items() if value is not None)
            print(f"{scenario:13s} {strategy:23s} seeds {len(part)}  {text}")


def in_a_loop(options: argparse.Namespace, scenario: str, seed: int, done: set[str]) -> list[Row]:
    """Return the rows still missing of the strategies in the plain loop."""
    strategies = ["naive", "default"] if options.quick else options.strategy
    missing = [strategy for strategy in strategies if strategy not in done]
    if not missing and done:
        return []
    fresh = group(scenario, seed, missing, 40_000 if options.quick else N_BARS)
    return [row for row in fresh if row["strategy"] not in done]


def through_train(options: argparse.Namespace, scenario: str, seed: int, done: set[str]) -> list[Row]:
    """Return the rows of a market through `trendtrain train`, if they are missing."""
    from learning_runs import compared  # torch and Lightning, which the plain loop does without

    return [] if done else compared(scenario, seed, 8_000 if options.quick else 150_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--scenario", nargs="+")
    parser.add_argument("--strategy", nargs="+", choices=STRATEGIES, default=[s for s in STRATEGIES if s != "uniform"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    fresh_rows = through_train if options.train else in_a_loop
    default = ["weak", "strong"] if options.train else [s for s in SCENARIOS if s != "random walk"]
    rows: list[Row] = json.loads(options.json.read_text()) if options.json and options.json.exists() else []
    for seed in options.seeds[:1] if options.quick else options.seeds:
        for scenario in options.scenario or default:
            done = {row["strategy"] for row in rows if (row["scenario"], row["seed"]) == (scenario, seed)}
            rows += fresh_rows(options, scenario, seed, done)
            if options.json:
                options.json.write_text(json.dumps(rows) + "\n")
    show(rows)


if __name__ == "__main__":
    main()
