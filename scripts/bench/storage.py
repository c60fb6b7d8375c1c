#!/usr/bin/env python
"""Time bars into and out of the database beside a plain file, a copy in memory, row tables and Parquet.

./scripts/bench/storage.py [--bars 1000000 10000000] [--series 1 100 1000] [--postgres URL] [--json FILE]

Medians of 5 runs (3 above 5 million bars) on one thread. Machines differ: what counts is the ratio to the limit, taken
in the same run: for a write, the same numbers into a plain file, with fsync; for a read, a copy in memory. `ticks` are
bars as files have them, prices of 2 decimals; `floats` have all digits of a float64. The ledger has ledger.py.
"""

import argparse
import importlib.util
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow import parquet
from rows import Row, show_rows
from sqlalchemy import Column, Engine, Float, Integer, MetaData, Table, create_engine, insert, text

from trendtrain.market import Bars, random_walk
from trendtrain.market.bars import PRICES
from trendtrain.storage import BarStore, open_database
from trendtrain.storage.table_files import write_bars

Job = Callable[[], object]

COLUMNS = (*PRICES, "volume")
PEER_BARS = 200_000  # row tables take seconds for a million
QUERY = "SELECT open_time, open, high, low, close, volume FROM bars WHERE series_id = 1 ORDER BY open_time"
KEY = (Column(name, Integer, primary_key=True, autoincrement=False) for name in ("series_id", "open_time"))
TABLE = Table("bars", MetaData(), *KEY, *(Column(name, Float) for name in COLUMNS), sqlite_with_rowid=False)


def seconds(job: Job, n_bars: int, before: Job = lambda: None) -> float:
    """Return the median time of a job after one run that warms up, each after `before`."""
    times = []
    for _ in range(4 if n_bars > 5_000_000 else 6):
        before()
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def row(job: str, n_bars: int, taken: float, limit: float) -> Row:
    return {"job": job, "bars": n_bars, "M bars/s": n_bars / taken / 1e6, "x limit": limit / taken}


def market(n_bars: int, kind: str, seed: int = 0) -> Bars:
    bars = random_walk(n_bars, seed)
    if kind == "floats":
        return bars
    prices = [np.round(getattr(bars, name), 2) for name in PRICES]
    return Bars(bars.open_time, *prices, np.round(bars.volume, 3), bars.timeframe)


def arrays(bars: Bars) -> list[np.ndarray]:
    return [bars.open_time, *(getattr(bars, name) for name in COLUMNS)]


def numbers(column: np.ndarray) -> np.ndarray:
    return column.view(np.int64) if column.dtype.kind == "M" else column


def write_limit(bars: Bars, folder: Path) -> float:
    def write() -> None:
        with (folder / "plain").open("wb") as file:
            for column in arrays(bars):
                file.write(numbers(column).data)
            file.flush()
            os.fsync(file.fileno())

    return seconds(write, len(bars), before=lambda: (folder / "plain").unlink(missing_ok=True))


def read_limit(bars: Bars) -> float:
    return seconds(lambda: [column.copy() for column in arrays(bars)], len(bars))


def our_rows(engine: Engine, name: str, bars: Bars, limits: tuple[float, float]) -> list[Row]:
    """Time our writes and reads of one series, and weigh it."""
    store, n_bars = BarStore(engine), len(bars)

    def clear() -> None:
        store.replace("BENCH", "1m", bars[:0])

    written = seconds(lambda: store.write("BENCH", "1m", bars), n_bars, before=clear)
    again = seconds(lambda: store.write("BENCH", "1m", bars), n_bars)
    read = seconds(lambda: store.load("BENCH", "1m"), n_bars)
    size: Row = {"job": f"size, {name}", "bars": n_bars, "bytes/bar": stored_bytes(engine) / n_bars}
    clear()
    return [
        row(f"write, {name}", n_bars, written, limits[0]),
        row(f"write the same again, {name}", n_bars, again, limits[0]),
        row(f"read, {name}", n_bars, read, limits[1]),
        size,
    ]


def stored_bytes(engine: Engine) -> int:
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("VACUUM FULL bar_blocks"))
            return int(connection.scalar(text("SELECT pg_total_relation_size('bar_blocks')")) or 0)
        pragmas = ("page_count", "freelist_count", "page_size")
        n_pages, n_free, page = (int(connection.scalar(text(f"PRAGMA {name}")) or 0) for name in pragmas)
        return (n_pages - n_free) * page


