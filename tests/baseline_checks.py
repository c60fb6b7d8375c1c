"""Slow, obvious versions of the baselines, and what must hold of them on generated and real bars alike."""

import math
import pickle
from typing import Any

import numpy as np
from law_checks import Array, assert_same
from reference import slow_labels, slow_lines, slow_pivots, slow_segments

from trendtrain.market import Bars, Labels, label_bars
from trendtrain.market.bars import FloatArray
from trendtrain.validation import (
    BASELINE_NAMES,
    KnownDirections,
    KnownRows,
    OnlineLogistic,
    SimpleRules,
    baseline_directions,
    online_logistic,
)

DOWN, UP = 0, 1


def sign_of(direction: int) -> int:
    return {DOWN: -1, UP: 1}.get(direction, 0)


def held(signs: list[float]) -> list[int]:
    answers, last = [], UP
    for sign in signs:
        last = UP if sign > 0 else DOWN if sign < 0 else last
        answers.append(last)
    return answers


def slow_majority(bars: Bars, **options: Any) -> list[int]:
    events = {label.line for label in slow_labels(bars, **options) if label.line}
    return held([sum(sign_of(e.direction) for e in events if e.known_at <= t) for t in range(len(bars))])


def slow_persistence(bars: Bars, flat_band: float, **options: Any) -> list[int]:
    lines = slow_lines(slow_pivots(bars, **options), flat_band)
    signs = []
    for t in range(len(bars)):
        known = [line for line in lines if line.known_at <= t]
        signs.append(sign_of(known[-1].direction) if known else 0)
    return held(signs)


def slow_reversal(bars: Bars, max_gap: int | None) -> list[int]:
    segment, close = slow_segments(bars, max_gap), np.log(bars.close).tolist()
    signs = []
    for t in range(len(bars)):
        is_whole = t >= 20 and segment[t - 20] == segment[t]
        signs.append(-np.sign(close[t] - close[t - 20]) if is_whole else 0)
    return held(signs)


def slow_ema_reversal(bars: Bars, max_gap: int | None) -> list[int]:
    segment, close = slow_segments(bars, max_gap), np.log(bars.close).tolist()
    signs, average = [], 0.0
    for t in range(len(bars)):
        is_first = t == 0 or segment[t] != segment[t - 1]
        average = close[t] if is_first else average + 2 / 101 * (close[t] - average)
        signs.append(-np.sign(close[t] - average))
    return held(signs)


def assert_equal_slow_loops(bars: Bars, flat_band: float = 0.0, **options: Any) -> None:
    gap = options.get("max_gap")
    fast = baseline_directions(bars, label_bars(bars, flat_band=flat_band, **options), gap)
    assert tuple(fast) == BASELINE_NAMES == ("majority", "persistence", "reversal", "ema_reversal")
    assert fast["majority"].tolist() == slow_majority(bars, flat_band=flat_band, **options)
    assert fast["persistence"].tolist() == slow_persistence(bars, flat_band, **options)
    assert fast["reversal"].tolist() == slow_reversal(bars, gap)
    assert fast["ema_reversal"].tolist() == slow_ema_reversal(bars, gap)


def features_of(bars: Bars) -> FloatArray:
    """Return three features of very different scale, one of them constant."""
    close = np.log(bars.close)
    change = np.diff(close, prepend=close[:1])
    return np.column_stack([change * 1e4, bars.close, np.full(len(bars), 3.7)])


def slow_scores(features: FloatArray, labels: Labels, rate: float) -> list[float]:
    """Return the log odds at each row: look at every row up to its close, event by event."""
    n, n_features = features.shape
    time = labels.close_time.astype(np.int64).tolist()
    in_time = sorted(range(n), key=lambda row: (time[row], row))
    scores: list[list[float]] = [[] for _ in range(n)]
    for place, row in enumerate(in_time):
        for column in range(n_features):
            seen = [float(features[other, column]) for other in in_time[: place + 1]]
            mean = sum(seen) / len(seen)
            spread = math.sqrt(sum((value - mean) ** 2 for value in seen) / len(seen))
            is_spread = spread**2 > 1e-9 * sum(value**2 for value in seen) / len(seen)
            score = (seen[-1] - mean) / spread if is_spread else 0.0
            scores[row].append(min(6.0, max(-6.0, score)))
        scores[row].append(1.0)
    lessons: dict[int, list[int]] = {}
    for row in range(n):
        if labels.known_at[row] >= 0 and labels.direction[row] in (DOWN, UP):
            lessons.setdefault(int(labels.event[row]), []).append(row)
    arrival = {event: time[int(labels.known_at[rows[0]])] for event, rows in lessons.items()}
    to_come = sorted(lessons, key=lambda event: (arrival[event], event))
    w, result = [0.0] * (n_features + 1), [0.0] * n
    for row in in_time:
        while to_come and arrival[to_come[0]] <= time[row]:
            rows = lessons[to_come.pop(0)]
            w = slow_step(w, [scores[one] for one in rows], int(labels.direction[rows[0]]), rate)
        result[row] = sum(a * b for a, b in zip(w, scores[row], strict=True))
    return result


def slow_step(w: list[float], lesson: list[list[float]], truth: int, rate: float) -> list[float]:
    gradient = [0.0] * len(w)
    for x in lesson:
        chance = 1 / (1 + math.exp(-sum(a * b for a, b in zip(w, x, strict=True))))
        for i, value in enumerate(x):
            gradient[i] += (float(truth == UP) - chance) * value / len(lesson)
    return [a + rate * g for a, g in zip(w, gradient, strict=True)]


def assert_equals_slow_loops(features: FloatArray, labels: Labels, rate: float) -> None:
    slow = np.array(slow_scores(features, labels, rate))
    fast = online_logistic(features, labels, rate)
    # Elsewhere rounding decides: features are kept in single precision. With few lessons all scores are small.
    is_clear = np.abs(slow) > 1e-5 * min(1.0, np.abs(slow).max(initial=0.0))
    assert fast[is_clear].tolist() == (slow[is_clear] > 0).astype(int).tolist()
    assert is_clear.sum() >= 0.8 * (slow != 0).sum()


def restored(tracker: Any, new: Any) -> Any:
    """Return a new tracker with the state of another, as a checkpoint would hold it."""
    new.load_state_dict(pickle.loads(pickle.dumps(tracker.state_dict())))
    return new


def rules_in_chunks(bars: Bars, labels: Labels, edges: list[int], max_gap: int | None) -> Array:
    """Feed bars and what becomes known at them chunk by chunk, each to a tracker restored from the last."""
    events = KnownDirections.sorted(*labels.events)
    lines = KnownDirections(labels.lines.known_at, labels.lines.direction) if len(labels.lines) else None
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
