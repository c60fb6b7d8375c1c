from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, Series
from trendtrain.storage import BarStore, blocks
from trendtrain.storage.schema import bar_blocks, series

MakeBars = Callable[..., Bars]
COLUMNS = ("open_time", "open", "high", "low", "close", "volume")


def assert_same(first: Bars, second: Bars) -> None:
    assert first.timeframe == second.timeframe
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def stored_rows(engine: Engine) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(bar_blocks).order_by(bar_blocks.c.start_time))]


def count_row_changes(engine: Engine, action: Callable[[], object]) -> int:
    """Rows inserted, updated or deleted while `action` ran."""
    changes = [0]

    def count(_connection: object, cursor: Any, statement: str, *_: object) -> None:
        if not statement.startswith("SELECT"):
            changes.append(max(cursor.rowcount, 0))  # -1 for BEGIN

    event.listen(engine, "after_cursor_execute", count)
    action()
    event.remove(engine, "after_cursor_execute", count)
    return sum(changes)


def test_what_was_written_is_loaded(engine: Engine, make_bars: MakeBars) -> None:
    bars = make_bars(range(10_000))
    assert BarStore(engine).write("BTCUSDT", "1m", bars) == 10_000
    assert_same(BarStore(engine).load("BTCUSDT", "1m"), bars)


def test_a_block_holds_a_limited_number_of_bars(engine: Engine, make_bars: MakeBars) -> None:
    BarStore(engine).write("BTCUSDT", "1m", make_bars(range(10_000)))
    with engine.connect() as connection:
        assert list(connection.scalars(select(bar_blocks.c.n_bars))) == [4096, 4096, 1808]


def test_writing_the_same_bars_twice_changes_no_row(engine: Engine, make_bars: MakeBars) -> None:
    store, bars = BarStore(engine), make_bars(range(5_000), volume=float("nan"))
    store.write("BTCUSDT", "1m", bars)
    assert count_row_changes(engine, lambda: store.write("BTCUSDT", "1m", bars)) == 0


def test_writing_the_same_bars_twice_reports_no_change(engine: Engine, make_bars: MakeBars) -> None:
    store, bars = BarStore(engine), make_bars(range(100), volume=float("nan"))
    store.write("BTCUSDT", "1m", bars)
    assert store.write("BTCUSDT", "1m", bars) == 0


def test_one_changed_bar_rewrites_one_block(engine: Engine, make_bars: MakeBars) -> None:
    store = BarStore(engine)
    store.write("BTCUSDT", "1m", make_bars(range(10_000)))
    before = stored_rows(engine)
    assert store.write("BTCUSDT", "1m", make_bars([5_000], price=7.0)) == 1
    assert [old == new for old, new in zip(before, stored_rows(engine), strict=True)] == [True, False, True]


def test_the_newer_bar_wins(engine: Engine, make_bars: MakeBars) -> None:
    store = BarStore(engine)
    store.write("BTCUSDT", "1m", make_bars(range(10)))
    store.write("BTCUSDT", "1m", make_bars([4], price=7.0))
    assert store.load("BTCUSDT", "1m").close[4] == 7.0


def test_volume_supplied_later_is_a_change(engine: Engine, make_bars: MakeBars) -> None:
    store = BarStore(engine)
    store.write("BTCUSDT", "1m", make_bars([0], volume=float("nan")))
    assert store.write("BTCUSDT", "1m", make_bars([0], volume=3.0)) == 1


def test_live_bars_one_by_one_equal_one_write(engine: Engine, make_bars: MakeBars) -> None:
    store, bars = BarStore(engine), make_bars(range(30))
    for at in range(30):
        store.write("BTCUSDT", "1m", bars[at : at + 1])
    assert_same(store.load("BTCUSDT", "1m"), bars)


