"""Several processes at one series."""

import functools
from collections.abc import Callable

import numpy as np
from kills import Work, start
from sqlalchemy import Engine

from trendtrain.market.bars import Bars
from trendtrain.storage import BarStore, open_database

MakeBars = Callable[..., Bars]
COLUMNS = ("open_time", "open", "high", "low", "close", "volume")


def assert_same(first: Bars, second: Bars) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


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


def test_no_bar_is_lost_where_four_write_turn_by_turn(engine: Engine, db_url: str, make_bars: MakeBars) -> None:
    bars = make_bars(range(200))
    engine.dispose()
    all_of([functools.partial(write, db_url, bars, range(turn, 200, 4), 1) for turn in range(4)])
    assert_same(BarStore(engine).load("BTCUSDT", "1m"), bars)


def test_no_bar_is_lost_where_writes_overlap(engine: Engine, db_url: str, make_bars: MakeBars) -> None:
    bars = make_bars(range(6_000))
    engine.dispose()
    forth, back = range(0, 6_000, 300), range(5_700, -300, -300)
    all_of([functools.partial(write, db_url, bars, firsts, 400) for firsts in (forth, back)])
    assert_same(BarStore(engine).load("BTCUSDT", "1m"), bars)


def test_no_bar_is_lost_where_one_writes_and_one_compacts(engine: Engine, db_url: str, make_bars: MakeBars) -> None:
    bars = make_bars(range(120))
    engine.dispose()
    all_of([functools.partial(write, db_url, bars, range(120), 1), functools.partial(compact, db_url, 40)])
    assert_same(BarStore(engine).load("BTCUSDT", "1m"), bars)


def test_a_reader_sees_whole_writes_only(engine: Engine, db_url: str, make_bars: MakeBars) -> None:
    def read() -> None:
        engine = open_database(db_url)
        for _ in range(40):
            close = BarStore(engine).load("BTCUSDT", "1m").close
            assert len(close) == 9_000
            assert np.ptp(close) == 8_999  # all of the one write, or all of the other
        engine.dispose()

    def rewrite() -> None:
        engine = open_database(db_url)
        for price in (300.0, 100.0) * 5:
            BarStore(engine).write("BTCUSDT", "1m", make_bars(range(9_000), price=price))
        engine.dispose()

    BarStore(engine).write("BTCUSDT", "1m", make_bars(range(9_000)))
    engine.dispose()
    all_of([read, rewrite])
