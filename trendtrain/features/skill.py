"""What is known to predict our labels on real bars: long returns, distances from averages, places in ranges."""

from typing import Any

import numpy as np

from trendtrain.features.bar import write_distances
from trendtrain.features.volatility import VolatilityUnit
from trendtrain.market.bars import Bars, FloatArray, IntArray
from trendtrain.market.compiled import compiled

RETURN_BARS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 288, 720, 1440, 2880)
AVERAGE_BARS = (10, 30, 100, 400)
RANGE_BARS = (20, 60, 200, 1000)

_N_FEATURES = len(RETURN_BARS) + len(AVERAGE_BARS) + len(RANGE_BARS)
_RETURN_BARS = np.array(RETURN_BARS)
_RETURN_ROOTS = np.sqrt(RETURN_BARS)
_ALPHA, _ROOT = 2.0 / (np.array(AVERAGE_BARS) + 1.0), np.sqrt(AVERAGE_BARS)


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
    return SkillFeatures().update(bars)


class SkillFeatures:
    """The skill features of bars that come in chunks."""

    def __init__(self) -> None:
        self._unit = VolatilityUnit()
        self._averages = np.full(len(AVERAGE_BARS), np.nan)  # NaN: none yet
        self._ranges = RollingRanges(RANGE_BARS)
        self._closes = np.zeros(RETURN_BARS[-1])  # the last log closes: bar t's at t modulo the length
        self._n_bars = 0

    def update(self, bars: Bars) -> FloatArray:
        """Return the features of the next bars, shape (n_bars, 23)."""
        features = np.empty((len(bars), _N_FEATURES))
        if len(bars):
            close, unit = np.log(bars.close), self._unit.update(bars)
            _write_returns(close, unit, self._closes, self._n_bars, features)
            self._n_bars += len(bars)
            write_distances(close, unit, _ALPHA, _ROOT, self._averages, features, len(RETURN_BARS))
            self._ranges.write(close, np.log(bars.high), np.log(bars.low), features, _N_FEATURES - len(RANGE_BARS))
        return features

    def state_dict(self) -> dict[str, Any]:
        """Return what later updates depend on."""
        parts = {"unit": self._unit.state_dict(), "ranges": self._ranges.state_dict()}
        return {**parts, "averages": self._averages.copy(), "closes": self._closes.copy(), "n_bars": self._n_bars}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        self._unit.load_state_dict(state_dict["unit"])
        self._ranges.load_state_dict(state_dict["ranges"])
        self._averages, self._closes = np.array(state_dict["averages"]), np.array(state_dict["closes"])
        self._n_bars = state_dict["n_bars"]


class RollingRanges:
    """Where closes lie in the ranges of the last k bars: -1/2 at the bottom, 1/2 at the top, 0 where they span nothing.

    Bars are cut into blocks of k. The last k bars are the end of the block before and the beginning of this one, so
    that their highest high is the larger of two maxima, each one comparison a bar (van Herk 1992, Gil and Werman 1993).

    Args:
        lengths: Each k, in bars.
    """

    def __init__(self, lengths: tuple[int, ...]) -> None:
        self._lengths = np.array(lengths)
        self._n_in_block = np.zeros(len(lengths), dtype=np.int64)
        # k + 1 places of each k: up to the bar, the block's highs and lows; behind it, the extremes from there to the
        # end of the block before; in the last place one that is never the larger
        self._first = np.cumsum([0, *lengths[:-1]]) + np.arange(len(lengths))
        self._highs = np.full(sum(lengths) + len(lengths), -np.inf)
        self._lows = np.full(sum(lengths) + len(lengths), np.inf)
        self._top = np.full(len(lengths), -np.inf)  # of the block so far
        self._bottom = np.full(len(lengths), np.inf)

    def write(self, close: FloatArray, high: FloatArray, low: FloatArray, features: FloatArray, column: int) -> None:
        """Write the places of the next bars into the columns from `column` on."""
        blocks = (self._lengths, self._first, self._n_in_block, self._highs, self._lows, self._top, self._bottom)
        _write_places(close, high, low, *blocks, features, column)

    def state_dict(self) -> dict[str, Any]:
        """Return what later updates depend on."""
        return {name: getattr(self, f"_{name}").copy() for name in ("n_in_block", "highs", "lows", "top", "bottom")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        for name, values in state_dict.items():
            setattr(self, f"_{name}", np.array(values))


@compiled
def _write_returns(
    close: FloatArray, unit: FloatArray, closes: FloatArray, n_before: int, features: FloatArray
) -> None:
    at = n_before % len(closes)
    for i in range(len(close)):
        for j in range(len(_RETURN_BARS)):
            k = _RETURN_BARS[j]
            then = at - k if at >= k else at - k + len(closes)
            change = close[i] - closes[then] if n_before + i >= k else 0.0
            features[i, j] = min(max(change / (unit[i] * _RETURN_ROOTS[j]), -4.0), 4.0)
        closes[at] = close[i]  # in the place of the oldest, which was needed until now
        at = at + 1 if at + 1 < len(closes) else 0


@compiled
def _write_places(
    close: FloatArray,
    high: FloatArray,
    low: FloatArray,
    lengths: IntArray,
    first: IntArray,
    n_in_block: IntArray,
    highs: FloatArray,
    lows: FloatArray,
    top: FloatArray,
    bottom: FloatArray,
    features: FloatArray,
    column: int,
) -> None:
    for i in range(len(close)):
        for j in range(len(lengths)):
            n_in_block[j] += 1
            at = first[j] + n_in_block[j]  # behind the bar's own place
            top[j] = max(top[j], high[i])
            bottom[j] = min(bottom[j], low[i])
            highest = max(top[j], highs[at])
            lowest = min(bottom[j], lows[at])
            span = highest - lowest
            features[i, column + j] = (close[i] - lowest) / span - 0.5 if span > 0.0 else 0.0
            highs[at - 1], lows[at - 1] = high[i], low[i]
            if n_in_block[j] == lengths[j]:
                for k in range(at - 2, first[j], -1):
                    highs[k] = max(highs[k], highs[k + 1])
                    lows[k] = min(lows[k], lows[k + 1])
                n_in_block[j], top[j], bottom[j] = 0, -np.inf, np.inf
