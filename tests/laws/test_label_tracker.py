"""Labels of bars that arrive in chunks are those of the whole, and come when they are known."""

from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from generated import some_bars
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.errors import InputError
from trendtrain.market import Bars, LabelTracker, label_bars, synthetic_market
from trendtrain.market.labels import LabelRuns

OPTIONS: list[dict[str, Any]] = [
    {},
    {"max_gap": 0},
    {"tie": "strict", "inside": "skip", "max_gap": 2, "flat_band": 1e-3},
    {"strength": (2, 1, 1)},
]


def in_chunks(bars: Bars, cuts: list[int], **options: Any) -> list[tuple[int, LabelRuns]]:
    """Return each chunk's last bar and the runs that it made known."""
    tracker, edges = LabelTracker(**options), [0, *cuts, len(bars)]
    return [(end - 1, tracker.update(bars[start:end])) for start, end in pairwise(edges)]


def joined(parts: list[LabelRuns], name: str) -> Any:
    return np.concatenate([getattr(part, name) for part in parts])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@given(data=st.data())
def test_runs_in_chunks_are_those_of_the_whole(options: dict[str, Any], data: st.DataObject) -> None:
    bars = data.draw(some_bars())
    cuts = sorted(data.draw(st.sets(st.integers(0, len(bars)), max_size=12)))
    whole = LabelTracker(**options).update(bars)
    parts = [runs for _, runs in in_chunks(bars, cuts, **options)]
    for name in [field.name for field in fields(LabelRuns) if field.name != "lines"]:
        np.testing.assert_array_equal(joined(parts, name), getattr(whole, name))
    for name in [field.name for field in fields(whole.lines)]:
        np.testing.assert_array_equal(joined([part.lines for part in parts], name), getattr(whole.lines, name))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_bar_by_bar_each_label_comes_at_the_bar_that_makes_it_known(options: dict[str, Any]) -> None:
    bars = synthetic_market(1500, seed=3, missing=0.05)
    labels = label_bars(bars, **options)
    for bar, runs in in_chunks(bars, list(range(1, len(bars))), **options):
        assert (runs.known_at == bar).all()
        for start, end, direction in zip(runs.start, runs.end, runs.direction, strict=True):
            assert (labels.direction[start:end] == direction).all()
            assert (labels.known_at[start:end] == bar).all()


def test_a_tracker_needs_two_levels() -> None:
    with pytest.raises(InputError, match=r"`strength` must have at least two levels for labels, got \(1,\)"):
        LabelTracker(strength=(1,))


def test_a_repeated_chunk_is_refused() -> None:
    bars = synthetic_market(100, seed=0)
    tracker = LabelTracker()
    tracker.update(bars)
    with pytest.raises(InputError, match="`bars` must start after the last bar"):
        tracker.update(bars)
