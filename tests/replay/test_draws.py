import numpy as np
import pytest
from conftest import IS_FULL
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.replay.draws import fill_ages, fill_uniform

N_SEEDS = 20 if IS_FULL else 3


def uniform_of(seed: int, n: int) -> np.ndarray:
    uniform = np.empty(n)
    with np.errstate(over="ignore"):
        fill_uniform(np.uint64(seed), uniform)
    return uniform


def ages_of(uniform: np.ndarray, n_events: int, half_life: float) -> np.ndarray:
    ages, mantissa = np.empty(len(uniform), dtype=np.int64), np.empty(len(uniform))
    fill_ages(uniform, n_events, half_life, ages, mantissa, mantissa.view(np.int64))
    return ages


def test_random_numbers_are_those_published_for_the_generator() -> None:
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    uniform = uniform_of(1234567, 4)
    assert uniform.tolist() == [(number >> 11) / 2**53 for number in published]


@pytest.mark.parametrize("seed", range(N_SEEDS))
def test_random_numbers_are_uniform_and_independent_of_the_one_before(seed: int) -> None:
    uniform = uniform_of(seed, 100_001)
    pairs = (uniform[:-1] * 16).astype(int) * 16 + (uniform[1:] * 16).astype(int)
    expected = 100_000 / 256
    chi_square = ((np.bincount(pairs, minlength=256) - expected) ** 2 / expected).sum()
    assert abs(chi_square - 255) / np.sqrt(2 * 255) < 4.0
    assert uniform.min() >= 0.0
    assert uniform.max() < 1.0


@given(st.integers(0, 2**64 - 1), st.integers(0, 50), st.integers(0, 50))
def test_random_numbers_go_on_where_they_stopped(seed: int, n: int, m: int) -> None:
    following = (seed + n * 0x9E3779B97F4A7C15) % 2**64
    assert [*uniform_of(seed, n), *uniform_of(following, m)] == uniform_of(seed, n + m).tolist()


@given(st.integers(1, 10**7), st.floats(1.0, 1e9), st.integers(0, 2**53 - 1))
def test_ages_invert_the_truncated_geometric_law(n_events: int, half_life: float, numerator: int) -> None:
    uniform = numerator / 2**53
    age = int(ages_of(np.array([uniform]), n_events, half_life)[0])
    q = -np.log(2.0) / half_life
    below, upto = (np.expm1(q * a) / np.expm1(q * n_events) for a in (age, age + 1))
    assert 0 <= age < n_events
    assert below <= uniform + 1e-12
    assert uniform <= upto + 1e-12


@pytest.mark.parametrize(("n_events", "half_life"), [(2, 1e9), (1000, 1e9), (1000, 700.0), (40, 2.5), (3000, 2800.0)])
def test_ages_turn_over_where_the_law_does(n_events: int, half_life: float) -> None:
    q, age = -np.log(2.0) / half_life, np.arange(1, n_events)
    bound = np.expm1(q * age) / np.expm1(q * n_events)
    assert ages_of(bound - 1e-12, n_events, half_life).tolist() == (age - 1).tolist()
    assert ages_of(bound + 1e-12, n_events, half_life).tolist() == age.tolist()


@pytest.mark.parametrize("half_life", [1.0, 3.0, 700.0, 2800.0, 1e6])
def test_no_age_lies_beyond_the_oldest_event(half_life: float) -> None:
    largest = np.array([1.0 - 2.0**-53])
    assert all(ages_of(largest, n_events, half_life)[0] < n_events for n_events in range(1, 1000))


@pytest.mark.parametrize("half_life", [1.0, 2.5, 700.0, 2800.0, 1e9])
@pytest.mark.parametrize("n_events", [1, 2, 1000, 10**7])
def test_ages_are_those_of_the_library_logarithm(n_events: int, half_life: float) -> None:
    uniform = np.random.default_rng(0).random(10_000)
    q = -np.log(2.0) / half_life
    expected = np.minimum(np.log1p(uniform * np.expm1(n_events * q)) / q, n_events - 1)
    assert np.abs(ages_of(uniform, n_events, half_life) - (expected - 0.5)).max() <= 0.5 + 1e-6


def test_a_very_long_half_life_is_none() -> None:
    uniform = np.random.default_rng(0).random(1000)
    np.testing.assert_array_equal(ages_of(uniform, 500, 1e9), ages_of(uniform, 500, np.inf))
