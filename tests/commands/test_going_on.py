"""A run's name, its folder, and how it goes on, as the command line shows them."""

import json
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from train_runs import RunIn

import trendtrain
from trendtrain.cli import main

torch.set_num_threads(1)  # small nets: on busy cores a second thread costs tenfold, and gains nothing

QUICK = (
    "model=mlp",
    "data.source.n_bars=1500",
    "walk.step=128bars",
    "walk.steps=3",
    "walk.warmup=0",
    "replay.n_batches=2",
    "replay.batch_size=32",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "logger=none",
)
SWEEP = ("hydra.mode=MULTIRUN", "hydra/launcher=basic", "seed=0,1")
GENERATED = re.compile(r"\d{8}-\d{6}-mlp-synthetic-[0-9a-f]{6}")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def train(*overrides: str) -> int:
    return main(["train", *QUICK, *overrides])


def refused(capfd: pytest.CaptureFixture[str], *overrides: str) -> str:
    """Train, which must be refused; return the one line."""
    capfd.readouterr()
    assert train(*overrides) == 2
    (line,) = (one for one in capfd.readouterr().err.splitlines() if "compiling" not in one)
    return line.removeprefix("trendtrain: error: ")


def ran(*overrides: str) -> subprocess.CompletedProcess[str]:
    """Train in a process of its own."""
    command = [sys.executable, "-m", "trendtrain.cli", "train", *QUICK, *overrides]
    return subprocess.run(command, capture_output=True, text=True)


def content(file: str) -> dict[str, Any]:
    return json.loads(Path(file).read_text())


def in_ledger() -> list[str]:
    with sqlite3.connect("trendtrain.db") as connection:
        names = [name for (name,) in connection.execute("SELECT id FROM runs ORDER BY started_at, id")]
    connection.close()
    return names


# -- names ------------------------------------------------------------------------------------------------------------


def test_one_name_is_that_of_folder_ledger_files_and_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert train() == 0
    (folder,) = Path("runs").iterdir()
    assert GENERATED.fullmatch(folder.name)
    assert in_ledger() == [folder.name]
    assert content(f"{folder}/run.json")["name"] == content(f"{folder}/summary.json")["name"] == folder.name
    assert re.search(rf"run +│ {folder.name} ", capfd.readouterr().out)


def test_a_name_of_the_users_own_is_that_of_the_folder_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert train("run.name=mine") == 0
    assert content("runs/mine/run.json")["name"] == "mine"
    assert in_ledger() == ["mine"]
    line = refused(capfd, "run.name=mine", "hydra.run.dir=elsewhere")
    assert line == "`run.name` must be new to the ledger (overwrite=true deletes the run of before), got mine."
    assert not Path("elsewhere/run.json").exists()


