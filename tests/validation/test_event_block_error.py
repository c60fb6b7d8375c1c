"""The event-block error equals a slow loop of its formula, and is none where blocks are few."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.validation.score import SHARES, calendar_blocks, estimate, paired_scores, student_t975


def slow_blocks(times: list[int], series: list[int]) -> list[int]:
    """Number the calendar blocks, each as long as 20 events of a series take at the median."""
    waits = []
    for one in set(series):
        mine = sorted(time for time, name in zip(times, series, strict=True) if name == one)
        waits += [mine[i + 20] - mine[i] for i in range(len(mine) - 20)]
    if not waits:
        return [0] * len(times)
    length = max(1.0, statistics.median(waits))
    raw = [(time - min(times)) // length for time in times]
    return [sorted(set(raw)).index(number) for number in raw]


def slow_error(values: list[float], block: list[int]) -> float:
    mean = sum(values) / len(values)
    blocks = sorted(set(block))
    total = 0.0
    for one in blocks:
        total += sum(value - mean for value, number in zip(values, block, strict=True) if number == one) ** 2
    return math.sqrt(len(blocks) / (len(blocks) - 1) * total) / len(values)


def as_time(milliseconds: list[int]) -> np.ndarray:
    return np.datetime64("2024-01-01", "ms") + np.array(milliseconds, dtype=np.int64)


def drawn_events(n: int, n_series: int, seed: int) -> tuple[list[int], list[int]]:
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(0, 40 * n, n)) * 60_000
    return times.tolist(), random.integers(0, n_series, n).tolist()


@given(st.integers(1, 400), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_blocks_equal_a_slow_count(n: int, n_series: int, seed: int) -> None:
    times, series = drawn_events(n, n_series, seed)
    assert calendar_blocks(as_time(times), np.array(series)).tolist() == slow_blocks(times, series)


@given(st.integers(20, 400), st.integers(8, 30), st.integers(0, 2**32 - 1))
def test_error_equals_a_slow_loop_of_the_formula(n: int, n_blocks: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(0, 11, n) / 10
    block = np.concatenate([np.arange(8), random.integers(0, n_blocks, n - 8)])
    block = np.unique(block, return_inverse=True)[1]
    found = estimate(values, block)
    assert found.se == pytest.approx(slow_error(values.tolist(), block.tolist()), rel=1e-9, abs=1e-15)
    assert found.mean == pytest.approx(sum(values.tolist()) / n, rel=1e-12)
    assert (found.n_events, found.n_blocks) == (n, len(set(block.tolist())))


def test_the_interval_is_students_around_the_mean() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy gives the quantiles to compare with")
    values = np.random.default_rng(0).random(90)
    found = estimate(values, np.repeat(np.arange(9), 10))
    half = stats.t.ppf(0.975, 8) * found.se
    assert found.ci95 == pytest.approx((found.mean - half, found.mean + half), abs=1e-3 * found.se)


@pytest.mark.parametrize("degrees", [7, 8, 9, 10, 15, 30, 100, 1000, 100_000])
def test_quantiles_are_students_within_a_thousandth(degrees: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy gives the quantiles to compare with")
    assert student_t975(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=1e-3)


@pytest.mark.parametrize("n_blocks", [1, 2, 7])
def test_below_eight_blocks_there_is_a_mean_and_no_error(n_blocks: int) -> None:
    found = estimate(np.linspace(0, 1, 70), np.arange(70) % n_blocks)
    assert found.mean == pytest.approx(0.5)
    assert all(math.isnan(x) for x in (found.se, *found.ci95))


def test_eight_blocks_are_enough() -> None:
    assert estimate(np.linspace(0, 1, 80), np.arange(80) % 8).se > 0


def test_no_event_gives_no_mean() -> None:
    found = estimate(np.zeros(0), np.zeros(0, dtype=np.int64))
    assert (found.n_events, found.n_blocks) == (0, 0)
    assert math.isnan(found.mean)


def test_a_block_holds_twenty_events_of_a_series_at_the_median() -> None:
    times, series = drawn_events(4000, 1, 0)
    block = calendar_blocks(as_time(times), np.array(series))
    assert abs(np.median(np.bincount(block)) - 20) <= 2


def test_blocks_are_shared_by_all_series() -> None:
    """The same events in a second series leave the blocks, and the error, as they are."""
    times, series = drawn_events(600, 1, 1)
    alone = calendar_blocks(as_time(times), np.array(series))
    both = calendar_blocks(as_time(times * 2), np.array(series + [1] * len(times)))
    assert both.tolist() == alone.tolist() * 2
    values = np.random.default_rng(0).random(600)
    assert estimate(np.tile(values, 2), both).se == pytest.approx(estimate(values, alone).se, rel=1e-12)


@pytest.mark.parametrize(("n_wrong", "expected"), [(2, (0.9159, 1.0)), (78, (0.0, 0.0841))])
def test_an_interval_of_shares_ends_at_0_and_1(n_wrong: int, expected: tuple[float, float]) -> None:
    values = np.where(np.arange(80) < n_wrong, 0.0, 1.0)
    block = np.arange(80) // 10
    free, kept = estimate(values, block), estimate(values, block, SHARES)
    assert free.ci95[0] < 0.0 or free.ci95[1] > 1.0  # the test is worth its name
    assert kept.ci95 == pytest.approx(expected, abs=1e-4)
    assert 0.0 <= kept.ci95[0] <= kept.ci95[1] <= 1.0
    assert (kept.mean, kept.se) == (free.mean, free.se)


def test_an_interval_of_a_difference_ends_at_1() -> None:
    model = np.where(np.arange(80) < 2, 0.0, 1.0)
    scores = paired_scores(model, np.zeros(80), np.arange(80) // 10)
    assert scores["difference"] == pytest.approx(78 / 80)
    assert scores["difference_ci95"][1] == 1.0
    assert scores["difference_ci95"][0] == pytest.approx(0.916, abs=0.001)
