"""The arena: what a net may see of each bar of all series, in flat arrays with a row for each bar."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trendtrain.features.bar import price_levels
from trendtrain.features.segmented import Features, by_segment
from trendtrain.features.volatility import VolatilityUnit
from trendtrain.market.bars import Bars, BoolArray, FloatArray, segments

FeatureArray = npt.NDArray[np.float32]

_MINUTE = np.timedelta64(1, "m")


@dataclass(frozen=True, eq=False)
class Arena:
    """What is known of each row at its close.

    Attributes:
        features: Channels of a window, shape (n_rows, K).
        levels: Log prices, the first column the close, shape (n_rows, L).
        unit: The volatility unit A, shape (n_rows,).
        side: What a net sees of a window's last bar alone, shape (n_rows, S); S is 0 for none.
    """

    features: FeatureArray
    levels: FloatArray
    unit: FloatArray
    side: FeatureArray

    def __len__(self) -> int:
        return len(self.unit)

    @property
    def n_features(self) -> int:
        """F, the channels of a window."""
        return int(self.levels.shape[1] + self.features.shape[1])

    @property
    def n_side(self) -> int:
        """S, the side inputs of a window's last bar, the timeframe among them; 0 for none."""
        return int(self.side.shape[1])


def build_arena(series: Iterable[Bars], features: Features, side: Features | None, max_gap: int | None) -> Arena:
    """Return the arena of several series, one after the other; nothing crosses a hole of more than `max_gap` bars.

    Args:
        series: The bars of each.
        features: A function `Bars -> (n_bars, K)` of each bar and earlier ones, or a class of `FeatureTracker`.
        side: Gives its side inputs, `Bars -> (n_bars, S)`, from each bar and earlier ones; log2(timeframe in
            minutes) / 10 becomes one more, the last. None for no side inputs at all.
        max_gap: Most missing bars inside a segment; None for any hole.

    Raises:
        InputError: If a function does not give one finite row a bar.
    """
    parts = [_columns_of(bars, features, side, max_gap) for bars in series]
    if len(parts) == 1:  # without a copy
        return Arena(*parts[0])
    return Arena(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def has_window(bars: Bars, window: int, max_gap: int | None) -> BoolArray:
    """Return which bars have a whole window behind them in their segment.

    Args:
        bars: One series.
        window: Bars a window, the last included.
        max_gap: Most missing bars inside a segment; None for any hole.

    Returns:
        Shape (n_bars,).
    """
    segment = segments(bars.open_time, bars.timeframe, max_gap)
    position = np.arange(len(bars)) - np.searchsorted(segment, segment, side="left")
    is_ready: BoolArray = position >= window - 1
    return is_ready


def _columns_of(
    bars: Bars, features: Features, side: Features | None, max_gap: int | None
) -> tuple[FeatureArray, FloatArray, FloatArray, FeatureArray]:
    channels = _two_axes(by_segment(features, bars, max_gap)).astype(np.float32)
    unit = by_segment(VolatilityUnit, bars, max_gap)
    beside = np.zeros((len(bars), 0), dtype=np.float32)
    if side is not None:
        values = _two_axes(by_segment(side, bars, max_gap, "side"))
        beside = np.empty((len(bars), values.shape[1] + 1), dtype=np.float32)
        beside[:, :-1], beside[:, -1] = values, np.log2(bars.timeframe / _MINUTE) / 10.0
    return channels, price_levels(bars), unit, beside


def _two_axes(values: FloatArray) -> FloatArray:
    return values if values.ndim > 1 else values[:, None]
