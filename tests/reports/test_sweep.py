import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from trendtrain.cli import main
from trendtrain.reports.sweep import SweptRun, forget_runs, link_charts, note_failure, note_run, read_sweep, seed_means
from trendtrain.reports.sweep_report import sweep_tables

SMALL = (
    "--multirun",
    "model=mlp",
    "data.source.n_bars=3000",
    "walk.step=256bars",
    "replay.n_batches=2",
    "replay.batch_size=32",
    "trainer.accelerator=cpu",
    "logger=none",
)


def summary(accuracy: float, **others: Any) -> dict[str, Any]:
    best = {"name": "majority", "difference": accuracy - 0.5, "se": 0.01}
    scores = {"nll": 0.7, "ece": 0.01, "wall_seconds": 3.0, "accuracy_ci95": [accuracy - 0.02, accuracy + 0.02]}
    return {"status": "finished", "event_accuracy": accuracy, "best_baseline": best, **scores} | others


def leave(folder: Path, overrides: list[str], values: dict[str, Any] | None) -> Path:
    """Make a run folder as Hydra and the job leave it."""
    folder.mkdir(parents=True)
    note_run(folder.parent, int(folder.name), folder, overrides)
    if values is not None:
        (folder / "summary.json").write_text(json.dumps(values))
    return folder


def swept(overrides: dict[str, str], accuracy: float) -> SweptRun:
    return SweptRun("0", overrides, "finished", 0, summary(accuracy))


def test_runs_come_in_the_order_of_their_numbers_with_what_differs(tmp_path: Path) -> None:
    for i in (10, 2, 0):
        leave(tmp_path / str(i), ["model=mlp", f"seed={i}", "data.window=12"], summary(0.5 + i / 100))
    runs = read_sweep(tmp_path)
    assert [(run.folder, run.overrides) for run in runs] == [(str(i), {"seed": str(i)}) for i in (0, 2, 10)]
    assert [run.value("event_accuracy") for run in runs] == [0.5, 0.52, 0.6]


def test_a_failed_run_says_why_and_hides_no_other(tmp_path: Path) -> None:
    leave(tmp_path / "0", ["seed=0"], summary(0.6))
    note_failure(leave(tmp_path / "1", ["seed=1"], summary(0.9)), 2, "`lr` must be more")  # a summary of before
    leave(tmp_path / "2", ["seed=2"], None)
    runs = read_sweep(tmp_path)
    assert [run.status for run in runs] == ["finished", "failed: `lr` must be more", "failed: it left no summary"]
    assert [run.exit_code for run in runs] == [0, 2, 1]
    (mean,) = seed_means(runs)
    assert (mean.n_seeds, mean.event_accuracy) == (1, 0.6)
    console = Console(width=200, record=True, file=StringIO())
    console.print(sweep_tables(tmp_path, runs, tmp_path))
    shown = console.export_text()
    assert "run 1 failed: `lr` must be more" in shown
    assert "0.6000" in shown


def test_no_number_is_cut_in_a_terminal_of_eighty_columns(tmp_path: Path) -> None:
    values = summary(0.6234, best_baseline={"name": "online_logistic", "difference": 0.1234, "se": 0.0123})
    runs = [swept({"model": model, "seed": "0"}, 0.6) for model in ("mlp", "transformer")]
    runs = [replace(run, values=values) for run in runs]
    console = Console(width=80, record=True, file=StringIO())
    console.print(sweep_tables(tmp_path, runs, tmp_path))
    shown = console.export_text()
    assert "…" not in shown
    for cell in ("0.6234", "0.6034 to 0.6434", "online_logistic", "+0.1234 +-0.0123", "0.7000", "0.0100"):
        assert shown.count(cell) == len(runs)


def test_means_are_over_the_seeds_of_a_group_and_differences_are_paired_by_seed() -> None:
    accuracies = {"a": (0.50, 0.60, 0.70), "b": (0.52, 0.61, 0.75)}
    runs = [swept({"m": m, "seed": str(i)}, x) for m, found in accuracies.items() for i, x in enumerate(found)]
    first, second = seed_means(runs)
    assert first.overrides == {"m": "a"}
    assert first.event_accuracy == pytest.approx(0.6)
    assert first.seed_error == pytest.approx(0.1 / math.sqrt(3))  # by hand: standard deviation 0.1
    assert math.isnan(first.difference)
    assert second.difference == pytest.approx((0.02 + 0.01 + 0.05) / 3)
    assert second.difference_error == pytest.approx(0.0208166 / math.sqrt(3), abs=1e-6)


