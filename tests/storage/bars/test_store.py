from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event, func, select
from sqlalchemy.exc import IntegrityError
from stored import assert_same, stored_rows

from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, Series
from trendtrain.storage import BarStore
from trendtrain.storage import series as numbered
from trendtrain.storage.bars import blocks
from trendtrain.storage.schema import bar_blocks, series

MakeBars = Callable[..., Bars]


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


def test_a_live_feed_uses_up_no_numbers_of_series(engine: Engine, make_bars: MakeBars) -> None:
    store, bars = BarStore(engine), make_bars(range(10))
    for at in range(10):
        store.write("BTCUSDT", "1m", bars[at : at + 1])
    store.write("ETHUSDT", "1m", bars)
    with engine.connect() as connection:
        assert sorted(connection.scalars(select(series.c.id))) == [1, 2]


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
        InputError, match="`bars` must lie at least 1m from the other bars of BTCUSDT, got 2024-01-01T00:0"
    ):
        store.write("BTCUSDT", "1m", shifted)


def test_a_refused_write_claims_no_series(engine: Engine, make_bars: MakeBars) -> None:
    with pytest.raises(InputError):
        BarStore(engine).write("NEW", "5m", make_bars([0]))
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(series)) == 0


def test_a_transaction_over_several_series_stores_all_or_nothing(engine: Engine, make_bars: MakeBars) -> None:
    store, names = BarStore(engine), [Series("B", "1m"), Series("A", "1m")]

    def write_both(length_of_b: str) -> None:
        with store.transaction(*names) as both:
            both.write("A", "1m", make_bars(range(10)))
            both.write("B", length_of_b, make_bars(range(10)))
            assert_same(both.load("A", "1m"), make_bars(range(10)))

    with pytest.raises(InputError, match="`timeframe` must be that of the bars"):
        write_both("5m")
    assert store.series() == []
    write_both("1m")
    assert store.series() == sorted(names)


def test_a_transaction_may_name_more_series_than_a_statement(
    engine: Engine, make_bars: MakeBars, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbered, "_AT_ONCE", 2)
    store, names = BarStore(engine), [Series(symbol, "1m") for symbol in "EBADC"]
    for at in range(2):  # they get their numbers, then have them
        with store.transaction(*names) as transaction:
            assert list(transaction.series_ids) == names
            assert len(set(transaction.series_ids.values())) == len(names)
            for price, name in enumerate(names, start=5):
                transaction.write(*name, make_bars([at], price=price))
    assert [store.load(*name).close.tolist() for name in names] == [[price, price] for price in range(5, 10)]


def test_a_write_in_a_transaction_names_the_bars_it_replaces(engine: Engine, make_bars: MakeBars) -> None:
    bars = make_bars(range(10))
    with BarStore(engine).transaction(Series("A", "1m")) as transaction:
        first, again = transaction.write("A", "1m", bars[:6]), transaction.write("A", "1m", bars[4:])
        other = transaction.write("A", "1m", make_bars([5, 12], price=7.0))
    assert [(one.n_changed, list(one.replaced)) for one in (first, again)] == [(6, []), (4, [])]
    assert (other.n_changed, list(other.replaced)) == (2, [bars.open_time[5]])


def write_all(store: BarStore, bars: dict[Series, Bars]) -> None:
    with store.transaction(*bars) as transaction:
        transaction.write_all(bars)


def test_bars_of_several_series_are_stored_as_one_by_one(engine: Engine, make_bars: MakeBars) -> None:
    names = [Series(symbol, "1m") for symbol in "ABCDE"]
    before = dict(zip(names[:4], (make_bars(range(n)) for n in (5, 5, 4, 8)), strict=True))
    fresh, changed = make_bars([5, 6]), make_bars([4, 5], price=7.0)
    # behind the newest bar; over it; behind a hole; before it; the first of their series
    later = dict(zip(names, (fresh, changed, fresh, make_bars([2, 9]), fresh), strict=True))
    store = BarStore(engine)
    for bars in (before, later):
        write_all(store, bars)
        for name, part in bars.items():
            store.write(f"ONE-{name.symbol}", "1m", part)
    for name in names:
        stored = store.load(*name)
        assert_same(stored, store.load(f"ONE-{name.symbol}", "1m"))
        assert len(stored) == {"A": 7, "B": 6, "C": 6, "D": 9, "E": 2}[name.symbol]


def test_live_bars_of_several_series_take_no_more_statements_than_those_of_one(
    engine: Engine, make_bars: MakeBars
) -> None:
    store, statements = BarStore(engine), list[str]()
    event.listen(engine, "before_cursor_execute", lambda _, __, statement, *___: statements.append(statement))
    counts = []
    for symbols in ("A", "BCDEFG"):
        names = [Series(symbol, "1m") for symbol in symbols]
        write_all(store, dict.fromkeys(names, make_bars([0])))
        statements.clear()
        write_all(store, dict.fromkeys(names, make_bars([1])))
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_bars_of_another_timeframe_are_refused_with_several_series(engine: Engine, make_bars: MakeBars) -> None:
    store, bars = BarStore(engine), make_bars([0])
    with pytest.raises(InputError, match="`timeframe` must be that of the bars, 1m, got '5m'"):
        write_all(store, {Series("A", "1m"): bars, Series("B", "5m"): bars})
    assert store.series() == []
