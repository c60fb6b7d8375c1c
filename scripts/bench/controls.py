#!/usr/bin/env python
"""Run the standing controls in full through `train`: no skill where none can be, nearly all of it where it is planted.

./scripts/bench/controls.py [--controls random_walk planted] [--models mlp cnn] [--seeds 5] [--json FILE] [key=value]

Seeds are 0 to n - 1. A control that is in FILE already is not run again, so that a long table can be made in parts.

random_walk: nothing can be predicted; z is the distance from one half in event-block errors.
signs: as that, on real bars (--files) each of which goes the other way with chance one half.
planted: two hidden states (--drifts, in bar sigmas); the edge over one half beside that of the exact Bayes filter on
the same events, walk.start=0.5.
foretold: volume tells the drift 64 bars ahead; walk.start=0.5, window inputs alone. With data.window=4
'model.net.kernels=[4]' the CNN cannot see it.
regimes: the market of the default job (--bars 30000); the lead over the best simple rule, beside what a rule reaches
that is told the next block, and one that turns the side of the 100-bar EMA where volume is high.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_module
from rows import Row, show_rows
from sqlalchemy import text

from trendtrain.importing import read_bars
from trendtrain.market import (
    Bars,
    bayes_filter,
    foretold_market,
    planted_market,
    random_signs,
    random_walk,
    synthetic_market,
)
from trendtrain.market.timeframe import format_timeframe
from trendtrain.storage import BarStore, open_database

_CONTROLS = ("random_walk", "signs", "planted", "foretold", "regimes")
_VERDICTS = """
select v.open_time, v.kind, v.first_time, v.last_time, v.truth from verdicts v where v.outcome < 2
"""


@dataclass(frozen=True)
class Job:
    """One training: `market` is a drift, a file, or nothing."""

    control: str
    model: str
    market: str
    seed: int
    bars: int
    overrides: tuple[str, ...]

    def make_bars(self) -> Bars:
        """Return the market's bars."""
        if self.control == "random_walk":
            return random_walk(self.bars, self.seed)
        if self.control == "planted":
            return planted_market(self.bars, self.seed, drift=float(self.market))
        if self.control == "foretold":
            return foretold_market(self.bars, self.seed)
        if self.control == "regimes":
            return synthetic_market(self.bars, self.seed)
        return random_signs(read_bars(Path(self.market))[1], self.seed)

    def settings(self, url: str) -> list[str]:
        """Return the overrides that train on the bars stored under the name CONTROL."""
        is_skilful = self.control in ("planted", "foretold")
        own = ["data.side=null"] if self.control == "foretold" else []
        own += ["walk.start=0.5"] if is_skilful else []
        names = ("data=database", "data.symbols=CONTROL", f"model={self.model}", f"seed={self.seed}")
        quiet = (
            "logger=none",
            "trainer.enable_progress_bar=false",
            "callbacks.charts=null",
            "callbacks.checkpoint=null",
        )
        return [*names, f"db.url={url}", *quiet, *own, *self.overrides]


def run(job: Job) -> Row:
    """Train once and return what came of it."""
    import torch

    from trendtrain.train import train

    torch.set_num_threads(1)
    bars = job.make_bars()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'run.db'}"
        engine = open_database(url)
        BarStore(engine).write("CONTROL", format_timeframe(bars.timeframe), bars)
        with initialize_config_module("trendtrain.configs", version_base="1.3"):
            found = train(compose("train", job.settings(url)), folder).values
        row = {
            **asdict(job),
            "overrides": " ".join(job.overrides),
            "events": found["n_events"],
            "event accuracy": found["event_accuracy"],
            "se": found["accuracy_se"],
            "z": (found["event_accuracy"] - 0.5) / found["accuracy_se"],
            "ece": found["ece"],
            "seconds": found["wall_seconds"],
        }
        row |= row_beside(job, bars, found, url)
        engine.dispose()
    return row


def row_beside(job: Job, bars: Bars, found: dict[str, Any], url: str) -> Row:
    """Return what rules that know how the market is made reach on the same events, and the lead over the others."""
    if job.control == "planted":
        best = accuracy_of(pd.Series(bayes_filter(bars, float(job.market)) > 0.5, _times(bars)), url)
        return {"filter": best, "share of edge": (found["event_accuracy"] - 0.5) / (best - 0.5)}
    if job.control == "regimes":
        best = found["best_baseline"]
        return {
            "best rule": best["name"],
            "lead": best["difference"],
            "lead se": best["se"],
            "lead z": best["difference"] / best["se"],
            "told": accuracy_of(next_block_rises(job.bars, job.seed), url),
            "product": accuracy_of(turned_by_volume(bars), url),
        }
    return {}


