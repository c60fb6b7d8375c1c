#!/usr/bin/env python
"""Measure the skill on real crypto minutes: our models, the simple rules, and boosting as people refit it today.

./scripts/bench/skill.py --data FOLDER [--out FOLDER] [--models crypto_pooled ...] [--seeds 0 1 2] [--series ...]
                         [--blocks 30] [--json FILE] [--quick]

FOLDER holds a Parquet file a series, such as ETHUSD_1m.parquet. A model is trained through `train`, once a seed and
timeframe, on all series of that timeframe together (`experiment=crypto_pooled`, with another net for the others).
LightGBM with its defaults is refitted on each series alone, for each of 30 blocks, on the newest 40 % of its history:
`boosting` on common returns and indicators, `boosting 23` on the same side features as our nets.

All are judged by the same verdicts: those of the bars after the first quarter of each series. Event accuracy is the
mean over series, and over seeds (least, most: of single seeds); errors are event-block errors, with the blocks of all
series together; "over" is a paired difference, with z, its multiple of its error, in brackets. top_20: accuracy of the
most confident fifth of each series, mean over series. late: the same on the later half of each series' stretch. What is
finished lies in --out and is not done again.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from rows import show_rows
from skill_runs import MODELS, boosted, indicators, walked
from skill_scores import Verdicts, score_row, series_row, written

from trendtrain.features import FeatureFunction, skill_features
from trendtrain.importing import read_bars
from trendtrain.market import Bars, Series, label_bars, planted_market
from trendtrain.market.bars import BoolArray, FloatArray
from trendtrain.validation import baseline_directions

DEV = ["ETHUSD_1m", "BTCUSD_1m", "ETHUSDT_1m", "BTCUSDT_1m", "ETHUSDT_5m", "BTCUSDT_5m", "LINKUSDT_5m", "SOLUSDT_5m"]
RULES = ("majority", "persistence", "reversal", "ema_reversal")
AGAINST = ("boosting", "boosting 23", "ema_reversal")
BOOSTING = {"boosting": indicators, "boosting 23": skill_features}
QUICK = ["replay.n_batches=2", "walk.start=0.1"]
SKIPPED = 0.25  # of each series' time: there a model of that series alone has too little to learn from

Market = dict[Series, Bars]
Answer = Callable[[pd.DataFrame, Bars], FloatArray]
Answers = dict[str, list[FloatArray]]  # by method: the chance of UP at each verdict's bar, an array a seed


def market_of(options: argparse.Namespace) -> Market:
    """Return the bars of the series asked for."""
    if options.quick:
        names = [Series("SYNTHA", "1m"), Series("SYNTHB", "1m"), Series("SYNTHC", "5m")]
        return {name: planted_market(5_000, seed, name.timeframe) for seed, name in enumerate(names)}
    if options.data is None:
        raise SystemExit("skill: `--data` must name a folder of Parquet files, got none.")
    return {Series(*name.rsplit("_", 1)): read_bars(options.data / f"{name}.parquet")[1] for name in options.series}


def answers_of(market: Market, options: argparse.Namespace) -> tuple[pd.DataFrame, Answers]:
    """Return the verdicts that all are judged by, and what each method said."""
    runs = {model: [all_timeframes(market, model, seed, options) for seed in options.seeds] for model in options.models}
    keys = ["series", "event", "known_at", "open_time", "truth"]
    first = next(iter(runs.values()))[0]
    verdicts = first[late_enough(first, market)][keys].reset_index(drop=True)
    answers = {model: [matched(verdicts, run) for run in found] for model, found in runs.items()}
    for name, features in BOOSTING.items():
        answers[name] = [by_series(verdicts, market, partial(refitted, name, features, options))]
    for rule in RULES:
        answers[rule] = [by_series(verdicts, market, partial(rule_answers, rule))]
    return verdicts, answers


def all_timeframes(market: Market, model: str, seed: int, options: argparse.Namespace) -> pd.DataFrame:
    """Return what one model was judged by, one run a timeframe; events count on from run to run."""
    parts: list[pd.DataFrame] = []
    for timeframe in sorted({series.timeframe for series in market}):
        part = {series: bars for series, bars in market.items() if series.timeframe == timeframe}
        folder = options.out / f"{model}-{timeframe}-{seed}"
        rows = walked(part, model, seed, folder, QUICK if options.quick else [])
        parts.append(rows.assign(event=rows.event + sum(one.event.nunique() for one in parts)))
    return pd.concat(parts, ignore_index=True)


def late_enough(rows: pd.DataFrame, market: Market) -> BoolArray:
    """Say which rows lie after the first quarter of their series."""
    start = {}
    for (symbol, timeframe), bars in market.items():
        first, last = bars.open_time.astype(np.int64)[[0, -1]].tolist()
        start[f"{symbol}_{timeframe}"] = first + SKIPPED * (last - first)
    is_late: BoolArray = (rows.open_time > rows.series.map(start)).to_numpy()
    return is_late


def matched(verdicts: pd.DataFrame, run: pd.DataFrame) -> FloatArray:
    """Return a run's chances of UP in the order of the verdicts, which must be its own."""
    joined = verdicts.merge(run, on=["series", "open_time"], how="left", suffixes=("", "_of_run"))
    if not (joined.truth.equals(joined.truth_of_run) and joined.known_at.equals(joined.known_at_of_run)):
        raise RuntimeError("two runs were judged by different verdicts.")
    return joined.up.to_numpy()


def by_series(verdicts: pd.DataFrame, market: Market, answer: Answer) -> FloatArray:
    """Return the chances of UP that a function gives of each series' verdicts, in order of time, and its bars."""
    up = np.full(len(verdicts), np.nan)
    for (symbol, timeframe), bars in market.items():
        part = verdicts[verdicts.series == f"{symbol}_{timeframe}"].sort_values("open_time")
        up[part.index] = answer(part, bars)
    return up


def refitted(
    name: str, features: FeatureFunction, options: argparse.Namespace, part: pd.DataFrame, bars: Bars
) -> FloatArray:
    """Return the boosting's answers of one series, kept in a file."""
    kept = options.out / f"{name}-{part.series.iloc[0]}-{options.blocks}-{len(part)}.npy"
    if not kept.exists():
        np.save(kept, boosted(part, bars, features, options.blocks))
    return np.load(kept)


def rule_answers(rule: str, part: pd.DataFrame, bars: Bars) -> FloatArray:
    """Return a simple rule's answers of one series."""
    bar = np.searchsorted(bars.open_time.astype(np.int64), part.open_time.to_numpy())
    return baseline_directions(bars, label_bars(bars))[rule][bar].astype(np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["crypto_pooled"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--series", nargs="+", default=DEV)
    parser.add_argument("--blocks", type=int, default=30)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.blocks = options.seeds[:1], 2
    with tempfile.TemporaryDirectory() as scratch:
        options.out = options.out or Path(scratch)
        options.out.mkdir(parents=True, exist_ok=True)
        market = market_of(options)
        rows, answers = answers_of(market, options)
    verdicts = Verdicts.of(rows, tuple(f"{symbol}_{timeframe}" for symbol, timeframe in market))
    scores = [score_row(job, verdicts, answers, AGAINST) for job in answers]
    by_series = [series_row(job, verdicts, answers[job]) for job in answers]
    show_rows([written(row, AGAINST) for row in scores], None)
    show_rows(
        [{name: value if name == "job" else f"{value:.4f}" for name, value in row.items()} for row in by_series], None
    )
    if options.json:
        options.json.write_text(json.dumps({"scores": scores, "series": by_series}, indent=2) + "\n")


if __name__ == "__main__":
    main()
