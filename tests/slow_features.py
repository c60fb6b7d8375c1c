"""Features over all bars of one segment, in as few words as their formulas: what the trackers must equal bit by bit.

Logs are numpy's: those of the C library differ in the last bit on some machines.
"""

from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from trendtrain.market import Bars

Array = npt.NDArray[Any]


def slow_ema(values: Array, span: int) -> Array:
    alpha = 2.0 / (span + 1)
    return np.array(list(accumulate(values.tolist(), lambda average, value: average + alpha * (value - average))))


def slow_unit(bars: Bars) -> Array:
    close, high, low = np.log(bars.close), np.log(bars.high), np.log(bars.low)
    before = np.concatenate([np.log(bars.open[:1]), close[:-1]])
    true_range = np.maximum(high, before) - np.minimum(low, before)
    return np.maximum(1e-6, slow_ema(np.minimum(true_range, 10.0 * slow_ema(true_range, 200) + 1e-5), 100))


def slow_bar_features(bars: Bars) -> Array:
    close = np.log(bars.close)
    ret = np.clip(np.diff(close, prepend=close[:1]) / slow_unit(bars), -6.0, 6.0)
    return np.column_stack([ret, slow_volume(bars.volume), *(slow_distance(bars, k) for k in (30, 100, 400))])


def slow_skill_features(bars: Bars) -> Array:
    returns = [slow_return(bars, k) for k in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 288, 720, 1440, 2880)]
    distances = [slow_distance(bars, k) for k in (10, 30, 100, 400)]
    return np.column_stack([*returns, *distances, *(slow_place(bars, k) for k in (20, 60, 200, 1000))])


def slow_return(bars: Bars, k: int) -> Array:
    close, change = np.log(bars.close), np.zeros(len(bars))
    change[k:] = close[k:] - close[:-k]
    return np.clip(change / (slow_unit(bars) * np.sqrt(k)), -4.0, 4.0)


def slow_distance(bars: Bars, k: int) -> Array:
    close = np.log(bars.close)
    return np.clip((close - slow_ema(close, k)) / (slow_unit(bars) * np.sqrt(k)), -4.0, 4.0)


def slow_place(bars: Bars, k: int) -> Array:
    top = pd.Series(np.log(bars.high)).rolling(k, min_periods=1).max().to_numpy()
    bottom = pd.Series(np.log(bars.low)).rolling(k, min_periods=1).min().to_numpy()
    span = top - bottom
    return np.where(span > 0, (np.log(bars.close) - bottom) / np.where(span > 0, span, 1.0) - 0.5, 0.0)


def slow_volume(volume: Array) -> Array:
    is_given = np.nan_to_num(volume) > 0
    filled = pd.Series(np.where(is_given, volume, np.nan)).ffill().fillna(1.0).to_numpy()
    distance = np.log(filled) - slow_ema(np.log(filled), 200)
    score = np.clip(distance / np.maximum(np.sqrt(slow_ema(distance * distance, 200)), 1e-6), -4.0, 4.0)
    return np.where(np.maximum.accumulate(is_given), score, 0.0)
