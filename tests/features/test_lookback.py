import warnings
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from generated import some_bars
from hypothesis import given
from hypothesis import strategies as st
from law_checks import assert_same

from trendtrain.errors import CostWarning, InputError
from trendtrain.features import Lookback, SegmentedFeatures, by_segment, lookback
from trendtrain.market import Bars, Labels, label_bars, synthetic_market
from trendtrain.stream import Tape

BARS = synthetic_market(800, seed=1)


def highest_and_change(bars: Bars, n: int) -> np.ndarray:
    """The highest of the last n highs, and how far the close moved over n - 1 bars, bar by bar."""
    first = np.maximum(np.arange(len(bars)) - n + 1, 0)
    highest = [bars.high[start : i + 1].max() for i, start in enumerate(first.tolist())]
    return np.column_stack([np.array(highest), bars.close - bars.close[first]]).reshape(-1, 2)


def cut(edges: list[int], n_bars: int) -> list[tuple[int, int]]:
    return list(pairwise([0, *sorted(min(edge, n_bars) for edge in edges), n_bars]))


@given(some_bars(), st.integers(1, 6), st.integers(0, 3), st.lists(st.integers(0, 60)), st.sampled_from([None, 0, 2]))
def test_a_lookback_that_is_enough_gives_what_all_bars_give(
    bars: Bars, n: int, spare: int, edges: list[int], gap: int | None
) -> None:
    function = partial(highest_and_change, n=n)
    tracker = SegmentedFeatures(partial(Lookback, function, n + spare), gap)
    rows = [tracker.update(bars[start:end]) for start, end in cut(edges, len(bars)) if end > start]
    assert_same(np.concatenate(rows or [np.zeros((0, 2))]), by_segment(function, bars, gap).reshape(-1, 2))


@given(st.integers(1, 40), st.lists(st.integers(0, 800)))
def test_a_function_gets_its_lookback_and_no_more(n: int, edges: list[int]) -> None:
    lengths = []

    def rising(bars: Bars) -> np.ndarray:
        lengths.append(len(bars))
        return bars.close

    tracker = Lookback(rising, n)
    pieces = cut(edges, len(BARS))
    for start, end in pieces:
        tracker.update(BARS[start:end])
    assert lengths == [end - start + min(start, n - 1) for start, end in pieces]


@pytest.mark.parametrize("n", [1, 5, None])
def test_a_restored_lookback_goes_on(n: int | None) -> None:
    function = partial(highest_and_change, n=n or 9)
    tracker, restored = Lookback(function, n), Lookback(function, n)
    restored.load_state_dict(Lookback(function, n).state_dict())
    tracker.update(BARS[:300])
    restored.load_state_dict(tracker.state_dict())
    assert_same(restored.update(BARS[300:310]), tracker.update(BARS[300:310]))


@pytest.mark.parametrize("wrong", [0, 2.5, True, "20"])
def test_a_lookback_is_a_number_of_bars(wrong: object) -> None:
    with pytest.raises(InputError, match="`lookback` must be an integer of at least 1, got "):
        Lookback(highest_and_change, wrong)  # type: ignore[arg-type]


@pytest.fixture
def _every_second_call_is_costly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookback, "_MOST_SECONDS", 0.0)


def in_parts(tracker: SegmentedFeatures | Tape) -> None:
    feed = tracker.update if isinstance(tracker, SegmentedFeatures) else tracker.append
    for start in range(0, 800, 200):
        feed(BARS[start : start + 200])


@pytest.mark.usefixtures("_every_second_call_is_costly")
@pytest.mark.parametrize("name", ["data.features", "data.side"])
def test_a_function_that_costs_time_again_and_again_says_so_once(name: str) -> None:
    with pytest.warns(CostWarning, match=rf"^`{name}` is called on all .* trendtrain.features.Lookback") as told:
        in_parts(SegmentedFeatures(lambda bars: bars.close, None, name))
    assert len(told) == 1


@pytest.mark.usefixtures("_every_second_call_is_costly")
def test_a_labeler_that_costs_time_again_and_again_says_so_once() -> None:
    def mine(bars: Bars) -> Labels:
        return label_bars(bars)

    with pytest.warns(CostWarning, match=r"^`labels` is called on all bars so far at each step") as told:
        in_parts(Tape(0, mine, partial(Lookback, lambda bars: bars.close, 1), None, 2, None))
    assert len(told) == 1


@pytest.mark.usefixtures("_every_second_call_is_costly")
def test_a_declared_lookback_a_tracker_and_one_long_call_cost_nothing_again() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        in_parts(SegmentedFeatures(partial(Lookback, lambda bars: bars.close, 3)))
        by_segment(lambda bars: bars.close, BARS, None)
