"""The newest predictions are those of a slow table of all, however the steps are cut, saved and restored."""

import numpy as np
import pytest

from trendtrain.charts.recent_predictions import MOST_SERIES, N_BARS, NONE, PENDING, RecentPredictions
from trendtrain.data.arrays import to_arrays, to_tensors
from trendtrain.market import Labels, Series, label_bars, synthetic_market
from trendtrain.stream.pass_judge import attach
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation import Predictions
from trendtrain.validation.judge import Judge

LABELS = Labels.stack(
    {
        Series(symbol, "5m"): label_bars(synthetic_market(n, seed=n, tick=0.1), flat_band=0.0005)
        for symbol, n in (("A", 900), ("B", 200), ("C", 600), ("D", 300), ("E", 500), ("F", 400))
    }
)


def walked(length: int) -> list[WalkStep]:
    judge, before = Judge(LABELS.series, []), None
    random, steps = np.random.default_rng(length), []
    times = np.unique(LABELS.close_time)
    for now in times[length - 1 :: length]:
        is_new = (LABELS.close_time <= now) & (True if before is None else LABELS.close_time > before)
        row = random.permutation(np.flatnonzero(is_new))
        made = attach(Predictions(row, random.dirichlet([1, 1], len(row))), LABELS, {})
        verdicts = judge.judge(made, LABELS.known_labels(now, before))
        steps.append(WalkStep.of(judge, made, verdicts, index=len(steps), now=now, is_partial=False))
        before = now
    return steps


@pytest.mark.parametrize("length", [7, 100, 450])
def test_each_newest_bar_has_its_prediction_and_its_outcome(length: int) -> None:
    said: dict[int, int] = {}
    came: dict[int, int] = {}
    recent = RecentPredictions()
    for step in walked(length):
        restored = RecentPredictions()
        restored.load_state_dict(to_arrays(to_tensors(recent.state_dict())))
        recent = restored
        recent.update(step)
        said |= dict(zip(step.predictions.row.tolist(), step.predictions.direction.tolist(), strict=True))
        came |= dict(zip(step.verdicts.row.tolist(), step.verdicts.outcome.tolist(), strict=True))
        for i in range(MOST_SERIES):
            rows = np.flatnonzero((LABELS.series_index == i) & (LABELS.close_time <= step.now))[-N_BARS:]
            direction, outcome = recent.at(i, LABELS.close_time[rows])
            assert direction.tolist() == [said[row] for row in rows.tolist()]
            assert outcome.tolist() == [came.get(row, PENDING) for row in rows.tolist()]
    assert len(recent.state_dict()["row"]) <= MOST_SERIES * N_BARS
    assert (recent.at(5, LABELS.close_time[-N_BARS:])[0] == NONE).all()
