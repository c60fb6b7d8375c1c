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
from torch.utils.data import DataLoader

from trendtrain.data.arena import Arena, Batch
from trendtrain.data.datamodule import PivotDataModule
from trendtrain.data.device import GatherAhead, loader
from trendtrain.data.windows import WindowDataset
from trendtrain.errors import InputError, near_file
from trendtrain.market.bars import Bars, BoolArray, FloatArray, IntArray, Series
from trendtrain.market.directions import UNKNOWN
from trendtrain.replay.sampler import Draw
from trendtrain.stream.inputs import InputTracker
from trendtrain.stream.tape import Labeler

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

    Attributes:
        config: The configuration of the run.
        module: Its LightningModule.
        series: The series that it has seen.

    Raises:
        InputError: If it is no such file.
    """

    def __init__(self, checkpoint: str | Path) -> None:
        state = _read(checkpoint)
        self.config: DictConfig = OmegaConf.create(json.loads(state["config"]))
        try:
            self.module = instantiate(self.config.model)
            self._features, self._side = instantiate(self.config.data.features), instantiate(self.config.data.side)
            self.label: Labeler = instantiate(self.config.labels)
            self.module.load_state_dict(state["state_dict"])
        except (HydraException, RuntimeError) as error:
            raise InputError(f"`ckpt` must fit the code of its model, got {checkpoint}: {error}") from error
        self.module.eval()
        stream = state.get(PivotDataModule.__qualname__, {"series": [], "n_bars": [], "now": 0})
        self._n_bars = {Series(*name): n for name, n in zip(stream["series"], stream["n_bars"], strict=True)}
        self._now = np.datetime64(stream["now"], "ms")
        self.series = tuple(self._n_bars)
        self.max_gap: int | None = self.config.labels.get("max_gap")

    def in_sample(self, series: Series, bars: Bars) -> BoolArray:
        """Return whether the run may have trained on each bar: it had the bar, and its label was known, (n_bars,)."""
        if series not in self._n_bars or not len(bars):
            return np.zeros(len(bars), np.bool_)
        is_known = self.label(bars).known(self._now)
        n_closed = int(np.searchsorted(bars.close_time, self._now, side="right"))
        is_known[: max(n_closed - self._n_bars[series], 0)] = False  # before its first bar
        return is_known

    def loader(self, bars: Bars, is_asked: BoolArray) -> tuple[DataLoader[Batch] | GatherAhead, int]:
        """Return batches of the bars asked for that have a whole window, and how many bars these are."""
        arena, rows = self._windows(bars)
        rows = rows[is_asked[rows]]
        draws = [Draw(part, np.ones(len(part))) for part in _parts(rows)]
        return loader(WindowDataset(arena), draws, torch.device("cpu")), len(rows)

    def predict(self, bars: Bars) -> Predicted:
        """Return the net's prediction at the close of each bar, from it and earlier ones."""
        arena, rows = self._windows(bars)
        probability = np.full((len(bars), self.config.n_classes), np.nan)
        for part in _parts(rows):
            probability[part] = self._probabilities(arena.gather(torch.from_numpy(part)))
        direction = np.full(len(bars), UNKNOWN, dtype=np.int8)
        direction[rows] = probability[rows].argmax(axis=1)
        confidence = np.full(len(bars), np.nan)
        confidence[rows] = probability[rows].max(axis=1)
        return Predicted(direction, confidence, probability)

    def _windows(self, bars: Bars) -> tuple[Arena, IntArray]:
        """Return the inputs of bars, and the rows with a whole window behind them."""
        window = self.config.data.window
        tracker, arena = InputTracker(self._features, self._side, self.max_gap), Arena(window)
        arena.append(0, tracker.update(bars))
        return arena, np.flatnonzero(tracker.has_window(np.arange(len(bars)), window))

    @torch.no_grad()
    def _probabilities(self, batch: dict[str, Tensor]) -> FloatArray:
        logits: Tensor = self.module.validation_step(batch, 0)["logits"]
        probability: FloatArray = torch.softmax(logits.double(), dim=1).numpy()
        return probability


def _parts(rows: IntArray) -> list[IntArray]:
    return np.split(rows, range(_BATCH, len(rows), _BATCH)) if len(rows) else []


def _read(path: str | Path) -> dict[str, Any]:
    if not Path(path).is_file():
        raise InputError(f"`ckpt` must be a checkpoint file, got {path}: there is none{near_file(path)}")
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(f"`ckpt` must be a checkpoint of a run, got {path}.") from error
    if not isinstance(state, dict) or "config" not in state:
        raise InputError(
            f"`ckpt` must be a checkpoint of `trendtrain train`, which holds its configuration, got {path}."
        )
    return state