@given(
    writes=st.lists(
        st.tuples(
            st.sets(st.integers(0, 40), min_size=1), st.sampled_from([10.0, 20.0]), st.sampled_from([1.0, np.nan])
        ),
        min_size=1,
        max_size=8,
    ),
    block_bars=st.integers(1, 7),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_overlapping_writes_equal_a_dict_of_bars(
    engine: Engine, writes: list[tuple[set[int], float, float]], block_bars: int
) -> None:
    expected: dict[int, tuple[float, float]] = {}
    with engine.begin() as connection:
        connection.execute(delete(bar_blocks))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BARS", block_bars)
        for minutes, price, volume in writes:
            new = dict.fromkeys(sorted(minutes), (price, volume))
            n_changed = sum(str(expected.get(minute)) != str(bar) for minute, bar in new.items())
            assert BarStore(engine).write("X", "1m", bars_from(new)) == n_changed
            expected.update(new)
        assert_same(BarStore(engine).load("X", "1m"), bars_from(dict(sorted(expected.items()))))
        assert_disjoint(engine)


def bars_from(content: dict[int, tuple[float, float]]) -> Bars:
    time = np.array(list(content)).astype("datetime64[m]")
    price, volume = np.array(list(content.values())).T
    return Bars(time, price, price, price, price, volume, np.timedelta64(1, "m"))


def assert_disjoint(engine: Engine) -> None:
    spans = [(row[1], row[2]) for row in stored_rows(engine)]
    assert all(end < start for (_, end), (start, _) in pairwise(spans))


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


def test_a_live_feed_uses_up_no_numbers_of_series(engine: Engine, make_bars: MakeBars) -> None:
    store, bars = BarStore(engine), make_bars(range(10))
    for at in range(10):
        store.write("BTCUSDT", "1m", bars[at : at + 1])
    store.write("ETHUSDT", "1m", bars)
    with engine.connect() as connection:
        assert sorted(connection.scalars(select(series.c.id))) == [1, 2]


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
        with pytest.raises(InputError, match="`start` and `end` must hold bars"):
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
    with pytest.raises(InputError, match=message):
        BarStore(engine).load("BTCUSDT", "1m")


def test_a_cut_payload_is_noticed(engine: Engine, make_bars: MakeBars) -> None:
    BarStore(engine).write("BTCUSDT", "1m", make_bars(range(5)))
    with engine.begin() as connection:
        connection.execute(update(bar_blocks).values(payload=func.substr(bar_blocks.c.payload, 1, 48)))
    with pytest.raises(InputError, match=r"is damaged: its 48 bytes do not match checksum [0-9]+"):
        BarStore(engine).load("BTCUSDT", "1m")


def test_a_write_that_fails_midway_leaves_everything(
    engine: Engine, make_bars: MakeBars, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BarStore(engine)
    store.write("BTCUSDT", "1m", make_bars(range(5_000)))
    before = stored_rows(engine)
    monkeypatch.setattr(blocks, "_row", lambda series_id, columns: {**stored_row, "series_id": series_id})
    stored_row = dict(zip(bar_blocks.columns.keys(), before[0], strict=True))
    with pytest.raises(IntegrityError):
        store.write("BTCUSDT", "1m", make_bars(range(6_000), price=7.0))
    assert stored_rows(engine) == before


def test_series_are_listed_by_name_and_only_with_bars(engine: Engine, make_bars: MakeBars) -> None:
    store = BarStore(engine)
    for symbol in ("ETHUSDT", "BTCUSDT"):
        store.write(symbol, "1m", make_bars([0]))
    with engine.begin() as connection:
        connection.execute(insert(series).values(symbol="EMPTY", timeframe="1m"))
    assert store.series() == [Series("BTCUSDT", "1m"), Series("ETHUSDT", "1m")]


def test_a_timeframe_written_differently_is_the_same_series(engine: Engine, make_bars: MakeBars) -> None:
    store, bars = BarStore(engine), make_bars([0, 1])
    store.write("BTCUSDT", "60s", bars)
    assert_same(store.load("BTCUSDT", "1m"), bars)


def test_replacing_a_series_leaves_nothing_of_the_old_one(engine: Engine, make_bars: MakeBars) -> None:
    store = BarStore(engine)
    store.write("BTCUSDT", "1m", make_bars(range(5_000)))
    bars = make_bars(range(100, 200, 2), price=50.0)
    store.replace("BTCUSDT", "1m", bars)
    assert_same(store.load("BTCUSDT", "1m"), bars)


def test_replacing_by_another_timeframe_is_refused(engine: Engine, make_bars: MakeBars) -> None:
    with pytest.raises(InputError, match="`timeframe` must be that of the bars, 1m, got '5m'"):
        BarStore(engine).replace("BTCUSDT", "5m", make_bars(range(10)))


def test_no_bars_change_nothing(engine: Engine, make_bars: MakeBars) -> None:
    assert BarStore(engine).write("BTCUSDT", "1m", make_bars([])) == 0
    assert BarStore(engine).series() == []


def test_unknown_series_is_refused_with_what_there_is(engine: Engine, make_bars: MakeBars) -> None:
    BarStore(engine).write("BTCUSDT", "1m", make_bars([0]))
    with pytest.raises(InputError, match=r"must name stored bars \(BTCUSDT 1m\), got ETHUSDT 1m"):
        BarStore(engine).load("ETHUSDT", "1m")


def test_an_empty_database_says_so(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"must name stored bars \(none\), got ETHUSDT 1m"):
        BarStore(engine).load("ETHUSDT", "1m")


def test_empty_range_is_refused_with_what_is_stored(engine: Engine, make_bars: MakeBars) -> None:
    BarStore(engine).write("BTCUSDT", "1m", make_bars(range(3)))
    message = (
        "must hold bars of BTCUSDT 1m, stored from 2024-01-01T00:00:00.000 to .*, got start 2025-01-01 and end None"
    )
    with pytest.raises(InputError, match=message):
        BarStore(engine).load("BTCUSDT", "1m", start="2025-01-01")


def test_timeframe_must_be_that_of_the_bars(engine: Engine, make_bars: MakeBars) -> None:
    with pytest.raises(InputError, match="`timeframe` must be that of the bars, 1m, got '5m'"):
        BarStore(engine).write("BTCUSDT", "5m", make_bars([0]))


@pytest.mark.parametrize("symbol", ["", " ", "BTC "])
def test_symbol_must_be_a_name(engine: Engine, make_bars: MakeBars, symbol: str) -> None:
    with pytest.raises(InputError, match="`symbol` must be a name without spaces around it"):
        BarStore(engine).write(symbol, "1m", make_bars([0]))


@pytest.mark.parametrize("shift", [-30, 30])
def test_bars_between_stored_bars_are_refused(engine: Engine, make_bars: MakeBars, shift: int) -> None:
    store, bars = BarStore(engine), make_bars([5])
    store.write("BTCUSDT", "1m", bars)
    time = bars.open_time + np.timedelta64(shift, "s")
    shifted = Bars(time, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.timeframe)
    with pytest.raises(
        InputError, match="`bars` must lie at least 1m from stored bars of BTCUSDT, got 2024-01-01T00:0"
    ):
        store.write("BTCUSDT", "1m", shifted)


def test_a_refused_write_claims_no_series(engine: Engine, make_bars: MakeBars) -> None:
    with pytest.raises(InputError):
        BarStore(engine).write("NEW", "5m", make_bars([0]))
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(series)) == 0
