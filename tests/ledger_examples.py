"""Predictions and verdicts by the minute, and what the ledger made of them."""

from typing import Any

import numpy as np
from sqlalchemy import Engine, text

from trendtrain.market.bars import Series
from trendtrain.storage import LineRows, PredictionRows, VerdictRows
from trendtrain.validation.predictions import VOID_GAP

BTC, ETH = Series("BTCUSDT", "1m"), Series("ETHUSDT", "5m")


def predicted(minutes: list[int], series: Series = BTC, confidence: float = 0.75) -> PredictionRows:
    n_rows = len(minutes)
    times = np.array(minutes, "datetime64[m]").astype("datetime64[ms]")
    ones = np.ones(n_rows, np.int64)
    return PredictionRows((series,), 0 * ones, times, ones, np.full(n_rows, confidence))


def line_rows(times: np.ndarray) -> LineRows:
    """A line a time, from that time on."""
    zeros, prices = np.zeros(len(times), np.int64), np.ones(len(times))
    last, known_at = times + 60_000, times + 120_000
    return LineRows(zeros, times, last, zeros, zeros + 1, known_at, prices, 3 * prices, 2 * prices)


def judged(outcomes: dict[int, int], series: Series = BTC, lines: list[int] | None = None) -> VerdictRows:
    """A verdict a minute, each by the line numbered so; by default by one line, but none where void for a gap."""
    times = np.array(list(outcomes), "datetime64[m]").astype("datetime64[ms]")
    codes, ones = np.array(list(outcomes.values()), np.int64), np.ones(len(outcomes), np.int64)
    if lines is None:
        line, starts = np.where(codes == VOID_GAP, -1, 0), times[:1]
    else:
        line = np.array(lines, np.int64)
        starts = np.arange(line.max(initial=-1) + 1).astype("datetime64[m]").astype("datetime64[ms]")
    return VerdictRows((series,), 0 * ones, times, codes, ones, times + 60_000, line, line_rows(starts))


def rows_of(engine: Engine, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM {table}")))
