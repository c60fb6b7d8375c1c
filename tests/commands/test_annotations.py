import json
import subprocess
import sys
from pathlib import Path

import pytest
from old_annotations import market, old_annotation, write_json

from trendtrain.cli import main

MARKETS = {"5m": market("5m"), "1h": market("1h")}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for number in range(3):
        write_json(Path(f"old/{number}.json"), old_annotation(MARKETS, number, 200 + number))


def migrate(*arguments: str) -> int:
    return main(["annotations", "migrate", *arguments, "--db", "sqlite:///bars.db"])


def test_a_folder_is_migrated_and_its_sizes_are_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert migrate("old", "--out", "new") == 0
    shown = capfd.readouterr()
    assert shown.err == ""
    before = sum(path.stat().st_size for path in Path("old").iterdir())
    after = sum(path.stat().st_size for path in Path("new").iterdir())
    rows = [line.split() for line in shown.out.splitlines() if line.startswith(" BTCUSDT")]
    assert rows == [["BTCUSDT", "1h", "108", "19", "19", "0", "0"], ["BTCUSDT", "5m", "600", "120", "120", "0", "0"]]
    assert "annotations: 3 written to new\n" in shown.out
    assert "bars:        139 read back from the database, none missing\n" in shown.out
    assert f"{before / 1e3:.1f} kB -> {after / 1e3:.1f} kB, {before / after:,.0f} x smaller" in shown.out


def test_a_second_run_says_that_nothing_was_new(capfd: pytest.CaptureFixture[str]) -> None:
    migrate("old", "--out", "new")
    path = Path("new/trade_001.json")
    path.write_text(path.read_text().replace('"profit_loss_pct": ', '"profit_loss_pct": 1'))
    capfd.readouterr()
    assert migrate("old", "--out", "new") == 0
    shown = capfd.readouterr().out
    assert [line.split()[4] for line in shown.splitlines() if line.startswith(" BTCUSDT")] == ["0", "0"]
    assert "0 written to new, 3 there already (1 differ from their source and stay as they are)" in shown


def test_conflicts_are_counted_and_the_first_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    record = json.loads(Path("old/1.json").read_text())
    record["market_context"]["entry_state"]["ohlcv_5m"]["volume"][3] += 1
    write_json(Path("old/1.json"), record)
    assert migrate("old", "--out", "new") == 0
    assert "1, first at 2024-01-01T08:45:00.000" in capfd.readouterr().out


def test_each_broken_annotation_is_one_line_and_the_others_are_done(capfd: pytest.CaptureFixture[str]) -> None:
    Path("old/8.json").touch()
    Path("old/9.json").write_text('[{"annotation_id": "x"}]')
    assert migrate("old", "--out", "new") == 2
    shown = capfd.readouterr()
    first, second = shown.err.splitlines()
    assert first.startswith("trendtrain: error: ")
    assert first.endswith("old/8.json: an annotation file must hold JSON, got 0 bytes.")
    assert second.endswith("old/9.json, annotation 1: `entry` must be given, found annotation_id.")
    assert "annotations: 3 written to new, 2 problems" in shown.out
    assert len(list(Path("new").iterdir())) == 3
    Path("old/8.json").unlink()
    assert migrate("old", "--out", "new") == 2
    assert "3 there already, 1 problem\n" in capfd.readouterr().out


def test_trades_that_are_still_open_are_counted_and_no_mistake(capfd: pytest.CaptureFixture[str]) -> None:
    record = json.loads(Path("old/0.json").read_text())
    Path("old/0.json").write_text(json.dumps({**record, "exit": None}))
    assert migrate("old", "--out", "new") == 0
    assert "annotations: 3 written to new, 1 still open\n" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--out", "new"], "`src` must name a file or folder that exists, got nowhere."),
        (["old", "--out", "old"], "`--out` must lie apart from the sources, got old for old."),
        (["old", "--out", "old/0.json/new"], "`--out` must lie apart from the sources"),
        (
            ["old", "--out", "bars.db/new"],
            "`folder` must be a folder that can be made, got bars.db/new: Not a directory.",
        ),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert migrate(*arguments) == 2
    error = capfd.readouterr().err
    assert error.startswith("trendtrain: error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["migrate"], ["migrate", "old"]])
def test_a_command_that_cannot_be_read_exits_with_2(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["annotations", *arguments])
    assert caught.value.code == 2
    assert "usage: trendtrain annotations" in capfd.readouterr().err


def test_a_migration_imports_no_torch() -> None:
    code = (
        "import sys; from trendtrain.cli import main; "
        "code = main(['annotations', 'migrate', 'old', '--out', 'new', '--db', 'sqlite:///bars.db']); "
        "sys.exit(code or len({'torch', 'lightning', 'hydra', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
