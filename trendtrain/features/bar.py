"""The default channels of a window: the return, the volume and three averages at each bar."""

from typing import Any

import numpy as np

from trendtrain.features.volatility import VolatilityUnit
from trendtrain.market.bars import Bars, BoolArray, FloatArray
from trendtrain.market.compiled import compiled

_AVERAGE_BARS = np.array([30.0, 100.0, 400.0])
_ALPHA, _ROOT = 2.0 / (_AVERAGE_BARS + 1.0), np.sqrt(_AVERAGE_BARS)


def bar_features(bars: Bars) -> FloatArray:
    """Return the default per-bar features.

    ret = (c_t - c_(t-1)) / A_t, clipped at +-6; volume = z of log volume against its EMA_200, clipped at +-4, 0 where
    none is supplied; c-ema_k = (c_t - EMA_k(c)_t) / (A_t sqrt(k)) for k = 30, 100, 400, clipped at +-4 (c: log close).

    Returns:
        Shape (n_bars, 5).
    """
    return BarFeatures().update(bars)


def price_levels(bars: Bars) -> FloatArray:
    """Return log close, high and low: what windows measure against their last close, shape (n_bars, 3)."""
    return np.log(np.column_stack([bars.close, bars.high, bars.low]))


class BarFeatures:
    """The default features of bars that come in chunks."""

    def __init__(self) -> None:
        self._unit = VolatilityUnit()
        self._averages = np.full(len(_AVERAGE_BARS), np.nan)  # NaN: none yet
        self._state = np.full(5, np.nan)  # log close, log volume, its EMA_200, that of its squared distance, is given

    def update(self, bars: Bars) -> FloatArray:
        """Return the features of the next bars, shape (n_bars, 5)."""
        features = np.empty((len(bars), 5))
        if len(bars):
            close, unit = np.log(bars.close), self._unit.update(bars)
            is_given = bars.volume > 0  # False for NaN
            log_volume = np.log(np.where(is_given, bars.volume, 1.0))
            _write_return_and_volume(close, unit, log_volume, is_given, self._state, features)
            write_distances(close, unit, _ALPHA, _ROOT, self._averages, features, 2)
        return features

    def state_dict(self) -> dict[str, Any]:
        """Return what later updates depend on."""
        return {"unit": self._unit.state_dict(), "averages": self._averages.copy(), "state": self._state.copy()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        self._unit.load_state_dict(state_dict["unit"])
        self._averages, self._state = np.array(state_dict["averages"]), np.array(state_dict["state"])


@compiled
def write_distances(
    close: FloatArray,
    unit: FloatArray,
    alpha: FloatArray,
    root: FloatArray,
    averages: FloatArray,
    features: FloatArray,
    column: int,
) -> None:
    """Write the distances of log closes from their averages, in volatility units, clipped, from a column on.

    Args:
        close, unit: Log closes and volatility units of the next bars, shape (n_bars,).
        alpha: 2 / (k + 1) of each average, shape (n_averages,).
        root: sqrt(k) of each, shape (n_averages,).
        averages: The averages at the bar before, NaN for none; replaced by those at the last bar.
        features: Where to write, shape (n_bars, K).
        column: The first of n_averages columns to write.
    """
    if np.isnan(averages[0]):
        averages[:] = close[0]
    for i in range(len(close)):
        for j in range(len(alpha)):
            averages[j] += alpha[j] * (close[i] - averages[j])
            distance = (close[i] - averages[j]) / (unit[i] * root[j])
            features[i, column + j] = min(max(distance, -4.0), 4.0)


@compiled
def _write_return_and_volume(
    close: FloatArray,
    unit: FloatArray,
    log_volume: FloatArray,
    is_given: BoolArray,
    state: FloatArray,
    features: FloatArray,
) -> None:
    """Write how far the close moved, and how unusual the volume is; a bar without volume repeats the last one's."""
    before, volume, average, square, has_volume = state[0], state[1], state[2], state[3], state[4] == 1.0
    if np.isnan(before):
        before, volume, average, square = close[0], log_volume[0], log_volume[0], 0.0
    for i in range(len(close)):
        features[i, 0] = min(max((close[i] - before) / unit[i], -6.0), 6.0)
        before = close[i]
        has_volume = has_volume or is_given[i]
        volume = log_volume[i] if is_given[i] else volume
        average += 2.0 / 201.0 * (volume - average)
        distance = volume - average
        square += 2.0 / 201.0 * (distance * distance - square)
        score = distance / max(np.sqrt(square), 1e-6)
        features[i, 1] = min(max(score, -4.0), 4.0) if has_volume else 0.0
    state[0], state[1], state[2], state[3], state[4] = before, volume, average, square, 1.0 if has_volume else 0.0
