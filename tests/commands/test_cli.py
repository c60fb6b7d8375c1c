import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ledger_examples import judged, predicted
from small_run import MARKET, SMALL
from sqlalchemy import text

from trendtrain.cli import main
from trendtrain.errors import CostWarning
from trendtrain.importing import read_bars
from trendtrain.market import label_bars, synthetic_market
from trendtrain.storage import open_database
from trendtrain.storage.ledger.ledger import Ledger


def train(folder: Path, *overrides: str, db: Path | None = None) -> int:
    """Run `trendtrain train` with small parts in a folder."""
    where = (f"hydra.run.dir={folder}", f"db.url=sqlite:///{db or folder.parent / 'train.db'}")
    return main(["train", *SMALL, *where, *overrides])


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A finished run of the main job on two series."""
    argv, environment = sys.argv, dict(os.environ)
    folder = tmp_path_factory.mktemp("main") / "run"
    exit_code = train(folder, *MARKET, "data.symbols=[SYNTH-A,SYNTH-B]", "labels.max_gap=5")
    sys.argv = argv
    os.environ.clear()
    os.environ.update(environment)
    return SimpleNamespace(folder=folder, exit_code=exit_code, db=folder.parent / "train.db")


@pytest.fixture
def csv(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of synthetic bars, changed on the way."""

    def write(name: str = "ETH_5m.csv", change: Callable[[pd.DataFrame], Any] | None = None, n: int = 400) -> Path:
        bars = synthetic_market(n, seed=5)
        names = ("open_time", "open", "high", "low", "close", "volume")
        table = pd.DataFrame({column: getattr(bars, column) for column in names})
        table["open_time"] = table["open_time"].astype(str)
        changed = None if change is None else change(table)
        (table if changed is None else changed).to_csv(tmp_path / name, index=False)
        return tmp_path / name

    return write


