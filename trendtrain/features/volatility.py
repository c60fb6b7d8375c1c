"""The volatility unit: what returns are measured in."""

from typing import Any

import numpy as np

from trendtrain.market.bars import Bars, FloatArray
from trendtrain.market.compiled import compiled


def volatility_unit(bars: Bars) -> FloatArray:
    """Return A, the typical log range of a bar: what returns are measured in.

    A_t = max(1e-6, EMA_100 of min(TR_t, 10 EMA_200(TR)_t + 1e-5)), TR_t = max(h_t, c_(t-1)) - min(l_t, c_(t-1)) in
    logs; clipped so that one spike does not blind it.

    Returns:
        Shape (n_bars,), positive.
    """
    return VolatilityUnit().update(bars)


class VolatilityUnit:
    """The volatility unit of bars that come in chunks."""

    def __init__(self) -> None:
        self._state = np.full(3, np.nan)  # log close, EMA_200 of the range, EMA_100 of the clipped range; NaN: none yet

    def update(self, bars: Bars) -> FloatArray:
        """Return the unit at each of the next bars, shape (n_bars,), positive."""
        unit = np.empty(len(bars))
        if len(bars):
            _write_unit(np.log(bars.close), np.log(bars.high), np.log(bars.low), self._state, unit)
        return unit

    def state_dict(self) -> dict[str, Any]:
        """Return what later updates depend on."""
        return {"state": self._state.copy()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        self._state = np.array(state_dict["state"])


@compiled
def _write_unit(close: FloatArray, high: FloatArray, low: FloatArray, state: FloatArray, unit: FloatArray) -> None:
    before, typical, average = state[0], state[1], state[2]
    if np.isnan(before):  # no bar before: a bar's own close lies in its range
        before, typical, average = close[0], high[0] - low[0], high[0] - low[0]
    for i in range(len(close)):
        true_range = max(high[i], before) - min(low[i], before)
        typical += 2.0 / 201.0 * (true_range - typical)
        average += 2.0 / 101.0 * (min(true_range, 10.0 * typical + 1e-5) - average)
        unit[i] = max(1e-6, average)
        before = close[i]
    state[0], state[1], state[2] = before, typical, average