def next_block_rises(n_bars: int, seed: int, block: int = 24) -> pd.Series:
    """Return whether the block after that of each bar drifts up: where a little more drift makes the bars rise more."""
    bars, twin = (synthetic_market(n_bars, seed, drift=drift, tick=0.0) for drift in (0.4, 0.4 + 1e-6))
    numbers = (bars.open_time - bars.open_time[0]) // bars.timeframe // block
    rises = pd.Series(twin.close / twin.open > bars.close / bars.open).groupby(numbers).first()
    return pd.Series(rises.reindex(numbers + 1, fill_value=True).to_numpy(), _times(bars))


def turned_by_volume(bars: Bars) -> pd.Series:
    """Return whether the close is above its 100-bar EMA, or below it where the volume of 4 bars is high."""
    close, volume = (pd.Series(np.log(values), _times(bars)) for values in (bars.close, bars.volume))
    is_above = close > close.ewm(span=100, adjust=False).mean()
    is_high = volume.rolling(4, min_periods=1).mean() > volume.ewm(span=200, adjust=False).mean()
    return is_above != is_high


def _times(bars: Bars) -> pd.Index:
    return pd.Index(bars.open_time.astype("int64"))


def accuracy_of(is_up: pd.Series, url: str) -> float:
    """Return the event accuracy of a rule, given by open time, on the verdicts in a ledger."""
    engine = open_database(url)
    with engine.connect() as connection:
        verdicts = pd.read_sql(text(_VERDICTS), connection)
    engine.dispose()
    verdicts["is_right"] = is_up.loc[verdicts.open_time].to_numpy() == (verdicts.truth == 1)
    return float(verdicts.groupby(["kind", "first_time", "last_time"]).is_right.mean().mean())


def jobs_of(options: argparse.Namespace) -> Iterator[Job]:
    markets = {"planted": options.drifts, "signs": options.files}
    for control, model in product(options.controls, options.models):
        for market, seed in product(markets.get(control, [""]), range(options.seeds)):
            yield Job(control, model, str(market), seed, options.bars, tuple(options.overrides))


def is_done(job: Job, rows: list[Row]) -> bool:
    key = {**asdict(job), "overrides": " ".join(job.overrides)}
    return any(all(row[name] == value for name, value in key.items()) for row in rows)


def means(rows: list[Row]) -> list[Row]:
    """Return a row for each control, model and market: means over seeds, and whether what is asked of it holds."""
    table = pd.DataFrame(rows)
    result: list[Row] = []
    for (control, model, market, overrides), part in table.groupby(
        ["control", "model", "market", "overrides"], sort=False
    ):
        n = len(part)
        row: Row = {"job": f"{control} {Path(str(market)).name}", "model": model, "overrides": overrides, "seeds": n}
        row |= {
            "event accuracy": part["event accuracy"].mean(),
            "+-": part["event accuracy"].sem() if n > 1 else math.nan,
        }
        if control == "planted":
            row |= {"filter": part["filter"].mean(), "share of edge": part["share of edge"].mean()}
            row |= {"+- ": part["share of edge"].sem() if n > 1 else math.nan, "lowest": part["share of edge"].min()}
        elif control == "regimes":
            row |= {name: part[name].mean() for name in ("lead", "lead z", "told", "product")}
            row["lowest lead z"] = part["lead z"].min()
        else:
            row |= {"mean z x sqrt(n)": part["z"].mean() * math.sqrt(n), "worst z": part["z"].abs().max()}
        result.append(row | {"seconds": part["seconds"].mean()})
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--controls", nargs="+", default=["random_walk", "planted"], choices=_CONTROLS)
    parser.add_argument("--models", nargs="+", default=["cnn"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--bars", type=int, default=200_000)
    parser.add_argument("--drifts", nargs="+", default=["0.145", "0.21"])
    parser.add_argument("--files", nargs="*", default=[], help="real bars for `signs`")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="rows so far, and where they are kept")
    parser.add_argument("overrides", nargs="*", help="of `trendtrain train`")
    options = parser.parse_args()
    rows: list[Row] = json.loads(options.json.read_text()) if options.json and options.json.exists() else []
    todo = [job for job in jobs_of(options) if not is_done(job, rows)]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run, job) for job in todo]):
            rows.append(future.result())
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1) + "\n")
    show_rows(means(rows), None)


if __name__ == "__main__":
    main()