def peer_rows(bars: Bars, folder: Path) -> list[Row]:
    """Time a row table in SQLite: with the raw driver, SQLAlchemy, pandas, and connectorx where it is installed."""
    n_bars, file = len(bars), folder / "rows.db"
    limits = write_limit(bars, folder), read_limit(bars)
    tuples = [(1, *values) for values in zip(*(numbers(column).tolist() for column in arrays(bars)), strict=True)]
    dicts = [dict(zip(TABLE.columns.keys(), values, strict=True)) for values in tuples]
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    engine = create_engine(f"sqlite:///{file}")
    TABLE.create(engine)

    def clear() -> None:
        with connection:
            connection.execute("DELETE FROM bars")

    def write_many() -> None:
        with connection:
            connection.executemany("INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?)", tuples)

    def write_core() -> None:
        with engine.begin() as core:
            core.execute(insert(TABLE), dicts)

    writes: dict[str, Job] = {"SQLAlchemy Core, dicts": write_core, "sqlite3 executemany": write_many}
    reads: dict[str, Job] = {
        "sqlite3 fetchall to numpy": lambda: np.array(connection.execute(QUERY).fetchall()),
        "pandas.read_sql": lambda: pd.read_sql(QUERY, connection),
    }
    if importlib.util.find_spec("connectorx"):
        import connectorx

        reads["connectorx"] = lambda: connectorx.read_sql(f"sqlite://{file.resolve()}", QUERY)
    rows = [row(f"peer, write: {name}", n_bars, seconds(job, n_bars, clear), limits[0]) for name, job in writes.items()]
    rows += [row(f"peer, read: {name}", n_bars, seconds(job, n_bars), limits[1]) for name, job in reads.items()]
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    engine.dispose()
    return [*rows, {"job": "size, row table", "bars": n_bars, "bytes/bar": file.stat().st_size / n_bars}]


def parquet_rows(bars: Bars, limits: tuple[float, float], folder: Path) -> list[Row]:
    n_bars, file = len(bars), folder / "bars.parquet"
    written = seconds(lambda: write_bars(bars, file), n_bars)
    read = seconds(lambda: [column.to_numpy() for column in parquet.read_table(file, use_threads=False)], n_bars)
    return [
        row("peer, write: Parquet", n_bars, written, limits[0]),
        row("peer, read: Parquet", n_bars, read, limits[1]),
        {"job": "size, Parquet", "bars": n_bars, "bytes/bar": file.stat().st_size / n_bars},
    ]


def many_series_rows(url: str, n_series: int, n_bars: int = 1_000_000) -> list[Row]:
    """Time the bars of many short series that hold `n_bars` together, a transaction each."""
    parts = [market(n_bars // n_series, "ticks", seed) for seed in range(n_series)]
    engine = open_database(url)
    store = BarStore(engine)

    def clear() -> None:
        for at in range(n_series):
            store.replace(f"BENCH{at}", "1m", parts[0][:0])

    def write() -> None:
        for at, bars in enumerate(parts):
            store.write(f"BENCH{at}", "1m", bars)

    taken = seconds(write, n_bars, clear), seconds(lambda: [store.load(*one) for one in store.series()], n_bars)
    clear()
    engine.dispose()
    return [
        {"job": f"{job} {n_series} series", "bars": n_bars, "M bars/s": n_bars / one / 1e6}
        for job, one in zip(("write", "read"), taken, strict=True)
    ]


def live_row(url: str, name: str, n_history: int, n_bars: int = 300) -> Row:
    """Time a live bar, a transaction each, after some history."""
    bars = market(n_history + n_bars, "ticks")
    engine = open_database(url)
    store = BarStore(engine)
    store.replace("LIVE", "1m", bars[:n_history])
    times = [one_bar(store, bars[at : at + 1]) for at in range(n_history, n_history + n_bars)]
    store.replace("LIVE", "1m", bars[:0])
    engine.dispose()
    return {"job": f"one live bar, {name}", "bars": n_history, "us median": statistics.median(times)}


def one_bar(store: BarStore, bar: Bars) -> float:
    start = time.perf_counter()
    store.write("LIVE", "1m", bar)
    return (time.perf_counter() - start) * 1e6


def size_rows(n_bars: int, kind: str, urls: dict[str, str], folder: Path) -> list[Row]:
    """Time one series of `n_bars` in every database, beside the limits."""
    bars = market(n_bars, kind)
    limits = write_limit(bars, folder), read_limit(bars)
    names = f"limit, write: file with fsync, {kind}", f"limit, read: copy, {kind}"
    rows = [row(name, n_bars, limit, limit) for name, limit in zip(names, limits, strict=True)]
    rows += parquet_rows(bars, limits, folder) if kind == "ticks" else []
    for name, url in urls.items():
        engine = open_database(url)
        rows += our_rows(engine, f"{name}, {kind}", bars, limits)
        engine.dispose()
    return rows


def measure(options: argparse.Namespace, folder: Path) -> list[Row]:
    urls = {"SQLite": f"sqlite:///{folder}/bars.db"} | ({"PostgreSQL": options.postgres} if options.postgres else {})
    rows = peer_rows(market(PEER_BARS, "ticks"), folder)
    for n_bars in options.bars:
        rows += [one for kind in ("ticks", "floats") for one in size_rows(n_bars, kind, urls, folder)]
    rows += [one for n_series in options.series for one in many_series_rows(urls["SQLite"], n_series)]
    return rows + [live_row(url, name, n) for name, url in urls.items() for n in (1_000, 100_000, 1_000_000)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--series", type=int, nargs="+", default=[1, 100, 1_000])
    parser.add_argument("--postgres", metavar="URL", help="a PostgreSQL database to measure too, of your own")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:  # a disk, where the usual place may be memory
        rows = measure(options, Path(folder))
    show_rows(rows, options.json)


if __name__ == "__main__":
    main()
