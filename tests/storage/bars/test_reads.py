from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, insert, update
from stored import stored_rows

from trendtrain.errors import DamagedDataError, InputError, NotStoredError
from trendtrain.market.bars import Bars, Series
from trendtrain.storage import BarStore
from trendtrain.storage.bars import blocks
from trendtrain.storage.schema import bar_blocks, series

MakeBars = Callable[..., Bars]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, "2024-01-01T00:03", [0, 1, 2]),
        ("2024-01-01T00:08", None, [8, 9]),
        (np.datetime64("2024-01-01T00:02"), np.datetime64("2024-01-01T00:04"), [2, 3]),
        ("2024-01-01T01:02:30+01:00", "2024-01-01T00:04:30Z", [3, 4]),
    ],
)
def test_range_is_half_open_by_open_time(
    engine: Engine, make_bars: MakeBars, start: object, end: object, expected: list[int]
) -> None:
    bars = make_bars(range(10))
    BarStore(engine).write("BTCUSDT", "1m", bars)
    loaded = BarStore(engine).load("BTCUSDT", "1m", start, end)
    np.testing.assert_array_equal(loaded.open_time, bars.open_time[expected])


def test_load_reads_only_the_blocks_of_its_range(engine: Engine, make_bars: MakeBars) -> None:
    BarStore(engine).write("BTCUSDT", "1m", make_bars(range(10_000)))
    damage_block(engine, 2)
    assert len(BarStore(engine).load("BTCUSDT", "1m", end="2024-01-02")) == 1440


def test_a_live_bar_reads_the_last_block_only(engine: Engine, make_bars: MakeBars) -> None:
    store = BarStore(engine)
    store.write("BTCUSDT", "1m", make_bars(range(10_000)))
    for at in (0, 1):
        damage_block(engine, at)
    assert store.write("BTCUSDT", "1m", make_bars([10_000])) == 1


@given(minutes=st.sets(st.integers(0, 60), min_size=1), first=st.integers(-5, 65), length=st.integers(1, 70))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_range_equals_a_slice_of_all(
    engine: Engine, make_bars: MakeBars, minutes: set[int], first: int, length: int
) -> None:
    store, bars = BarStore(engine), make_bars(sorted(minutes))
    start, end = (np.datetime64("2024-01-01", "ms") + np.timedelta64(at, "m") for at in (first, first + length))
    is_inside = (bars.open_time >= start) & (bars.open_time < end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BARS", 7)
        store.replace("BTCUSDT", "1m", bars)
    if is_inside.any():
        np.testing.assert_array_equal(store.load("BTCUSDT", "1m", start, end).close, bars.close[is_inside])
    else:
        with pytest.raises(NotStoredError, match="`start` and `end` must hold bars"):
            store.load("BTCUSDT", "1m", start, end)


def damage_block(engine: Engine, at: int) -> None:
    series_id, start_time, _, _, _, payload = stored_rows(engine)[at]
    broken = payload[:100] + bytes([payload[100] ^ 1]) + payload[101:]
    key = (bar_blocks.c.series_id == series_id) & (bar_blocks.c.start_time == start_time)
    with engine.begin() as connection:
        connection.execute(update(bar_blocks).where(key).values(payload=broken))


def test_one_flipped_bit_is_noticed(engine: Engine, make_bars: MakeBars) -> None:
    BarStore(engine).write("BTCUSDT", "1m", make_bars(range(5_000)))
    damage_block(engine, 1)
    message = "The stored block of BTCUSDT 1m that starts at 2024-01-03T20:16:00.000 is damaged"
    with pytest.raises(DamagedDataError, match=message):
        BarStore(engine).load("BTCUSDT", "1m")


def test_a_cut_payload_is_noticed(engine: Engine, make_bars: MakeBars) -> None:
    BarStore(engine).write("BTCUSDT", "1m", make_bars(range(5)))
    with engine.begin() as connection:
        connection.execute(update(bar_blocks).values(payload=func.substr(bar_blocks.c.payload, 1, 48)))
    with pytest.raises(DamagedDataError, match=r"is damaged: its 48 bytes do not match checksum [0-9]+"):
        BarStore(engine).load("BTCUSDT", "1m")


def test_series_are_listed_by_name_and_only_with_bars(engine: Engine, make_bars: MakeBars) -> None:
    store = BarStore(engine)
    for symbol in ("ETHUSDT", "BTCUSDT"):
        store.write(symbol, "1m", make_bars([0]))
    with engine.begin() as connection:
        connection.execute(insert(series).values(symbol="EMPTY", timeframe="1m"))
    assert store.series() == [Series("BTCUSDT", "1m"), Series("ETHUSDT", "1m")]


def test_unknown_series_is_refused_with_what_there_is(engine: Engine, make_bars: MakeBars) -> None:
    BarStore(engine).write("BTCUSDT", "1m", make_bars([0]))
    with pytest.raises(NotStoredError, match=r"must name stored bars \(BTCUSDT 1m\), got ETHUSDT 1m"):
        BarStore(engine).load("ETHUSDT", "1m")


def test_an_empty_database_says_so(engine: Engine) -> None:
    with pytest.raises(NotStoredError, match=r"must name stored bars \(none\), got ETHUSDT 1m"):
        BarStore(engine).load("ETHUSDT", "1m")


def test_empty_range_is_refused_with_what_is_stored(engine: Engine, make_bars: MakeBars) -> None:
    BarStore(engine).write("BTCUSDT", "1m", make_bars(range(3)))
    message = (
        "must hold bars of BTCUSDT 1m, stored from 2024-01-01T00:00:00.000 to .*, got start 2025-01-01 and end None"
    )
    with pytest.raises(InputError, match=message):
        BarStore(engine).load("BTCUSDT", "1m", start="2025-01-01")