def one_line(capfd: pytest.CaptureFixture[str]) -> str:
    """Return the one line on stderr."""
    error = capfd.readouterr().err
    assert error.startswith("trendtrain: error: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    return error


# -- train ------------------------------------------------------------------------------------------------------------


def test_a_run_ends_well(run: SimpleNamespace) -> None:
    assert run.exit_code == 0
    assert summary_of(run.folder)["status"] == "finished"


def test_a_run_folder_holds_what_is_promised(run: SimpleNamespace) -> None:
    names = {path.name for path in run.folder.iterdir()}
    files = {"summary.json", "run.json", "scores.npz", "report.html"}
    assert names == {*files, "checkpoints", "tensorboard", ".hydra"}
    assert (run.folder / "checkpoints" / "last.ckpt").exists()
    assert list((run.folder / "tensorboard").glob("events*"))


SCORES = {
    "stats",
    "event_accuracy",
    "n_events",
    "accuracy_se",
    "accuracy_ci95",
    "nll",
    "ece",
    "baselines",
    "best_baseline",
    "expected_accuracy",
    "label_delay_bars",
}
SIX = {
    "total_predictions",
    "validated_predictions",
    "correct_predictions",
    "accuracy",
    "pending_validations",
    "void_predictions",
}
BASELINES = {"majority", "persistence", "reversal", "ema_reversal", "online_logistic"}


def test_a_summary_has_every_promised_key(run: SimpleNamespace) -> None:
    summary = summary_of(run.folder)
    more = {"name", "series", "breakdown", "wall_seconds", "config", "status", "steps", "walked", "alarms"}
    assert set(summary) == SCORES | more
    assert set(summary["series"]) == {"SYNTH-A", "SYNTH-B"}
    for scores in (summary, summary["series"]["SYNTH-A"]["5m"], summary["series"]["SYNTH-B"]["5m"]):
        assert set(scores) >= SCORES
        assert set(scores["stats"]) == SIX
        assert set(scores["baselines"]) == BASELINES
        assert set(scores["label_delay_bars"]) == {"p50", "p95"}
        assert len(scores["accuracy_ci95"]) == 2
        for baseline in scores["baselines"].values():
            assert set(baseline) == {"event_accuracy", "difference", "difference_se", "difference_ci95"}
        assert set(scores["best_baseline"]) == {"name", "difference", "se", "ci95"}
        assert set(scores["expected_accuracy"]) == {"judged", "pending"}


def test_a_summary_tells_its_configuration_but_not_the_machine(run: SimpleNamespace) -> None:
    config = summary_of(run.folder)["config"]
    assert config["data"]["symbols"] == ["SYNTH-A", "SYNTH-B"]
    assert config["model"]["net"]["n_features"] == 8  # resolved
    assert "hydra" not in config
    assert "db" not in config
    assert str(run.folder) not in json.dumps(config)


def test_counts_of_a_summary_conserve(run: SimpleNamespace) -> None:
    summary = summary_of(run.folder)
    parts = ("validated_predictions", "pending_validations", "void_predictions")
    for stats in (summary["stats"], summary["series"]["SYNTH-A"]["5m"]["stats"]):
        assert stats["total_predictions"] == sum(stats[name] for name in parts) > 0
    both = [summary["series"][f"SYNTH-{x}"]["5m"]["stats"]["total_predictions"] for x in "AB"]
    assert summary["stats"]["total_predictions"] == sum(both)


def test_a_difference_is_model_minus_baseline(run: SimpleNamespace) -> None:
    summary = summary_of(run.folder)
    for scores in summary["baselines"].values():
        assert scores["difference"] == pytest.approx(summary["event_accuracy"] - scores["event_accuracy"])


def test_the_ledger_tells_the_numbers_of_the_summary(run: SimpleNamespace) -> None:
    engine = open_database(f"sqlite:///{run.db}")
    rows = {row.symbol: row.stats.as_dict() for row in Ledger(engine).stats()}
    engine.dispose()
    assert rows == {symbol: by["5m"]["stats"] for symbol, by in summary_of(run.folder)["series"].items()}


def test_stats_prints_the_six_numbers(run: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--db", f"sqlite:///{run.db}"]) == 0
    printed = capfd.readouterr().out
    for symbol, by in summary_of(run.folder)["series"].items():
        (line,) = (line for line in printed.splitlines() if f" {symbol} " in line)
        values = by["5m"]["stats"].values()
        *_, expected = line.split()
        assert line.split()[-7:-1] == [f"{v:.4f}" if isinstance(v, float) else f"{v:,}" for v in values]
        assert expected == f"{by['5m']['expected_accuracy']['pending']:.4f}"
        assert "CnnNet" in line


def test_the_ledger_tells_the_errors_of_the_summary(run: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--db", f"sqlite:///{run.db}", "--json"]) == 0
    rows = {row["symbol"]: row for row in json.loads(capfd.readouterr().out)}
    for symbol, by in summary_of(run.folder)["series"].items():
        for name in ("event_accuracy", "n_events", "accuracy_se", "accuracy_ci95"):
            ledger, summary = (np.array(scores[name], dtype=float) for scores in (rows[symbol], by["5m"]))
            np.testing.assert_allclose(ledger, summary, rtol=1e-9)  # None is NaN
        assert rows[symbol]["expected_accuracy"] == pytest.approx(by["5m"]["expected_accuracy"]["pending"], rel=1e-6)


def test_stats_of_one_run_are_told_by_its_folder(run: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--db", f"sqlite:///{run.db}", "--run", str(run.folder)]) == 0
    assert "CnnNet" in capfd.readouterr().out


def test_a_folder_without_a_run_is_refused(run: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--db", f"sqlite:///{run.db}", "--compare", str(run.folder), str(run.folder.parent)]) == 2
    assert "`run` must be a run's name or its folder" in one_line(capfd)


def test_one_run_is_compared_with_none(run: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--db", f"sqlite:///{run.db}", "--compare", str(run.folder)]) == 2
    assert "`compare` must name runs with two models or more" in one_line(capfd)


def test_two_runs_are_shown_side_by_side(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    db = f"sqlite:///{tmp_path / 'two.db'}"
    engine = open_database(db)
    minutes = np.arange(400)
    for name, seed in (("first", 0), ("second", 1)):
        outcome = np.random.default_rng(seed).integers(0, 2, len(minutes)).tolist()
        ledger = Ledger(engine)
        ledger.begin(name, "{}", "2024-01-01")
        verdicts = judged(dict(zip(minutes.tolist(), outcome, strict=True)), lines=(minutes // 2).tolist())
        ledger.record(name, "net", 0, predicted(minutes.tolist()), verdicts)
    engine.dispose()
    assert main(["stats", "--db", db, "--compare", "first", "second"]) == 0
    printed = capfd.readouterr().out
    assert "compared with first net, on the events of both" in printed
    assert "no difference shown: " in printed
    (tmp_path / "multirun.yaml").touch()
    (tmp_path / "tensorboard").mkdir()
    beside = [str(path) for path in tmp_path.iterdir()]  # as multirun/DATE/TIME/* gives it
    assert main(["stats", "--db", db, "--compare", "first", *beside, "second", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert [one["run"] for one in found["runs"]] == ["first", "second"]
    (pair,) = found["pairs"]
    first, second = (one["event_accuracy"] for one in found["runs"])
    assert pair["difference"] == pytest.approx(second - first)
    assert (pair["n_events"], pair["run"], pair["against_run"]) == (200, "second", "first")


def test_stats_of_one_run_are_told_by_its_name(run: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    name = json.loads((run.folder / "run.json").read_text())["name"]
    assert main(["stats", "--db", f"sqlite:///{run.db}", "--run", name]) == 0
    assert "CnnNet" in capfd.readouterr().out


def test_stats_of_an_unknown_run_are_refused(run: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--db", f"sqlite:///{run.db}", "--run", "nope"]) == 2
    assert "`run` must be all or one of" in one_line(capfd)


def test_stats_of_an_empty_database_say_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    open_database(f"sqlite:///{tmp_path / 'new.db'}").dispose()
    assert main(["stats", "--db", f"sqlite:///{tmp_path / 'new.db'}"]) == 0
    assert "No predictions yet" in capfd.readouterr().out


def test_the_same_seed_gives_the_same_summary(run: SimpleNamespace, tmp_path: Path) -> None:
    assert train(tmp_path / "again", *MARKET, "data.symbols=[SYNTH-A,SYNTH-B]", "labels.max_gap=5") == 0
    first, second = summary_of(run.folder), summary_of(tmp_path / "again")
    for summary in (first, second):
        del summary["wall_seconds"], summary["name"]
    assert second == first


def test_another_seed_gives_another_summary(run: SimpleNamespace, tmp_path: Path) -> None:
    assert train(tmp_path / "again", *MARKET, "data.symbols=[SYNTH-A,SYNTH-B]", "labels.max_gap=5", "seed=1") == 0
    assert summary_of(tmp_path / "again")["nll"] != summary_of(run.folder)["nll"]


def test_what_is_not_known_yet_is_null(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path / "run", "data.source.n_bars=3000", "walk.step=2bars", "walk.steps=1") == 0
    summary = summary_of(tmp_path / "run")
    assert summary["stats"]["pending_validations"] == summary["stats"]["total_predictions"] == 2
    assert summary["stats"]["accuracy"] is None
    assert summary["accuracy_ci95"] == [None, None]
    assert summary["baselines"]["majority"]["event_accuracy"] is None
    assert "nan" not in capfd.readouterr().out.lower()


def test_a_trial_run_is_marked_partial(tmp_path: Path) -> None:
    assert train(tmp_path / "run", *MARKET, "+trainer.fast_dev_run=true") == 0
    assert summary_of(tmp_path / "run")["status"] == "partial"


@pytest.mark.parametrize(
    "overrides",
    [
        ("replay=uniform",),
        ("n_classes=3", "labels.flat_band=0.001"),
        ("logger=none",),
        ("callbacks.ledger=null",),
        ("callbacks.checkpoint=null",),
        ("callbacks.charts=null", "callbacks.reseed=null"),
        ("walk.start=2020-01-04", "walk.step=6h"),
        ("trainer.precision=bf16-mixed",),
        ("trainer.enable_progress_bar=true",),
        ("data.timeframes=[5m,15m]",),
    ],
    ids=" ".join,
)
def test_other_options_run(overrides: tuple[str, ...], tmp_path: Path) -> None:
    assert train(tmp_path / "run", "data.source.n_bars=1500", "walk.step=128bars", *overrides) == 0
    assert summary_of(tmp_path / "run")["stats"]["total_predictions"] > 600


def test_files_are_imported_and_walked(tmp_path: Path, csv: Callable[..., Path]) -> None:
    path = csv(n=1500)
    assert train(tmp_path / "run", "data=files", f"data.path={path}", "walk.step=128bars") == 0
    assert list(summary_of(tmp_path / "run")["series"]) == ["ETH"]


def test_a_folder_is_trained_on_beside_files_that_are_no_bars(
    tmp_path: Path, csv: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bars"
    folder.mkdir()
    csv(n=1500).rename(folder / "ETH_5m.csv")
    (folder / "MANIFEST.csv").write_text("file,sha256\nETH_5m.csv,ab12\n")
    told = f"left out {folder / 'MANIFEST.csv'}: it has no column time, open, high, low, close\n"
    assert train(tmp_path / "run", "data=files", f"data.path={folder}", "walk.step=128bars") == 0
    assert capfd.readouterr().err.count(told) == 1
    assert main(["import", str(folder), "--db", f"sqlite:///{tmp_path / 'other.db'}"]) == 0
    assert capfd.readouterr().err == told
    assert main(["label", str(folder), "--out", str(tmp_path / "labels.csv")]) == 0
    assert capfd.readouterr().err == told


def test_a_database_is_walked_like_the_files_in_it(tmp_path: Path, csv: Callable[..., Path]) -> None:
    path, db = csv(n=1500), tmp_path / "bars.db"
    assert main(["import", str(path), "--db", f"sqlite:///{db}"]) == 0
    assert train(tmp_path / "one", "data=database", "data.symbols=ETH", db=db) == 0
    assert train(tmp_path / "two", "data=files", f"data.path={path}") == 0
    assert summary_of(tmp_path / "one")["stats"] == summary_of(tmp_path / "two")["stats"]


# -- import -----------------------------------------------------------------------------------------------------------


def bar_blocks(db: Path) -> list[tuple[Any, ...]]:
    engine = open_database(f"sqlite:///{db}")
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text("SELECT * FROM bar_blocks ORDER BY 1, 2"))]
    engine.dispose()
    return rows


def test_an_import_reports_each_file(
    tmp_path: Path, csv: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", str(csv()), "--db", f"sqlite:///{tmp_path / 'bars.db'}"]) == 0
    printed = capfd.readouterr().out
    assert "ETH 5m" in printed
    assert "2020-01-01 00:00" in printed


def test_an_import_leaves_out_what_is_broken_and_says_so(
    tmp_path: Path, csv: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    path = csv("A_5m.csv", put("high", 7, 0.01))
    assert main(["import", str(path), "--db", f"sqlite:///{tmp_path / 'bars.db'}"]) == 0
    printed = capfd.readouterr().out
    assert "1 with broken prices (left out)" in printed
    assert "data row 8: `high` must be at least `low`" in printed


def test_importing_again_changes_nothing(tmp_path: Path, csv: Callable[..., Path]) -> None:
    db, path = tmp_path / "bars.db", csv()
    assert main(["import", str(path), "--db", f"sqlite:///{db}"]) == 0
    before = bar_blocks(db)
    assert main(["import", str(path), "--db", f"sqlite:///{db}"]) == 0
    assert bar_blocks(db) == before != []


def test_symbol_and_timeframe_can_be_given(tmp_path: Path, csv: Callable[..., Path]) -> None:
    db = f"sqlite:///{tmp_path / 'bars.db'}"
    assert main(["import", str(csv("plain.csv")), "--symbol", "BTC", "--timeframe", "5m", "--db", db]) == 0
    assert train(tmp_path / "run", "data=database", "data.symbols=BTC", "walk.steps=1", db=tmp_path / "bars.db") == 0


def test_one_bad_file_leaves_the_database_as_it_was(
    tmp_path: Path, csv: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    db = tmp_path / "bars.db"
    assert main(["import", str(csv("OLD_5m.csv")), "--db", f"sqlite:///{db}"]) == 0
    before = bar_blocks(db)
    capfd.readouterr()
    good, bad = csv("NEW_5m.csv"), csv("BAD_5m.csv", lambda table: table.drop(columns="close"))
    assert main(["import", str(good), str(bad), "--db", f"sqlite:///{db}"]) == 2
    assert "BAD_5m.csv" in one_line(capfd)
    assert bar_blocks(db) == before


# -- label ------------------------------------------------------------------------------------------------------------


def labelled(path: Path, *options: str) -> pd.DataFrame:
    out = path.parent / "labels.parquet"
    assert main(["label", str(path), "--out", str(out), *options]) == 0
    return pd.read_parquet(out)


def test_labels_have_the_promised_columns(csv: Callable[..., Path]) -> None:
    table = labelled(csv())
    assert {name: str(kind) for name, kind in table.dtypes.items()} == {
        "open_time": "datetime64[ms, UTC]",
        "direction": "int8",
        "known_at": "datetime64[ms, UTC]",
        "kind": "str",
        "first_bar": "Int64",
        "last_bar": "Int64",
        "first_price": "float64",
        "last_price": "float64",
        "slope": "float64",
    }


def test_labels_have_one_row_a_bar(csv: Callable[..., Path]) -> None:
    path = csv()
    table, bars = labelled(path), read_bars(path)[1]
    np.testing.assert_array_equal(table["open_time"].to_numpy("datetime64[ms]"), bars.open_time)
    labels = label_bars(bars)
    np.testing.assert_array_equal(table["direction"], labels.direction)


def test_a_label_tells_the_line_that_gave_it(csv: Callable[..., Path]) -> None:
    path = csv()
    table, bars = labelled(path), read_bars(path)[1]
    known = table[table["direction"] >= 0]
    assert len(known) > 300
    for bar, row in known.iterrows():
        price = bars.high if row["kind"] == "L2H" else bars.low
        assert bar < row["first_bar"] < row["last_bar"]
        assert price[row["first_bar"]] == row["first_price"]
        assert price[row["last_bar"]] == row["last_price"]
        n_bars = row["last_bar"] - row["first_bar"]
        assert row["slope"] == pytest.approx((row["last_price"] - row["first_price"]) / n_bars)
        assert row["direction"] == (2 if row["slope"] == 0 else int(row["slope"] > 0))
        assert row["known_at"].tz_localize(None) > bars.close_time[row["last_bar"]]


def test_where_no_line_is_known_the_rest_is_null(csv: Callable[..., Path]) -> None:
    table = labelled(csv())
    unknown = table[table["direction"] == -1]
    assert len(unknown) > 0
    assert unknown.drop(columns=["open_time", "direction"]).isna().all(axis=None)


def test_label_options_are_those_of_the_labeler(csv: Callable[..., Path]) -> None:
    path = csv()
    options = ["--strength", "2", "1", "--tie", "strict", "--inside", "skip", "--flat-band", "0.001", "--max-gap", "2"]
    expected = label_bars(read_bars(path)[1], strength=(2, 1), tie="strict", inside="skip", flat_band=0.001, max_gap=2)
    np.testing.assert_array_equal(labelled(path, *options)["direction"], expected.direction)


def test_labels_can_be_csv(csv: Callable[..., Path]) -> None:
    path = csv()
    out = path.parent / "labels.csv"
    assert main(["label", str(path), "--out", str(out)]) == 0
    np.testing.assert_array_equal(pd.read_csv(out)["direction"], labelled(path)["direction"])


def test_bars_too_few_for_a_line_are_labelled_unknown(csv: Callable[..., Path]) -> None:
    assert set(labelled(csv(n=5))["direction"]) == {-1}


@pytest.mark.parametrize("command", ["label", "import", "stats"])
def test_a_command_that_needs_no_torch_does_not_import_it(
    command: str, csv: Callable[..., Path], tmp_path: Path
) -> None:
    path, db = csv(), f"sqlite:///{tmp_path / 'bars.db'}"
    open_database(db).dispose()
    arguments = {
        "label": [str(path), "--out", str(tmp_path / "out.parquet")],
        "import": [str(path), "--db", db],
        "stats": ["--db", db],
    }
    code = (
        "import sys; from trendtrain.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code or len({'torch', 'lightning', 'hydra'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, command, *arguments[command]], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


# -- a user's mistakes ------------------------------------------------------------------------------------------------


def put(column: str, row: int, value: Any) -> Callable[[pd.DataFrame], None]:
    def change(table: pd.DataFrame) -> None:
        table[column] = table[column].astype(object)
        table.loc[row, column] = value

    return change


BAD_FILES: dict[str, tuple[str, Callable[[pd.DataFrame], Any], str]] = {
    "empty": ("A_5m.csv", lambda table: table.iloc[:0], "a file must hold bars, got a header without rows"),
    "missing column": ("A_5m.csv", lambda table: table.drop(columns="low"), "missing low"),
    "NaN price": ("A_5m.csv", put("close", 7, float("nan")), "data row 8: `close` must be a number, got nan"),
    "high < low": ("A_5m.csv", put("high", 7, 0.01), "data row 8: `high` must be at least `low`"),
    "unsorted": (
        "A_5m.csv",
        lambda table: pd.concat([table.iloc[:3], table.iloc[4:], table.iloc[3:4]]),
        "times must be sorted, the oldest first",
    ),
    "conflict": (
        "A_5m.csv",
        lambda table: pd.concat([table.iloc[:1].assign(volume=7.5), table]),
        "data row 1: a time must come once, got 2020-01-01T00:00:00.000 again with other values",
    ),
    "time zones": (
        "A_5m.csv",
        put("open_time", 7, "2020-01-01 00:35:00+02:00"),
        "data row 8: `open_time` must keep the time zone of",
    ),
    "timeframe": ("A_1h.csv", lambda table: None, "the name says 1h, but the bars are 5m"),
}


@pytest.mark.parametrize("case", BAD_FILES)
@pytest.mark.parametrize("command", ["train", "import", "label"])
def test_a_bad_file_is_one_line(
    command: str, case: str, tmp_path: Path, csv: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    name, change, message = BAD_FILES[case]
    path, db = csv(name, change), tmp_path / "bars.db"
    if command == "train":
        exit_code = train(tmp_path / "run", "data=files", f"data.path={path}", db=db)
    elif command == "import":
        exit_code = main(["import", str(path), "--strict", "--db", f"sqlite:///{db}"])
    else:
        exit_code = main(["label", str(path), "--out", str(tmp_path / "out.parquet")])
    line = one_line(capfd)
    assert exit_code == 2
    assert message in line
    assert name in line
    assert not (tmp_path / "out.parquet").exists()
    assert command == "label" or bar_blocks(db) == []


@pytest.mark.parametrize("command", ["train", "import", "label"])
def test_a_file_of_no_bytes_is_one_line(command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "A_5m.csv"
    path.touch()
    arguments = {
        "train": ["train", "data=files", f"data.path={path}", f"hydra.run.dir={tmp_path / 'run'}"],
        "import": ["import", str(path)],
        "label": ["label", str(path), "--out", str(tmp_path / "out.parquet")],
    }
    db = {"train": [f"db.url=sqlite:///{tmp_path / 'b.db'}"], "import": ["--db", f"sqlite:///{tmp_path / 'b.db'}"]}
    assert main([*arguments[command], *db.get(command, [])]) == 2
    assert "a file must hold bars, got 0 bytes" in one_line(capfd)


MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "unknown key": (("foo=1",), "foo"),
    "unknown nested key": (("walk.stepp=1d",), "stepp"),
    "unknown option": (("model=foo",), "`model` must be one of cnn, dqn, mlp, transformer, two_heads, got 'foo'."),
    "no such module": (
        ("model.net._target_=nowhere.Net",),
        "'nowhere.Net': No module named 'nowhere', full_key: model.net",
    ),
    "broken override": (("seed",), "seed"),
    "walk.step": (("walk.step=abc",), "`walk.step` must be a length such as 256bars, 6h or 1d, got 'abc'"),
    "walk.start": (("walk.start=soon",), "`walk.start` must be a fraction"),
    "walk.start too late": (("walk.start=2030-01-01",), "`walk.start` must leave bars to predict"),
    "walk.start too early": (("walk.start=0",), "`walk.start` must leave bars with known labels before it"),
    "walk.steps": (("walk.steps=0",), "`walk.steps` must be an integer of at least 1, got 0"),
    "model.lr": (("model.lr=abc",), "`lr` must be a number of at least 0.0, got 'abc'"),
    "model.lr negative": (("model.lr=-1",), "`lr` must be a number of at least 0.0, got -1"),
    "seed": (("seed=x",), "`seed` must be an integer"),
    "seed negative": (("seed=-1",), "`seed` must be an integer"),
    "seed too large": (("seed=99999999999",), "`seed` must be a number from 0 to 4294967295, got 99999999999"),
    "precision": (("trainer.precision=foo",), "foo"),
    "accelerator": (("trainer.accelerator=abacus",), "abacus"),
    "max_epochs": (("trainer.max_epochs=abc",), "`trainer.max_epochs` must be an integer of at least -1, got 'abc'"),
    "trainer argument": (("+trainer.foo=1",), "foo"),
    "devices": (("trainer.devices=2",), "`trainer.devices` must be 1, got 2 processes"),
    "limit_val_batches": (("+trainer.limit_val_batches=3",), "`trainer.limit_val_batches` must be 1.0"),
    "n_classes": (("n_classes=4",), "`n_classes` must be 2 or 3, got 4"),
    "ckpt": (("ckpt=best",), "`ckpt` must be one of last, auto, got 'best'"),
    "kernels": (("model.net.kernels=[5]",), "`kernels` must multiply to the window (12), got [5]"),
    "window": (("data.window=abc",), "abc"),
    "window too long": (
        ("data.window=4000", "model.net.kernels=[4000]"),
        "`window` must be at most the bars of each series, got 4000 for 3000 bars",
    ),
    "n_features": (
        ("data.n_features=9",),
        "`data.n_features` must be the channels of a window there are, 8, got 9",
    ),
    "n_side": (("data.n_side=23",), "`data.n_side` must be the side inputs there are, 24, got 23"),
    "market": (("data.source.market=bull",), "`data.source.market` must be one of regimes, random_walk, planted"),
    "timeframes": (("data.timeframes=5x",), "`timeframe` must look like 1s, 5m, 1h, 1d or 1w, got '5x'"),
    "labels.tie": (("labels.tie=foo",), "`tie` must be one of plateau, strict, got 'foo'"),
    "labels.strength": (("labels.strength=[0,1]",), "`strength` must"),
    "labels.strength word": (("labels.strength=abc",), "`strength` must"),
    "labels.max_gap": (("labels.max_gap=-1",), "`max_gap` must"),
    "labels.max_gap word": (("labels.max_gap=abc",), "`max_gap` must"),
    "labels.flat_band": (("labels.flat_band=-1",), "`flat_band` must be a number of at least 0.0, got -1"),
    "replay.beta": (("replay.beta=2",), "`replay.beta` must be a number from 0.0 to 1.0, got 2"),
    "replay.weigh.wrong": (("replay=incorrect", "replay.weigh.wrong=0"), "`wrong` must be a number of at least 0.01"),
    "replay.weigh.floor": (("replay.weigh.floor=0",), "`floor` must be a number of at least 0.01, got 0"),
    "replay.half_life": (("replay.half_life=0",), "`replay.half_life` must be a number of at least 1.0, got 0"),
    "replay.detector": (("replay.detector.delta=2",), "`detector.delta` must be a number from 1e-300 to 1.0, got 2"),
    "replay.batch_size": (("replay.batch_size=0",), "`replay.batch_size` must be an integer of at least 1"),
    "no path": (("data=files",), "`data.path` must name a file or folder of bars, got none"),
    "no file": (("data=files", "data.path=nowhere.csv"), "`data.path` must name a file or folder that exists in"),
    "no database": (("data=database",), "`db.url` must name a database that exists for data=database, got sqlite:///"),
    "no features": (("data.features._target_=nowhere.features",), "nowhere"),
    "every_n_steps": (("callbacks.checkpoint.every_n_steps=0",), "`every_n_steps` must be an integer of at least 1"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_on_the_command_line_is_one_line(
    case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    overrides, message = MISTAKES[case]
    is_synthetic = not any(override.startswith("data=") for override in overrides)
    assert train(tmp_path / "run", *(MARKET if is_synthetic else ()), *overrides) == 2
    assert message in one_line(capfd)
    assert not (tmp_path / "run" / "summary.json").exists()


@pytest.mark.parametrize("override", ["walk.start=7", "replay.beta=2", "model.lr=-1"])
def test_a_mistake_is_told_before_bars_are_brought_in(
    override: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = ("data=files", f"data.path={tmp_path / 'none.csv'}")  # would be the mistake that is told
    assert train(tmp_path / "run", *files, override) == 2
    assert f"got {override.partition('=')[2]}" in one_line(capfd)


def test_fewer_bars_than_a_window_are_one_line(
    tmp_path: Path, csv: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path / "run", "data=files", f"data.path={csv(n=8)}") == 2
    assert "`window` must be at most the bars of each series, got 12 for 8 bars of ETH 5m" in one_line(capfd)


def test_a_run_folder_below_a_file_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert train(tmp_path / "file" / "run", *MARKET, db=tmp_path / "train.db") == 2
    assert "`hydra.run.dir` must be a folder that can be written, got" in one_line(capfd)


@pytest.mark.parametrize("command", ["train", "import", "stats"])
def test_a_database_that_is_none_is_one_line(
    command: str, tmp_path: Path, csv: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bars.db").write_text("not a database, but long enough to be taken for one" * 100)
    url = f"sqlite:///{tmp_path / 'bars.db'}"
    arguments = {
        "train": ["train", f"db.url={url}", f"hydra.run.dir={tmp_path / 'run'}"],
        "import": ["import", str(csv()), "--db", url],
        "stats": ["stats", "--db", url],
    }
    assert main(arguments[command]) == 2
    assert "`db.url` must name a database that can be opened" in one_line(capfd)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "out.txt"], "`--out` must end in .parquet or .csv, got out.txt"),
        (["--out", "nowhere/out.parquet"], "`--out` must be a file that can be written, got nowhere/out.parquet"),
        (["--out", "o.csv", "--tie", "foo"], "`tie` must be one of plateau, strict, got 'foo'"),
        (["--out", "o.csv", "--inside", "foo"], "`inside` must be one of keep, skip, got 'foo'"),
        (["--out", "o.csv", "--strength", "0", "1"], "`strength` must"),
        (["--out", "o.csv", "--strength", "1"], "`strength` must have at least two levels for labels, got (1,)"),
        (["--out", "o.csv", "--flat-band", "-1"], "`flat_band` must be a number of at least 0.0, got -1.0"),
        (["--out", "o.csv", "--max-gap", "-1"], "`max_gap` must"),
        (["--out", "o.csv", "--timeframe", "1h"], "`--timeframe` is 1h, but the bars are 5m"),
    ],
)
def test_a_mistake_in_the_options_of_label_is_one_line(
    options: list[str],
    message: str,
    tmp_path: Path,
    csv: Callable[..., Path],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["label", str(csv()), *options]) == 2
    assert message in one_line(capfd)


@pytest.mark.parametrize("arguments", [[], ["label"]])
def test_a_command_that_cannot_be_read_exits_with_2(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: trendtrain" in capfd.readouterr().err


def test_the_configuration_can_be_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--cfg", "job"]) == 0
    assert "_target_: trendtrain.models.CnnNet" in capfd.readouterr().out


def test_a_warning_of_ours_is_one_line(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def warn_twice(options: object) -> int:
        warnings.warn("`data.side` takes long.", CostWarning, stacklevel=2)
        warnings.warn("what others say", UserWarning, stacklevel=2)
        return 0

    monkeypatch.setattr(
        "trendtrain.cli._parser", lambda: SimpleNamespace(parse_args=lambda _: SimpleNamespace(run=warn_twice))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["stats"]) == 0
    first, second, *_ = capfd.readouterr().err.splitlines()
    assert first == "trendtrain: `data.side` takes long."
    assert second.endswith("UserWarning: what others say")
