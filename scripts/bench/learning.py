#!/usr/bin/env python
"""Compare replay strategies by what a model learns where the optimum is known, each bar predicted before its label.

./scripts/bench/learning.py [--quick] [--json FILE] [--scenario NAME ...] [--strategy NAME ...] [--seeds 0 1 2]
./scripts/bench/learning.py --train [--model cnn] [--bars 150000] [as above] [key=value ...]

A small MLP walks through 240,000 bars in steps of 256: predict the step, let what became known in, judge, train on 8
batches of 256 drawn by the strategy. Every strategy makes the same number of gradient steps. Events from bar 20,480 on
count. `difference` is the paired difference to `uniform` in event accuracy, in points, with its event-block error;
`gap` is what is missing to FILTER, the Bayes filter (of the drift, not of the label: its NLL says little).

`--train`: the same streams through `trendtrain train`, with any model and overrides. Bars are stored, labels and, where
the price is hidden, features are the scenario's; the first tenth is known at the start. Where TRENDTRAIN_DATA names
their folder, `--scenario ETHUSDT_5m` is a file of real bars, with their own labels, from the usual start.

What is in the JSON file already is not run again, so that a long table can be made in parts. `--quick`: short streams,
one seed, two strategies, in under a minute.
"""

import argparse
import json
import time
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from learning_net import SmallNet
from learning_scenarios import SCENARIOS, Stream, stream_of
from learning_scores import Row, Run, pooled, recovery, result

from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.replay import Lessons, ReplaySampler, make_sampler, weigh, weigh_by_gradient
from trendtrain.validation import ChangeDetector, Predictions, Verdicts

N_BARS, FIRST_STEP, FIRST_SCORED, STEP = 240_000, 4_096, 20_480, 256
BATCH, N_BATCHES, LEARNING_RATE = 256, 8, 5e-4
LAST_50K = 50_000

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
TRAINED = {  # overrides of `trendtrain train`
    "uniform": ["replay=uniform"],
    "naive": ["replay=naive", "replay.half_life=null", "replay.detector=null"],
    "default": [],
    "half-life 1400": ["replay.half_life=1400"],
    "half-life 700": ["replay.half_life=700"],
    "half-life 175": ["replay.half_life=175"],
    "two heads": ["model=two_heads", "replay.half_life=[175,null]"],
    "two heads 700": ["model=two_heads", "replay.half_life=[700,null]"],
    "two heads 2800": ["model=two_heads", "replay.half_life=[2800,null]"],
}


def judged(stream: Stream, rows: IntArray, up: FloatArray) -> Verdicts:
    predictions = Predictions(rows, np.stack([1.0 - up, up], axis=1))
    outcome = (predictions.direction == stream.label[rows]).astype(np.int8)  # 1 is CORRECT, 0 is WRONG
    return Verdicts(predictions, stream.label[rows], outcome, stream.event[rows], stream.known_at[rows])


def sampler_of(strategy: str, seed: int) -> ReplaySampler:
    options = STRATEGIES[strategy] | {"seed": seed}
    if "detector" in options:
        options["detector"] = options["detector"]()
    return make_sampler(batch_size=BATCH, n_batches=N_BATCHES, **options)


def walk(stream: Stream, strategy: str, seed: int) -> Run:
    """Predict, judge and learn, step by step."""
    n_bars = len(stream.label)
    sampler, net = sampler_of(strategy, seed), SmallNet(stream.features.shape[1], seed, LEARNING_RATE)
    rows = np.flatnonzero(stream.known_at >= 0)
    rows = rows[np.lexsort((rows, stream.event[rows], stream.known_at[rows]))]
    ends = np.searchsorted(stream.known_at[rows], np.arange(FIRST_STEP, n_bars + 1, STEP))
    run, known = Run(np.full(n_bars, 0.5)), 0
    for now, end in zip(range(FIRST_STEP, n_bars + 1, STEP), ends, strict=True):
        fresh, known = rows[known:end], end
        verdicts = judged(stream, fresh, run.up[fresh])[fresh >= FIRST_STEP]
        sampler.add(Lessons(fresh, stream.event[fresh], stream.label[fresh]), verdicts)
        if sampler.detect(verdicts) is not None:
            run.alarms.append(now)
        for draw in sampler:
            up = net.learn(stream.features[draw.row], draw.label, draw.weight)
            sampler.refresh(draw.row, np.stack([1.0 - up, up], axis=1))
        run.up[now : now + STEP] = net.predict(stream.features[now : now + STEP])
    run.up[:FIRST_SCORED] = np.nan
    return run


