"""Schema versions: what a new trendtrain does with an older or newer database."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import version_1
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from kills import start
from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text

from trendtrain.errors import InputError
from trendtrain.storage import Ledger, open_database
from trendtrain.storage.database import upgrade_database
from trendtrain.storage.migrations import alembic_config
from trendtrain.storage.schema import metadata
from trendtrain.storage.versions import KNOWN_VERSIONS, VERSION, create_if_new, upgrade
from trendtrain.storage.views import VIEWS

Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def old(db_url: str) -> Iterator[Engine]:
    """A database of version 1 with rows in every table, at `db_url`."""
    engine = create_engine(db_url)
    version_1.create(engine)
    version_1.fill(engine)
    yield engine
    engine.dispose()


def rows_of_version_1(engine: Engine) -> Rows:
    """Every row of every table of version 1, by its columns of then; a view of that name will do."""
    with engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(*table.columns))), key=repr)
            for table in version_1.metadata.sorted_tables
        }


def describe(engine: Engine) -> dict[str, Any]:
    """What the database says of its tables and views."""
    inspector = inspect(engine)
    views = {name: inspector.get_view_definition(name) for name in inspector.get_view_names()}
    found: dict[str, Any] = {"views": {name: " ".join(str(sql).split()) for name, sql in views.items()}}
    for table in inspector.get_table_names():
        columns = {
            column.pop("name"): {**column, "type": str(column["type"])}
            for column in map(dict, inspector.get_columns(table))
        }
        found[table] = {
            "columns": columns,
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(unique["column_names"] for unique in inspector.get_unique_constraints(table)),
            "indices": sorted(index["name"] or "" for index in inspector.get_indexes(table)),
            "references": sorted(map(repr, inspector.get_foreign_keys(table))),
        }
    if engine.dialect.name == "postgresql":
        query = "SELECT attname, attstorage::text FROM pg_attribute WHERE attrelid = 'bar_blocks'::regclass ORDER BY 1"
        with engine.connect() as connection:
            found["storage"] = [tuple(row) for row in connection.execute(text(query))]
    return found


def drop_everything(engine: Engine) -> None:
    with engine.begin() as connection:
        for view in VIEWS:
            connection.execute(text(f"DROP VIEW {view}"))
        connection.execute(text("DROP TABLE alembic_version"))
        metadata.drop_all(connection)


def test_an_upgraded_database_has_the_tables_of_a_new_one(db_url: str) -> None:
    open_database(db_url).dispose()
    engine = create_engine(db_url)
    new = describe(engine)
    drop_everything(engine)
    version_1.create(engine)
    assert upgrade_database(db_url) == "1"
    assert describe(engine) == new
    engine.dispose()


def test_an_upgraded_database_has_the_tables_that_the_code_describes(old: Engine, db_url: str) -> None:
    upgrade_database(db_url)
    with old.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_an_upgrade_keeps_every_row(old: Engine, db_url: str) -> None:
    before = rows_of_version_1(old)
    assert min(map(len, before.values())) > 0
    upgrade_database(db_url)
    assert rows_of_version_1(old) == before


def test_upgraded_counts_are_those_of_the_old_rows(old: Engine, db_url: str) -> None:
    before = rows_of_version_1(old)
    upgrade_database(db_url)
    engine = open_database(db_url)
    stats = Ledger(engine).stats("all")
    assert sum(row.stats.total for row in stats) == len(before["predictions"])
    assert sum(row.stats.validated + row.stats.void for row in stats) == len(before["verdicts"])
    with engine.connect() as connection:
        runs = connection.execute(text("SELECT status, total_predictions FROM runs ORDER BY id")).all()
        n_lines = connection.scalar(text("SELECT count(*) FROM lines"))
        n_priorities = connection.scalar(text("SELECT sum(n_high + n_normal + n_void) FROM training_events"))
    engine.dispose()
    made = [sum(row[0] == f"run-{i}" for row in before["predictions"]) for i in range(3)]
    assert [tuple(run) for run in runs] == [("unknown", n) for n in made]
    assert n_lines == len({(row[0], row[3], *row[-3:]) for row in before["verdicts"] if row[-1] is not None})
    assert n_priorities == len(before["verdicts"])


def test_an_upgraded_run_can_be_rewound(old: Engine, db_url: str) -> None:
    upgrade_database(db_url)
    engine = open_database(db_url)
    Ledger(engine).rewind("run-0", -1)
    rows = rows_of_version_1(engine)
    engine.dispose()
    assert {row[0] for row in rows["predictions"] + rows["verdicts"]} == {"run-1"}


def test_upgrading_again_changes_nothing(old: Engine, db_url: str) -> None:
    upgrade_database(db_url)
    before = describe(old), rows_of_version_1(old)
    assert upgrade_database(db_url) == VERSION
    assert (describe(old), rows_of_version_1(old)) == before


def test_upgrading_nothing_makes_a_new_database(db_url: str) -> None:
    assert upgrade_database(db_url) is None
    open_database(db_url).dispose()


def test_an_older_database_is_refused_with_the_way_out(old: Engine, db_url: str) -> None:
    rule = r"of schema version 2, got \S+ of version 1: run `trendtrain db upgrade --db \S+`.$"
    before = describe(old)
    with pytest.raises(InputError, match=rule) as caught:
        open_database(db_url)
    assert "\n" not in str(caught.value)
    assert describe(old) == before


@pytest.mark.parametrize("opening", [open_database, upgrade_database])
def test_a_newer_database_is_refused(engine: Engine, opening: Any) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '99'"))
    with pytest.raises(InputError, match="of version 99: install the trendtrain that made it, or a later one"):
        opening(engine.url.render_as_string(hide_password=False))


def test_the_newest_revision_is_the_version_of_the_code(engine: Engine) -> None:
    with engine.connect() as connection:
        scripts = ScriptDirectory.from_config(alembic_config(connection))
    assert scripts.get_heads() == [VERSION]
    assert {script.revision for script in scripts.walk_revisions()} == set(KNOWN_VERSIONS)


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


@pytest.mark.parametrize("every", [17, pytest.param(1, marks=pytest.mark.full)])
def test_an_upgrade_killed_at_any_statement_harms_nothing(old: Engine, db_url: str, every: int) -> None:
    before = describe(old), rows_of_version_1(old)
    old.dispose()
    for number in range(5, 200, every):
        process = start(lambda number=number: die_at_statement(number, db_url))
        process.join()
        if process.exitcode == 0:
            break
        assert (describe(old), rows_of_version_1(old)) == before
    assert process.exitcode == 0
    assert number > 30
    assert rows_of_version_1(old) == before[1]
    open_database(db_url).dispose()


def test_two_processes_may_upgrade_at_once(old: Engine, db_url: str) -> None:
    before = rows_of_version_1(old)
    old.dispose()
    processes = [start(lambda: upgrade_database(db_url)) for _ in range(3)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 3
    assert rows_of_version_1(old) == before


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


def test_alembic_is_imported_by_an_upgrade_alone(tmp_path: Path) -> None:
    version_1.create(engine := create_engine(f"sqlite:///{tmp_path / 'old.db'}"))
    engine.dispose()
    code = """
import sys
from trendtrain.cli import main
codes = [main(["stats", "--db", f"sqlite:///{name}.db"]) for name in ("new", "new", "old")]
print(codes, [name for name in ("alembic", "pandas", "torch") if name in sys.modules])
main(["db", "upgrade", "--db", "sqlite:///old.db"])
print("alembic" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-3] == "[0, 0, 2] []"
    assert lines[-1] == "True"


def test_a_database_that_breaks_its_own_rules_is_left_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    engine = create_engine(url)
    version_1.create(engine)
    with engine.begin() as connection:  # foreign keys are off here: a verdict on no prediction
        connection.execute(text("INSERT INTO verdicts VALUES ('run-9', 'cnn', 0, 1, 0, 0, 1, 1, 1, NULL, NULL, NULL)"))
    before = describe(engine), rows_of_version_1(engine)
    with pytest.raises(InputError, match="FOREIGN KEY constraint failed"):
        upgrade_database(url)
    assert (describe(engine), rows_of_version_1(engine)) == before
    engine.dispose()
