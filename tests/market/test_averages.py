import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from law_checks import assert_same
from slow_features import slow_ema

from trendtrain.errors import InputError
from trendtrain.market.averages import Average, ema

VALUES = np.random.default_rng(0).normal(size=500)


def values_and_segments() -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    value = st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 1e-300])
    rows = st.lists(st.tuples(value, st.sampled_from([0, 0, 0, 1, 2])), max_size=60)
    return rows.map(lambda rows: (np.array([v for v, _ in rows]), np.cumsum([s for _, s in rows], dtype=np.int64)))


def slow_segments(values: np.ndarray, span: int, segment: np.ndarray) -> np.ndarray:
    parts = [slow_ema(values[segment == number], span) for number in np.unique(segment)]
    return np.concatenate([np.zeros(0), *parts])


@given(values_and_segments(), st.sampled_from([1, 2, 10, 400]))
def test_each_segment_has_the_recursion_of_its_own_values(case: tuple[np.ndarray, np.ndarray], span: int) -> None:
    values, segment = case
    assert_same(ema(values, span, segment), slow_segments(values, span, segment))
    assert_same(ema(values, span), slow_segments(values, span, np.zeros(len(values))))


@given(values_and_segments(), st.lists(st.floats(0.0, 1.0), max_size=6), st.sampled_from([1, 3, 100]))
def test_chunks_and_saved_states_change_no_average(
    case: tuple[np.ndarray, np.ndarray], cuts: list[float], span: int
) -> None:
    values, segment = case
    starts = np.flatnonzero(np.diff(segment)) + 1
    average, parts = Average(span), [np.zeros(0)]
    edges = sorted(round(cut * len(values)) for cut in cuts)
    for start, end in zip([0, *edges], [*edges, len(values)], strict=True):
        state, average = average.state_dict(), Average(span)
        average.load_state_dict(state)
        inside = starts[(starts >= start) & (starts < end)] - start
        parts.append(average.update(values[start:end], inside))
    assert_same(np.concatenate(parts), slow_segments(values, span, segment))


def test_an_average_takes_any_numbers() -> None:
    expected = ema(VALUES[::2], 10)
    frozen = VALUES[::2].copy()
    frozen.flags.writeable = False
    assert_same(ema(frozen, 10), expected)
    assert_same(ema(np.arange(5), 3), ema(np.arange(5.0), 3))
    np.testing.assert_allclose(ema(VALUES[::2].astype(np.float32), 10), expected, atol=1e-6)


@pytest.mark.parametrize("span", [1, 7])
def test_a_constant_is_its_own_average(span: int) -> None:
    assert (ema(np.full(20, 0.1), span) == 0.1).all()


@pytest.mark.parametrize("starts", [[3], [-1], [1, 1], [2, 1], [3_000_000]], ids=str)
def test_starts_outside_the_values_are_refused(starts: list[int]) -> None:
    with pytest.raises(InputError, match="`starts` must be ascending positions of 3 values"):
        Average(3).update(np.ones(3), np.array(starts))


@pytest.mark.parametrize("n", [2, 4, 3_000_000])
def test_a_segment_number_for_each_value_is_needed(n: int) -> None:
    with pytest.raises(InputError, match=f"`segment` must number each of 3 values, got {n} numbers"):
        ema(np.ones(3), 3, np.arange(n))
