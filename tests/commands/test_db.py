"""`trendtrain db` and `trendtrain stats`, as a user calls them."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from ledger_examples import BTC, judged, predicted

from trendtrain.cli import main
from trendtrain.market import random_walk, synthetic_market
from trendtrain.storage import BarStore, Ledger, Progress, open_database
from trendtrain.storage.schema_version import VERSION
from trendtrain.validation.predictions import CORRECT, WRONG
from trendtrain.validation.stats import TrendStats


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def filled(url: str) -> str:
    """A database with runs `old` and `new`; `old` began in 1970."""
    engine = open_database(url)
    ledger = Ledger(engine)
    for run, started_at in (("old", "1970-01-01"), ("new", "2024-01-01")):
        ledger.begin(run, "{}", started_at)
        progress = Progress(9, TrendStats(validated=2, correct=1, pending=1))
        ledger.record(run, "cnn", 0, predicted([0, 1, 2]), judged({0: WRONG, 1: CORRECT}), progress=progress)
        ledger.end(run, "finished")
    engine.dispose()
    return url


def said(arguments: list[str], capfd: pytest.CaptureFixture[str], exit_code: int = 0) -> str:
    assert main(arguments) == exit_code
    out, error = capfd.readouterr()
    if exit_code:
        assert error.count("\n") == 1
    return error if exit_code else out


def test_info_tells_version_runs_and_rows(filled: str, capfd: pytest.CaptureFixture[str]) -> None:
    out = said(["db", "info", "--db", filled], capfd)
    assert f"schema version {VERSION}" in out
    assert "prediction_rows 6" in out
    assert [line.split()[0] for line in out.splitlines() if "finished" in line] == ["old", "new"]


def test_prune_deletes_runs_and_says_which(filled: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert "deleted: no run" in said(["db", "prune", "--older-than", "90D", "--db", filled], capfd)
    assert "deleted: old" in said(["db", "prune", "--keep-runs", "1", "--db", filled], capfd)
    assert "deleted: new" in said(["db", "prune", "--older-than", "0h", "--db", filled], capfd)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "`older_than` or `keep_runs` must say which runs to delete, got neither."),
        (["--older-than", "90"], "`--older-than` must be hours, days or weeks such as 36h, 90D, 12w, got '90'."),
        (["--older-than", "3M"], "`--older-than` must be hours, days or weeks such as 36h, 90D, 12w, got '3M'."),
        (["--keep-runs", "x"], "`keep_runs` must be an integer of at least 0, got 'x'."),
    ],
)
def test_prune_without_a_clear_rule_deletes_nothing(
    filled: str, capfd: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert message in said(["db", "prune", *options, "--db", filled], capfd, exit_code=2)
    assert "finished" in said(["db", "info", "--db", filled], capfd)


def test_stats_in_json_are_those_of_the_ledger(filled: str, capfd: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(said(["stats", "--db", filled, "--run", "all", "--json"], capfd))
    assert [row["run"] for row in rows] == ["old", "new"]
    assert rows[1] == {
        "run": "new",
        "model": "cnn",
        "symbol": BTC.symbol,
        "timeframe": BTC.timeframe,
        "total_predictions": 3,
        "validated_predictions": 2,
        "correct_predictions": 1,
        "accuracy": 0.5,
        "pending_validations": 1,
        "void_predictions": 0,
        "event_accuracy": 0.5,
        "n_events": 1,
        "accuracy_se": None,  # of one line there is no error
        "accuracy_ci95": [None, None],
        "expected_accuracy": 0.75,
    }


def test_stats_in_json_have_null_where_there_is_no_number(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    engine = open_database(url)
    assert json.loads(said(["stats", "--db", url, "--json"], capfd)) == []
    Ledger(engine).begin("one", "", np.datetime64("2024-01-01"))
    Ledger(engine).record("one", "cnn", 0, predicted([0]), None)
    engine.dispose()
    (row,) = json.loads(said(["stats", "--db", url, "--json"], capfd))
    assert row["accuracy"] is row["event_accuracy"] is None


def test_stats_of_a_run_without_predictions_say_where_others_are(
    filled: str, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = open_database(filled)
    Ledger(engine).begin("failed", "", np.datetime64("2030-01-01"))
    engine.dispose()
    hint = f"No predictions yet in {filled} by this run; --run all shows those of others."
    assert " ".join(said(["stats", "--db", filled], capfd).split()) == hint


READERS = (
    *("db info", "db compact", "db prune --keep-runs 1", "db export BTC 5m --out b.csv", "db delete BTC 5m --yes"),
    *("stats", "stats --json", "stats --compare a b"),
)


@pytest.mark.parametrize("action", READERS)
def test_a_database_that_is_not_there_is_not_made(
    action: str, url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert f"`--db` must name a database that exists, got {url}." in said([*action.split(), "--db", url], capfd, 2)
    assert list(tmp_path.iterdir()) == []


MEMORY = ("sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true")


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("action", READERS)
def test_a_database_in_memory_has_nothing_to_read(action: str, memory: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert f"`--db` must name a database that exists, got {memory}." in said(
        [*action.split(), "--db", memory], capfd, 2
    )


@pytest.mark.parametrize("memory", [*MEMORY, "sqlite:///file:a?mode=memory&uri=true"])
@pytest.mark.parametrize("command", ["import A_1h.csv", "annotations migrate old.json --out new", "db upgrade"])
def test_a_database_in_memory_takes_nothing(
    command: str, memory: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "A_1h.csv").write_text("time,open,high,low,close\n2024-01-01,1,1,1,1\n2024-01-01 01:00,1,1,1,1\n")
    (tmp_path / "old.json").write_text("[]")
    rule = f"`--db` must name a database that is kept, such as sqlite:///trendtrain.db, got {memory}, which is memory."
    assert rule in said([*command.split(), "--db", memory], capfd, 2)
    assert not (tmp_path / "new").exists()


def test_a_run_refuses_a_database_that_is_not_there(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "data=database", f"db.url={url}", "hydra.run.dir=run"]
    assert f"`db.url` must name a database that exists for data=database, got {url}." in said(arguments, capfd, 2)
    assert not (tmp_path / "ledger.db").exists()


def test_a_name_with_brackets_is_told_as_it_is(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = open_database(url)
    BarStore(engine).write("[b]ETH[/i]", "5m", synthetic_market(10, seed=0))
    engine.dispose()
    assert "[b]ETH[/i] 5m: 1 blocks, now 1" in said(["db", "compact", "--db", url], capfd)
    out = said(["db", "export", "[b]ETH[/i]", "5m", "--out", "run[a].csv", "--db", url], capfd)
    assert out == "10 bars of [b]ETH[/i] 5m written to run[a].csv\n"


@pytest.fixture
def hours(url: str) -> str:
    """A database with 10,000 bars of an hour from 2020 on, and one block of another series."""
    engine = open_database(url)
    bars = random_walk(10_000, seed=0, timeframe="1h")
    BarStore(engine).write("A", "1h", bars)
    BarStore(engine).write("B", "1h", bars[:10])
    engine.dispose()
    return url


def open_times(url: str, symbol: str) -> np.ndarray:
    engine = open_database(url)
    times = BarStore(engine).load(symbol, "1h").open_time
    engine.dispose()
    return times


@pytest.mark.parametrize(("first", "stop"), [(None, 3), (5, 6), (4_000, 9_000), (9_999, None), (0, 4096)])
def test_delete_takes_the_bars_of_a_time_and_no_other(
    hours: str, capfd: pytest.CaptureFixture[str], first: int | None, stop: int | None
) -> None:
    before = open_times(hours, "A")
    start = [] if first is None else ["--start", str(before[first])]
    end = [] if stop is None else ["--end", str(before[stop])]
    out = said(["db", "delete", "A", "1h", *start, *end, "--yes", "--db", hours], capfd)
    n_deleted = len(before[first:stop])
    assert f"{n_deleted:,} bars of A 1h deleted" in out
    np.testing.assert_array_equal(open_times(hours, "A"), np.delete(before, slice(first, stop)))
    assert len(open_times(hours, "B")) == 10


@pytest.mark.parametrize(("answer", "is_deleted"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False)])
def test_delete_asks(
    hours: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: str, is_deleted: bool
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert main(["db", "delete", "B", "60m", "--db", hours]) == 0
    out, error = capfd.readouterr()
    assert "Delete 10 bars of B 1h, 2020-01-01T00:00:00.000 to 2020-01-01T09:00:00.000, from sqlite" in error
    assert ("10 bars of B 1h deleted" in out, "nothing deleted" in out) == (is_deleted, not is_deleted)
    engine = open_database(hours)
    assert len(BarStore(engine).series()) == 2 - is_deleted
    engine.dispose()


def test_delete_refuses_where_nobody_answers(
    hours: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["db", "delete", "B", "1h", "--db", hours]) == 2
    assert "`--yes` must be given where nobody can answer, got no answer." in capfd.readouterr().err
    assert len(open_times(hours, "B")) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["C", "1h"], r"`symbol` and `timeframe` must name stored bars (A 1h, B 1h), got C 1h."),
        (["B", "1h", "--start", "2030-01-01"], "`start` and `end` must hold bars of B 1h, stored from 2020-01-01"),
        (["B", "1h", "--end", "soon"], "`end` must be an ISO time"),
    ],
)
def test_delete_refuses_what_is_not_stored(
    hours: str, capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in said(["db", "delete", *arguments, "--yes", "--db", hours], capfd, 2)
    assert (len(open_times(hours, "A")), len(open_times(hours, "B"))) == (10_000, 10)
