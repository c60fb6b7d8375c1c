"""Each example runs, and adds at most five lines to code that runs without them."""

import ast
import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pages import commands, write_bars

FOLDER = Path(__file__).parents[1] / "examples"
SCRIPTS = ["existing_trainer.py", "sklearn_judge.py"]
pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*log_every_n_steps.*")


def without_ours(script: str) -> str:
    return "".join(line for line in script.splitlines(keepends=True) if not line.endswith("# +\n"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_tells_how_good_its_predictions_were(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(FOLDER / name), run_name="__main__")
    printed = capsys.readouterr().out
    stats = ast.literal_eval(printed[printed.index("{") : printed.index("}") + 1])
    assert stats["total_predictions"] > 1_000
    assert 0.55 < stats["accuracy"] < 0.8  # both markets have trends that a few returns show


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_adds_five_lines_to_code_that_runs_without_them(name: str, tmp_path: Path) -> None:
    script = (FOLDER / name).read_text()
    assert script.count("# +\n") <= 5
    theirs = tmp_path / name
    theirs.write_text(without_ours(script))
    runpy.run_path(str(theirs), run_name="__main__")


def test_a_net_of_ones_own_runs_by_its_name(tmp_path: Path) -> None:
    net = (FOLDER / "own_net" / "mynet.py").read_text()
    assert "import trendtrain" not in net
    assert "from trendtrain" not in net
    (tmp_path / "mynet.py").write_text(net)
    command = next(line for line in net.splitlines() if line.startswith("trendtrain train"))
    quick = ["data.source.n_bars=3000", "db.url=sqlite://", "hydra.run.dir=run", "trainer.enable_progress_bar=false"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*shlex.split(command), *quick],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "COLUMNS": "100"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "event accuracy" in done.stdout
    assert '"_target_": "mynet.Attention"' in (tmp_path / "run" / "summary.json").read_text()


def test_a_lightning_cli_walks_through_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bars(tmp_path, "ETHUSDT_1h", n_bars=2_000)
    program = FOLDER / "lightning_cli" / "main.py"
    (command,) = commands("docs/own_trainer.md")
    assert command in program.read_text()
    monkeypatch.chdir(FOLDER.parent)
    monkeypatch.setenv("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # of what Lightning 2.6 calls
    words = shlex.split(command.replace("bars/", f"{tmp_path}/"))[2:]
    monkeypatch.setattr(sys, "argv", ["main.py", *words, "--data.steps", "3", "--trainer.accelerator", "cpu"])
    runpy.run_path(str(program), run_name="__main__")
    accuracy = float(capsys.readouterr().out.split("event accuracy")[-1])
    assert 0.2 < accuracy < 0.8
