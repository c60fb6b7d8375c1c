"""Fed in chunks of any size, the simple rules and the logistic regression predict what they do of whole arrays."""

import pickle
from typing import Any

import numpy as np
import pytest
from generated import label_options, some_bars
from hypothesis import given
from hypothesis import strategies as st
from law_checks import Array, assert_same

from trendtrain.market import Bars, Labels, LabelTracker, Series, label_bars, synthetic_market
from trendtrain.validation import (
    BASELINE_NAMES,
    KnownDirections,
    KnownRows,
    OnlineLogistic,
    SimpleRules,
    baseline_directions,
    online_logistic,
)

CUTS = st.lists(st.floats(0.0, 1.0), max_size=8)


def features_of(bars: Bars) -> Array:
    """Return three features of very different scale, one of them constant."""
    close = np.log(bars.close)
    return np.column_stack([close * 1e4, bars.high - bars.low, np.full(len(bars), 3.7)])


def users_labels(bars: Bars, seed: int) -> Labels:
    """Return labels without lines: every ten bars an event, in any order, known 15 bars after its first bar."""
    number = np.arange(len(bars)) // 10
    known_at = number * 10 + 15
    is_known = known_at < len(bars)
    name = np.random.default_rng(seed).permutation(len(bars))[number]
    columns = ((number // 3) % 3, known_at, name)
    return Labels.of_bars(bars, *(np.where(is_known, column, -1) for column in columns))


def restored(tracker: Any, new: Any) -> Any:
    """Return a new tracker with the state of another, as a checkpoint would hold it."""
    new.load_state_dict(pickle.loads(pickle.dumps(tracker.state_dict())))
    return new


def rules_in_chunks(bars: Bars, labels: Labels, edges: list[int], max_gap: int | None) -> Array:
    """Feed bars and what becomes known at them chunk by chunk, each to a tracker restored from the last."""
    events = KnownDirections.sorted(*labels.events)
    lines = KnownDirections.of_lines(labels.lines) if len(labels.lines) else None
    rules, parts = SimpleRules(max_gap), []
    for start, end in zip([0, *edges], [*edges, len(bars)], strict=True):
        known = (None if facts is None else between(facts, start, end) for facts in (events, lines))
        parts.append(restored(rules, rules := SimpleRules(max_gap)).update(bars[start:end], *known))
    return np.concatenate(parts)


def between(facts: KnownDirections, start: int, end: int) -> KnownDirections:
    is_new = (facts.known_at >= start) & (facts.known_at < end)
    return KnownDirections(facts.known_at[is_new], facts.direction[is_new])


def learned_in_chunks(features: Array, labels: Labels, ends: list[np.datetime64], rate: float) -> Array:
    """Feed rows of all series, in order of time, up to each of the times in turn."""
    order = np.argsort(labels.close_time, kind="stable")
    time = labels.close_time[order]
    n_features = features.shape[1]
    model, before = OnlineLogistic(n_features, rate), None
    result = np.empty(len(order), dtype=np.int8)
    for end in [*ends, *time[-1:]]:
        rows = order[(time <= end) & (True if before is None else time > before)]
        new = labels.newly_known(before, end)
        known = KnownRows(new, labels.close_time[labels.known_at[new]], labels.event[new], labels.direction[new])
        model, before = restored(model, OnlineLogistic(n_features, rate)), end
        result[rows] = model.update(rows, labels.close_time[rows], features[rows], known)
    return result


def assert_chunks_change_no_prediction(bars: Bars, labels: Labels, edges: list[int], max_gap: int | None) -> None:
    whole = baseline_directions(bars, labels, max_gap)
    for name, column in zip(BASELINE_NAMES, rules_in_chunks(bars, labels, edges, max_gap).T, strict=True):
        assert_same(whole[name], np.ascontiguousarray(column))
    features = features_of(bars)
    times = [bars.close_time[edge - 1] for edge in sorted(set(edges)) if edge]
    assert_same(online_logistic(features, labels, 0.1), learned_in_chunks(features, labels, times, 0.1))


@given(some_bars(), CUTS, label_options())
def test_any_cuts_into_chunks_change_no_prediction(bars: Bars, cuts: list[float], options: dict[str, Any]) -> None:
    edges = sorted(round(cut * len(bars)) for cut in cuts)
    assert_chunks_change_no_prediction(bars, label_bars(bars, **options), edges, options["max_gap"])


@given(some_bars(max_bars=60), label_options())
def test_bar_by_bar_changes_no_prediction(bars: Bars, options: dict[str, Any]) -> None:
    edges = list(range(1, len(bars)))
    assert_chunks_change_no_prediction(bars, label_bars(bars, **options), edges, options["max_gap"])


@given(some_bars(), CUTS, st.integers(0, 2**31))
def test_chunks_change_no_prediction_by_a_users_labels(bars: Bars, cuts: list[float], seed: int) -> None:
    edges = sorted(round(cut * len(bars)) for cut in cuts)
    assert_chunks_change_no_prediction(bars, users_labels(bars, seed), edges, None)


@given(st.lists(some_bars(min_bars=1, max_bars=120), min_size=2, max_size=4), CUTS, label_options())
def test_chunks_change_no_prediction_of_many_series(
    many: list[Bars], cuts: list[float], options: dict[str, Any]
) -> None:
    labels = Labels.stack({Series(str(i), "1m"): label_bars(bars, **options) for i, bars in enumerate(many)})
    features = np.concatenate([features_of(bars) for bars in many])
    times = sorted({np.quantile(labels.close_time.astype(np.int64), cut) for cut in cuts})
    ends = [np.datetime64(int(time), "ms") for time in times]
    assert_same(online_logistic(features, labels, 0.1), learned_in_chunks(features, labels, ends, 0.1))


@pytest.mark.parametrize("size", [1, 7, 1009])
def test_chunks_change_no_prediction_on_a_long_market(size: int) -> None:
    bars = synthetic_market(3000, seed=5, missing=0.03, tick=0.05)
    labels = label_bars(bars, max_gap=3, flat_band=0.001)
    assert_chunks_change_no_prediction(bars, labels, list(range(size, len(bars), size)), 3)


@given(some_bars(), CUTS)
def test_new_labels_of_a_tracker_are_what_the_rules_take(bars: Bars, cuts: list[float]) -> None:
    edges = sorted(round(cut * len(bars)) for cut in cuts)
    labels, rules, parts = LabelTracker(), SimpleRules(), []
    for start, end in zip([0, *edges], [*edges, len(bars)], strict=True):
        runs = labels.update(bars[start:end])
        known = KnownDirections.of_events(runs), KnownDirections.of_lines(runs.lines)
        parts.append(rules.update(bars[start:end], *known))
    whole = baseline_directions(bars, label_bars(bars))
    assert_same(np.concatenate(parts), np.column_stack([whole[name] for name in BASELINE_NAMES]))


def test_only_rows_without_a_label_are_kept() -> None:
    bars = synthetic_market(3000, seed=5, missing=0.03, tick=0.05)
    labels = label_bars(bars, max_gap=3)
    model = OnlineLogistic(3)
    for part in np.split(np.arange(len(bars)), 30):
        start, end = part[0], part[-1]
        new = labels.newly_known(labels.close_time[start - 1] if start else None, labels.close_time[end])
        known = KnownRows(new, labels.close_time[labels.known_at[new]], labels.event[new], labels.direction[new])
        model.update(part, labels.close_time[part], features_of(bars)[part], known)
        is_waiting = ~labels.known(end)[: end + 1]
        assert model.state_dict()["row"].tolist() == np.flatnonzero(is_waiting).tolist()