def test_a_seed_that_one_group_lacks_is_left_out_of_the_difference() -> None:
    runs = [
        swept({"m": "a", "seed": "0"}, 0.5),
        swept({"m": "b", "seed": "0"}, 0.6),
        swept({"m": "b", "seed": "1"}, 0.9),
    ]
    _, second = seed_means(runs)
    assert second.n_seeds == 2
    assert second.difference == pytest.approx(0.1)
    assert math.isnan(second.difference_error)


@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.full)])
def test_a_sweep_ends_with_a_table_of_what_its_summaries_say(
    launcher: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sweep"
    where = (f"hydra.sweep.dir={folder}", f"db.url=sqlite:///{tmp_path / 'sweep.db'}", f"hydra/launcher={launcher}")
    assert main(["train", *SMALL, *where, "seed=0,1", "model.lr=1e-3,-1"]) == 2
    kept = json.loads((folder / "sweep.json").read_text())
    found = {run["folder"]: run for run in kept["runs"]}
    assert [found[str(i)]["overrides"]["model.lr"] for i in range(4)] == ["0.001", "-1", "0.001", "-1"]
    for i in (0, 2):
        assert found[str(i)]["values"] == json.loads((folder / str(i) / "summary.json").read_text())
    assert found["1"]["status"] == "failed: `lr` must be a number of at least 0.0, got -1."
    assert [mean["n_seeds"] for mean in kept["means"]] == [2, 0]
    accuracy = found["0"]["values"]["event_accuracy"]
    shown = capsys.readouterr()
    assert f"{accuracy:.4f}" in shown.out
    # Other processes write their own.
    assert shown.err.count("failed: `lr` must be a number of at least 0.0, got -1.") == 2 * (launcher == "basic")


def test_a_sweep_shows_no_run_of_an_earlier_one_in_its_folder(tmp_path: Path) -> None:
    leave(tmp_path / "0", ["seed=0"], summary(0.6))
    assert len(read_sweep(tmp_path)) == 1
    forget_runs(tmp_path)
    assert read_sweep(tmp_path) == []


def test_the_charts_of_a_sweep_are_named_by_what_differs(tmp_path: Path) -> None:
    for i, market in enumerate(("a/b", "c", "d")):
        folder = leave(tmp_path / str(i), ["model=mlp", f"data.path={market}"], summary(0.6))
        (folder / "tensorboard").mkdir()
        (folder / "tensorboard" / "events.out.tfevents.1").write_text(market)
    (tmp_path / "2" / "tensorboard" / "events.out.tfevents.1").unlink()
    (tmp_path / "2" / "tensorboard").rmdir()  # logger=none
    for _ in range(2):  # a sweep that goes on links anew
        charts = link_charts(tmp_path, read_sweep(tmp_path))
        found = {link.name: (link / "events.out.tfevents.1").read_text() for link in charts.iterdir()}
        assert found == {"0,data.path=a-b": "a/b", "1,data.path=c": "c"}
    console = Console(width=200, record=True, file=StringIO())
    console.print(sweep_tables(tmp_path, read_sweep(tmp_path), charts))
    assert f"tensorboard --logdir {tmp_path / 'tensorboard'}" in console.export_text()


def test_a_sweep_without_charts_links_none(tmp_path: Path) -> None:
    leave(tmp_path / "0", ["seed=0"], summary(0.6))
    assert link_charts(tmp_path, read_sweep(tmp_path)) == tmp_path


def with_charts(sweep: Path, folder: str, **overrides: str) -> SweptRun:
    """Return a run whose folder has an event file that holds the folder's name."""
    (sweep / folder / "tensorboard").mkdir(parents=True)
    (sweep / folder / "tensorboard" / "events").write_text(folder)
    return SweptRun(folder, overrides, "finished", 0, summary(0.6))


@pytest.mark.parametrize("value", ["x" * 300, "\u00e9" * 150, "\u4e16" * 90], ids=["1-byte", "2-byte", "3-byte"])
def test_long_names_of_charts_are_cut_and_stay_different(value: str, tmp_path: Path) -> None:
    place = "a" * 210  # two folders whose names are equal once they are cut
    runs = [with_charts(tmp_path, place + end, path=value) for end in "bcd"]
    runs.append(with_charts(tmp_path, "0", path=value))
    charts = link_charts(tmp_path, runs)
    assert charts == tmp_path / "tensorboard"
    assert sorted((link / "events").read_text() for link in charts.iterdir()) == sorted(run.folder for run in runs)
    assert max(len(os.fsencode(link.name)) for link in charts.iterdir()) < 255


def test_where_links_fail_the_folder_of_the_sweep_is_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runs = [with_charts(tmp_path, "0")]
    (tmp_path / "tensorboard").write_text("a user's file")
    assert link_charts(tmp_path, runs) == tmp_path
    assert (tmp_path / "tensorboard").read_text() == "a user's file"
    (said,) = caplog.messages
    assert said.startswith("TensorBoard shows the runs by their folders, because links failed: ")


def test_a_folder_that_holds_more_than_links_stays_as_it_is(tmp_path: Path) -> None:
    runs = [with_charts(tmp_path, "0")]
    charts = link_charts(tmp_path, runs)
    (charts / "events.mine").write_text("a user's file")
    assert link_charts(tmp_path, runs) == tmp_path
    assert sorted(path.name for path in charts.iterdir()) == ["0", "events.mine"]


def test_a_run_in_the_folder_of_its_sweep_keeps_its_charts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = (f"hydra.sweep.dir={tmp_path}", "hydra.sweep.subdir=.", f"db.url=sqlite:///{tmp_path / 'sweep.db'}")
    assert main(["train", *SMALL[:-1], "walk.steps=2", "hydra/launcher=basic", *where]) == 0
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))
    assert f"tensorboard --logdir {tmp_path}\n" in capsys.readouterr().out


