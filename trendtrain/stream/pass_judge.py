"""Judge passes over loaders of the user's own, which are walked again and again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import IntArray
from trendtrain.market.codes import whole_numbers
from trendtrain.market.directions import DIRECTION_MEANING, FLAT, UNKNOWN
from trendtrain.market.labels import Labels
from trendtrain.replay.sampler import ReplaySampler
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.judge import Judge
from trendtrain.validation.predictions import Predictions


class PassJudge:
    """Judge each pass on its own, with `now` the close of the last bar predicted in it.

    Args:
        labels: The labels that judge.
        baselines: The direction each baseline predicts at each row, shape (n_rows,) each; None for none.
        replay: A sampler of bars for training, to be reweighted by each pass.

    Attributes:
        core: The pending predictions and the scores of the pass.
        n_steps: How many passes were judged.

    Raises:
        InputError: If a baseline's predictions are no directions, one a row.
    """

    def __init__(
        self, labels: Labels, baselines: Mapping[str, IntArray] | None = None, replay: ReplaySampler | None = None
    ) -> None:
        self.labels = labels
        self.baselines = {
            name: whole_numbers(f"baselines[{name!r}]", codes, UNKNOWN, FLAT, DIRECTION_MEANING, len(labels))
            for name, codes in (baselines or {}).items()
        }
        self.replay = replay
        self.step = 0
        self.start()

    def start(self) -> None:
        """Begin a pass: forget the one before."""
        self.core = Judge(self.labels.series, tuple(self.baselines))

    def close(self, predictions: Predictions, is_partial: bool = False) -> WalkStep:
        """Return the verdicts on the predictions of a pass, at least one, and the scores.

        Raises:
            InputError: If their rows are no labelled bars, or come twice, or they have a class that no label has.
        """
        _check_rows(predictions.row, len(self.labels))
        if predictions.probability.shape[1] > FLAT and not (self.labels.run_direction == FLAT).any():
            rule = "hold FLAT where a model has 3 classes, down 0, up 1 and flat 2 (`flat_band` makes some)"
            raise InputError(f"`labels` must {rule}, got {len(self.labels)} without any.")
        predictions = attach(predictions, self.labels, self.baselines)
        now = predictions.close_time.max()
        verdicts = self.core.judge(predictions, self.labels.known_labels(now, rows=predictions.row))
        if self.replay is not None:
            self.replay.reweight(verdicts)
        index, self.step = self.step, self.step + 1
        return WalkStep.of(self.core, predictions, verdicts, index=index, now=now, is_partial=is_partial, pass_=index)

    def state_dict(self) -> dict[str, Any]:
        """Return the scores of the last pass, and the number of passes."""
        return {"core": self.core.state_dict(), "step": self.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        self.core.load_state_dict(state["core"])
        self.step = state["step"]


def attach(predictions: Predictions, labels: Labels, baselines: Mapping[str, IntArray]) -> Predictions:
    """Return predictions with the series and close time of their rows, and what each baseline predicts there."""
    row = predictions.row
    columns = np.zeros((len(row), len(baselines)), np.int8)
    for i, directions in enumerate(baselines.values()):
        columns[:, i] = directions[row]
    return replace(predictions, series=labels.series_index[row], close_time=labels.close_time[row], baselines=columns)


def _check_rows(row: IntArray, n_rows: int) -> None:
    """Raise an `InputError` if the rows of a pass, at least one, are no labelled bars, or come twice."""
    if not 0 <= row.min() <= row.max() < n_rows:
        raise InputError(f"`key` must give bars from 0 to {n_rows - 1}, as labelled, got {row.min()} to {row.max()}.")
    times = np.bincount(row - row.min())  # linear in the bars of the pass, not in all there are
    if times.max() > 1:
        rule, bar = "`key` must give each bar once a pass", times.argmax() + row.min()
        raise InputError(f"{rule}, got bar {bar} {times.max()} times: are these bar positions?")
