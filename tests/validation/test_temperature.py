import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trendtrain.validation import fit_temperature
from trendtrain.validation.temperature import LEAST, MOST

FLAT_PRIOR = 1e6


def judged(n: int, n_classes: int, sharpness: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make predictions whose logits are `sharpness` times what they should be."""
    random = np.random.default_rng(seed)
    honest = random.normal(size=(n, n_classes))
    chance = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    truth = (random.random((n, 1)) > chance.cumsum(axis=1)).sum(axis=1).clip(max=n_classes - 1)
    return sharpness * honest, truth, random.uniform(0.05, 1.0, size=n)


def slow_loss(beta: float, scores: np.ndarray, truth: np.ndarray, weight: np.ndarray, spread: float) -> float:
    total = (beta - 1.0) ** 2 / (2.0 * spread**2)
    for row, came, share in zip(scores, truth, weight, strict=True):
        total += share * (np.log(np.exp(beta * (row - row.max())).sum()) - beta * (row[came] - row.max()))
    return total


@given(
    st.integers(1, 60),
    st.sampled_from([2, 3]),
    st.floats(0.2, 5.0),
    st.integers(0, 9),
    st.sampled_from([0.1, 0.5, 5.0]),
)
@settings(max_examples=50, deadline=None)
def test_no_other_temperature_says_it_better(
    n: int, n_classes: int, sharpness: float, seed: int, spread: float
) -> None:
    parts = judged(n, n_classes, sharpness, seed)
    beta = 1.0 / fit_temperature(*parts, spread)
    best = slow_loss(beta, *parts, spread)
    for other in (*np.linspace(LEAST, MOST, 40), 0.99 * beta, 1.01 * beta):
        if LEAST <= other <= MOST:
            assert best <= slow_loss(other, *parts, spread) + 1e-7


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_it_finds_by_how_much_a_model_is_too_sure(sharpness: float, n_classes: int) -> None:
    found = fit_temperature(*judged(20_000, n_classes, sharpness, seed=0), FLAT_PRIOR)
    assert found == pytest.approx(sharpness, rel=0.05)


def test_without_evidence_it_is_one() -> None:
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), np.zeros(0), 0.5) == pytest.approx(1.0)


def test_little_evidence_moves_it_little() -> None:
    few, many = (fit_temperature(*judged(n, 2, 4.0, seed=1), 0.5) for n in (3, 3000))
    assert abs(np.log(few)) < 0.5 * abs(np.log(many))


def test_a_constant_added_to_a_row_changes_nothing() -> None:
    scores, truth, weight = judged(50, 2, 2.0, seed=2)
    shifted = scores + np.linspace(-30.0, 30.0, 50)[:, None]
    assert fit_temperature(shifted, truth, weight, 0.5) == pytest.approx(fit_temperature(scores, truth, weight, 0.5))


@pytest.mark.parametrize(("truth", "limit"), [(0, 1.0 / LEAST), (1, 1.0 / MOST)])
def test_it_stays_within_its_limits(truth: int, limit: float) -> None:
    scores = np.tile([0.0, 0.1], (5000, 1))
    found = fit_temperature(scores, np.full(5000, truth), np.ones(5000), FLAT_PRIOR)
    assert found == pytest.approx(limit, rel=1e-3)
