from collections.abc import Callable
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from sqlalchemy import Engine, event, text
from storage_faults import grow, locked_by_another, small_disk
from stored import assert_same

from trendtrain.cli import main
from trendtrain.errors import DamagedDataError, StorageError
from trendtrain.market.bars import Bars
from trendtrain.storage import BarStore, open_database
from trendtrain.storage.bars import blocks

MakeBars = Callable[..., Bars]
ADVICE = "Data stored earlier is kept. Fix the problem and run the same command again."


def write_csv(path: Path, bars: Bars) -> Path:
    columns = [bars.open_time.astype(str), bars.open, bars.high, bars.low, bars.close, bars.volume]
    rows = [",".join(map(str, row)) for row in zip(*(column.tolist() for column in columns), strict=True)]
    path.write_text("\n".join(["time,open,high,low,close,volume", *rows]) + "\n")
    return path


def test_a_file_locked_by_another_process_ends_in_one_line(tmp_path: Path, make_bars: MakeBars) -> None:
    url = f"sqlite:///{tmp_path / 'bars.db'}?timeout=0.1"
    engine = open_database(url)
    store, bars = BarStore(engine), make_bars(range(100))
    store.write("BTCUSDT", "1m", bars[:50])
    with locked_by_another(tmp_path / "bars.db"):
        with pytest.raises(StorageError) as caught:
            store.write("BTCUSDT", "1m", bars)
        assert str(caught.value) == f"The database {url} failed: database is locked. {ADVICE}"
        assert_same(store.load("BTCUSDT", "1m"), bars[:50])
    assert store.write("BTCUSDT", "1m", bars) == 50
    engine.dispose()


def test_a_series_locked_by_another_client_ends_in_one_line(postgres: PostgresServer, make_bars: MakeBars) -> None:
    with postgres.database() as url:
        holder = open_database(url)
        BarStore(holder).write("BTCUSDT", "1m", make_bars(range(50)))
        engine = open_database(f"{url}&options=-c%20lock_timeout=50ms")
        with holder.begin() as connection:
            connection.execute(text("SELECT * FROM series FOR UPDATE"))
            with pytest.raises(StorageError, match=r"failed: canceling statement due to lock timeout. Data stored"):
                BarStore(engine).write("BTCUSDT", "1m", make_bars(range(100)))
        assert BarStore(engine).write("BTCUSDT", "1m", make_bars(range(100))) == 50
        engine.dispose()
        holder.dispose()


def test_writers_wait_half_a_minute_for_each_other(engine: Engine) -> None:
    query = "PRAGMA busy_timeout" if engine.dialect.name == "sqlite" else "SHOW lock_timeout"
    with engine.connect() as connection:
        assert connection.scalar(text(query)) in (30_000, "30s")


def test_a_full_file_leaves_what_was_stored(tmp_path: Path, make_bars: MakeBars) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'bars.db'}")
    store, bars = BarStore(engine), make_bars(range(20_000))
    store.write("BTCUSDT", "1m", bars[:1_000])
    with engine.connect() as connection:  # the pool's only one
        connection.execute(text("PRAGMA max_page_count = 60"))
    with pytest.raises(StorageError, match=r"failed: database or disk is full. Data stored earlier is kept"):
        store.write("BTCUSDT", "1m", bars)
    assert_same(store.load("BTCUSDT", "1m"), bars[:1_000])
    with engine.connect() as connection:
        connection.execute(text("PRAGMA max_page_count = 100000"))
    assert store.write("BTCUSDT", "1m", bars) == 19_000
    assert_same(store.load("BTCUSDT", "1m"), bars)
    engine.dispose()


def test_a_damaged_file_is_one_line(tmp_path: Path, make_bars: MakeBars) -> None:
    file = tmp_path / "bars.db"
    engine = open_database(f"sqlite:///{file}")
    BarStore(engine).write("BTCUSDT", "1m", make_bars(range(5_000)))
    engine.dispose()
    content = file.read_bytes()
    file.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))  # the schema stays
    with pytest.raises(DamagedDataError, match=r"failed: database disk image is malformed\. Restore it from a copy"):
        BarStore(engine).load("BTCUSDT", "1m")
    engine.dispose()


def test_a_full_disk_is_one_line_and_a_rerun_completes(
    tmp_path: Path, make_bars: MakeBars, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = make_bars(range(60_000))
    file = write_csv(tmp_path / "BTCUSDT_1m.csv", bars)
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        command = ["import", str(file), "--db", f"sqlite:///{disk}/bars.db"]
        assert main(command) == 1
        errors = capsys.readouterr().err.splitlines()
        assert len(errors) == 1
        assert "failed: database or disk is full." in errors[0]
        grow(disk)
        assert main(command) == 0
        engine = open_database(command[-1])
        assert_same(BarStore(engine).load("BTCUSDT", "1m"), bars)
        engine.dispose()


def test_a_full_disk_of_the_server_is_one_line_and_a_rerun_completes(
    postgres: PostgresServer, tmp_path: Path, make_bars: MakeBars
) -> None:
    bars = make_bars(range(200_000))
    with small_disk(postgres.folder / "disk", megabytes=10, owner="postgres") as disk, postgres.database(disk) as url:
        engine = open_database(url)
        store = BarStore(engine)
        store.write("BTCUSDT", "1m", bars[:1_000])
        with pytest.raises(StorageError, match=r"failed: could not extend file .*: No space left on device"):
            store.write("BTCUSDT", "1m", bars)
        assert_same(store.load("BTCUSDT", "1m"), bars[:1_000])
        grow(disk)
        assert store.write("BTCUSDT", "1m", bars) == 199_000
        assert_same(store.load("BTCUSDT", "1m"), bars)
        engine.dispose()


def test_a_restarted_server_is_one_line_and_a_rerun_completes(
    postgres: PostgresServer, make_bars: MakeBars, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_BATCH_BLOCKS", 1)
    bars = make_bars(range(20_000))
    with postgres.database() as url:
        engine = open_database(url)
        store = BarStore(engine)
        store.write("BTCUSDT", "1m", bars[:1_000])
        inserts: list[int] = []

        def restart(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("INSERT INTO bar_blocks"):
                inserts.append(1)
                if len(inserts) == 3:
                    postgres.stop()
                    postgres.start()

        event.listen(engine, "before_cursor_execute", restart)
        with pytest.raises(StorageError, match=r"failed: .*terminating connection due to admin") as caught:
            store.write("BTCUSDT", "1m", bars)
        assert "\n" not in str(caught.value)
        assert_same(store.load("BTCUSDT", "1m"), bars[:1_000])
        assert store.write("BTCUSDT", "1m", bars) == 19_000
        assert_same(store.load("BTCUSDT", "1m"), bars)
        engine.dispose()


def test_a_server_that_is_gone_is_one_line(postgres: PostgresServer, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = str(postgres.url("test")).replace(str(postgres.folder), "/nowhere")
    assert main(["stats", "--db", nowhere]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert "`db.url` must name a database that can be opened" in errors[0]
