"""Each pass is judged on its own, with what was known at the close of its last bar."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.errors import InputError
from trendtrain.market import Labels, Series, label_bars, synthetic_market
from trendtrain.stream import PassJudge
from trendtrain.validation import Predictions
from trendtrain.validation.predictions import CORRECT, VOID_FLAT, WRONG

LABELS = Labels.stack(
    {
        Series(symbol, "5m"): label_bars(synthetic_market(n, seed=n, tick=0.1), flat_band=0.0005)
        for symbol, n in (("A", 400), ("B", 300))
    }
)
RULES = {"up": np.ones(len(LABELS), np.int64), "flat": np.full(len(LABELS), 2)}


@given(st.sets(st.integers(0, len(LABELS) - 1), min_size=1), st.integers(0, 100))
def test_a_pass_has_the_verdicts_known_by_its_last_close(rows: set[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    row, probability = random.permutation(sorted(rows)), random.dirichlet([1, 1], len(rows))
    judge = PassJudge(LABELS, RULES)
    step = judge.close(Predictions(row, probability))
    now = LABELS.close_time[row].max()
    due = {int(one) for one in row if LABELS.known(now, np.array([one]))[0]}
    assert set(step.verdicts.row.tolist()) == due
    assert set(step.pending.row.tolist()) == rows - due
    for one, truth, outcome in zip(step.verdicts.row, step.verdicts.truth, step.verdicts.outcome, strict=True):
        said = int(probability[row == one][0].argmax())
        assert truth == LABELS.direction[one]
        assert outcome == (VOID_FLAT if truth == 2 else CORRECT if said == truth else WRONG)
    for made in (step.verdicts.predictions, step.pending):
        assert made.series.tolist() == LABELS.series_index[made.row].tolist()
        assert made.close_time.tolist() == LABELS.close_time[made.row].tolist()
        assert made.baselines.tolist() == [[1, 2]] * len(made)
    assert (step.now, step.series, step.pass_) == (now, LABELS.series, 0)


def test_a_pass_forgets_the_one_before() -> None:
    first, second = (Predictions(np.arange(n), np.full((n, 2), 0.5)) for n in (300, 350))
    judge, fresh = PassJudge(LABELS, RULES), PassJudge(LABELS, RULES)
    judge.close(first)
    judge.start()
    step = judge.close(second)
    assert (step.index, step.pass_) == (1, 1)
    fresh.close(second)
    assert repr(judge.core.summary()) == repr(fresh.core.summary())


@pytest.mark.parametrize(("code", "got"), [(0.9, "0.9"), (3, "3"), (-2, "-2"), (256, "256"), (float("nan"), "nan")])
def test_a_baseline_predicts_directions(code: float, got: str) -> None:
    mine = np.where(np.arange(len(LABELS)) == 5, code, 1)
    with pytest.raises(InputError, match=rf"^`baselines\['mine'\]` must hold whole .* got {got}(\.0)? at position 5"):
        PassJudge(LABELS, {"mine": mine})


def test_a_model_with_a_class_that_no_label_has_is_refused() -> None:
    three, steep = np.full((300, 3), 1 / 3), label_bars(synthetic_market(400, seed=0, tick=1e-9))
    assert (PassJudge(LABELS).close(Predictions(np.arange(300), three))).index == 0
    with pytest.raises(
        InputError, match=r"`labels` must hold FLAT where a model has 3 classes, .* got 400 without any"
    ):
        PassJudge(steep).close(Predictions(np.arange(300), three))
    PassJudge(steep).close(Predictions(np.arange(300), three[:, :2] * 1.5))
