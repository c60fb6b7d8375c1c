"""Bars as the bytes of a block."""

import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from trendtrain.market.bars import Bars, BoolArray, FloatArray, IntArray

_VALUES: Final = ("open", "high", "low", "close", "volume")
_BYTES_PER_BAR: Final = 8 * (1 + len(_VALUES))


class BarColumns(NamedTuple):
    """Bars without checks: `time` in ms, shape (n_bars,); `values` open to volume, shape (5, n_bars)."""

    time: IntArray
    values: FloatArray

    def take(self, part: slice | BoolArray | IntArray) -> "BarColumns":
        """Return some of the bars."""
        return BarColumns(self.time[part], self.values[:, part])


def columns_of(bars: Bars) -> BarColumns:
    """Return the columns of `bars`."""
    return BarColumns(bars.open_time.astype(np.int64), np.stack([getattr(bars, name) for name in _VALUES]))


def bars_of(columns: BarColumns, timeframe: np.timedelta64) -> Bars:
    """Return the checked bars of `columns`.

    Raises:
        BarsError: If they break a rule of `Bars`.
    """
    first, high, low, last, volume = columns.values
    return Bars(columns.time.astype("datetime64[ms]"), first, high, low, last, volume, timeframe)


def join(parts: Sequence[BarColumns]) -> BarColumns:
    """Return the bars of all parts, one after the other."""
    empty = BarColumns(np.empty(0, np.int64), np.empty((len(_VALUES), 0)))
    times, values = zip(empty, *parts, strict=True)
    return BarColumns(np.concatenate(times), np.concatenate(values, axis=1))


def pack(columns: BarColumns) -> bytes:
    """Return all times (little-endian int64), then all opens, highs, lows, closes, volumes (little-endian float64).

    Example:
        >>> len(pack(BarColumns(np.array([0, 1000]), np.ones((5, 2)))))
        96
    """
    return columns.time.astype("<i8").tobytes() + columns.values.astype("<f8").tobytes()


def unpack(payload: bytes, n_bars: int, checksum: int) -> BarColumns:
    """Return the bars of a packed block.

    Raises:
        ValueError: If the payload is not what was packed.
    """
    if len(payload) != n_bars * _BYTES_PER_BAR or zlib.crc32(payload) != checksum:
        raise ValueError(f"{len(payload)} bytes do not match {n_bars} bars and checksum {checksum}")
    time = np.frombuffer(payload, "<i8", n_bars)
    return BarColumns(time, np.frombuffer(payload, "<f8", offset=8 * n_bars).reshape(len(_VALUES), n_bars))
