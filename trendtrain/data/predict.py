"""Predict the bars of any series with a net that a run has trained, without database or Trainer."""

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from trendtrain.data.arena import Arena
from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, FloatArray, IntArray
from trendtrain.market.directions import UNKNOWN
from trendtrain.stream.inputs import InputTracker

_BATCH = 4096  # rows predicted at once


@dataclass(frozen=True, eq=False)
class Predicted:
    """A net's predictions at the close of each bar.

    Attributes:
        direction: UP, DOWN or FLAT; UNKNOWN where fewer bars came before than a window has, shape (n_bars,).
        confidence: The calibrated chance of that direction; NaN where it is UNKNOWN, shape (n_bars,).
        probability: The chances of DOWN, UP and, of three classes, FLAT, shape (n_bars, C).
    """

    direction: IntArray
    confidence: FloatArray
    probability: FloatArray


class Predictor:
    """A net as a run left it: the weights it predicted with last, and the temperature fitted to its last verdicts.

    The checkpoint is read as weights and text alone; the classes that its configuration names are imported, so that a
    checkpoint of somebody else's is to be trusted as their code is.

    Args:
        checkpoint: `checkpoints/last.ckpt` of a run.

    Raises:
        InputError: If it is no such file.
    """

    def __init__(self, checkpoint: str | Path) -> None:
        state = _read(checkpoint)
        self.config: DictConfig = OmegaConf.create(json.loads(state["config"]))
        try:
            self.module = instantiate(self.config.model)
            self._features, self._side = instantiate(self.config.data.features), instantiate(self.config.data.side)
            self.module.load_state_dict(state["state_dict"])
        except (HydraException, RuntimeError) as error:
            raise InputError(f"`ckpt` must fit the code of its model, got {checkpoint}: {error}") from error
        self.module.eval()

    def predict(self, bars: Bars) -> Predicted:
        """Return the net's prediction at the close of each bar, from it and earlier ones."""
        max_gap, window = self.config.labels.get("max_gap"), self.config.data.window
        tracker, arena = InputTracker(self._features, self._side, max_gap), Arena(window)
        arena.append(0, tracker.update(bars))
        rows = np.flatnonzero(tracker.has_window(np.arange(len(bars)), window))
        probability = np.full((len(bars), self.config.n_classes), np.nan)
        for part in np.split(rows, range(_BATCH, len(rows), _BATCH)) if len(rows) else ():
            probability[part] = self._probabilities(arena.gather(torch.from_numpy(part)))
        direction = np.full(len(bars), UNKNOWN, dtype=np.int8)
        direction[rows] = probability[rows].argmax(axis=1)
        confidence = np.full(len(bars), np.nan)
        confidence[rows] = probability[rows].max(axis=1)
        return Predicted(direction, confidence, probability)

    @torch.no_grad()
    def _probabilities(self, batch: dict[str, Tensor]) -> FloatArray:
        logits: Tensor = self.module.validation_step(batch, 0)["logits"]
        probability: FloatArray = torch.softmax(logits.double(), dim=1).numpy()
        return probability


def _read(path: str | Path) -> dict[str, Any]:
    if not Path(path).is_file():
        raise InputError(f"`ckpt` must be a checkpoint file, got {path}: there is none.")
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(f"`ckpt` must be a checkpoint of a run, got {path}.") from error
    if not isinstance(state, dict) or "config" not in state:
        raise InputError(
            f"`ckpt` must be a checkpoint of `trendtrain train`, which holds its configuration, got {path}."
        )
    return state
