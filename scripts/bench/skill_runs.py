"""Runs that `skill.py` compares: nets through the real `train`, and the boosting that people refit today."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from sqlalchemy import text

from trendtrain.market import Bars, Series
from trendtrain.market.bars import FloatArray
from trendtrain.storage import BarStore, open_database

_OTHER_NET = ["~model.net.widths"]  # which is the MLP's, as the experiment sets it
MODELS = {
    "crypto_pooled": [],
    "linear": ["model.net.widths=[]"],
    "cnn": ["model=cnn", *_OTHER_NET, "model.net.dropout=0.1"],
    "transformer": ["model=transformer", *_OTHER_NET, "model.net.dropout=0.1"],
    "dqn": ["model=dqn", *_OTHER_NET, "~model.net.dropout"],
}
HISTORY = 0.4  # share of the known bars, the newest, that a refit learns from
FEWEST = 500  # known bars below which nothing is fitted
_JUDGED = """
select v.symbol, v.timeframe, v.open_time, v.known_at, v.kind, v.first_time, v.last_time, v.truth,
    case p.direction when 1 then p.confidence else 1.0 - p.confidence end as up
from verdicts v join predictions p using (run_id, model, pass, series_id, open_time) where v.outcome < 2
order by v.known_at, v.symbol, v.kind, v.first_time, v.last_time, v.open_time
"""


def walked(market: dict[Series, Bars], model: str, seed: int, folder: Path, overrides: list[str]) -> pd.DataFrame:
    """Train on all series of one timeframe; keep and return every prediction with what judged it.

    A run that was finished before is read from its folder.
    """
    kept = folder / "judged.parquet"
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        train_on(market, folder, [*MODELS[model], f"seed={seed}", *overrides])
        judged_rows(f"sqlite:///{folder}/run.db").to_parquet(kept)
        (folder / "run.db").unlink()
    return pd.read_parquet(kept)


def train_on(market: dict[Series, Bars], folder: Path, overrides: list[str]) -> None:
    """Run `experiment=crypto_pooled` on bars in a new database."""
    from trendtrain.train import train

    url = f"sqlite:///{folder}/run.db"
    engine = open_database(url)
    for series, bars in market.items():
        BarStore(engine).write(*series, bars)
    engine.dispose()
    (timeframe,) = {series.timeframe for series in market}
    of_all = ["data=database", "data.symbols=null", f"data.timeframes={timeframe}", f"db.url={url}"]
    exit_code = train(configured([*of_all, *overrides]), folder).exit_code
    if exit_code:  # interrupted: what it learned so far would pass for the whole
        raise SystemExit(exit_code)


def configured(overrides: list[str]) -> DictConfig:
    """Return the configuration of `experiment=crypto_pooled` with overrides, without charts and checkpoints."""
    quiet = ["logger=none", "trainer.enable_progress_bar=false", "callbacks.checkpoint=null"]
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        return compose("train", ["experiment=crypto_pooled", *quiet, *overrides])


def judged_rows(url: str) -> pd.DataFrame:
    """Return each judged prediction of a ledger's only run: series, times, event, truth, and the chance given to UP."""
    engine = open_database(url)
    with engine.connect() as connection:
        rows = pd.read_sql(text(_JUDGED), connection)
    engine.dispose()
    rows["series"] = rows.symbol + "_" + rows.timeframe
    rows["event"] = rows.groupby(["series", "kind", "first_time", "last_time"], sort=False).ngroup()
    return rows[["series", "open_time", "known_at", "event", "truth", "up"]]


def boosted(verdicts: pd.DataFrame, bars: Bars, features: Callable[[Bars], FloatArray], n_blocks: int) -> FloatArray:
    """Return what LightGBM with its defaults says of one series, refitted for each block on the newest 40 % of history.

    Args:
        verdicts: The judged predictions of the series, in order of `open_time`.
        bars: The series.
        features: What it learns from.
        n_blocks: How often it is refitted.

    Returns:
        The chance of UP at each verdict's bar, shape (n_verdicts,); one half before there is enough to learn from.
    """
    from trendtrain.market import label_bars

    labels, x = label_bars(bars), features(bars)
    is_class = (labels.direction == 0) | (labels.direction == 1)
    bar = np.searchsorted(bars.open_time.astype(np.int64), verdicts.open_time.to_numpy())
    up = np.full(len(verdicts), 0.5)
    for part in np.array_split(np.arange(len(verdicts)), n_blocks):
        known = np.flatnonzero(labels.known(int(bar[part[0]])) & is_class)
        known = known[int((1.0 - HISTORY) * len(known)) :]
        if len(known) >= FEWEST:
            up[part] = _fitted(x[known], labels.direction[known]).predict_proba(x[bar[part]])[:, 1]
    return up


def indicators(bars: Bars) -> FloatArray:
    """Return the returns and indicators that most tutorials feed a boosting: RSI, MACD, Bollinger, ATR, averages."""
    frame = pd.DataFrame({name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")})
    close, log = frame.close, np.log(frame.close)
    macd = close.ewm(span=12).mean() - close.ewm(span=26).mean()
    mean, spread = close.rolling(20).mean(), close.rolling(20).std()
    low, high = frame.low.rolling(14).min(), frame.high.rolling(14).max()
    range_ = np.maximum(frame.high, close.shift()) - np.minimum(frame.low, close.shift())
    columns = {
        **{f"return {n}": log.diff(n) for n in (1, 2, 3, 5, 10, 20, 50)},
        **{f"rsi {n}": _rsi(log.diff(), n) for n in (7, 14, 28)},
        **{f"average {n}": close / close.rolling(n).mean() - 1.0 for n in (5, 10, 20, 50, 100, 200)},
        **{f"volatility {n}": log.diff().rolling(n).std() for n in (10, 50)},
        "macd": macd / close,
        "macd signal": (macd - macd.ewm(span=9).mean()) / close,
        "bollinger": (close - mean) / (2.0 * spread),
        "stochastic": (close - low) / (high - low),
        "atr": range_.ewm(alpha=1 / 14).mean() / close,
        "volume": frame.volume / frame.volume.rolling(20).mean(),
        "body": (close - frame.open) / close,
        "range": (frame.high - frame.low) / close,
    }
    return pd.DataFrame(columns).replace([np.inf, -np.inf], np.nan).to_numpy()  # LightGBM takes NaN as missing


def _rsi(change: "pd.Series[float]", n: int) -> "pd.Series[float]":
    up = change.clip(lower=0.0).ewm(alpha=1 / n).mean()
    down = (-change).clip(lower=0.0).ewm(alpha=1 / n).mean()
    return up / (up + down)


def _fitted(x: FloatArray, y: FloatArray) -> Any:
    try:
        from lightgbm import LGBMClassifier
    except ImportError:
        raise SystemExit("skill: LightGBM is needed for the boosting: pip install -e .[dev]") from None
    return LGBMClassifier(n_jobs=1, verbosity=-1).fit(x, y)
