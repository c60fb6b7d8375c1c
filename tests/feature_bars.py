"""Bars that tests of features share."""

import numpy as np

from trendtrain.market import Bars, synthetic_market

BARS = synthetic_market(800, seed=1)


def changed(bars: Bars, price: float = 1.0, volume: np.ndarray | None = None) -> Bars:
    """Return the bars with prices times `price` and another volume."""
    prices = (price * getattr(bars, name) for name in ("open", "high", "low", "close"))
    return Bars(bars.open_time, *prices, bars.volume if volume is None else volume, bars.timeframe)


def still_bars() -> Bars:
    """Return 300 bars of one price without volume."""
    flat = np.full(300, 5.0)
    time = BARS.open_time[0] + np.arange(300) * BARS.timeframe
    return Bars(time, flat, flat, flat, flat, np.zeros(300), BARS.timeframe)