@pytest.mark.parametrize("name", ["a/b", ".", "..", "all", "null", "' '"])
def test_what_is_no_name_is_refused(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert "`run.name` must begin with a letter or digit" in refused(capfd, f"run.name={name}", "hydra.run.dir=run")


def test_each_run_of_a_sweep_has_a_name_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    sweep = (*SWEEP, "run.name=mine", "hydra.sweep.dir=sweep")
    assert train(*sweep) == 0
    assert [content(f"sweep/{i}/run.json")["name"] for i in (0, 1)] == ["mine-0", "mine-1"]
    before = [content(f"sweep/{i}/summary.json") for i in (0, 1)]
    assert "`hydra.sweep.dir` must be a folder without runs (ckpt=last" in refused(capfd, *sweep)
    (Path("sweep/1/run.json")).rename("sweep/1/other.json")  # as if it had never begun
    with sqlite3.connect("trendtrain.db") as connection:
        connection.execute("DELETE FROM runs WHERE id = 'mine-1'")
    connection.close()
    assert train(*sweep, "ckpt=last") == 0
    after = [content(f"sweep/{i}/summary.json") for i in (0, 1)]
    for one in (*before, *after):
        del one["wall_seconds"], one["config"]["ckpt"]
    assert after == before
    assert train(*sweep, "ckpt=last", "model.lr=1") == 2
    kept = content("sweep/sweep.json")["runs"]
    assert all("`model.lr` was 0.0003, got 1" in one["status"] for one in kept)
    assert content("sweep/0/summary.json")["status"] == "finished"  # what was before stays


def test_a_generated_name_in_a_sweep_is_another_for_each_run() -> None:
    assert train(*SWEEP, "hydra.sweep.dir=multirun/${run.name}") == 0
    names = [json.loads(file.read_text())["name"] for file in Path("multirun").glob("*/*/run.json")]
    assert len(set(names)) == 2
    assert sorted(in_ledger()) == sorted(names)


# -- run.json ---------------------------------------------------------------------------------------------------------


def test_the_run_file_tells_the_code_and_the_grid() -> None:
    assert train("run.name=mine") == 0
    kept = content("runs/mine/run.json")
    assert kept["version"] == trendtrain.__version__
    checkout = Path(trendtrain.__file__).parents[1]
    head = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert kept["commit"] == (head or None)
    assert kept["grid"]["step"] == "640m"  # 128 bars of 5 minutes
    assert kept["grid"]["start"].startswith("2020-01-0")
    assert kept["config"] == content("runs/mine/summary.json")["config"]


def test_a_run_that_goes_on_keeps_its_grid(capfd: pytest.CaptureFixture[str]) -> None:
    assert train("run.name=mine", "walk.steps=1") == 0
    kept = content("runs/mine/run.json")
    assert train("run.name=mine", "walk.steps=5", "ckpt=last") == 0
    assert content("runs/mine/run.json")["grid"] == kept["grid"]
    kept["grid"]["step"] = "320m"
    Path("runs/mine/run.json").write_text(json.dumps(kept))
    line = refused(capfd, "run.name=mine", "walk.steps=6", "ckpt=last")
    assert line.startswith("`walk.step` must stay 640m where a run goes on, got 320m")


def test_a_run_file_that_is_none_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    Path("run").mkdir()
    Path("run/run.json").write_text("{}")
    line = refused(capfd, "hydra.run.dir=run", "ckpt=last")
    assert line.startswith("`hydra.run.dir` must hold a run.json as this version writes it, got run/run.json: ")


# -- used folders -----------------------------------------------------------------------------------------------------


def test_a_used_folder_is_refused_and_nothing_in_it_changes(capfd: pytest.CaptureFixture[str]) -> None:
    assert train("hydra.run.dir=run") == 0
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    line = refused(capfd, "hydra.run.dir=run", "seed=1")
    fix = "ckpt=last goes on with the run in it, overwrite=true deletes that and starts anew"
    assert line == f"`hydra.run.dir` must be a folder without a run ({fix}), got run."
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


def test_overwriting_leaves_nothing_of_the_run_of_before() -> None:
    assert train("run.name=mine", "logger=tensorboard") == 0
    Path("runs/mine/notes.txt").write_text("mine")
    charts = {path.name for path in Path("runs/mine/tensorboard").glob("events*")}
    assert charts
    assert train("run.name=mine", "logger=tensorboard", "walk.steps=2", "overwrite=true") == 0
    assert in_ledger() == ["mine"]
    with sqlite3.connect("trendtrain.db") as connection:
        steps = connection.execute("SELECT DISTINCT step FROM predictions ORDER BY step").fetchall()
    connection.close()
    assert steps == [(0,), (1,)]
    assert content("runs/mine/summary.json")["steps"] == 2
    assert not charts & {path.name for path in Path("runs/mine/tensorboard").iterdir()}
    assert Path("runs/mine/notes.txt").exists()
    assert train("run.name=mine", "callbacks.checkpoint=null", "overwrite=true") == 0
    assert not Path("runs/mine/checkpoints").exists()  # not to be taken for the new run's


def test_a_mistake_beside_overwrite_deletes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert train("run.name=mine") == 0
    assert "`walk.start`" in refused(capfd, "run.name=mine", "overwrite=true", "walk.start=2030-01-01")
    assert content("runs/mine/summary.json")["status"] == "finished"
    assert Path("runs/mine/checkpoints/last.ckpt").exists()
    assert in_ledger() == ["mine"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("overwrite=true", "ckpt=last"),
            "`overwrite=true` starts anew and `ckpt=last` goes on: leave one out, got both.",
        ),
        (("overwrite=maybe",), "`overwrite` must be true or false, got 'maybe'."),
        (("ckpt=best",), "`ckpt` must be one of last, auto, got 'best'."),
    ],
)
def test_what_contradicts_is_refused(
    overrides: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refused(capfd, *overrides) == message
    assert not Path("runs").exists()


# -- going on ---------------------------------------------------------------------------------------------------------


def test_a_finished_run_goes_on_without_change_under_its_name(capfd: pytest.CaptureFixture[str]) -> None:
    assert train("hydra.run.dir=run") == 0
    before, name = content("run/summary.json"), content("run/run.json")["name"]
    capfd.readouterr()
    assert train("hydra.run.dir=run", "ckpt=last") == 0
    assert "goes on with" not in capfd.readouterr().out  # nothing changed
    after = content("run/summary.json")
    assert content("run/run.json")["name"] == after["name"] == name
    assert in_ledger() == [name]
    for one in (before, after):
        del one["wall_seconds"], one["config"]["ckpt"]
    assert after == before


def test_without_a_run_there_is_nothing_to_go_on_with(capfd: pytest.CaptureFixture[str]) -> None:
    rule = "`ckpt=last` must come with the folder of the run to go on with, hydra.run.dir=FOLDER, got "
    assert refused(capfd, "ckpt=last", "hydra.run.dir=run") == f"{rule}run, in which none has begun."
    assert not Path("run").exists()
    assert train("run.name=mine") == 0
    line = refused(capfd, "ckpt=last")
    assert line.startswith(f"{rule}runs/")
    assert line.endswith(", in which none has begun; the newest beside it is hydra.run.dir=runs/mine.")
    assert [path.name for path in Path("runs").iterdir()] == ["mine"]


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_again(capfd: pytest.CaptureFixture[str]) -> None:
    assert train("run.name=mine", "callbacks.checkpoint=null") == 0
    capfd.readouterr()
    assert train("run.name=mine", "ckpt=last") == 0
    printed = capfd.readouterr().out
    assert "There is no runs/mine/checkpoints/last.ckpt yet: starting at the first step." in printed
    assert "mine goes on with callbacks.checkpoint" in printed
    assert content("runs/mine/summary.json")["steps"] == 3
    assert in_ledger() == ["mine"]


REFUSED = {
    "model.lr=0.1": "`model.lr` was 0.0003, got 0.1",
    "seed=3": "`seed` was 0, got 3",
    "walk.start=0.5": "`walk.start` was 0.25, got 0.5",
    "labels.tie=strict": "`labels.tie` was plateau, got strict",
    "replay.detector=null": "`replay.detector._target_` was trendtrain.validation.ChangeDetector, got null",
    "+trainer.accumulate_grad_batches=2": "`trainer.accumulate_grad_batches` was null, got 2",
    "data.window=48": "`data.window` was 96, got 48",
}
ALLOWED = {
    "n_threads=2": "n_threads=2 (was 1)",
    "walk.steps=4": "walk.steps=4 (was 3)",
    "walk.steps=null": "walk.steps=null (was 3)",
    "+trainer.max_time=00:01:00:00": "trainer.max_time=00:01:00:00 (was null)",
    "callbacks.checkpoint.every_n_steps=2": "callbacks.checkpoint.every_n_steps=2 (was 10)",
    "logger=tensorboard": "logger._target_=trendtrain.charts.loggers.tensorboard_logger (was null)",
    "trainer.enable_progress_bar=true": "trainer.enable_progress_bar=true (was false)",
    "data.symbols=[SYNTH]": 'data.symbols=["SYNTH"] (was SYNTH)',
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run."""
    folder = tmp_path_factory.mktemp("begun")
    argv = sys.argv
    assert main(["train", *QUICK, f"hydra.run.dir={folder / 'run'}", f"db.url=sqlite:///{folder / 'run.db'}"]) == 0
    sys.argv = argv
    return folder


def test_a_setting_that_changes_results_must_stay(begun: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = (begun / "run" / "summary.json").read_bytes()
    rule = "`ckpt=last` must keep the settings that change results: "
    for override, told in REFUSED.items():
        line = refused(
            capfd, f"hydra.run.dir={begun / 'run'}", f"db.url=sqlite:///{begun / 'run.db'}", "ckpt=last", override
        )
        assert line.startswith(rule + told), override
    assert (begun / "run" / "summary.json").read_bytes() == before


def test_a_setting_that_changes_no_number_may_change_and_is_told(
    begun: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for override, told in ALLOWED.items():
        kept = (begun / "run" / "run.json").read_bytes()
        capfd.readouterr()
        assert (
            train(f"hydra.run.dir={begun / 'run'}", f"db.url=sqlite:///{begun / 'run.db'}", "ckpt=last", override) == 0
        )
        name = json.loads(kept)["name"]
        assert f"{name} goes on with {told}" in capfd.readouterr().out.replace("\n", " "), override
        (begun / "run" / "run.json").write_bytes(kept)


def test_a_run_with_more_steps_is_the_run_that_had_them_from_the_start(tmp_path: Path) -> None:
    whole, more = RunIn(tmp_path / "whole", "walk.steps=9"), RunIn(tmp_path / "more")
    assert whole.here() == more.here("walk.steps=4") == more.here("walk.steps=9", "ckpt=last") == 0
    assert more.summary() == whole.summary()
    assert more.ledger() == whole.ledger()


def test_another_database_is_no_change(begun: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train(f"hydra.run.dir={begun / 'run'}", f"db.url=sqlite:///{tmp_path / 'other.db'}", "ckpt=last") == 0
    assert "goes on with" not in capfd.readouterr().out


def test_a_run_cannot_take_another_name(begun: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = json.loads((begun / "run" / "run.json").read_text())["name"]
    line = refused(capfd, f"hydra.run.dir={begun / 'run'}", "ckpt=last", "run.name=mine")
    assert line == f"`run.name` must stay {name} where the run goes on, got mine."


# -- interrupted ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_prints_the_line_that_resumes_it(by: signal.Signals, exit_code: int, tmp_path: Path) -> None:
    run = RunIn(tmp_path / "a run")
    process = run.start(f"hydra.run.dir='{run.folder}'", "walk.steps=30")
    end = time.monotonic() + 120
    while not run.checkpoint.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(by)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == exit_code
    (line,) = (one for one in printed.splitlines() if one.startswith("resume:"))
    words = shlex.split(line.removeprefix("resume:"))
    assert words[:2] == ["trendtrain", "train"]
    assert words[-2] == "ckpt=last"
    assert main(words[1:]) == 0
    assert run.summary()["steps"] == 30


# -- keys -------------------------------------------------------------------------------------------------------------

UNREAD = {
    "+modle=mlp": "`modle` must be a known key, got modle; did you mean `model`?",
    "modle=mlp": "`modle` must be a known key, got modle; did you mean `model`?",
    "+lr=0.1": "`lr` must be a known key, got lr; did you mean `model.lr`?",
    "++sede=1": "`sede` must be a known key, got sede; did you mean `seed`?",
    "+data.pth=x": "`data.pth` must be a known key, got data.pth; did you mean `data.path`?",
    "+db.ulr=x": "`db.ulr` must be a known key, got db.ulr; did you mean `db.url`?",
    "+run.nmae=x": "`run.nmae` must be a known key, got run.nmae; did you mean `run.name`?",
    "+xyzzy=1": "`xyzzy` must be a known key, got xyzzy.",
}


@pytest.mark.parametrize("override", UNREAD)
def test_a_key_that_nothing_reads_is_refused(override: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert refused(capfd, override) == UNREAD[override]
    assert not Path("runs").exists()


def test_a_key_that_others_refer_to_is_read() -> None:
    assert train("+tag=a", "+units=8", "model.net.widths=[${units}]", "hydra.run.dir=runs/${tag}") == 0
    assert content("runs/a/summary.json")["config"]["model"]["net"]["widths"] == [8]


def test_in_a_sweep_too_a_key_that_nothing_reads_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert train("hydra.mode=MULTIRUN", "hydra/launcher=basic", "+modle=mlp,cnn") == 2
    assert capfd.readouterr().err.count("`modle` must be a known key") == 2


# -- whole processes --------------------------------------------------------------------------------------------------


def test_whole_processes_print_one_line_and_exit_with_2() -> None:
    assert ran("run.name=mine").returncode == 0
    for overrides in (("run.name=mine",), ("ckpt=last",), ("run.name=mine", "ckpt=last", "seed=1"), ("+modle=mlp",)):
        done = ran(*overrides)
        assert done.returncode == 2, overrides
        assert done.stderr.startswith("trendtrain: error: `")
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""
