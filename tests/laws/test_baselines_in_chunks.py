"""Fed in chunks of any size, the simple rules and the logistic regression predict what they do of whole arrays."""

from typing import Any

import numpy as np
import pytest
from baseline_checks import assert_chunks_change_no_prediction, features_of, learned_in_chunks
from generated import label_options, some_bars
from hypothesis import given
from hypothesis import strategies as st
from law_checks import assert_same

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


def users_labels(bars: Bars, seed: int) -> Labels:
    """Return labels without lines: every ten bars an event, in any order, known 15 bars after its first bar."""
    number = np.arange(len(bars)) // 10
    known_at = number * 10 + 15
    is_known = known_at < len(bars)
    name = np.random.default_rng(seed).permutation(len(bars))[number]
    columns = ((number // 3) % 3, known_at, name)
    return Labels.of_bars(bars, *(np.where(is_known, column, -1) for column in columns))


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
        lines = KnownDirections(runs.lines.known_at, runs.lines.direction)
        parts.append(rules.update(bars[start:end], KnownDirections.of_events(runs), lines))
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
