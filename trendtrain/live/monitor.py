"""Follow a live run, and say how it is: in a file of its folder, as metrics, to the service manager."""

import gc
import json
import logging
import os
import socket
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import lightning.pytorch as pl
from lightning.pytorch.utilities.exceptions import SIGTERMException
from sqlalchemy import URL

from trendtrain.callbacks.ledger_writer import how_ended, n_optimizer_steps
from trendtrain.live.facts import Facts
from trendtrain.live.log import LOG, hide_secrets
from trendtrain.live.metrics import MetricsServer
from trendtrain.live.notify import notify
from trendtrain.live.run_parts import clock_of, pivot_rules_of, stream_of
from trendtrain.live.trainer_process import TrainerProcess
from trendtrain.market.bars import Series
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.stream.stream import Stream
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.predictions import Predictions

STATUS_FILE: Final = "live.json"
_LOG: Final = logging.getLogger(LOG)
_SECONDS_BETWEEN: Final = 1.0
_SECONDS_BETWEEN_ENTRIES: Final = 60.0  # of the log while the first step waits


class Monitor(pl.Callback):
    """Write `live.json` in the run folder once a second, serve metrics, and tell systemd that the process is alive.

    Nothing of this can stop a prediction: a file that cannot be written is logged once. While the run is watched, the
    garbage collector leaves what the set-up made alone: going through it stopped predictions for 0.4 s.

    Args:
        folder: The run folder.
        run_id: Name of the run.
        ledger: Where predictions are written; the file says so to `trendtrain live status`.
        metrics_port: Port of the Prometheus metrics; None serves none.
        metrics_address: Where to listen; by default this machine alone can ask.
    """

    def __init__(
        self,
        folder: str | Path,
        run_id: str,
        ledger: Ledger,
        metrics_port: int | None = None,
        metrics_address: str = "127.0.0.1",
    ) -> None:
        self.path = Path(folder) / STATUS_FILE
        self.run_id = run_id
        self.ledger = ledger
        self.metrics_port = metrics_port
        self.metrics_address = metrics_address
        self.metrics: MetricsServer | None = None
        self._facts = Facts()
        self._entries = _Entries()
        self._state = "starting"
        self._rules: dict[str, Any] | None = None
        self._training: TrainerProcess | None = None
        self._beat_at = -_SECONDS_BETWEEN
        self._told_at = time.monotonic()
        self._is_written = True

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin to serve metrics, if the set-up of the bars has not waited before."""
        self._begin()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note where the run starts, and say that it is ready."""
        if (stream := stream_of(trainer)) is not None:
            self._facts.begin(stream.series, stream.newest_bars(), n_optimizer_steps(trainer))
        found = (one for one in trainer.callbacks if isinstance(one, TrainerProcess))  # type: ignore[attr-defined]
        self._training = next(found, None)
        rules = pivot_rules_of(trainer)
        self._rules = None if rules is None else asdict(rules)
        self._state = "running"
        gc.collect()
        gc.freeze()
        notify("READY=1")
        self._beat(stream, is_due=True)

    def on_wait(self, trainer: pl.Trainer) -> None:
        """Say that the process is alive while it waits for bars."""
        self._begin()
        self._beat(stream_of(trainer))

    def wait_in_setup(self, stream: Stream) -> None:
        """Say that the process is alive while the first step waits, before there is a trainer; metrics come later."""
        if time.monotonic() - self._told_at >= _SECONDS_BETWEEN_ENTRIES:
            self._told_at = time.monotonic()
            n_bars = ", ".join(f"{' '.join(name)} {n}" for name, n in stream.n_bars.items())
            _LOG.info("the first step still waits for bars with known labels; bars so far: %s", n_bars)
        if self._is_due():
            self._facts.begin(stream.series, stream.newest_bars(), 0)
        self._beat(stream)

    def end_setup(self, stream: Stream) -> None:
        """Note that the wait for the first step was interrupted."""
        self._end(stream, "interrupted")

    def on_warmup(self, trainer: pl.Trainer, done: int, total: int) -> None:
        """Say that the process is alive while nothing is predicted yet."""
        self._beat(stream_of(trainer))

    def on_predictions(
        self, trainer: pl.Trainer, index: int, predictions: Predictions, series: tuple[Series, ...]
    ) -> Predictions:
        """Note how late the predictions were that have been stored."""
        lags = self._facts.add_predictions(predictions, series, clock_of(trainer))
        if self.metrics is not None:
            self.metrics.observe(lags)
        return predictions

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Note what the step brought."""
        self._facts.add_step(step, n_optimizer_steps(trainer))
        self._beat(stream_of(trainer))

    def on_change(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Count and log an alarm."""
        self._facts.n_alarms += 1
        _LOG.warning("the market has changed at %s: verdicts get worse", step.now, extra={"event": "change"})

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that the run ended without an error."""
        self._end(stream_of(trainer), how_ended(trainer))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Note how the run ended."""
        is_interrupt = isinstance(exception, KeyboardInterrupt | SIGTERMException)
        if not is_interrupt:
            _LOG.error("the run failed: %s: %s", type(exception).__name__, exception, extra={"event": "failed"})
        self._end(stream_of(trainer), "interrupted" if is_interrupt else "failed")

    def _begin(self) -> None:
        if self.metrics_port is not None and self.metrics is None:
            self.metrics = MetricsServer(self.metrics_port, self.metrics_address)
        _LOG.addHandler(self._entries)  # once, however often

    def _end(self, stream: Stream | None, state: str) -> None:
        self._state = state
        gc.unfreeze()
        notify("STOPPING=1")
        self._beat(stream, is_due=True)
        _LOG.removeHandler(self._entries)
        if self.metrics is not None:
            self.metrics.close()
            self.metrics = None

    def _is_due(self) -> bool:
        return time.monotonic() - self._beat_at >= _SECONDS_BETWEEN

    def _beat(self, stream: Stream | None, is_due: bool = False) -> None:
        """Say how the run is, if the last time was a second ago."""
        if not (is_due or self._is_due()):
            return
        self._beat_at = time.monotonic()
        facts = self._as_dict(stream)
        if self.metrics is not None:
            self.metrics.show(facts)
        self._write(facts)
        notify(f"WATCHDOG=1\nSTATUS={self._state}, {facts['n_steps']} steps, {facts['n_events']} events")

    def _as_dict(self, stream: Stream | None) -> dict[str, Any]:
        if stream is not None and (clock := stream.feed.clock()) is not None:
            self._facts.clock = clock
        who = {
            "run": self.run_id,
            "db": _shown(self.ledger.engine.url),
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        when = {"state": self._state, "beat_at": time.time(), "rules": self._rules}
        trainer = None if self._training is None or stream is None else self._training.as_dict(stream.now)
        return {**who, **when, "trainer": trainer, **self._entries.as_dict(), **self._facts.as_dict()}

    def _write(self, facts: dict[str, Any]) -> None:
        """Write the file whole, but without a sync to the disk, which may take long: the next one comes soon."""
        beside = self.path.with_name(f".{self.path.name}.partial")
        try:
            beside.write_text(json.dumps(facts, allow_nan=False))
            beside.replace(self.path)
            self._is_written = True
        except OSError as error:
            if self._is_written:
                _LOG.error("%s cannot be written: %s", self.path, error, extra={"event": "status file"})
            self._is_written = False


class _Entries(logging.Handler):
    """Counts warnings and errors of the log, and keeps the last one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._n_warnings = self._n_errors = 0
        self._last: dict[str, Any] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Count an entry."""
        is_error = record.levelno >= logging.ERROR
        self._n_errors += is_error
        self._n_warnings += not is_error
        self._last = {"at": record.created, "message": hide_secrets(record.getMessage())}

    def as_dict(self) -> dict[str, Any]:
        """Return the counts and the last entry."""
        return {"n_warnings": self._n_warnings, "n_errors": self._n_errors, "last_entry": self._last}


def _shown(url: URL) -> str:
    """Return the URL without its password, and with the whole path of a file."""
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        url = url.set(database=str(Path(str(url.database)).absolute()))
    return url.render_as_string(hide_password=True)
