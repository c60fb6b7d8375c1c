"""Every logger option ends with the same numbers, read back from its own files, without a network; also on resume."""

import csv
import json
import math
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from train_runs import RunIn
from wandb.proto.wandb_internal_pb2 import Record

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),  # of mlflow's tables
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # mlflow keeps its connections
]
Points = dict[str, dict[int, float]]  # by name and walk step
OPTIONS = ["tensorboard", "csv", "mlflow", "wandb", "many"]
FEW = ("data.source.n_bars=3000", "data.symbols=SYNTH", "walk.steps=14", "model.net.dropout=0.0")


def of_tensorboard(folder: Path) -> Points:
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    tags = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    found = {tag: {point.step: point.value for point in points} for tag, points in tags.items()}
    found["market_time"] = {point.step: point.wall_time for point in tags["trend/pending"]}
    return found


def of_csv(folder: Path) -> Points:
    found: Points = {}
    with (folder / "csv" / "metrics.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            for name, value in row.items():
                if value and name != "step":
                    assert int(row["step"]) not in found.setdefault(name, {}), "a point comes once"
                    found[name][int(row["step"])] = float(value)
    return found


def of_mlflow(folder: Path) -> Points:
    found: Points = {}
    with sqlite3.connect(folder / "mlflow.db") as database:
        for name, step, value in database.execute("SELECT key, step, value FROM metrics ORDER BY timestamp"):
            found.setdefault(name, {})[step] = value
    database.close()
    return found


def of_wandb(folder: Path) -> Points:
    found: Points = {}
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.parent.name):
        for record in records(file.read_bytes()):
            items = record.history.item
            row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}
            step = row.pop("trainer/global_step", None)
            for name, value in row.items():
                if isinstance(value, float | int) and not name.startswith("_"):
                    found.setdefault(name, {})[int(step)] = value
    return found


def records(content: bytes) -> list[Record]:
    """Read the log format of LevelDB: blocks of 32 kB, each piece behind its checksum, length and kind."""
    at, whole, found = 7, b"", []
    while at + 7 <= len(content):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            found.append(Record.FromString(whole))
            whole = b""
    return found


READERS: dict[str, Callable[[Path], Points]] = {
    "tensorboard": of_tensorboard,
    "csv": of_csv,
    "mlflow": of_mlflow,
    "wandb": of_wandb,
    "many": of_csv,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunIn]:
    """A run for each option."""
    folder = tmp_path_factory.mktemp("loggers")
    made = {option: RunIn(folder / option, *FEW, f"logger={option}") for option in OPTIONS}
    for option, run in made.items():
        assert run.here() == 0, option
    return made


def of_walk(points: Points) -> Points:
    parts = ("trend/", "replay/", "market_time", "train/loss")
    return {name: values for name, values in points.items() if name.startswith(parts)}


def assert_equal(found: Points, expected: Points) -> None:
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].keys() == values.keys(), name
        for step, value in values.items():
            assert math.isclose(found[name][step], value, rel_tol=1e-6, abs_tol=1e-7), (name, step)  # float32


@pytest.mark.parametrize("option", OPTIONS)
def test_every_logger_ends_with_the_numbers_of_tensorboard(option: str, runs: dict[str, RunIn]) -> None:
    expected = of_walk(of_tensorboard(runs["tensorboard"].folder))
    assert len(expected) > 20
    assert len(expected["trend/pending"]) == 14
    assert_equal(of_walk(READERS[option](runs[option].folder)), expected)


@pytest.mark.parametrize("option", OPTIONS)
def test_a_logger_changes_no_number_of_the_run(option: str, runs: dict[str, RunIn]) -> None:
    summary, plain = runs[option].summary(), runs["tensorboard"].summary()
    assert {**summary, "config": None} == {**plain, "config": None}


def test_the_last_point_is_the_number_of_the_summary(runs: dict[str, RunIn]) -> None:
    summary, points = runs["csv"].summary(), of_csv(runs["csv"].folder)
    assert points["trend/event_accuracy"][13] == summary["event_accuracy"]
    assert points["trend/pending"][13] == summary["stats"]["pending_validations"]


def test_loggers_that_take_images_get_the_figures(runs: dict[str, RunIn]) -> None:
    events = EventAccumulator(str(runs["tensorboard"].folder / "tensorboard")).Reload()
    names = set(events.Tags()["images"])
    assert names
    (artifacts,) = (runs["mlflow"].folder / "mlflow").glob("*/artifacts")
    assert {str(file.parent.relative_to(artifacts)) for file in artifacts.rglob("13.png")} == names
    pictures = runs["wandb"].folder.glob("wandb/offline-run-*/files/media/images/**/*.png")
    assert len(list(pictures)) == len(names)


@pytest.mark.parametrize("option", ["csv", "mlflow", "wandb"])
def test_a_run_that_goes_on_ends_with_the_points_of_one_that_was_not_stopped(
    option: str, runs: dict[str, RunIn], tmp_path: Path
) -> None:
    run = RunIn(tmp_path / "run", *FEW, f"logger={option}")
    assert run.here("walk.steps=7") == 0
    checkpoint = run.checkpoint.read_bytes()
    assert run.here("walk.steps=10", "ckpt=last") == 0
    run.checkpoint.write_bytes(checkpoint)  # as if the run had been killed after step 10
    assert run.here("walk.steps=14", "ckpt=last") == 0
    assert_equal(of_walk(READERS[option](run.folder)), of_walk(READERS[option](runs[option].folder)))
