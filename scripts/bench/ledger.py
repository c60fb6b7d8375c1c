#!/usr/bin/env python
"""Time the ledger's writes against the raw driver on the same tables, and `trendtrain stats` as a whole process.

./scripts/bench/ledger.py [--rows 200000] [--stats-rows 1000000] [--url postgresql+psycopg://...] [--json FILE]

Medians of 5 runs in turns, each on empty tables. `raw` is the driver's `executemany` of tuples that
are made beforehand; ours starts from arrays, and writes the run and lines too. Ours replaces rows
that are there; `raw insert` cannot, `raw upsert` is the same statement as ours. The database at --url is emptied.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rows import Row, show_rows
from sqlalchemy import Engine, Table, delete

from trendtrain.market import Series
from trendtrain.storage import Ledger, LineRows, PredictionRows, VerdictRows, open_database
from trendtrain.storage.ledger.write import find_or_add_lines, find_or_add_tracks
from trendtrain.storage.schema import lines, prediction_rows, runs, verdict_rows
from trendtrain.storage.series import find_or_add_series
from trendtrain.storage.upsert import _replace_sql

SERIES = (Series("BENCH", "1m"),)
STEP = 256  # predictions a step, where they come in steps
A_LINE = 40  # predictions a line judges


def predictions(first: int, end: int) -> PredictionRows:
    i = np.arange(first, end)
    return PredictionRows(SERIES, 0 * i, times(i), i % 2, 0.5 + (i % 100) / 200)


def verdicts(first: int, end: int) -> VerdictRows:
    i = np.arange(first, end)
    line, position = np.unique(i // A_LINE, return_inverse=True)
    start, price = times(line * A_LINE), 100.0 + line
    judged = LineRows(0 * line, start, start + 60_000, line % 2, line % 2, start + 120_000, price, price + 1, price)
    return VerdictRows(SERIES, 0 * i, times(i), i % 3 % 2, i % 2, times(i + A_LINE), position, judged)


def times(minutes: np.ndarray) -> np.ndarray:
    return np.datetime64("2020-01-01", "ms") + minutes * np.timedelta64(60_000, "ms")


def empty(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in (verdict_rows, prediction_rows, lines, runs):
            connection.execute(delete(table))
    Ledger(engine).begin("bench", "", "2024-01-01")


def raw_job(engine: Engine, table: Table, n_rows: int, step: int, sql: str) -> float:
    """Return the seconds the driver takes to insert tuples, a transaction a step."""
    empty(engine)
    judged = verdicts(0, n_rows)
    with engine.begin() as connection:
        series_ids = find_or_add_series(connection, SERIES)
        tracks = find_or_add_tracks(connection, "bench", "net", 0, series_ids)
        line_ids = find_or_add_lines(connection, "bench", series_ids, judged.lines)
    if table is verdict_rows:
        Ledger(engine).record("bench", "net", 0, predictions(0, n_rows), None)
        rows = list(judged.rows(tracks, 0, line_ids))
    else:
        rows = list(predictions(0, n_rows).rows(tracks, 0))
    parts = [rows[at : at + step] for at in range(0, n_rows, step)]
    raw = engine.raw_connection()
    cursor = raw.cursor()
    start = time.perf_counter()
    for part in parts:
        cursor.executemany(sql, part)
        raw.commit()
    taken = time.perf_counter() - start
    raw.close()
    return taken


def plain_sql(engine: Engine, table: Table) -> str:
    marks = ", ".join(["?" if engine.dialect.name == "sqlite" else "%s"] * len(table.columns))
    return f"INSERT INTO {table.name} VALUES ({marks})"


def our_job(engine: Engine, table: Table, n_rows: int, step: int) -> float:
    """Return the seconds the ledger takes to record steps of predictions, or of verdicts on them."""
    empty(engine)
    ledger = Ledger(engine)
    parts = [(at, min(at + step, n_rows)) for at in range(0, n_rows, step)]
    if table is verdict_rows:
        ledger.record("bench", "net", 0, predictions(0, n_rows), None)
        steps = [(None, verdicts(*part)) for part in parts]
    else:
        steps = [(predictions(*part), None) for part in parts]
    start = time.perf_counter()
    for i, (made, judged) in enumerate(steps):
        ledger.record("bench", "net", i, made, judged)
    return time.perf_counter() - start


def write_rows(engine: Engine, n_rows: int) -> list[Row]:
    return [
        row
        for table in (prediction_rows, verdict_rows)
        for step in (n_rows, STEP)
        for row in compare(engine, table, n_rows, step)
    ]


def compare(engine: Engine, table: Table, n_rows: int, step: int) -> list[Row]:
    plain, upsert = plain_sql(engine, table), _replace_sql(table, engine.dialect.name)
    jobs: dict[str, Callable[[], float]] = {
        "raw insert": lambda: raw_job(engine, table, n_rows, step, plain),
        "raw upsert": lambda: raw_job(engine, table, n_rows, step, upsert),
        "ours": lambda: our_job(engine, table, n_rows, step),
    }
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(5):
        for name, job in jobs.items():
            taken[name].append(job())
    rates = {name: n_rows / statistics.median(values) for name, values in taken.items()}
    way = "one transaction" if step == n_rows else f"a transaction each {step}"
    return [
        {
            "job": f"{engine.dialect.name}: {table.name}, {way}, {name}",
            "rows": n_rows,
            "k rows/s": rate / 1e3,
            "x raw insert": rate / rates["raw insert"],
            "x raw upsert": rate / rates["raw upsert"],
        }
        for name, rate in rates.items()
    ]


def stats_row(engine: Engine, n_rows: int) -> Row:
    """Time `trendtrain stats` on `n_rows` predictions, all but the last few judged."""
    empty(engine)
    Ledger(engine).record("bench", "net", 0, predictions(0, n_rows), verdicts(0, n_rows - 100))
    command = [sys.executable, "-m", "trendtrain.cli", "stats", "--db", engine.url.render_as_string(False)]
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    job = f"{engine.dialect.name}: trendtrain stats, whole process"
    row: Row = {"job": job, "rows": n_rows, "seconds": statistics.median(taken)}
    return row if engine.dialect.name != "sqlite" else {**row, "bytes a judged prediction": file_bytes(engine) / n_rows}


def file_bytes(engine: Engine) -> int:
    """Return what the used pages of an SQLite file take."""
    with engine.connect() as connection:
        values = {
            name: int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("page_size", "page_count", "freelist_count")
        }
    return (values["page_count"] - values["freelist_count"]) * values["page_size"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--stats-rows", type=int, default=1_000_000)
    parser.add_argument("--url")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(options.url or f"sqlite:///{folder}/bench.db")
        rows = [*write_rows(engine, options.rows), stats_row(engine, options.stats_rows)]
        engine.dispose()
    show_rows(rows, options.json)


if __name__ == "__main__":
    main()
