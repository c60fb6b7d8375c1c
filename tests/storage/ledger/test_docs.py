"""What docs/ledger.md says of tables and queries holds."""

import re
import shlex
from pathlib import Path

import pytest
from ledger_examples import ETH, judged, predicted
from sqlalchemy import Engine, text

from trendtrain.cli import main
from trendtrain.storage import Ledger, Progress, open_database
from trendtrain.storage.schema import VIEWS, metadata
from trendtrain.validation.predictions import CORRECT, VOID_GAP, WRONG
from trendtrain.validation.stats import TrendStats

TEXT = (Path(__file__).parents[3] / "docs" / "ledger.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)
LINES = [0, 0, 1, 1, 1, -1]
OUTCOMES = dict(enumerate([WRONG, CORRECT, WRONG, WRONG, CORRECT, VOID_GAP]))


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    ledger = Ledger(engine)
    ledger.begin("one", "{}", "2024-01-01")
    progress = Progress(4, TrendStats(validated=5, correct=2, void=1, pending=2))
    ledger.record("one", "cnn", 0, predicted(list(range(8))), judged(OUTCOMES, lines=LINES), progress=progress)
    ledger.record("one", "cnn", 1, predicted([0], ETH), judged({0: CORRECT}, ETH))
    return ledger


def ask(engine: Engine, number: int) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(QUERIES[number]))]


def test_every_table_and_view_is_listed() -> None:
    listed = re.findall(r"^\| `(\w+)`", TEXT, re.MULTILINE)
    assert sorted(listed) == sorted([*metadata.tables, *VIEWS, "alembic_version"])


def test_no_query_is_left_untested() -> None:
    assert len(QUERIES) == 6


def test_runs_are_told_with_their_progress(engine: Engine, ledger: Ledger) -> None:
    ((*rest, accuracy),) = ask(engine, 0)
    assert rest == ["one", "running", 2, 4]
    assert float(accuracy) == pytest.approx(0.4)  # type: ignore[arg-type]


def test_event_accuracy_is_that_of_stats(engine: Engine, ledger: Ledger) -> None:
    expected = [(row.symbol, pytest.approx(row.event_accuracy), row.n_events) for row in ledger.stats()]
    assert [(row[2], float(row[4]), row[5]) for row in ask(engine, 1)] == expected  # type: ignore[arg-type]


def test_pending_predictions_are_those_without_a_verdict(engine: Engine, ledger: Ledger) -> None:
    assert [row[2] for row in ask(engine, 2)] == [6 * 60_000, 7 * 60_000]


def test_calibration_counts_what_was_validated(engine: Engine, ledger: Ledger) -> None:
    ((about, n, accuracy),) = ask(engine, 3)
    assert (float(about), n, float(accuracy)) == (0.8, 6, 0.5)  # type: ignore[arg-type]


def test_the_worst_lines_come_first(engine: Engine, ledger: Ledger) -> None:
    assert [(row[0], row[2], row[4], row[-1]) for row in ask(engine, 4)] == [
        ("BTCUSDT", 60_000, 1.0, 2),
        ("BTCUSDT", 0, 1.0, 1),
    ]


def test_priorities_are_counted_by_step(engine: Engine, ledger: Ledger) -> None:
    assert ask(engine, 5) == [("one", "cnn", 0, 3, 2), ("one", "cnn", 1, 0, 1)]


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_database("sqlite:///trendtrain.db").dispose()
    (block,) = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        assert (program, main(arguments)) == ("trendtrain", 0)


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    engine = open_database("sqlite:///trendtrain.db")
    Ledger(engine).begin("one", "{}", "2024-01-01")
    Ledger(engine).record("one", "cnn", 0, predicted([0]), None)
    engine.dispose()
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(block, {})
    assert "'total_predictions': 1" in capsys.readouterr().out
