from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.errors import InputError
from trendtrain.replay import ReplayMemory

SIZES = (1, 2, 7, 40, 3, 3, 12, 1)  # rows of each event


def filled(sizes: tuple[int, ...] = SIZES, chunks: int = 3) -> ReplayMemory:
    """Return a memory that got its events in several portions, their rows in any order."""
    rows = np.random.default_rng(9).permutation(sum(sizes))
    events = np.repeat(np.arange(len(sizes)) * 5, sizes)
    memory = ReplayMemory(len(rows))
    for part in np.array_split(np.arange(len(sizes)) * 5, chunks):
        is_part = np.isin(events, part)
        memory.add(rows[is_part], events[is_part])
    return memory


def target(sizes: tuple[int, ...], weight: np.ndarray) -> np.ndarray:
    """The documented chance of each row: an event uniformly, a row of it uniformly, times its weight."""
    rows = np.random.default_rng(9).permutation(sum(sizes))
    chance = np.empty(len(rows))
    chance[rows] = np.repeat(1.0 / np.array(sizes), sizes)
    chance *= weight
    return chance / chance.sum()


def surprise(rows: np.ndarray, chance: np.ndarray) -> float:
    """Pearson's chi-square in standard deviations of its distribution under `chance`."""
    expected = chance * len(rows)
    assert expected.min() > 20
    statistic = ((np.bincount(rows, minlength=len(chance)) - expected) ** 2 / expected).sum()
    degrees = len(chance) - 1
    return float((statistic - degrees) / np.sqrt(2 * degrees))


@pytest.mark.parametrize("seed", range(3))
def test_draws_are_uniform_over_events_then_over_their_rows(seed: int) -> None:
    memory = filled()
    rows = memory.draw(200_000, np.random.default_rng(seed))
    assert surprise(rows, target(SIZES, np.ones(69))) < 4.0


@pytest.mark.parametrize("seed", range(3))
def test_draws_follow_the_weights_after_adding_and_reweighting(seed: int) -> None:
    sizes, later = SIZES[:5], SIZES[5:]
    memory, whole = filled(SIZES, chunks=1), target(SIZES, np.ones(69))
    rows = np.random.default_rng(9).permutation(69)
    memory = ReplayMemory(69)
    memory.add(rows[: sum(sizes)], np.repeat(np.arange(5), sizes))
    weight = np.ones(69)
    for changed, value in ((rows[:30], 3.0), (rows[10:20], 0.5), (rows[50:60], 2.0)):  # the last before they are known
        memory.reweight(changed, np.full(len(changed), value))
        weight[changed] = value
    memory.draw(100, np.random.default_rng(0))
    memory.add(rows[sum(sizes) :], np.repeat(np.arange(3), later))
    memory.reweight(rows[60:], np.full(9, 1.5))
    weight[rows[60:]] = 1.5
    chance = whole * weight / (whole * weight).sum()
    assert surprise(memory.draw(200_000, np.random.default_rng(seed)), chance) < 4.0


def test_the_order_of_adding_does_not_matter() -> None:
    chance = target(SIZES, np.ones(69))
    for chunks in (1, 2, 8):
        assert surprise(filled(chunks=chunks).draw(200_000, np.random.default_rng(1)), chance) < 4.0


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 8), st.integers(1, 500))
def test_only_known_rows_are_drawn_and_as_many_as_asked_for(sizes: list[int], chunks: int, n: int) -> None:
    memory = filled(tuple(sizes), chunks)
    rows = memory.draw(n, np.random.default_rng(0))
    assert rows.shape == (n,)
    assert set(rows) <= set(range(sum(sizes)))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 8))
def test_all_rows_and_events_are_counted(sizes: list[int], chunks: int) -> None:
    memory = filled(tuple(sizes), chunks)
    assert (memory.n_known, memory.n_events) == (sum(sizes), len(sizes))


def test_adding_nothing_changes_nothing() -> None:
    memory = filled()
    memory.add(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    assert (memory.n_known, memory.n_events) == (69, 8)


def test_rows_not_added_are_never_drawn() -> None:
    memory = ReplayMemory(100)
    memory.add(np.array([3, 4]), np.array([0, 0]))
    memory.reweight(np.array([50]), np.array([1000.0]))
    assert set(memory.draw(500, np.random.default_rng(0))) == {3, 4}


def test_same_generator_same_draws() -> None:
    draws = [filled().draw(100, np.random.default_rng(5)).tolist() for _ in range(2)]
    assert draws[0] == draws[1]


BAD_WEIGHTS: dict[str, tuple[list[float], str]] = {
    "zero": ([1.0, 0.0], "`weights` must be positive and finite, got 0.0"),
    "negative": ([-2.0, 1.0], "`weights` must be positive and finite, got -2.0"),
    "nan": ([1.0, float("nan")], "`weights` must be positive and finite, got nan"),
    "infinite": ([float("inf"), 1.0], "`weights` must be positive and finite, got"),
}


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_a_weight_that_would_hide_a_row_is_refused(case: str) -> None:
    weights, message = BAD_WEIGHTS[case]
    memory = filled()
    with pytest.raises(InputError, match=message):
        memory.reweight(np.array([0, 1]), np.array(weights))
    assert (memory.weight == 1.0).all()


def test_a_message_about_weights_names_the_bad_one() -> None:
    with pytest.raises(InputError, match=r"got inf"):
        filled().reweight(np.array([0, 1]), np.array([float("inf"), 1.0]))


def test_reweighting_nothing_changes_nothing() -> None:
    memory = filled()
    memory.reweight(np.zeros(0, dtype=np.int64), np.zeros(0))
    assert memory.largest_weight == 1.0


def with_weights(change: Callable[[ReplayMemory], None]) -> ReplayMemory:
    memory = filled()
    change(memory)
    return memory


def test_weights_below_one_are_kept_in_proportion() -> None:
    memory = with_weights(lambda m: m.reweight(np.arange(69), np.full(69, 0.25)))
    assert surprise(memory.draw(200_000, np.random.default_rng(2)), target(SIZES, np.ones(69))) < 4.0
