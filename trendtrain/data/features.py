"""Scale-free features of bars, each from that bar and earlier ones only."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trendtrain.errors import InputError
from trendtrain.market.averages import ema
from trendtrain.market.bars import Bars, FloatArray, segments

FeatureArray = npt.NDArray[np.float32]
FeatureFunction = Callable[[Bars], FloatArray]


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


def price_levels(bars: Bars) -> FloatArray:
    """Return log close, high and low: what windows measure against their last close, shape (n_bars, 3)."""
    return np.log(np.column_stack([bars.close, bars.high, bars.low]))


def by_segment(function: FeatureFunction, bars: Bars, max_gap: int | None) -> FloatArray:
    """Apply a feature function to each segment on its own, so that nothing crosses a hole.

    Raises:
        InputError: If it does not return one finite row a bar.
    """
    segment = segments(bars.open_time, bars.timeframe, max_gap)
    edges = [0, *(np.flatnonzero(np.diff(segment)) + 1).tolist(), len(bars)]
    parts = [np.asarray(function(bars[start:end])) for start, end in pairwise(edges)]
    result = np.concatenate(parts)
    if result.shape[:1] != (len(bars),) or not np.isfinite(result).all():
        raise InputError(f"`features` must give a finite row for each of {len(bars)} bars, got shape {result.shape}.")
    return result


def _volume_score(volume: FloatArray) -> FloatArray:
    """Return how unusual each log volume is; a bar without volume repeats the last one's."""
    is_given = np.nan_to_num(volume) > 0
    last = np.maximum.accumulate(np.where(is_given, np.arange(len(volume)), -1))
    log_volume = np.log(np.where(is_given, volume, 1.0))[np.maximum(last, 0)]
    distance = log_volume - ema(log_volume, 200)
    spread = np.sqrt(ema(distance**2, 200))
    score = np.clip(distance / np.maximum(spread, 1e-6), -4.0, 4.0)
    return np.where(last >= 0, score, 0.0)
