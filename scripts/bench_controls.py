#!/usr/bin/env python
"""Run the standing controls in full through `train`: random walks have no skill, planted markets nearly all of it.

./scripts/bench_controls.py [--walks 20] [--planted 5] [--jobs 2] [--json FILE]

Seeds are 0 to n - 1. Random walks: 200k bars; the 95 % interval should hold 0.5 in about 95 % of the runs. Planted
markets: 100k bars, walk.start=0.5; the edge over 0.5 beside that of the exact Bayes filter on the same events.
"""

import argparse
import json
import math
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
from hydra import compose, initialize_config_module
from sqlalchemy import text

from trendtrain.market import bayes_filter, planted_market
from trendtrain.storage import open_database

_VERDICTS = """
select v.open_time, v.kind, v.first_time, v.last_time, v.truth from verdicts v where v.outcome < 2
"""


def run(experiment: str, seed: int) -> dict[str, Any]:
    """Train once and return the summary, for planted markets with the filter's event accuracy."""
    import torch

    from trendtrain.train import train

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'run.db'}"
        overrides = [f"experiment={experiment}", f"seed={seed}", f"db.url={url}", "trainer.enable_progress_bar=false"]
        with initialize_config_module("trendtrain.configs", version_base="1.3"):
            cfg = compose("train", overrides)
        summary = train(cfg, folder).values
        if experiment == "planted":
            summary["filter"] = filter_accuracy(url, seed)
    return {"seed": seed, **summary}


def filter_accuracy(url: str, seed: int) -> float:
    """Return the event accuracy of the Bayes filter on the verdicts in a ledger."""
    engine = open_database(url)
    with engine.connect() as connection:
        verdicts = pd.read_sql(text(_VERDICTS), connection)
    engine.dispose()
    bars = planted_market(100_000, seed)
    is_up = pd.Series(bayes_filter(bars) > 0.5, index=bars.open_time.astype("int64"))
    verdicts["is_right"] = is_up.loc[verdicts.open_time].to_numpy() == (verdicts.truth == 1)
    return float(verdicts.groupby(["kind", "first_time", "last_time"]).is_right.mean().mean())


def walk_row(summary: dict[str, Any]) -> dict[str, Any]:
    low, high = summary["accuracy_ci95"]
    z = (summary["event_accuracy"] - 0.5) / summary["accuracy_se"]
    return {
        "control": "random_walk",
        "seed": summary["seed"],
        "event_accuracy": summary["event_accuracy"],
        "se": summary["accuracy_se"],
        "z": z,
        "holds_half": low <= 0.5 <= high,
        "seconds": summary["wall_seconds"],
    }


def planted_row(summary: dict[str, Any]) -> dict[str, Any]:
    edge, best = summary["event_accuracy"] - 0.5, summary["filter"] - 0.5
    return {
        "control": "planted",
        "seed": summary["seed"],
        "event_accuracy": summary["event_accuracy"],
        "se": summary["accuracy_se"],
        "filter": summary["filter"],
        "share_of_edge": edge / best,
        "seconds": summary["wall_seconds"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--walks", type=int, default=20)
    parser.add_argument("--planted", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        walks = [pool.submit(run, "random_walk", seed) for seed in range(options.walks)]
        planted = [pool.submit(run, "planted", seed) for seed in range(options.planted)]
        rows = [walk_row(job.result()) for job in walks] + [planted_row(job.result()) for job in planted]
    for row in rows:
        print(
            "  ".join(
                f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            )
        )
    is_good = report(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2, default=bool) + "\n")
    return 0 if is_good else 1


def report(rows: list[dict[str, Any]]) -> bool:
    """Print the verdict on the controls and return whether they hold."""
    walks = [row for row in rows if row["control"] == "random_walk"]
    shares = [row["share_of_edge"] for row in rows if row["control"] == "planted"]
    is_good = True
    if walks:
        n, n_held = len(walks), sum(row["holds_half"] for row in walks)
        worst = max(abs(row["z"]) for row in walks)
        mean_z = sum(row["z"] for row in walks) / math.sqrt(n)
        print(f"random walks: {n_held} of {n} intervals hold 0.5; worst |z| {worst:.2f}; mean z x sqrt(n) {mean_z:.2f}")
        # Binomial(20, 0.95) falls below 17 in 1.6 % of cases.
        is_good &= worst <= 4.0 and n_held >= 0.83 * n
    if shares:
        spread = f"{min(shares):.3f} to {max(shares):.3f}"
        print(f"planted: {spread} of the Bayes filter's edge, mean {sum(shares) / len(shares):.3f}")
        is_good &= min(shares) >= 0.8
    return is_good


if __name__ == "__main__":
    raise SystemExit(main())
