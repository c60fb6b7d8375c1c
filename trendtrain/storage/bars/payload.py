"""Bars as the bytes of a block."""

import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from trendtrain.market.bars import Bars, BoolArray, FloatArray, IntArray
from trendtrain.storage.bars.packing import LISTED, PLAIN, pack_times, pack_values, unpack_times, unpack_values

_VALUES: Final = ("open", "high", "low", "close", "volume")
_BYTES_PER_BAR: Final = 8 * (1 + len(_VALUES))
_VERSION: Final = 1
_PLAIN_HEAD: Final = bytes([_VERSION, LISTED, *[PLAIN] * len(_VALUES)])


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


def room_for(n_bars: int) -> BarColumns:
    """Return columns to fill."""
    return BarColumns(np.empty(n_bars, np.int64), np.empty((len(_VALUES), n_bars)))


def join(parts: Sequence[BarColumns]) -> BarColumns:
    """Return the bars of all parts, one after the other; one that is not empty as it is."""
    filled = [part for part in parts if len(part.time)]
    if len(filled) == 1:
        return filled[0]
    times, values = zip(room_for(0), *filled, strict=True)
    return BarColumns(np.concatenate(times), np.concatenate(values, axis=1))


def pack(columns: BarColumns) -> bytes:
    """Return bars as bytes: a version, a code for each column, the columns one after the other.

    Where that saves nothing, plainly: all times (int64), all opens, highs, lows, closes, volumes (float64), 48 bytes a
    bar, as every version writes and reads it. All numbers are little-endian.

    Example:
        >>> ticks = BarColumns(np.arange(1000), np.full((5, 1000), 1.25))
        >>> len(pack(ticks)), len(pack(BarColumns(ticks.time, ticks.values / 3)))
        (20023, 40023)
    """
    values = np.ascontiguousarray(columns.values)
    packed = [pack_times(columns.time), *map(pack_values, values)]
    codes, parts = zip(*packed, strict=True)
    payload = b"".join([bytes([_VERSION, *codes]), *parts])
    if len(payload) < _BYTES_PER_BAR * len(columns.time):
        return payload
    return columns.time.astype("<i8", copy=False).tobytes() + values.astype("<f8", copy=False).tobytes()


def unpack(payload: bytes, checksum: int, target: BarColumns) -> None:
    """Fill `target` with the bars of a packed block, as many as it has room for.

    Raises:
        ValueError: If the payload is not what was packed, or a newer version packed it.
    """
    n_bars = len(target.time)
    if zlib.crc32(payload) != checksum:
        raise ValueError(f"its {len(payload)} bytes do not match checksum {checksum}")
    is_plain = len(payload) == _BYTES_PER_BAR * n_bars
    version, *codes = _PLAIN_HEAD if is_plain else payload[: len(_PLAIN_HEAD)]
    if version != _VERSION:
        raise ValueError(f"its form {version} is unknown to this version of trendtrain")
    at = 0 if is_plain else len(_PLAIN_HEAD)
    view = memoryview(payload)
    at += unpack_times(codes[0], view[at:], target.time)
    for code, column in zip(codes[1:], target.values, strict=True):
        at += unpack_values(code, view[at:], column)
    if at != len(payload):
        raise ValueError(f"its {len(payload)} bytes do not hold {n_bars} bars")