def fresh_run(options: argparse.Namespace, scenario: str, seed: int, strategy: str) -> Run:
    """Walk through a stream once, in the plain loop or through `trendtrain train`."""
    if not options.train:
        return walk(stream_of(scenario, options.bars, seed), strategy, seed)
    from learning_runs import trained  # torch and Lightning, which the plain loop does without

    return trained(scenario, options.bars, seed, [f"model={options.model}", *TRAINED[strategy], *options.overrides])


def fresh_row(options: argparse.Namespace, scenario: str, seed: int, strategy: str, uniform: Row | None) -> Row:
    """Return the scores of a strategy; FILTER answers where the uniform run did."""
    start = time.perf_counter()
    stream = stream_of(scenario, options.bars, seed, one_direction=options.train)
    if strategy == "FILTER":
        assert stream.best is not None
        assert uniform is not None
        run = Run(np.where(np.arange(len(stream.best)) < uniform["first_bar"], np.nan, stream.best))
    else:
        run = fresh_run(options, scenario, seed, strategy)
    row = result(stream, run, uniform and uniform["by_event"])
    if scenario == "flips":
        row |= recovery(stream, run)
    return row | {"seconds": time.perf_counter() - start}


def key_of(options: argparse.Namespace, scenario: str, seed: int, strategy: str) -> Row:
    """Return what tells one result from the others."""
    key: Row = {"learner": options.model if options.train else "loop", "overrides": " ".join(options.overrides)}
    n_bars = options.bars if scenario in SCENARIOS else 0  # 0: the whole file
    return key | {"scenario": scenario, "bars": n_bars, "seed": seed, "strategy": strategy}


def found(rows: list[Row], key: Row) -> Row | None:
    return next((row for row in rows if row.items() >= key.items()), None)


def run_all(options: argparse.Namespace, rows: list[Row]) -> None:
    """Add what is missing, and write after each."""
    for seed, scenario in product(options.seeds, options.scenario):
        of_filter = ["FILTER"] if scenario in SCENARIOS else []
        uniform = None
        for strategy in ["uniform", *of_filter, *options.strategy]:
            key = key_of(options, scenario, seed, strategy)
            row = found(rows, key)
            if row is None:
                row = key | fresh_row(options, scenario, seed, strategy, uniform)
                rows.append(row)
                if options.json:
                    options.json.write_text(json.dumps(rows) + "\n")
            uniform = row if strategy == "uniform" else uniform


def show(rows: list[Row]) -> None:
    """Print the pooled table."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        names = ("learner", "overrides", "scenario", "bars", "strategy")
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    for group, part in groups.items():
        values = pooled(part)
        best = [found(groups.get((*group[:-1], "FILTER"), []), {"seed": row["seed"]}) for row in part]
        gaps = [of["event_accuracy"] - row["event_accuracy"] for of, row in zip(best, part, strict=True) if of]
        if gaps:
            values["gap"] = float(np.mean(gaps))
        text = "  ".join(f"{name} {value:.3g}" for name, value in values.items() if value is not None)
        learner, overrides, scenario, bars, strategy = group
        print(f"{scenario:13s} {strategy:23s} {learner} {overrides} bars {bars} seeds {len(part)}  {text}")


def completed(options: argparse.Namespace) -> argparse.Namespace:
    """Fill in what depends on the mode."""
    known = TRAINED if options.train else STRATEGIES
    usual = ["naive", "default"] if options.train or options.quick else list(STRATEGIES)
    options.strategy = [name for name in options.strategy or usual if name != "uniform"]
    for name in options.strategy:
        if name not in known:
            raise SystemExit(f"learning: `--strategy` must be some of {', '.join(known)}, got {name}.")
    options.scenario = options.scenario or [name for name in SCENARIOS if name != "random walk"]
    if options.quick:
        options.seeds, options.bars = options.seeds[:1], 8_000 if options.train else 40_000
    options.bars = options.bars or (150_000 if options.train else N_BARS)
    return options


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--bars", type=int)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--scenario", nargs="+")
    parser.add_argument("--strategy", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("overrides", nargs="*", help="of `trendtrain train`")
    options = completed(parser.parse_intermixed_args())
    rows: list[Row] = json.loads(options.json.read_text()) if options.json and options.json.exists() else []
    run_all(options, rows)
    show(rows)


if __name__ == "__main__":
    main()
