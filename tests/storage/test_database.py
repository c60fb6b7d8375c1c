import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ledger_examples import predicted
from sqlalchemy import Engine, MetaData, inspect, text

from trendtrain.errors import InputError
from trendtrain.storage import Ledger, open_database
from trendtrain.storage.schema import VIEWS, metadata


def test_every_table_exists_after_opening(engine: Engine) -> None:
    tables, views = set(inspect(engine).get_table_names()), set(inspect(engine).get_view_names())
    assert tables == {*metadata.tables, "alembic_version"}
    assert views == set(VIEWS) == {"predictions", "verdicts", "training_events"}


def test_every_column_says_what_it_holds() -> None:
    assert all(column.comment for table in metadata.sorted_tables for column in table.columns)


def test_the_tables_can_be_described_by_the_database(engine: Engine) -> None:
    found = MetaData()
    found.reflect(engine)
    assert set(found.tables) == {*metadata.tables, "alembic_version"}
    for name, table in metadata.tables.items():
        assert list(found.tables[name].columns.keys()) == list(table.columns.keys())
        assert {key.name for key in found.tables[name].primary_key} == {key.name for key in table.primary_key}
        assert not any(column.computed for column in found.tables[name].columns)


def test_opening_twice_keeps_what_is_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kept.db'}"
    for _ in range(2):
        engine = open_database(url)
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO runs (id, started_at, config) VALUES (hex(randomblob(4)), 0, '')"))
            n_rows = connection.scalar(text("SELECT count(*) FROM runs"))
        engine.dispose()
    assert n_rows == 2


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("foreign_keys", 1), ("busy_timeout", 30000)])
def test_sqlite_is_set_up_for_several_readers(engine: Engine, pragma: str, value: object) -> None:
    with engine.connect() as connection:
        assert connection.scalar(text(f"PRAGMA {pragma}")) == value


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("bars.db", "`db.url` must look like sqlite:///trendtrain.db, got 'bars.db'"),
        ("sqlite:///{folder}/none/bars.db", "must name a file in a folder that exists, got .*none/bars.db: no folder"),
        ("sqlite:///{folder}", "must name a database that can be opened, got .*: unable to open database file"),
        ("nosuch://host/name", "must name an installed database driver, got nosuch://host/name: Can't load plugin"),
    ],
)
def test_bad_url_is_refused_in_one_line(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        open_database(url.format(folder=tmp_path))
    assert "\n" not in str(caught.value)


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database at all, " * 100)
    with pytest.raises(InputError, match=r"must name a database that can be opened, got .*: file is not a database"):
        open_database(f"sqlite:///{path}")


def test_password_stays_out_of_the_message() -> None:
    with pytest.raises(InputError) as caught:
        open_database("nosuch://me:secret@host/name")
    assert "secret" not in str(caught.value)


def test_processes_may_open_a_new_file_together(tmp_path: Path) -> None:
    code = "import sys; from trendtrain.storage import open_database; open_database(sys.argv[1]).dispose()"
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path / 'shared.db'}"]
    processes = [subprocess.Popen(command) for _ in range(6)]
    assert [process.wait() for process in processes] == [0] * 6
    connection = sqlite3.connect(tmp_path / "shared.db")
    n_tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
    assert n_tables == (len(metadata.tables) + 1,)
    connection.close()


@pytest.mark.parametrize("moment", ["c_call", "c_return"])
@pytest.mark.parametrize("operation", ["execute", "executemany", "commit"])
def test_ctrl_c_inside_a_transaction_leaves_no_lock_behind(operation: str, moment: str, tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'a.db'}?timeout=0.1")
    ledger = Ledger(engine)
    ledger.begin("one", "{}", "2024-01-01")

    def interrupt(_frame: object, event: str, function: Any) -> None:
        if event == moment and function.__name__ == operation and type(function.__self__).__module__ == "sqlite3":
            sys.setprofile(None)
            raise KeyboardInterrupt

    sys.setprofile(interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:  # its traceback holds the cursor, as that of a run does
        ledger.record("one", "cnn", 0, predicted([0, 1]), None)
    ledger.end("one", "interrupted")
    assert caught.tb is not None
    engine.dispose()
