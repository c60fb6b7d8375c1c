"""Runs of `trendtrain train` on a small market, and all that they leave behind."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from small_run import SMALL
from sqlalchemy import text
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trendtrain.cli import main
from trendtrain.storage import open_database
from trendtrain.storage.ledger.ledger import Ledger

TABLES = ("predictions", "verdicts", "lines", "training_events", "alarms", "models", "runs")
# What the database numbers by itself, names the run, or says when and how it was started.
MAY_DIFFER = {"id", "run_id", "config", "started_at", "updated_at"}


class RunIn:
    """`trendtrain train` on a small market of many steps, in a folder of its own."""

    def __init__(self, folder: Path, *overrides: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.overrides = [
            "data.source.n_bars=8000",
            "data.symbols=[SYNTH-A,SYNTH-B]",
            *SMALL,
            "walk.step=64bars",
            "walk.warmup=0",
            "labels.max_gap=5",
            f"hydra.run.dir={folder}",
            f"db.url={self.url}",
            *overrides,
        ]

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'run.db'}"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoints" / "last.ckpt"

    def here(self, *overrides: str, command: str = "train") -> int:
        """Train in this process, and put back the arguments that it changes."""
        argv = sys.argv
        try:
            return main([command, *self.overrides, *overrides])
        finally:
            sys.argv = argv

    def live(self, *overrides: str) -> int:
        """Run `trendtrain live` in this process; it goes on if the run has begun."""
        return self.here(*overrides, command="live")

    def go_on(self, *overrides: str) -> int:
        """Train in this process, from the last checkpoint if the run has begun."""
        return self.here(*overrides, *(["ckpt=last"] if (self.folder / "run.json").exists() else []))

    def start(self, *overrides: str, command: str = "train") -> "subprocess.Popen[str]":
        """Train in a process of its own."""
        arguments = [sys.executable, "-m", "trendtrain.cli", command, *self.overrides, *overrides]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def summary(self) -> dict[str, Any]:
        """What the run found, without what may differ."""
        summary = json.loads((self.folder / "summary.json").read_text())
        del summary["name"], summary["wall_seconds"], summary["config"]["ckpt"]
        return summary

    def ledger_stats(self) -> dict[str, dict[str, float]]:
        engine = open_database(self.url)
        stats = {row.symbol: row.stats.as_dict() for row in Ledger(engine).stats()}
        engine.dispose()
        return stats

    def ledger(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables of the ledger, without what may differ."""
        engine = open_database(self.url)
        with engine.connect() as connection:
            found = {table: connection.execute(text(f"SELECT * FROM {table}")).mappings().all() for table in TABLES}
        engine.dispose()
        return {
            table: sorted((tuple(row[name] for name in row if name not in MAY_DIFFER) for row in rows), key=repr)
            for table, rows in found.items()
        }

    def state(self) -> Any:
        """All that the last checkpoint holds: weights, optimizer, replay, statistics, to the bit."""
        return _plain(torch.load(self.checkpoint, weights_only=True))

    def charts(self, *kinds: str) -> dict[str, list[tuple[int, float, float]]]:
        """The points of all charts on market time, or of those whose tags begin as asked for."""
        events = EventAccumulator(str(self.folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
        tags = [tag for tag in events.Tags()["scalars"] if tag.startswith(kinds or ("trend/", "replay/"))]
        return {tag: [(point.step, point.wall_time, point.value) for point in events.Scalars(tag)] for tag in tags}


class AlarmsOften:
    """A detector that sees a change whenever there were so many more events; two thirds of them count on."""

    def __init__(self, every: int = 60) -> None:
        self.every = every
        self.n_events = 0

    def update(self, accuracy: np.ndarray) -> int | None:
        before, self.n_events = self.n_events, self.n_events + len(accuracy)
        return 2 * self.every // 3 if before // self.every < self.n_events // self.every else None

    def state_dict(self) -> dict[str, int]:
        return {"n_events": self.n_events}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.n_events = state["n_events"]


def _plain(value: Any) -> Any:
    """Return nested values so that they can be compared to the bit: tensors as lists, numbers as text (NaN is NaN)."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), _plain(value.tolist())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.hex() if isinstance(value, float) else value
