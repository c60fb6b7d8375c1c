"""Labels of bars that arrive in chunks are those of the whole, and come when they are known."""

import io
import json
from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from generated import some_bars
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.errors import InputError
from trendtrain.market import Bars, LabelTracker, PivotTracker, label_bars, synthetic_market
from trendtrain.market.kernel import find_pivots_in_bars
from trendtrain.market.line_kernel import join_pivots
from trendtrain.market.lines import LabelRuns

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


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_resumed_tracker_goes_on_as_if_never_stopped(options: dict[str, Any]) -> None:
    bars = synthetic_market(2000, seed=5, missing=0.05)
    cuts = np.sort(np.random.default_rng(0).integers(1, len(bars), 50)).tolist()
    never_stopped, tracker = LabelTracker(**options), LabelTracker(**options)
    for start, end in pairwise([0, *cuts, len(bars)]):
        state = torch.load(saved(tracker.state_dict()), weights_only=True)
        tracker = LabelTracker(**options)
        tracker.load_state_dict(state)
        assert_same_runs(tracker.update(bars[start:end]), never_stopped.update(bars[start:end]))


@pytest.mark.parametrize("options", [{"max_gap": 1}, {"max_gap": 0, "inside": "skip"}], ids=str)
def test_a_tracker_that_went_on_takes_an_earlier_state_back(options: dict[str, Any]) -> None:
    """Also past a hole: nothing of what came after the state is left in the tracker's buffers."""
    bars = synthetic_market(120, seed=5, missing=0.1)
    for cut in range(0, len(bars), 7):
        fresh, tracker = LabelTracker(**options), LabelTracker(**options)
        for one in (fresh, tracker):
            for i in range(cut):
                one.update(bars[i : i + 1])
        state = json.loads(json.dumps(tracker.state_dict()))
        for i in range(cut, len(bars)):
            tracker.update(bars[i : i + 1])
        tracker.load_state_dict(state)
        for i in range(cut, len(bars)):
            ours, theirs = tracker.update(bars[i : i + 1]), fresh.update(bars[i : i + 1])
            assert_same_runs(ours, theirs)


def assert_same_runs(ours: LabelRuns, theirs: LabelRuns) -> None:
    for field in fields(LabelRuns):
        if field.name != "lines":
            np.testing.assert_array_equal(getattr(ours, field.name), getattr(theirs, field.name))
    for field in fields(ours.lines):
        np.testing.assert_array_equal(getattr(ours.lines, field.name), getattr(theirs.lines, field.name))


def test_a_state_of_other_rules_is_refused() -> None:
    state = LabelTracker(strength=(1, 1)).state_dict()
    with pytest.raises(InputError, match="`state` must come from a tracker with the same rules, got shape"):
        LabelTracker(strength=(2, 1)).load_state_dict(state)
    with pytest.raises(InputError, match="`state` must come from a tracker with the same rules"):
        PivotTracker(strength=(1, 1)).load_state_dict(PivotTracker(strength=(1,)).state_dict())


def test_a_live_stream_compiles_once() -> None:
    """Lines through highs, through lows, both and none: the same machine code for all."""
    if not hasattr(join_pivots, "signatures"):
        pytest.skip("NUMBA_DISABLE_JIT is set")
    bars = synthetic_market(1500, seed=5)
    label_bars(bars, flat_band=0)
    n_signatures = len(join_pivots.signatures), len(find_pivots_in_bars.signatures)
    tracker = LabelTracker(max_gap=3, flat_band=0.001)
    for i in range(len(bars)):
        tracker.update(bars[i : i + 1])
    high = bars.high.copy()
    high.flags.writeable = False
    label_bars(Bars(bars.open_time[:], bars.open, high, bars.low, bars.close, bars.volume, bars.timeframe))
    assert (len(join_pivots.signatures), len(find_pivots_in_bars.signatures)) == n_signatures == (1, 1)


def test_a_state_is_plain_json() -> None:
    tracker = LabelTracker(max_gap=1, inside="skip")
    tracker.update(synthetic_market(500, seed=1))
    other = LabelTracker(max_gap=1, inside="skip")
    other.load_state_dict(json.loads(json.dumps(tracker.state_dict())))
    assert json.dumps(other.state_dict()) == json.dumps(tracker.state_dict())


def test_a_state_does_not_grow_with_history() -> None:
    tracker = LabelTracker()
    sizes = [len(json.dumps((tracker.update(part), tracker.state_dict())[1])) for part in thirds_of_a_market()]
    assert max(sizes) < 3000


def thirds_of_a_market() -> list[Bars]:
    bars = synthetic_market(9000, seed=2)
    return [bars[:3000], bars[3000:6000], bars[6000:]]


def saved(state: dict[str, Any]) -> io.BytesIO:
    """Return what a checkpoint would hold of a state."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file
