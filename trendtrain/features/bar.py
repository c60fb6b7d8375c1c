"""Scale-free features of bars, each from that bar and earlier ones only."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from trendtrain.market.averages import ema
from trendtrain.market.bars import Bars, FloatArray

FeatureFunction = Callable[[Bars], FloatArray]

RETURN_BARS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 288, 720, 1440, 2880)
AVERAGE_BARS = (10, 30, 100, 400)
RANGE_BARS = (20, 60, 200, 1000)


def volatility_unit(bars: Bars) -> FloatArray:
    """Return A, the typical log range of a bar: what returns are measured in.

    A_t = max(1e-6, EMA_100 of min(TR_t, 10 EMA_200(TR)_t + 1e-5)), TR_t = max(h_t, c_(t-1)) - min(l_t, c_(t-1)) in
    logs; clipped so that one spike does not blind it.

    Returns:
        Shape (n_bars,), positive.
    """
    close, high, low = np.log(bars.close), np.log(bars.high), np.log(bars.low)
    before = np.concatenate([np.log(bars.open[:1]), close[:-1]])
    true_range = np.maximum(high, before) - np.minimum(low, before)
    clipped = np.minimum(true_range, 10.0 * ema(true_range, 200) + 1e-5)
    return np.maximum(1e-6, ema(clipped, 100))


def bar_features(bars: Bars) -> FloatArray:
    """Return the default per-bar features.

    ret = (c_t - c_(t-1)) / A_t, clipped at +-6; volume = z of log volume against its EMA_200, clipped at +-4, 0 where
    none is supplied; c-ema_k = (c_t - EMA_k(c)_t) / (A_t sqrt(k)) for k = 30, 100, 400, clipped at +-4 (c: log close).

    Returns:
        Shape (n_bars, 5).
    """
    close, unit = np.log(bars.close), volatility_unit(bars)
    ret = np.clip(np.diff(close, prepend=close[:1]) / unit, -6.0, 6.0)
    distance = [(close - ema(close, k)) / (unit * np.sqrt(k)) for k in (30, 100, 400)]
    return np.column_stack([ret, _volume_score(bars.volume), *(np.clip(d, -4.0, 4.0) for d in distance)])


def skill_features(bars: Bars) -> FloatArray:
    """Return what is known to predict our labels on real bars: long returns, distances from averages, places in ranges.

    In logs of prices c, h, l and volatility units A_t:
    ret_k = (c_t - c_(t-k)) / (A_t sqrt(k)), clipped at +-4, 0 before k bars exist, for k in RETURN_BARS;
    c-ema_k = (c_t - EMA_k(c)_t) / (A_t sqrt(k)), clipped at +-4, for k in AVERAGE_BARS;
    pos_k = (c_t - min_k l) / (max_k h - min_k l) - 1/2, over the last k bars or as many as there are, 0 where they
    span nothing, for k in RANGE_BARS.

    Returns:
        Shape (n_bars, 23), in this order.

    Example:
        >>> from trendtrain.market import random_walk
        >>> skill_features(random_walk(500, seed=0)).shape
        (500, 23)
    """
    close, unit = np.log(bars.close), volatility_unit(bars)
    returns = [_return(close, k) / (unit * np.sqrt(k)) for k in RETURN_BARS]
    distances = [(close - ema(close, k)) / (unit * np.sqrt(k)) for k in AVERAGE_BARS]
    high, low = pd.Series(np.log(bars.high)), pd.Series(np.log(bars.low))
    places = [_place(close, high, low, k) for k in RANGE_BARS]
    return np.column_stack([*(np.clip(values, -4.0, 4.0) for values in (*returns, *distances)), *places])


def price_levels(bars: Bars) -> FloatArray:
    """Return log close, high and low: what windows measure against their last close, shape (n_bars, 3)."""
    return np.log(np.column_stack([bars.close, bars.high, bars.low]))


def _return(close: FloatArray, k: int) -> FloatArray:
    change = np.zeros(len(close))
    change[k:] = close[k:] - close[:-k]
    return change


def _place(close: FloatArray, high: "pd.Series[float]", low: "pd.Series[float]", k: int) -> FloatArray:
    """Return where a close lies in the range of the last k bars, -1/2 at the bottom to 1/2 at the top."""
    top = high.rolling(k, min_periods=1).max().to_numpy()
    bottom = low.rolling(k, min_periods=1).min().to_numpy()
    span = top - bottom
    return np.where(span > 0, (close - bottom) / np.where(span > 0, span, 1.0) - 0.5, 0.0)


def _volume_score(volume: FloatArray) -> FloatArray:
    """Return how unusual each log volume is; a bar without volume repeats the last one's."""
    is_given = np.nan_to_num(volume) > 0
    last = np.maximum.accumulate(np.where(is_given, np.arange(len(volume)), -1))
    log_volume = np.log(np.where(is_given, volume, 1.0))[np.maximum(last, 0)]
    distance = log_volume - ema(log_volume, 200)
    spread = np.sqrt(ema(distance**2, 200))
    score = np.clip(distance / np.maximum(spread, 1e-6), -4.0, 4.0)
    return np.where(last >= 0, score, 0.0)
