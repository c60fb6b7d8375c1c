import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trendtrain.storage.bars.columns import BarColumns, room_for
from trendtrain.storage.bars.packing import (
    EVEN,
    LISTED,
    PLAIN,
    STEPS,
    pack,
    pack_times,
    pack_values,
    unpack,
    unpack_times,
    unpack_values,
)

ANY_FLOAT = st.floats(width=64)
DECIMAL = st.integers(-(2**33), 2**33).flatmap(lambda whole: st.integers(0, 11).map(lambda k: float(f"{whole}e-{k}")))
VALUES = st.one_of(st.lists(ANY_FLOAT, min_size=1), st.lists(DECIMAL, min_size=1)).map(np.array)
TIMES = st.one_of(
    st.lists(st.integers(1, 10**6), max_size=40),
    st.lists(st.integers(1, 70_000).map(lambda n: 60_000 * n), max_size=40),
    st.integers(0, 40).map(lambda n: [60_000] * n),
).map(lambda gaps: np.cumsum([1_700_000_000_000, *gaps]))


def bits(values: np.ndarray) -> list[int]:
    return values.view(np.int64).tolist()


@given(values=VALUES)
def test_values_come_back_bit_for_bit(values: np.ndarray) -> None:
    code, payload = pack_values(values)
    target = np.empty(len(values))
    assert unpack_values(code, memoryview(payload), target) == len(payload)
    assert bits(target) == bits(values)


@given(time=TIMES)
def test_times_come_back(time: np.ndarray) -> None:
    code, payload = pack_times(time)
    target = np.empty(len(time), np.int64)
    assert unpack_times(code, memoryview(payload), target) == len(payload)
    assert target.tolist() == time.tolist()


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([1.25, 99.5], 2),
        ([70_000.0, 3.0], 0),
        ([0.00001234, 0.00001235], 8),
        ([1 / 3], PLAIN),
        ([0.0, -0.0], PLAIN),
        ([1.0, np.nan], PLAIN),
        ([3e9], PLAIN),
        ([0.1, 1e308], PLAIN),
    ],
)
def test_values_are_whole_numbers_of_their_last_decimal(values: list[float], code: int) -> None:
    assert pack_values(np.array(values))[0] == code


@pytest.mark.parametrize(
    ("minutes", "code"),
    [
        ([7], LISTED),
        ([7, 8], EVEN),
        ([7, 8, 9], EVEN),
        ([7, 8, 10], STEPS),
        ([7, 9, 12], LISTED),
        ([0, 1, 65_537], LISTED),
    ],
)
def test_times_are_steps_of_the_smallest(minutes: list[int], code: int) -> None:
    assert pack_times(60_000 * np.array(minutes))[0] == code


@given(time=TIMES, data=st.data(), is_tick=st.booleans())
def test_bars_come_back_bit_for_bit(time: np.ndarray, data: st.DataObject, is_tick: bool) -> None:
    elements = st.integers(0, 10**6).map(lambda n: n / 100) if is_tick else ANY_FLOAT
    values = data.draw(hnp.arrays(np.float64, (5, len(time)), elements=elements))
    payload = pack(BarColumns(time, values))
    target = room_for(len(time))
    unpack(payload, zlib.crc32(payload), target)
    assert target.time.tolist() == time.tolist()
    assert bits(target.values.ravel()) == bits(values.ravel())
    assert len(payload) <= 48 * len(time)


def test_a_bar_alone_is_plain_and_two_are_packed() -> None:
    two = BarColumns(np.array([60_000, 120_000]), np.full((5, 2), 1.25))
    assert [len(pack(two.take(slice(n)))) for n in (1, 2)] == [48, 7 + 16 + 5 * 2 * 4]


def test_a_plain_payload_of_the_first_version_is_read() -> None:
    time, values = np.array([0, 60_000, 120_000]), np.arange(15.0).reshape(5, 3)
    payload = time.tobytes() + values.tobytes()
    target = room_for(3)
    unpack(payload, zlib.crc32(payload), target)
    assert (target.time.tolist(), target.values.tolist()) == (time.tolist(), values.tolist())


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 2, "its form 2 is unknown to this version of trendtrain"),
        (1, 77, "code 77 of times is unknown"),
        (2, 10, "code 10 of values is unknown"),
        (2, PLAIN, "buffer is smaller than requested"),
        (1, LISTED, "buffer is smaller than requested"),
    ],
)
def test_an_unknown_form_is_refused(at: int, value: int, message: str) -> None:
    payload = bytearray(pack(BarColumns(np.arange(10), np.ones((5, 10)))))
    payload[at] = value
    with pytest.raises(ValueError, match=message):
        unpack(bytes(payload), zlib.crc32(payload), room_for(10))


def test_a_wrong_number_of_bars_is_refused() -> None:
    payload = pack(BarColumns(np.arange(10), np.ones((5, 10))))
    with pytest.raises(ValueError, match="do not hold 9 bars"):
        unpack(payload, zlib.crc32(payload), room_for(9))
