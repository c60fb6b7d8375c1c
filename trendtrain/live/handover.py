"""In the process that trains: take the predictions of the other process, and hand parameters over to it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from trendtrain.callbacks.ledger_writer import Stored, as_stored, n_optimizer_steps, prediction_rows, stored_keys
from trendtrain.live.run_parts import stream_of
from trendtrain.market.bars import Series
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.storage.whole_file import whole_path
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.predictions import Predictions

TRAINER_FOLDER: Final = "trainer"  # in the run folder: that of the process that trains
PARAMETERS_FILE: Final = "parameters.pt"  # in that folder


class Handover(pl.Callback):
    """Judge the predictions of the process that predicts instead of this one's, and publish the parameters after steps.

    Args:
        folder: Where to publish: `parameters.pt` is replaced whole.
        run_id: Name of the run.
        ledger: Where predictions are.
        model: Name of the model there.
    """

    def __init__(self, folder: str | Path, run_id: str, ledger: Ledger, model: str) -> None:
        self.path = Path(folder) / PARAMETERS_FILE
        self.run_id = run_id
        self.ledger = ledger
        self.model = model
        self._stored: Stored = {}
        self._published = 0  # the newest parameters in the file
        self._known_by: np.datetime64 = np.datetime64(0, "ms")  # what batches are drawn from was known by then

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note which parameters are there already: after a kill, older ones come first."""
        if self.path.exists():
            self._published = int(torch.load(self.path, weights_only=True, map_location="cpu")["number"])
        self._draw(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note what is known: the batches of an epoch are drawn before its step brings new bars."""
        self._draw(trainer)

    def on_predictions(
        self, trainer: pl.Trainer, index: int, predictions: Predictions, series: tuple[Series, ...]
    ) -> Predictions:
        """Return the stored predictions; bars without one are left out."""
        rows = prediction_rows(predictions, series, trainer)
        missing = [key for key in stored_keys(rows) if key not in self._stored]
        if missing:
            first: dict[Series, int | None] = {one: time - 1 for one, time in sorted(missing, reverse=True)}
            self._stored |= self.ledger.stored(self.run_id, self.model, first)
        stored, is_stored = as_stored(predictions, rows, self._stored)
        return stored[is_stored]

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Publish the parameters that would predict now; averaged ones are in place."""
        self._publish(trainer)

    def on_warmup(self, trainer: pl.Trainer, done: int, total: int) -> None:
        """Publish the parameters after an epoch of the warm-up."""
        self._publish(trainer)

    def _draw(self, trainer: pl.Trainer) -> None:
        if (stream := stream_of(trainer)) is not None:
            self._known_by = stream.now

    def _publish(self, trainer: pl.Trainer) -> None:
        if (number := n_optimizer_steps(trainer)) > self._published:
            publish(self.path, number, self._known_by, trainer.lightning_module.state_dict())
            self._published = number


def publish(path: Path, number: int, known_by: np.datetime64, state: Mapping[str, Tensor]) -> None:
    """Write parameters whole.

    Args:
        path: The file.
        number: How many optimizer steps made them.
        known_by: They have learned from what was known by then.
        state: The state of the module.
    """
    time = int(known_by.astype("datetime64[ms]").astype(np.int64))
    tensors = {name: tensor.cpu() for name, tensor in state.items()}
    with whole_path(path, "parameters", is_only_writer=True) as beside:
        torch.save({"number": number, "known_by": time, "state_dict": tensors}, beside)
