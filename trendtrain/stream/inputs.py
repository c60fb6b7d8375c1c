"""What a net may see of each bar at its close, computed once as the bars of a series come."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trendtrain.features.bar import price_levels
from trendtrain.features.segmented import Features, SegmentedFeatures
from trendtrain.features.volatility import VolatilityUnit
from trendtrain.market.bars import Bars, BoolArray, FloatArray, IntArray

Float32Array = npt.NDArray[np.float32]

_MINUTE = np.timedelta64(1, "m")


class Inputs(NamedTuple):
    """What is known of each bar of a chunk at its close.

    Attributes:
        features: Channels of a window, shape (n_bars, K).
        levels: Log prices, the first column the close, shape (n_bars, L).
        unit: The volatility unit A, shape (n_bars,).
        side: What a net sees of a window's last bar alone, shape (n_bars, S); S is 0 for none.
    """

    features: Float32Array
    levels: FloatArray
    unit: FloatArray
    side: Float32Array

    @property
    def n_features(self) -> int:
        """F, the channels of a window."""
        return int(self.levels.shape[1] + self.features.shape[1])

    @property
    def n_side(self) -> int:
        """S, the side inputs of a window's last bar, the timeframe among them; 0 for none."""
        return int(self.side.shape[1])


class InputTracker:
    """The inputs of the bars of one series, which come in chunks; nothing crosses a hole of more than `max_gap` bars.

    Args:
        features: A function `Bars -> (n_bars, K)` of each bar and earlier ones, or a class of `FeatureTracker`.
        side: Gives its side inputs, `Bars -> (n_bars, S)`, from each bar and earlier ones; log2(timeframe in
            minutes) / 10 becomes one more, the last. None for no side inputs at all.
        max_gap: Most missing bars inside a segment; None for any hole.
    """

    def __init__(self, features: Features, side: Features | None, max_gap: int | None) -> None:
        self.max_gap = max_gap
        self.n_bars = 0
        self._features = SegmentedFeatures(features, max_gap)
        self._unit = SegmentedFeatures(VolatilityUnit, max_gap)
        self._side = None if side is None else SegmentedFeatures(side, max_gap, "data.side")
        self._starts: IntArray = np.zeros(1, dtype=np.int64)  # first bars of the segments
        self._last_open = np.datetime64("NaT", "ms")

    def update(self, bars: Bars) -> Inputs:
        """Return the inputs of the next bars of the series.

        Raises:
            InputError: If a function does not give one finite row a bar.
        """
        channels = _two_axes(self._features.update(bars)).astype(np.float32)
        unit = self._unit.update(bars)
        beside = np.zeros((len(bars), 0), dtype=np.float32)
        if self._side is not None:
            values = _two_axes(self._side.update(bars))
            beside = np.empty((len(bars), values.shape[1] + 1), dtype=np.float32)
            beside[:, :-1], beside[:, -1] = values, np.log2(bars.timeframe / _MINUTE) / 10.0
        self._note_starts(bars)
        return Inputs(channels, price_levels(bars), unit, beside)

    def has_window(self, bar: IntArray, window: int) -> BoolArray:
        """Return which bars seen so far have a whole window, themselves included, behind them in their segment."""
        start = self._starts[np.searchsorted(self._starts, bar, side="right") - 1]
        has_window: BoolArray = bar - start >= window - 1
        return has_window

    def _note_starts(self, bars: Bars) -> None:
        if self.max_gap is not None and len(bars):
            wait = np.diff(bars.open_time, prepend=self._last_open)
            starts = np.flatnonzero(wait > (self.max_gap + 1) * bars.timeframe)  # NaT compares as False
            self._starts = np.append(self._starts, self.n_bars + starts)
            self._last_open = bars.open_time[-1]
        self.n_bars += len(bars)


def _two_axes(values: FloatArray) -> FloatArray:
    return values if values.ndim > 1 else values[:, None]
