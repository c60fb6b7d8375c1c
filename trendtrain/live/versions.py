"""Keep versions of the model that predicts, and go back to one."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any, Final

import lightning.pytorch as pl
import numpy as np
import torch

from trendtrain.callbacks.ledger_writer import model_class
from trendtrain.callbacks.walk_checkpoint import WalkCheckpoint
from trendtrain.errors import InputError, check_at_least
from trendtrain.live.handover import PARAMETERS_FILE, publish
from trendtrain.live.log import LOG
from trendtrain.live.run_parts import stream_of
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.ledger import registry
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.storage.ledger.registry import ModelVersion
from trendtrain.storage.whole_file import whole_path

_LOG: Final = logging.getLogger(LOG)
_LEARNED: Final = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers")


class KeepVersions(pl.Callback):
    """Keep a checkpoint every so often as a version, enter it in the ledger, and delete old ones.

    It must come after the callback that writes checkpoints. A version takes no time: it is a second name of a file that
    was written anyway.

    Args:
        folder: Where checkpoints are.
        run_id: Name of the run.
        ledger: Where versions are entered.
        model: Name of the model in the ledger; None takes the class of the module's net, or of the module.
        every: Time in the market between two versions.
        keep: How many of the newest versions keep their checkpoint.

    Raises:
        InputError: If `every` is no length of time, or `keep` is below 1.
    """

    def __init__(
        self,
        folder: str | Path,
        run_id: str,
        ledger: Ledger,
        model: str | None = None,
        every: str = "1d",
        keep: int = 10,
    ) -> None:
        check_at_least("live.versions.keep", keep, 1)
        self.checkpoint = WalkCheckpoint(folder).path
        self.run_id = run_id
        self.ledger = ledger
        self.model = model
        self.every = parse_timeframe(every)
        self.keep = keep
        self._kept_at: np.datetime64 | None = None
        self._saved_at: int | None = None  # when the checkpoint was written that was looked at last, ns

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find when the last version was kept."""
        with self.ledger.engine.connect() as connection:
            own = registry.versions(connection, self.run_id)
        self._kept_at = np.datetime64(own[-1].start_time, "ms") if own else None
        self._saved_at = self._time()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the checkpoint, if it is new, and the last version was kept long enough ago."""
        stream = stream_of(trainer)
        if stream is None or (saved_at := self._time()) == self._saved_at:
            return
        self._saved_at = saved_at
        if self._kept_at is None or stream.now - self._kept_at >= self.every:
            self._kept_at = stream.now
            name = self.model or model_class(pl_module).__name__
            version = add_version(
                self.ledger, self.run_id, name, self.checkpoint, trainer.global_step, stream.now, "saved"
            )
            _LOG.info("version %d of %s is kept", version.version, name, extra={"event": "version"})
            delete_old(self.ledger, self.run_id, self.checkpoint.parent, self.keep)

    def _time(self) -> int | None:
        """Return when the checkpoint was written, ns; None where there is none."""
        return self.checkpoint.stat().st_mtime_ns if self.checkpoint.exists() else None


def add_version(
    ledger: Ledger, run_id: str, model: str, checkpoint: Path, parameters: int, time: np.datetime64, reason: str
) -> ModelVersion:
    """Give a checkpoint a second name that stays, and enter it in the ledger as the version that predicts."""
    milliseconds = int(time.astype("datetime64[ms]").astype(np.int64))
    with ledger.engine.begin() as connection:
        number = 1 + max((one.version for one in registry.versions(connection, run_id)), default=0)
        path = checkpoint.with_name(f"version-{number}.ckpt")
        path.unlink(missing_ok=True)  # left by a kill
        try:
            os.link(checkpoint, path)
        except OSError:  # a file system without links
            shutil.copyfile(checkpoint, path)
        return registry.add_version(connection, run_id, model, path.name, parameters, milliseconds, reason)


def delete_old(ledger: Ledger, run_id: str, folder: Path, keep: int) -> None:
    """Delete the checkpoints of all but the newest versions of a run; the ledger keeps their entries."""
    with ledger.engine.begin() as connection:
        old = [one for one in registry.versions(connection, run_id)[:-keep] if one.checkpoint is not None]
        for version in old:
            (folder / str(version.checkpoint)).unlink(missing_ok=True)
            registry.forget_checkpoint(connection, version)


def roll_back(ledger: Ledger, run_id: str, folder: Path, version: int) -> ModelVersion:
    """Let a run that has stopped go on with the weights and the optimizer of an earlier version.

    What it has seen, judged and may learn from stays. The checkpoint of before is kept as a version too.

    Args:
        ledger: Where the versions are.
        run_id: The run.
        folder: Its folder `checkpoints`, or that of the process that trains.
        version: Number of the version to go back to.

    Raises:
        InputError: If there is no such version, or its checkpoint was deleted.
    """
    with ledger.engine.connect() as connection:
        own = {one.version: one for one in registry.versions(connection, run_id)}
    there = [number for number, one in own.items() if one.checkpoint and (folder / one.checkpoint).exists()]
    if version not in there:
        numbers = ", ".join(map(str, there)) or "none"
        raise InputError(f"`to` must be a version of {run_id} whose checkpoint is there ({numbers}), got {version}.")
    last = WalkCheckpoint(folder)
    wanted = _read(folder / str(own[version].checkpoint))
    newest = _read(last.path)
    model, now = own[version].model, np.datetime64(newest["PivotDataModule"]["now"], "ms")
    add_version(ledger, run_id, model, last.path, newest["global_step"], now, "before a rollback")
    for path in (last.path, last.full_path):
        if path.exists():
            state = _read(path) | {name: wanted[name] for name in _LEARNED if name in wanted}
            with whole_path(path, "checkpoint", is_only_writer=True) as beside:
                torch.save(state, beside)
    if (published := folder.parent / PARAMETERS_FILE).exists():  # by a process that trains
        publish(published, newest["global_step"], now, wanted["state_dict"])
    reason = f"rollback to version {version}"
    return add_version(ledger, run_id, model, last.path, newest["global_step"], now, reason)


def _read(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    return state