SUBDIRS = ("a/b/${hydra.job.num}", "${hydra.job.override_dirname}", "../beside/${hydra.job.num}")


@pytest.mark.parametrize("subdir", SUBDIRS)
@pytest.mark.parametrize("own_folder", ["hydra.output_subdir=null", "hydra.job.chdir=true"])
def test_runs_are_found_wherever_hydra_put_them(subdir: str, own_folder: str, tmp_path: Path) -> None:
    folder, here = tmp_path / "sweep", Path.cwd()
    where = (f"hydra.sweep.dir={folder}", f"db.url=sqlite:///{tmp_path / 'sweep.db'}", "hydra/launcher=basic")
    named = ("hydra.job.config.override_dirname.exclude_keys=[db.url]", own_folder, "model.lr=1e-3,-1")
    try:
        code = main(["train", *SMALL, *where, *named, f"hydra.sweep.subdir='{subdir}'"])
    finally:
        os.chdir(here)
    assert code == 2  # that of the run that failed
    runs = json.loads((folder / "sweep.json").read_text())["runs"]
    assert [run["status"].partition(":")[0] for run in runs] == ["finished", "failed"]
    for run in runs:
        assert (folder / run["folder"] / ("summary.json" if run["values"] else "failure.json")).is_file()


SWEEPER = """
from hydra.plugins.sweeper import Sweeper
from hydra.core.plugins import Plugins


class {name}(Sweeper):
    def setup(self, *, hydra_context, task_function, config):
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        batches = {batches}
        values = []
        for number, batch in enumerate(batches):
            values += [float(found.return_value) for found in self.launcher.launch([[*arguments, *batch]], number)]
        print("VALUES", *values)
"""


def sweep_by(folder: Path, batches: list[list[str]], *overrides: str) -> "subprocess.CompletedProcess[str]":
    """Run a sweep by a sweeper that needs a number of each run, as one that optimises does."""
    package = folder / "plugins" / "hydra_plugins" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "sweeper.py").write_text(SWEEPER.format(name="Needing", batches=batches))
    (folder / "configs" / "hydra" / "sweeper").mkdir(parents=True)
    option = "# @package hydra.sweeper\n_target_: hydra_plugins.mine.sweeper.Needing\n"
    (folder / "configs" / "hydra" / "sweeper" / "needing.yaml").write_text(option)
    own = ("hydra/sweeper=needing", "hydra/launcher=basic")
    where = (f"hydra.sweep.dir={folder / 'sweep'}", f"db.url=sqlite:///{folder / 'sweep.db'}")
    command = [
        sys.executable,
        "-m",
        "trendtrain.cli",
        "train",
        "--config-dir",
        str(folder / "configs"),
        *SMALL,
        *own,
        *where,
        *overrides,
    ]
    path = {"PYTHONPATH": os.pathsep.join([str(folder / "plugins"), *sys.path])}
    return subprocess.run(command, env=os.environ | path, capture_output=True, text=True, check=False)


