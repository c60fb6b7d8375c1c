"""The course of a mean over events, in one pass, is what `estimate` says of each part of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.validation.edge import course_of
from trendtrain.validation.score import DIFFERENCES, calendar_blocks, estimate


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    time = np.sort(random.integers(0, 40 * n + 1, n)).astype("datetime64[m]").astype("datetime64[ms]")
    block = calendar_blocks(time, random.integers(0, 2, n))
    return random.uniform(-1, 1, n), time, block


@given(st.integers(0, 10), st.integers(1, 900), st.none() | st.integers(1, 12))
def test_each_point_is_the_estimate_of_its_blocks(seed: int, n: int, width: int | None) -> None:
    values, time, block = drawn(seed, n)
    course = course_of(values, time, block, DIFFERENCES, width)
    lasts = range(int(block.max()) + 1) if width is None else range(width - 1, int(block.max()) + 1)
    assert len(course) == len(lasts)
    for i, last in enumerate(lasts):
        here = (block <= last) if width is None else (block <= last) & (block > last - width)
        expected = estimate(values[here], block[here], DIFFERENCES)
        assert course.mean[i] == pytest.approx(expected.mean, abs=1e-12)
        assert (course.low[i], course.high[i]) == pytest.approx(expected.ci95, abs=1e-9, nan_ok=True)
        assert course.time[i] == time[block == last].max()


def test_of_many_blocks_few_points_are_kept_with_the_last() -> None:
    values, time, block = drawn(3, 4_000)
    every, few = course_of(values, time, block, DIFFERENCES), course_of(values, time, block, DIFFERENCES, most=7)
    assert len(every) > 100
    assert len(few) == 7
    assert (few.time[-1], few.mean[-1], few.high[-1]) == (every.time[-1], every.mean[-1], every.high[-1])
    assert np.isin(few.mean, every.mean).all()


def test_no_event_makes_no_point() -> None:
    none = np.zeros(0)
    assert len(course_of(none, none.astype("datetime64[ms]"), none.astype(np.int64), DIFFERENCES)) == 0
