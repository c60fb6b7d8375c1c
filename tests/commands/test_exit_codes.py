"""The exit codes of whole processes: 2 for a user's mistake, 1 for a database or a disk that fails; always one line."""

import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update
from storage_faults import locked_by_another

from trendtrain.errors import TRY_AGAIN
from trendtrain.market import Bars, random_walk
from trendtrain.storage import BarStore, open_database
from trendtrain.storage.schema import bar_blocks
from trendtrain.storage.table_files import write_bars

BARS = random_walk(20_000, seed=0, timeframe="1m")
SMALL = ("data.source.n_bars=600", "walk.steps=1", "model=mlp", "trainer.enable_progress_bar=false")


def line_of(*arguments: object, exit_code: int, limit: Callable[[], None] | None = None) -> str:
    """Run a command in a process of its own, check its exit code, and return its one line of error."""
    command = [sys.executable, "-m", "trendtrain.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == exit_code, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("trendtrain: error: ").rstrip("\n")


def limit_files() -> None:
    """Let the process write no file beyond 40 kB, as a full disk or a quota would."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_960, 40_960))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of bars."""
    write_bars(BARS, path := tmp_path / "WALK_1m.csv")
    return path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with the first bars of the file."""
    path = tmp_path / "bars.db"
    store(path, BARS[:5_000])
    return path


def store(path: Path, bars: Bars) -> None:
    engine = open_database(f"sqlite:///{path}")
    BarStore(engine).write("WALK", "1m", bars)
    engine.dispose()


def test_a_locked_database_fails(file: Path, database: Path) -> None:
    url = f"sqlite:///{database}?timeout=0.1"
    with locked_by_another(database):
        error = line_of("import", file, "--db", url, exit_code=1)
    assert error == f"The database {url} failed: database is locked. {TRY_AGAIN}"


def test_a_database_that_is_locked_while_it_is_created_fails(file: Path, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "new.db").close()
    with locked_by_another(tmp_path / "new.db"):
        error = line_of("import", file, "--db", f"sqlite:///{tmp_path / 'new.db'}?timeout=0.1", exit_code=1)
    assert "failed: database is locked." in error


def test_a_locked_database_fails_a_run(tmp_path: Path, database: Path) -> None:
    url = f"sqlite:///{database}?timeout=0.1"
    with locked_by_another(database):
        error = line_of("train", *SMALL, f"db.url='{url}'", f"hydra.run.dir={tmp_path / 'run'}", exit_code=1)
    assert "failed: database is locked." in error


def test_a_read_only_database_fails(file: Path, database: Path) -> None:
    error = line_of("import", file, "--db", f"sqlite:///file:{database}?mode=ro&uri=true", exit_code=1)
    assert "failed: attempt to write a readonly database." in error


def test_a_disk_without_room_for_the_database_fails(file: Path, database: Path) -> None:
    error = line_of("import", file, "--db", f"sqlite:///{database}", exit_code=1, limit=limit_files)
    assert re.search(r"failed: (disk I/O error|database or disk is full)\. Data stored earlier is kept", error)
    engine = open_database(f"sqlite:///{database}")
    assert len(BarStore(engine).load("WALK", "1m")) == 5_000
    engine.dispose()


def test_a_disk_without_room_for_a_file_fails_and_leaves_nothing(tmp_path: Path, database: Path) -> None:
    out = tmp_path / "o.parquet"
    export = ("db", "export", "WALK", "1m", "--out", out, "--db", f"sqlite:///{database}")
    error = line_of(*export, exit_code=1, limit=limit_files)
    assert error == f"Writing `--out` to {out} failed: File too large. {TRY_AGAIN}"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "o."))]


def test_a_corrupt_file_fails(tmp_path: Path, database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))  # the schema stays
    export = ("db", "export", "WALK", "1m", "--out", tmp_path / "o.csv", "--db", f"sqlite:///{database}")
    assert "failed: database disk image is malformed. Restore it from a copy." in line_of(*export, exit_code=1)


def test_a_damaged_block_fails(tmp_path: Path, database: Path) -> None:
    engine = open_database(f"sqlite:///{database}")
    with engine.begin() as connection:
        connection.execute(update(bar_blocks).values(checksum=0))
    engine.dispose()
    export = ("db", "export", "WALK", "1m", "--out", tmp_path / "o.csv", "--db", f"sqlite:///{database}")
    error = line_of(*export, exit_code=1)
    assert error.startswith("The stored block of WALK 1m that starts at 2020-01-01T00:00:00.000 is damaged: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("db", "info", "--db", "sqlite:///none.db"), "`--db` must name a database that exists"),
        (("stats", "--db", "bars.db"), "`db.url` must look like sqlite:///trendtrain.db"),
        (("stats", "--db", "sqlite:///notes.txt"), "can be opened, got sqlite:///notes.txt: file is not a database."),
        (("stats", "--db", "sqlite:///."), "can be opened, got sqlite:///.: unable to open database file."),
        (
            ("db", "export", "BTC", "1m", "--out", "o.csv", "--db", "sqlite:///bars.db"),
            "must name stored bars (WALK 1m)",
        ),
    ],
)
def test_a_mistake_of_the_user(
    arguments: tuple[str, ...], message: str, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(database.parent)
    (database.parent / "notes.txt").write_text("no database at all, " * 100)
    assert message in line_of(*arguments, exit_code=2)
