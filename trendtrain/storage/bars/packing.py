"""Bars as the bytes of a block, in as few as give back every bit."""

import zlib
from decimal import Decimal
from typing import Final

import numpy as np

from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.storage.bars.columns import VALUES, BarColumns

PLAIN: Final = 255  # values as they are, float64; a lower code is a number of decimals, and the values are int32
LISTED: Final = 0  # times as they are, int64
EVEN: Final = 1  # first time and step, int64
STEPS: Final = 2  # first time and step, int64, and how many steps to each next time, uint16

_MOST_DECIMALS: Final = 9  # int32 ends at 2.1e9
_N_SAMPLES: Final = 4
_BYTES_PER_BAR: Final = 8 * (1 + len(VALUES))
_VERSION: Final = 1
_PLAIN_HEAD: Final = bytes([_VERSION, LISTED, *[PLAIN] * len(VALUES)])


def pack(columns: BarColumns) -> bytes:
    """Return bars as bytes: a version, a code for each column, the columns one after the other.

    Where that saves nothing, and a bar alone, which comes live: plainly, all times (int64), all opens, highs, lows,
    closes, volumes (float64), 48 bytes a bar, as every version writes and reads it. All numbers are little-endian.

    Example:
        >>> ticks = BarColumns(np.arange(1000), np.full((5, 1000), 1.25))
        >>> len(pack(ticks)), len(pack(BarColumns(ticks.time, ticks.values / 3)))
        (20023, 40023)
    """
    values = np.ascontiguousarray(columns.values)
    if len(columns.time) > 1:
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


def pack_times(time: IntArray) -> tuple[int, bytes]:
    """Return a code, and times in ms as bytes: the first, the step, and where bars are missing the numbers of steps.

    Example:
        >>> [len(pack_times(np.array(time))[1]) for time in ([0, 1000, 2000], [0, 1000, 3000], [0, 1000, 2001])]
        [16, 20, 24]
    """
    gaps = np.diff(time)
    if len(gaps) > 0:
        step = gaps.min()
        head = np.array([time[0], step], "<i8").tobytes()
        if gaps.max() == step:
            return EVEN, head
        n_steps = gaps // step
        if n_steps.max() < 2**16 and (n_steps * step == gaps).all():
            return STEPS, head + n_steps.astype("<u2").tobytes()
    return LISTED, time.astype("<i8", copy=False).tobytes()


def unpack_times(code: int, payload: memoryview, target: IntArray) -> int:
    """Fill `target` with the times at the start of `payload`, and return how many bytes they took.

    Raises:
        ValueError: If `code` is unknown, or bytes are missing.
    """
    if code == LISTED:
        target[:] = np.frombuffer(payload, "<i8", len(target))
        return target.nbytes
    first, step = np.frombuffer(payload, "<i8", 2)
    if code == EVEN:
        target[:] = first + step * np.arange(len(target))
        return 16
    if code != STEPS:
        raise ValueError(f"code {code} of times is unknown")
    n_steps = np.frombuffer(payload, "<u2", len(target) - 1, offset=16)
    target[0] = first
    np.cumsum(n_steps * step, out=target[1:])
    target[1:] += first
    return 16 + n_steps.nbytes


def pack_values(values: FloatArray) -> tuple[int, bytes]:
    """Return a code, and values as bytes: whole numbers of the smallest decimal where that loses no bit.

    Prices and volumes come from decimal text: 101.25 is 10125 hundredths, 4 bytes in place of 8. Dividing by the power
    of ten gives back the very float64 that reading the text gave.

    Example:
        >>> code, payload = pack_values(np.array([101.25, 99.5]))
        >>> code, np.frombuffer(payload, "<i4").tolist()
        (2, [10125, 9950])
        >>> pack_values(np.array([1 / 3]))[0] == PLAIN
        True
    """
    decimals = _decimals(values)
    whole = _whole(values, decimals) if decimals <= _MOST_DECIMALS else None
    if whole is None:
        return PLAIN, values.astype("<f8", copy=False).tobytes()
    return decimals, whole.tobytes()


def unpack_values(code: int, payload: memoryview, target: FloatArray) -> int:
    """Fill `target` with the values at the start of `payload`, and return how many bytes they took.

    Raises:
        ValueError: If `code` is unknown, or bytes are missing.
    """
    if code == PLAIN:
        target[:] = np.frombuffer(payload, "<f8", len(target))
        return 8 * len(target)
    if code > _MOST_DECIMALS:
        raise ValueError(f"code {code} of values is unknown")
    np.divide(np.frombuffer(payload, "<i4", len(target)), 10.0**code, out=target)
    return 4 * len(target)


def _whole(values: FloatArray, decimals: int) -> IntArray | None:
    """Return the values in units of the last decimal, int32; None where that loses a bit."""
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit differs below
        whole = np.rint(values * 10.0**decimals).astype("<i4")
    is_same = (whole / 10.0**decimals).view(np.int64) == values.view(np.int64)  # as bits: 0.0 == -0.0
    return whole if is_same.all() else None


def _decimals(values: FloatArray) -> int:
    """Guess the decimals of the values from a few; a guess too low shows when the values are packed."""
    most = 0
    for value in values[:: len(values) // _N_SAMPLES + 1].tolist():
        most = max(most, _decimals_of(value))
        if most > _MOST_DECIMALS:
            return PLAIN
    return most


def _decimals_of(value: float) -> int:
    text = repr(value)
    if "e" not in text and "." in text:  # 3 times as fast as what follows
        return 0 if text.endswith(".0") else len(text) - text.index(".") - 1
    exponent = Decimal(text).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else PLAIN  # a letter for NaN