def test_a_sweeper_that_needs_numbers_gets_them_of_all_runs(tmp_path: Path) -> None:
    batches = [["seed=0"], ["model.lr=-1"], ["walk.step=1bars", "walk.steps=1"], ["seed=1"]]
    ended = sweep_by(tmp_path, batches, "metric=nll")
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("VALUES")]
    runs = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["runs"]
    values = [run["values"].get("nll") for run in runs]
    assert values[1] is values[2] is None  # one failed, one has judged nothing
    assert [float(value) for value in line.split()[1:]] == [math.inf if v is None else v for v in values]
    assert ended.returncode == 2, ended.stderr


def test_a_sweep_without_a_run_is_no_success(tmp_path: Path) -> None:
    ended = sweep_by(tmp_path, [])
    assert ended.stdout.splitlines() == ["VALUES"]
    assert ended.stderr == f"trendtrain: error: the sweep in {tmp_path / 'sweep'} left no run.\n"
    assert ended.returncode == 1


def test_a_metric_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = (f"hydra.run.dir={tmp_path}", f"db.url=sqlite:///{tmp_path / 'run.db'}")
    assert main(["train", *SMALL[1:], *where, "metric=acuracy"]) == 2
    assert "`metric` must be one of event_accuracy, nll, ece, got 'acuracy'" in capsys.readouterr().err


@pytest.mark.full
def test_the_ablation_of_twelve_runs_ends_without_a_hand_and_its_table_is_right(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    where = (f"hydra.sweep.dir={folder}", f"db.url=sqlite:///{tmp_path / 'sweep.db'}")
    assert main(["train", "experiment=replay_ablation", *SMALL[1:], *where]) == 0
    kept = json.loads((folder / "sweep.json").read_text())
    assert len(kept["runs"]) == 12
    for mean in kept["means"]:
        own = [run for run in kept["runs"] if run["overrides"]["replay"] == mean["overrides"]["replay"]]
        assert mean["n_seeds"] == len(own) == 3
        assert mean["event_accuracy"] == pytest.approx(sum(run["values"]["event_accuracy"] for run in own) / 3)


@pytest.mark.parametrize(
    ("number", "exit_code", "launcher"),
    [
        (signal.SIGINT, 130, ["hydra/launcher=basic"]),
        pytest.param(signal.SIGINT, 130, ["hydra.launcher.n_jobs=2"], marks=pytest.mark.full),
        pytest.param(signal.SIGTERM, 143, ["hydra.launcher.n_jobs=2"], marks=pytest.mark.full),
    ],
)
def test_a_signal_ends_a_sweep_with_all_its_processes_and_a_table_of_what_had_ended(
    number: signal.Signals, exit_code: int, launcher: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    where = (f"hydra.sweep.dir={folder}", f"db.url=sqlite:///{tmp_path / 'sweep.db'}", *launcher)
    command = [sys.executable, "-m", "trendtrain.cli", "train", *SMALL, *where]
    seeds = "seed=" + ",".join(map(str, range(40)))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, seeds], **pipes, text=True, start_new_session=True) as sweep:
        assert sweep.stdout is not None
        assert "run 0 finished" in sweep.stdout.readline() or launcher != ["hydra/launcher=basic"]
        os.killpg(sweep.pid, number) if number == signal.SIGINT else sweep.send_signal(number)  # as a terminal does
        shown, error = sweep.communicate(timeout=60)  # the pipes end with the last process that holds them
    assert sweep.returncode == exit_code, error
    kept = json.loads((folder / "sweep.json").read_text())
    finished = [run for run in kept["runs"] if run["status"] == "finished"]
    assert 1 <= len(finished) < 40
    assert all(run["status"] in ("finished", "interrupted") for run in kept["runs"])
    for run in finished:
        assert run["values"] == json.loads((folder / run["folder"] / "summary.json").read_text())
        assert f"{run['values']['event_accuracy']:.4f}" in shown
    assert f"{len(kept['runs'])} runs in" in shown


def test_a_run_that_was_cut_short_is_in_no_mean() -> None:
    runs = [swept({"seed": "0"}, 0.6), replace(swept({"seed": "1"}, 0.9), status="interrupted")]
    (mean,) = seed_means(runs)
    assert (mean.n_seeds, mean.event_accuracy) == (1, 0.6)


def test_of_a_sweep_that_was_cut_off_runs_that_had_not_ended_are_left_out(tmp_path: Path) -> None:
    leave(tmp_path / "0", ["seed=0"], summary(0.6))
    note_failure(leave(tmp_path / "1", ["seed=1"], None), 2, "`lr` must be more")
    leave(tmp_path / "2", ["seed=2"], None)
    assert [run.status for run in read_sweep(tmp_path, is_cut=True)] == ["finished", "failed: `lr` must be more"]
