"""Keep a few numbers of each walk step for the report of a run."""

from typing import Any, Final

import lightning.pytorch as pl
import numpy as np
import torch

from trendtrain.data.arrays import to_arrays
from trendtrain.market.bars import AnyArray
from trendtrain.stream.walk_step import WalkStep

_MOST: Final = 4_096  # points; with more, every second one is dropped
_POINTS: Final = ("step", "now", "validated", "correct", "wrong_in_memory", "wrong_in_draws")
_ALARMS: Final = ("step", "now", "events_kept", "is_cut")


class RunHistory(pl.Callback):
    """Keep how the replay and the accuracy went on, in at most 4,096 points, and each change that was noticed.

    `arrays()` returns `step`; `now` in ms; `validated` and `correct`, the numbers of predictions so far;
    `wrong_in_memory` and `wrong_in_draws` as the replay tells them (docs/replay.md), NaN where it drew nothing; and
    for each change noticed, `alarm_step`, `alarm_now`, `alarm_events_kept` and `alarm_is_cut`.
    """

    def __init__(self) -> None:
        self._stride = 1
        self._points: list[tuple[float, ...]] = []
        self._alarms: list[tuple[float, ...]] = []

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Keep the step's numbers; with too many, drop every second point."""
        now = float(step.now.astype("datetime64[ms]").astype(np.int64))
        if step.change is not None:
            self._alarms.append((step.index, now, step.change, step.is_cut))
        if step.index % self._stride:
            return
        wrong = (step.replay.get(name, np.nan) for name in ("wrong_in_memory", "wrong_in_draws"))
        self._points.append((step.index, now, step.stats.validated, step.stats.correct, *wrong))
        if len(self._points) > _MOST:
            self._stride *= 2
            self._points = [point for point in self._points if point[0] % self._stride == 0]

    def arrays(self) -> dict[str, AnyArray]:
        """Return what was kept, an array for each column."""
        points = np.array(self._points, dtype=float).reshape(-1, len(_POINTS))
        alarms = np.array(self._alarms, dtype=float).reshape(-1, len(_ALARMS))
        named = {f"alarm_{name}": column for name, column in zip(_ALARMS, alarms.T, strict=True)}
        return dict(zip(_POINTS, points.T, strict=True)) | named

    def state_dict(self) -> dict[str, Any]:
        """Return what was kept."""
        double = torch.float64
        points, alarms = torch.tensor(self._points, dtype=double), torch.tensor(self._alarms, dtype=double)
        return {"stride": self._stride, "points": points, "alarms": alarms}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        self._stride = state_dict["stride"]
        arrays = to_arrays(state_dict)
        self._points, self._alarms = ([tuple(row) for row in arrays[name].tolist()] for name in ("points", "alarms"))
