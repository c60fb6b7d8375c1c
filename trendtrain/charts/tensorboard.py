"""Write the points and pictures of a walk to TensorBoard, each at its market time."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.writer import FileWriter

from trendtrain.charts.loggers import market_seconds
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.score import DIFFERENCES, SHARES, Scores

_FIRST: Final = ("event_accuracy", "over_best", "over_best_low", "over_best_high")  # in the group shown first
_BOUNDS: Final = {"event_accuracy": SHARES, "over_best": DIFFERENCES}
_MORE_EVENTS: Final = 1.1  # an interval shrinks by a twentieth meanwhile, and all of them cost 11 of the last one


class Intervals:
    """Keep the half-widths of the 95 % intervals of event accuracy, and of its lead over the best baseline.

    They are computed anew with every tenth more events, and at the last step of a walk; in between the half-width
    stays and the middle moves.
    """

    def __init__(self) -> None:
        self._half: dict[str, float] = {}
        self._n_events = 0  # when the half-widths were computed

    def update(self, step: WalkStep) -> dict[str, float]:
        """Return lead, middles and ends by TensorBoard name without `trend/`; NaN while there are too few events."""
        is_last = step.n_steps in (None, step.index + 1)  # None: a pass of its own
        if is_last or step.board.n_events >= _MORE_EVENTS * self._n_events + 1:
            self._half, self._n_events = _half_widths(step.board.scores()), step.board.n_events
        accuracy = step.metrics["event_accuracy"]
        best = max((value for name, value in step.metrics.items() if name.startswith("baseline_")), default=math.nan)
        middle = {"event_accuracy": accuracy, "over_best": accuracy - best}
        ends = {  # a NaN half-width voids the middle too
            f"{name}_{end}": float(np.clip(middle[name] + sign * half, *_BOUNDS[name]))
            for name, half in self._half.items()
            for end, sign in (("mid", 0), ("low", -1), ("high", 1))
        }
        return {"over_best": middle["over_best"], **ends}

    def state_dict(self) -> dict[str, Any]:
        """Return the half-widths, and the number of events they are of."""
        return {"half": dict(self._half), "n_events": self._n_events}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        self._half, self._n_events = dict(state_dict["half"]), state_dict["n_events"]


def _half_widths(scores: Scores) -> dict[str, float]:
    intervals = {"event_accuracy": (scores["event_accuracy"], scores["accuracy_ci95"])}
    if (best := scores["best_baseline"]) is not None:
        intervals["over_best"] = (best["difference"], best["ci95"])
    # An end that the range cut off is nearer than the other.
    return {name: max(middle - low, high - middle) for name, (middle, (low, high)) in intervals.items()}


def event_files(loggers: Iterable[Logger]) -> list[FileWriter]:
    """Return the event files of the TensorBoard loggers among `loggers`."""
    return [logger.experiment._get_file_writer() for logger in loggers if isinstance(logger, TensorBoardLogger)]


def without_files(loggers: Iterable[Logger]) -> list[Logger]:
    """Return the loggers that are none of TensorBoard's."""
    return [logger for logger in loggers if not isinstance(logger, TensorBoardLogger)]


def write(files: Iterable[FileWriter], step: WalkStep, *summaries: Summary) -> None:
    """Write summaries at a step's index and market time."""
    seconds = market_seconds(step)
    for summary in summaries:
        for file in files:
            file.add_summary(summary, step.index, seconds)


def step_scalars(step: WalkStep, intervals: dict[str, float]) -> dict[str, float]:
    """Return the step's scalars by tag; NaN where there is none yet."""
    scalars = {f"trend/{name}": value for name, value in (step.scalars | intervals).items()}
    for (symbol, timeframe), stats in step.series_stats.items():
        if symbol:  # of labels without a name, `trend/accuracy` is the same
            scalars[f"trend/{symbol}/{timeframe}/accuracy"] = stats.accuracy
    return scalars | {f"replay/{name}": value for name, value in step.replay.items()}


def points(scalars: Mapping[str, float]) -> Summary:
    """Return scalars as one event, a tenth of the cost of `add_scalar` for each; NaN draws no point.

    The most telling ones come a second time, as `Skill/...`: TensorBoard shows the group with a capital first.
    """
    scalars = {f"Skill/{name}": scalars.get(f"trend/{name}", math.nan) for name in _FIRST} | dict(scalars)
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items() if not math.isnan(value)]
    return Summary(value=values)
