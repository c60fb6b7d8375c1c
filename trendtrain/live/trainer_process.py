"""Let a process of its own train: start it, start it again where it ends, and load the parameters that it publishes."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import lightning.pytorch as pl
import numpy as np
import torch

from trendtrain.callbacks.ledger_writer import model_class, n_optimizer_steps
from trendtrain.errors import EXIT_MISTAKE, InputError
from trendtrain.live.handover import PARAMETERS_FILE, TRAINER_FOLDER
from trendtrain.live.log import LOG
from trendtrain.live.run_parts import stream_of
from trendtrain.market.timeframe import format_timeframe, parse_timeframe
from trendtrain.reports.run_file import RunFile, has_run
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.stream.walk_step import WalkStep

_LOG: Final = logging.getLogger(LOG)
_LONGEST_PAUSE: Final = 60.0  # seconds between two starts
# What the process that predicts does alone.
_NOT_IN_TRAINER: Final = (
    "ledger",
    "charts",
    "history",
    "progress",
    "temperature",
    "monitor",
    "subscribers",
    "early_stopping",
)


class TrainerProcess(pl.Callback):
    """Train in another process, whose parameters are loaded after each step; its end stops no prediction.

    Args:
        folder: The run folder; the process has its own one in it, `trainer`.
        run_id: Name of the run.
        ledger: Where predictions are stored.
        config: The configuration of this run.
        versions: The callback that keeps versions of the checkpoint, which that process writes; None for none.
    """

    def __init__(
        self,
        folder: str | Path,
        run_id: str,
        ledger: Ledger,
        config: Mapping[str, Any],
        versions: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder) / TRAINER_FOLDER
        self.run_id = run_id
        self.ledger = ledger
        self.config = config
        self.versions = versions
        self._known_by: np.datetime64 | None = None  # the parameters have learned from what was known by then
        self._process: subprocess.Popen[str] | None = None
        self._task: dict[str, Any] = {}
        self._n_failures = 0
        self._start_at = 0.0
        self._loaded: tuple[int, int] | None = None  # which file
        self._is_told = False  # that random weights predict

    def as_dict(self, now: np.datetime64) -> dict[str, Any]:
        """Return the number of the process, None where it is not there, and by how much its parameters lag behind.

        Args:
            now: The end of the newest step.
        """
        is_there = self._process is not None and self._process.poll() is None
        lag = None if self._known_by is None else float((now - self._known_by) / np.timedelta64(1, "s"))
        return {"pid": self._process.pid if is_there and self._process else None, "lag_seconds": lag}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with the newest parameters, and start the process.

        Raises:
            InputError: If the ledger does not have the predictions that these parameters have learned from.
        """
        stream = stream_of(trainer)
        assert stream is not None  # of a live run
        model = self.config["callbacks"]["ledger"].get("model") or model_class(pl_module).__name__
        self._load(trainer, is_first=True)
        if self._known_by is not None and self._known_by > stream.now:
            self._check_predicted(model, self._known_by - stream.feed.length)  # a slot holds its end
        feed, history = stream.feed, trainer.datamodule.history  # type: ignore[attr-defined]
        grid = {"start": str(feed.start), "step": format_timeframe(feed.length)}
        opened = [(one, history.load(one, None, None).open_time[:1]) for one in feed.series]
        first = [[*one, str(time[0]) if len(time) else None] for one, time in opened]
        config = self._config(model)
        if not has_run(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            RunFile(name=self.run_id, grid=grid, config=config).save(self.folder)
        url = self.ledger.engine.url.render_as_string(hide_password=False)
        more = {"db": {"url": url}, "run": {"name": self.run_id}, "overwrite": False, "metric": "event_accuracy"}
        loaded_at = None if feed.loaded_at is None else str(feed.loaded_at)
        self._task = {
            "folder": str(self.folder),
            "config": config | more,
            "loaded_at": loaded_at,
            "first": first,
            **grid,
        }
        self._start()

    def on_wait(self, trainer: pl.Trainer) -> None:
        """See whether the process is there."""
        self._watch()

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Load the newest parameters: the step is closed, and the next bar is not predicted yet."""
        if not self._is_told and not n_optimizer_steps(trainer):
            self._is_told = True
            text = "random weights predict until the process that trains has published its first parameters"
            _LOG.warning(text, extra={"event": "trainer"})
        self._watch()
        self._load(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the process."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """End the process."""
        self._stop()

    def _config(self, model: str) -> dict[str, Any]:
        """Return the configuration of the process that trains."""
        callbacks = {**self.config["callbacks"], **dict.fromkeys((*_NOT_IN_TRAINER, "predict_only", "training"))}
        handover = {"_target_": "trendtrain.live.handover.Handover", "_partial_": True, "model": model}
        callbacks |= {"versions": self.versions, "handover": handover}
        endless = {"max_time": None, "max_epochs": -1}  # it ends with this process
        trainer = {**self.config["trainer"], "enable_progress_bar": False, **endless}
        data = {**self.config["data"], "check_causal": False}  # this one has checked it
        return {**self.config, "callbacks": callbacks, "trainer": trainer, "data": data, "ckpt": "auto"}

    def _start(self) -> None:
        command = [sys.executable, "-m", "trendtrain.live.trainer"]
        try:  # in a session of its own: Ctrl-C is for this process, which ends that one
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=2, text=True, start_new_session=True
            )
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(self._task) + "\n")  # it ends as soon as nobody holds this pipe
            self._process.stdin.flush()
        except OSError as error:
            self._fail(f"could not start: {error}")
        else:
            _LOG.info("training happens in process %d", self._process.pid, extra={"event": "trainer"})

    def _watch(self) -> None:
        """Start the process again where it has ended."""
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self._start()
        elif (code := self._process.poll()) is not None:
            self._fail(f"has ended with {code}", is_mistake=code == EXIT_MISTAKE)

    def _fail(self, what: str, is_mistake: bool = False) -> None:
        """Tell it, and wait before the next start: longer and longer if nothing was published since the last one.

        A mistake of the user's, such as in the configuration, will hardly be gone in a second.
        """
        self._stop()
        pause = _LONGEST_PAUSE if is_mistake else min(2.0**self._n_failures, _LONGEST_PAUSE)
        self._n_failures += 1
        self._start_at = time.monotonic() + pause
        text = "the process that trains %s; predictions go on, and it starts again in %.0f s"
        _LOG.error(text, what, pause, extra={"event": "trainer"})

    def _stop(self) -> None:
        """Kill the process: all that it writes is whole at any moment."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _check_predicted(self, model: str, time: np.datetime64) -> None:
        """Raise unless a bar that closed after a time was predicted: the next one would be predicted with hindsight."""
        newest = self.ledger.newest_predicted(self.run_id, model)
        closes = [np.datetime64(at, "ms") + parse_timeframe(one.timeframe) for one, at in newest.items()]
        if not closes or max(closes) <= time:
            url, got = self.ledger.engine.url.render_as_string(), str(max(closes)) if closes else "none"
            rule = f"must hold the predictions of {self.run_id} until {time}, from which its parameters have learned"
            raise InputError(f"`db.url` {rule}, got {url}, with predictions until {got}.")

    def _load(self, trainer: pl.Trainer, is_first: bool = False) -> None:
        """Load the parameters that were published last, unless they are older than those that are there.

        After a kill the process that trains goes on from its checkpoint, and may be behind what it published.
        """
        try:
            file = (self.folder / PARAMETERS_FILE).open("rb")
        except FileNotFoundError:
            return
        with file:
            status = os.fstat(file.fileno())
            if (status.st_ino, status.st_mtime_ns) == self._loaded:
                return
            self._loaded = (status.st_ino, status.st_mtime_ns)
            published = torch.load(file, weights_only=True, map_location="cpu")
        module, number = trainer.lightning_module, int(published["number"])
        if is_first or number > n_optimizer_steps(trainer):
            kept = {name: value for name, value in module.state_dict().items() if name == "temperature"}
            module.load_state_dict(published["state_dict"] | kept)
            progress = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress
            progress.optimizer.step.total.completed = number  # what `n_optimizer_steps` tells
            self._known_by = np.datetime64(published["known_by"], "ms")
            self._n_failures = 0
