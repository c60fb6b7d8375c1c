"""`trendtrain db` and `trendtrain stats`, as a user calls them."""

import json
from pathlib import Path

import numpy as np
import pytest
from ledger_examples import BTC, judged, predicted

from trendtrain.cli import main
from trendtrain.market import synthetic_market
from trendtrain.storage import BarStore, Ledger, Progress, open_database
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
    assert "schema version 3" in out
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
    assert json.loads(said(["stats", "--db", url, "--json"], capfd)) == []
    engine = open_database(url)
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


@pytest.mark.parametrize("action", ["info", "compact", "prune --keep-runs 1", "export BTC 5m --out b.csv"])
def test_a_database_that_is_not_there_is_not_made(
    action: str, url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert f"`--db` must name a database that exists, got {url}." in said(
        ["db", *action.split(), "--db", url], capfd, 2
    )
    assert list(tmp_path.iterdir()) == []


def test_stats_of_a_database_that_is_not_there_make_none(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert said(["stats", "--db", url], capfd) == f"No predictions yet in {url}.\n"
    assert json.loads(said(["stats", "--db", url, "--json"], capfd)) == []
    assert list(tmp_path.iterdir()) == []


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
