"""Schema versions: what a new trendtrain does with an older or newer database."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from kills import start
from ledger_examples import judged, predicted, rows_of
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text

from trendtrain.cli import main
from trendtrain.errors import InputError
from trendtrain.storage import Ledger, database, open_database, schema_version
from trendtrain.storage.database import upgrade_database
from trendtrain.storage.schema import VIEWS, metadata
from trendtrain.storage.schema_version import UPGRADABLE, VERSION, create_if_new, upgrade
from trendtrain.validation.predictions import CORRECT, WRONG

# A revision that a later trendtrain may bring: a new column, filled from the rows that are there.
NEXT = f"""
import sqlalchemy as sa
from alembic import op

revision, down_revision = "next", "{VERSION}"


def upgrade() -> None:
    op.add_column("runs", sa.Column("host", sa.Text))
    op.add_column("models", sa.Column("n_parameters", sa.Integer))
    op.execute("UPDATE runs SET host = 'of ' || id")
    op.execute("UPDATE models SET n_parameters = 0")
"""
TODAY = VERSION
TABLES = ("runs", "models", "predictions", "verdicts", "lines", "training_events")
IS_FULL = os.environ.get("TRENDTRAIN_FULL") == "1"


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the code be one version ahead of the databases that are there."""
    folder = tmp_path / "a 100% new folder"
    shutil.copytree(schema_version.MIGRATIONS, folder)
    (folder / "versions" / "next.py").write_text(NEXT)
    for module in (schema_version, database):
        monkeypatch.setattr(module, "VERSION", "next")
        monkeypatch.setattr(module, "UPGRADABLE", (*UPGRADABLE, "next"))
    monkeypatch.setattr(schema_version, "MIGRATIONS", folder)
    return "next"


