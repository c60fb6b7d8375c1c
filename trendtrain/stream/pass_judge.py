"""Judge passes over loaders of the user's own, which are walked again and again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

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
        self.n_steps = 0
        self.start()

    def start(self) -> None:
        """Begin a pass: forget the one before."""
        self.core = Judge(self.labels.series, tuple(self.baselines))

    def judge(self, predictions: Predictions, is_partial: bool = False) -> WalkStep:
        """Return the verdicts on the predictions of a pass, at least one, and the scores."""
        predictions = attach(predictions, self.labels, self.baselines)
        now = predictions.close_time.max()
        verdicts = self.core.judge(predictions, self.labels.known_labels(now, rows=predictions.row))
        if self.replay is not None:
            self.replay.reweight(verdicts)
        index, self.n_steps = self.n_steps, self.n_steps + 1
        return WalkStep.of(self.core, predictions, verdicts, index=index, now=now, is_partial=is_partial, pass_=index)

    def summary(self) -> dict[str, Any]:
        """Return the statistics and scores of the last pass, of all series and of each."""
        return self.core.summary()


def attach(predictions: Predictions, labels: Labels, baselines: Mapping[str, IntArray]) -> Predictions:
    """Return predictions with the series and close time of their rows, and what each baseline predicts there."""
    row = predictions.row
    columns = np.zeros((len(row), len(baselines)), np.int8)
    for i, directions in enumerate(baselines.values()):
        columns[:, i] = directions[row]
    return replace(predictions, series=labels.series_index[row], close_time=labels.close_time[row], baselines=columns)
