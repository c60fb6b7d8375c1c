"""Walks through the real `trendtrain train` path: three strategies on planted and real bars, event by event."""

import os
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
from hydra import compose, initialize_config_module
from sqlalchemy import text

from trendtrain.market import Bars, Series, planted_market
from trendtrain.storage import BarStore, open_database
from trendtrain.storage.importers import read_bars
from trendtrain.train import train
from trendtrain.validation.score import calendar_blocks, estimate

Row = dict[str, Any]

PLANTED = {"weak": partial(planted_market, drift=0.145), "strong": partial(planted_market, drift=0.21)}
STRATEGIES = {
    "uniform": ["replay=uniform"],
    "default": [],
    "half-life 700": ["replay.half_life=700"],
    "naive": ["replay=incorrect", "replay.beta=0", "replay.half_life=null", "replay.detector=null"],
}
_EVENTS = """
select symbol, kind, first_time, last_time, known_at, avg(outcome) as accuracy from verdicts where outcome < 2
group by symbol, kind, first_time, last_time, known_at order by known_at, symbol, kind, first_time, last_time
"""


@cache
def real_bars(name: str) -> Bars:
    """Return the bars of a file in the folder that the environment's TRENDTRAIN_DATA names."""
    return read_bars(Path(os.environ["TRENDTRAIN_DATA"]) / f"{name}.parquet")[1]


def bars_of(market: str, seed: int, n_bars: int) -> tuple[Series, Bars]:
    """Return a planted market of that seed, or a real one, and how the run calls it."""
    if market in PLANTED:
        return Series(market.upper(), "1m"), PLANTED[market](n_bars, seed)
    symbol, timeframe = market.rsplit("_", 1)
    return Series(symbol, timeframe), real_bars(market)


def events_of(url: str) -> tuple[pd.DataFrame, int]:
    """Return each event that a ledger's only run was judged by, the share of it found correct, and the alarms."""
    engine = open_database(url)
    with engine.connect() as connection:
        events = pd.read_sql(text(_EVENTS), connection)
        n_alarms = connection.execute(text("select count(*) from alarms")).scalar_one()
    engine.dispose()
    return events, n_alarms


def run(market: str, seed: int, strategy: str, n_bars: int) -> tuple[Row, pd.DataFrame]:
    """Train once from bars in a new database; return the summary, with the number of alarms, and the events."""
    series, bars = bars_of(market, seed, n_bars)
    with tempfile.TemporaryDirectory() as name:
        url = f"sqlite:///{name}/run.db"
        engine = open_database(url)
        BarStore(engine).write(*series, bars)
        engine.dispose()
        overrides = ["data=database", f"db.url={url}", f"seed={seed}", "trainer.enable_progress_bar=false"]
        with initialize_config_module("trendtrain.configs", version_base="1.3"):
            cfg = compose("train", [*overrides, "logger=none", *STRATEGIES[strategy]])
        summary = train(cfg, Path(name)).values
        events, n_alarms = events_of(url)
    return summary | {"n_alarms": n_alarms}, events


def compared(market: str, seed: int, n_bars: int) -> list[Row]:
    """Return the scores of every strategy on one market, each beside those of the uniform replay on the same events."""
    rows, base = [], pd.DataFrame()
    for strategy in STRATEGIES:
        summary, events = run(market, seed, strategy, n_bars)
        base = events if strategy == "uniform" else base
        if not events.drop(columns="accuracy").equals(base.drop(columns="accuracy")):
            raise RuntimeError(f"{strategy} was judged by other events than uniform on {market}, seed {seed}.")
        block = calendar_blocks(events.known_at.to_numpy().astype("datetime64[ms]"), (events.symbol != "").to_numpy())
        paired = estimate((events.accuracy - base.accuracy).to_numpy(), block)
        row = {"scenario": market, "seed": seed, "strategy": strategy, "n_events": paired.n_events}
        row |= {"event_accuracy": 100.0 * summary["event_accuracy"], "accuracy_se": 100.0 * summary["accuracy_se"]}
        row |= {"difference": 100.0 * paired.mean, "difference_se": 100.0 * paired.se}
        row |= {name: summary[name] for name in ("nll", "ece", "n_alarms")}
        rows.append(row | {"seconds": summary["wall_seconds"]})
    return rows
