"""Save checkpoints at the end of a step."""

import math
import shutil
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from trendtrain.callbacks.listeners import HasStream
from trendtrain.errors import check_at_least, check_number
from trendtrain.storage.whole_file import whole_path
from trendtrain.stream.stream import Stream


class WalkCheckpoint(pl.Callback):
    """Write `last.ckpt` every so many steps and at a clean end; a crash during a write leaves the previous one whole.

    Before a last step whose slot of the time grid is not full it writes `full.ckpt` too: with more bars the run goes on
    from there, as if the step had been whole from the start.

    Args:
        folder: Where; made when the first is written.
        every_n_steps: Walk steps, or epochs of warm-up, between checkpoints.
        every_seconds: Least seconds between two of them; live steps may be shorter than it takes to write one.
        config: The run's resolved configuration, as text; the checkpoint keeps it, so that it describes itself.

    Raises:
        InputError: If `every_n_steps` is below 1, or `every_seconds` below 0.
    """

    def __init__(
        self, folder: str | Path, every_n_steps: int = 10, config: str = "", every_seconds: float = 0.0
    ) -> None:
        check_at_least("every_n_steps", every_n_steps, 1)
        check_number("every_seconds", every_seconds, 0.0)
        self.folder = Path(folder)
        self.every_n_steps = every_n_steps
        self.every_seconds = every_seconds
        self.config = config
        self._saved_at = -math.inf
        self._n_closed: int | None = None  # when the epoch began

    @property
    def path(self) -> Path:
        """The newest checkpoint."""
        return self.folder / "last.ckpt"

    @property
    def full_path(self) -> Path:
        """The checkpoint after the last step whose slot was full, where a step that was not followed."""
        return self.folder / "full.ckpt"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the checkpoint that a partial step starts from."""
        source = trainer.ckpt_path
        if source is not None and _is_next_partial(trainer) and Path(source) != self.full_path:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_path(self.full_path, "checkpoint", is_only_writer=True) as beside:
                shutil.copyfile(source, beside)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note where the stream is."""
        self._n_closed = None if (stream := _stream(trainer)) is None else stream.n_closed

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save where the number of steps says so, or the walk ends; not after an epoch cut short, which closed no step.

        Live bars may end in an epoch that finds no further step.
        """
        is_last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        is_unchanged = (
            (stream := _stream(trainer)) is not None and stream.n_closed == self._n_closed and not stream.is_done
        )
        if trainer.fast_dev_run or is_unchanged:  # type: ignore[attr-defined]
            return
        is_due = time.monotonic() - self._saved_at >= self.every_seconds
        if is_last or (is_due and (trainer.current_epoch + 1) % self.every_n_steps == 0):
            self._save(trainer, self.path)
            self._saved_at = time.monotonic()
        if _is_next_partial(trainer):
            self._save(trainer, self.full_path)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the configuration beside the weights."""
        if self.config:
            checkpoint["config"] = self.config

    def _save(self, trainer: pl.Trainer, path: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_path(path, "checkpoint", is_only_writer=True) as beside:
            trainer.save_checkpoint(beside)


def _is_next_partial(trainer: pl.Trainer) -> bool:
    return (stream := _stream(trainer)) is not None and stream.is_next_partial


def _stream(trainer: pl.Trainer) -> Stream | None:
    datamodule = getattr(trainer, "datamodule", None)
    return datamodule.stream if isinstance(datamodule, HasStream) else None