@pytest.fixture
def old(db_url: str, next_version: str) -> Engine:
    """A database of today's version with rows, which the code is ahead of."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (schema_version, database):
            patch.setattr(module, "VERSION", TODAY)
        engine = open_database(db_url)
    ledger = Ledger(engine)
    for run in ("one", "two"):
        ledger.begin(run, "{}", "2024-01-01")
        ledger.record(run, "cnn", 0, predicted([0, 1, 2]), judged({0: WRONG, 1: CORRECT}))
    engine.dispose()
    return create_engine(db_url)


def describe(engine: Engine) -> dict[str, Any]:
    """Return the columns of each table, and every row."""
    inspector = inspect(engine)
    columns = {name: [column["name"] for column in inspector.get_columns(name)] for name in metadata.tables}
    found = {**columns, "views": sorted(inspector.get_view_names()), "version": rows_of(engine, "alembic_version")}
    found["rows"] = {name: rows_of(engine, name) for name in TABLES}
    engine.dispose()
    return found


def test_a_new_database_has_the_tables_that_the_code_describes(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert sorted(inspect(engine).get_view_names()) == sorted(VIEWS)
    assert rows_of(engine, "alembic_version") == [(VERSION,)]


def test_the_newest_revision_is_the_version_of_the_code() -> None:
    revisions = [path.read_text() for path in (schema_version.MIGRATIONS / "versions").glob("[!_]*.py")]
    assert sorted(line for text in revisions for line in text.splitlines() if line.startswith("revision = ")) == [
        f'revision = "{version}"' for version in UPGRADABLE
    ]
    assert UPGRADABLE[-1] == VERSION


def test_upgrading_a_database_of_today_changes_nothing(engine: Engine, db_url: str) -> None:
    before = describe(engine)
    assert upgrade_database(db_url) == VERSION
    assert describe(engine) == before


def test_upgrading_nothing_makes_a_new_database(db_url: str) -> None:
    assert upgrade_database(db_url) is None
    open_database(db_url).dispose()


@pytest.mark.parametrize("opening", [open_database, upgrade_database])
def test_a_newer_database_is_refused(engine: Engine, opening: Any) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '99'"))
    with pytest.raises(InputError, match="of version 99: install the trendtrain that made it, or a later one"):
        opening(engine.url.render_as_string(hide_password=False))


@pytest.mark.parametrize("version", ["1", "5"])
@pytest.mark.parametrize("opening", [open_database, upgrade_database])
def test_a_database_of_before_the_first_release_is_refused_and_stays(db_url: str, opening: Any, version: str) -> None:
    engine = create_engine(db_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE series (id INTEGER)"))
        if version != "1":  # which stored no number
            connection.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})
    tables = inspect(engine).get_table_names()
    rule = rf"of schema version {VERSION}, got \S+ of version {version}: it is too old to upgrade; import the bars into"
    with pytest.raises(InputError, match=rule) as caught:
        opening(db_url)
    assert "\n" not in str(caught.value)
    assert inspect(engine).get_table_names() == tables
    engine.dispose()


def test_an_older_database_is_refused_with_the_way_out(old: Engine, db_url: str) -> None:
    before = describe(old)
    rule = rf"of schema version next, got \S+ of version {TODAY}: run `trendtrain db upgrade --db \S+`.$"
    with pytest.raises(InputError, match=rule) as caught:
        open_database(db_url)
    assert "\n" not in str(caught.value)
    assert describe(old) == before


def test_an_upgrade_keeps_every_row_and_is_done_once(old: Engine, db_url: str) -> None:
    before = describe(old)
    assert upgrade_database(db_url) == TODAY
    after = describe(old)
    assert (after["version"], after["runs"]) == ([("next",)], [*before["runs"], "host"])
    assert after["rows"]["runs"] == [(*row, f"of {row[0]}") for row in before["rows"]["runs"]]
    for name in ("predictions", "verdicts", "lines", "training_events"):
        assert after["rows"][name] == before["rows"][name]
    assert upgrade_database(db_url) == "next"
    assert describe(old) == after
    open_database(db_url).dispose()


def die_at_statement(number: int, url: str) -> None:
    """Upgrade, and end with SIGKILL before a statement."""
    n_statements = 0

    def count(*_: object) -> None:
        nonlocal n_statements
        n_statements += 1
        if n_statements == number:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)
    upgrade_database(url)


def test_an_upgrade_killed_at_any_statement_harms_nothing(old: Engine, db_url: str) -> None:
    before = describe(old)
    for number in range(1, 200, 1 if IS_FULL or old.dialect.name == "sqlite" else 5):
        process = start(lambda number=number: die_at_statement(number, db_url))
        process.join()
        if process.exitcode == 0:
            break
        assert describe(old) == before
    assert process.exitcode == 0
    assert number > 5
    assert describe(old)["version"] == [("next",)]


def test_several_processes_may_upgrade_at_once(old: Engine, db_url: str) -> None:
    processes = [start(lambda: upgrade_database(db_url)) for _ in range(3)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 3
    assert describe(old)["version"] == [("next",)]


@pytest.mark.parametrize("opening", [create_if_new, upgrade])
def test_a_database_that_another_process_makes_meanwhile_is_taken_as_it_is(
    db_url: str, opening: Callable[[Engine], str | None]
) -> None:
    engine = create_engine(db_url)
    n_looks = 0

    def intrude(_: Connection) -> None:
        nonlocal n_looks
        n_looks += 1
        if n_looks == (2 if opening is create_if_new else 1):  # after the look, before the lock
            open_database(db_url).dispose()

    event.listen(engine, "begin", intrude)
    assert opening(engine) == VERSION
    engine.dispose()


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_the_command_upgrades_and_says_from_where(old: Engine, db_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--db", db_url]) == 2
    assert f"run `trendtrain db upgrade --db {db_url}`" in capsys.readouterr().err
    assert main(["db", "upgrade", "--db", db_url]) == 0
    assert f"from schema version {TODAY} to next" in capsys.readouterr().out
    assert main(["db", "upgrade", "--db", db_url]) == 0
    assert "has schema version next already" in capsys.readouterr().out


def test_commands_import_neither_alembic_nor_pandas(tmp_path: Path) -> None:
    code = """
import sys
from trendtrain.cli import main
codes = [main([*command, "--db", "sqlite:///new.db"]) for command in (["db", "upgrade"], ["stats"], ["stats"])]
print(codes, [name for name in ("alembic", "pandas", "torch") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[0, 0, 0] []"
