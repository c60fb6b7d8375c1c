"""Several processes at one series."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
from kills import Work, start
from sqlalchemy import Engine
from stored import assert_same

from trendtrain.market.bars import Bars, Series
from trendtrain.storage import BarStore, Ledger, PredictionRows, open_database
from trendtrain.storage.series import lock_series

MakeBars = Callable[..., Bars]


def all_of(works: list[Work]) -> None:
    """Do all works at the same time, each in a process of its own."""
    processes = [start(work) for work in works]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)


def write(url: str, bars: Bars, firsts: range, length: int) -> None:
    engine = open_database(url)
    for first in firsts:
        BarStore(engine).write("BTCUSDT", "1m", bars[first : first + length])
    engine.dispose()


def compact(url: str, n_times: int) -> None:
    engine = open_database(url)
    for _ in range(n_times):
        BarStore(engine).compact()
    engine.dispose()


def test_no_bar_is_lost_where_six_write_turn_by_turn(engine: Engine, db_url: str, make_bars: MakeBars) -> None:
    """None of them finds the series: one gives it its number."""
    bars = make_bars(range(90))
    engine.dispose()
    all_of([functools.partial(write, db_url, bars, range(turn, 90, 6), 1) for turn in range(6)])
    assert BarStore(engine).series() == [Series("BTCUSDT", "1m")]
    assert_same(BarStore(engine).load("BTCUSDT", "1m"), bars)


def test_no_bar_is_lost_where_writes_overlap(engine: Engine, db_url: str, make_bars: MakeBars) -> None:
    bars = make_bars(range(4_500))
    engine.dispose()
    forth, back = range(0, 4_500, 300), range(4_200, -300, -300)
    all_of([functools.partial(write, db_url, bars, firsts, 400) for firsts in (forth, back)])
    assert_same(BarStore(engine).load("BTCUSDT", "1m"), bars)


def test_no_bar_is_lost_where_one_writes_and_one_compacts(engine: Engine, db_url: str, make_bars: MakeBars) -> None:
    bars = make_bars(range(60))
    engine.dispose()
    all_of([functools.partial(write, db_url, bars, range(60), 1), functools.partial(compact, db_url, 20)])
    assert_same(BarStore(engine).load("BTCUSDT", "1m"), bars)


def test_writers_of_several_series_never_wait_for_each_other(engine: Engine, db_url: str, make_bars: MakeBars) -> None:
    """In PostgreSQL, each would otherwise lock one series and wait for the other: a deadlock."""
    names, bars = (Series("A", "1m"), Series("B", "1m")), make_bars(range(30))

    def write_both(ordered: tuple[Series, ...], first: int) -> None:
        engine = open_database(db_url)
        for at in range(first, 30, 2):
            with BarStore(engine).transaction(*ordered) as transaction:
                for name in ordered:
                    transaction.write(*name, bars[at : at + 1])
        engine.dispose()

    engine.dispose()
    all_of([functools.partial(write_both, names, 0), functools.partial(write_both, names[::-1], 1)])
    for name in names:
        assert_same(BarStore(engine).load(*name), bars)


def test_a_reader_sees_whole_writes_only(engine: Engine, db_url: str, make_bars: MakeBars) -> None:
    def read() -> None:
        engine = open_database(db_url)
        for _ in range(20):
            close = BarStore(engine).load("BTCUSDT", "1m").close
            assert len(close) == 9_000
            assert np.ptp(close) == 8_999  # all of the one write, or all of the other
        engine.dispose()

    def rewrite() -> None:
        engine = open_database(db_url)
        for price in (300.0, 100.0) * 3:
            BarStore(engine).write("BTCUSDT", "1m", make_bars(range(9_000), price=price))
        engine.dispose()

    BarStore(engine).write("BTCUSDT", "1m", make_bars(range(9_000)))
    engine.dispose()
    all_of([read, rewrite])


@pytest.mark.parametrize("db_url", ["postgresql"], indirect=True)
def test_the_ledger_need_not_wait_for_a_writer_of_bars(engine: Engine, make_bars: MakeBars) -> None:
    """Rows of the ledger refer to the series that is locked."""
    btc = Series("BTCUSDT", "1m")
    BarStore(engine).write(*btc, make_bars([0]))
    ledger = Ledger(engine)
    ledger.begin("run", "{}", "2024-01-01")
    time = np.array(["2024-01-01"], "datetime64[ms]")
    rows = PredictionRows((btc,), np.array([0]), time, np.array([1]), np.array([0.5]))
    with engine.begin() as connection:
        lock_series(connection, btc)
        ledger.record("run", "cnn", 0, rows, None)
        assert [row.stats.total for row in ledger.stats("run")] == [1]
