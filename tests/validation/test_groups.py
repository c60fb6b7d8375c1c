import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.validation import Predictions
from trendtrain.validation.score import event_means, group

EVENTS = st.lists(st.integers(-1, 5), max_size=40)


@given(events=EVENTS)
def test_groups_are_those_of_a_dictionary(events: list[int]) -> None:
    groups, order = group(np.array(events, dtype=np.int64)), list(dict.fromkeys(events))
    assert [events[i] for i in groups.first] == order
    assert groups.first.tolist() == [events.index(value) for value in order]
    assert groups.inverse.tolist() == [order.index(value) for value in events]
    assert groups.counts.tolist() == [events.count(value) for value in order]


@given(events=EVENTS, seed=st.integers(0, 99), n_columns=st.sampled_from([None, 1, 3]))
def test_means_are_those_of_a_loop(events: list[int], seed: int, n_columns: int | None) -> None:
    values = np.random.default_rng(seed).random((len(events), *([] if n_columns is None else [n_columns])))
    found, means, _ = event_means(np.array(events, dtype=np.int64), values)
    slow = [np.mean([values[i] for i, event in enumerate(events) if event == one], axis=0) for one in found]
    np.testing.assert_allclose(means, np.reshape(slow, means.shape))
    assert means.shape == (len(found), *values.shape[1:])


@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=3, max_size=3), min_size=1, max_size=20),
    st.integers(2, 3),
)
def test_the_likeliest_class_is_the_lower_of_level_ones(chances: list[list[float]], n_classes: int) -> None:
    probability = np.array(chances)[:, :n_classes]
    predictions = Predictions(np.arange(len(chances)), probability)
    np.testing.assert_array_equal(predictions.direction, probability.argmax(axis=1))
    np.testing.assert_array_equal(predictions.confidence, probability.max(axis=1))
